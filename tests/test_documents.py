"""What the documents name is there, and the recipes of docs/extending.md run as they stand."""

from __future__ import annotations

import ast
import importlib.util
import re
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image as PillowImage
from pytestqt.qtbot import QtBot

from engine.diffusion.ensemble import segment
from engine.diffusion.model import Model
from engine.images import formats
from engine.images.reading import read_image
from engine.networks.table import ARCHITECTURES, build, parameter_count, preset
from engine.study import exporters
from engine.types import SampleSettings
from nca_seg_app.state import tools
from nca_seg_app.state.document import MaskDocument
from nca_seg_app.ui.panels import table
from tests.app.desks import Desk, leave
from tests.oracles import CPU, disk, lesion
from tests.samples import drawn_dataset
from tests.sources import ALL, PROJECT, Source, expect_none, source, sources

DOCUMENTS = sorted(
    (*PROJECT.glob("*.md"), *(PROJECT / "docs").rglob("*.md"), *PROJECT.glob("resources/*.md"))
)
#: These say what was there at their time.
OF_THEIR_TIME = ("CHANGELOG.md", "docs/decisions/", "docs/experiments/")
#: Those of `docs/extending.md` that a reader makes.
RECIPES = PROJECT / "docs" / "extending.md"
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PATH = re.compile(r"[\w.-]+(?:/[\w.-]+)*/?")
NAME = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*")
#: A file, and the names in it that follow after commas.
NAMED_IN = re.compile(r"`([\w./-]+\.py)`((?:,?\s(?:and\s|then\s)?`[A-Za-z_][\w.]*`)+)")


# Recipes


@cache
def blocks() -> dict[str, str]:
    """The blocks of docs/extending.md by the file, or the file and table, that each is for."""
    found = {}
    for language, text in FENCE.findall(RECIPES.read_text(encoding="utf-8")):
        first, _, rest = text.partition("\n")
        mark = re.fullmatch(r"(?:# |<!-- )(.+?)(?: -->)?", first)
        assert mark, f"a block of {language} does not begin with the name of a file: {first}"
        found[mark[1]] = rest
    return found


def test_the_example_of_the_readme_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (text,) = (
        text
        for language, text in FENCE.findall((PROJECT / "README.md").read_text(encoding="utf-8"))
        if language == "python"
    )
    PillowImage.fromarray(lesion(disk(24)).pixels_hwc).save(tmp_path / "lesion.jpg")
    (tmp_path / "example.py").write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    spec = importlib.util.spec_from_file_location("example", tmp_path / "example.py")
    assert spec is not None
    assert spec.loader is not None
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    assert example.mask_hw.shape == (24, 24)
    last = capsys.readouterr().out.splitlines()[-1]
    assert re.fullmatch(r"(\d+)/\1, expected error 0\.\d\d", last)


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """Makes a module of a block, or of the table's own module with the row in it, as ROW."""

    def made(head: str) -> ModuleType:
        file, _, name = head.partition(", ")
        module = file.removesuffix(".py").replace("/", ".")
        text = blocks()[head]
        if (PROJECT / file).exists():
            # What lies beside the row, or the class, in its own file is at hand there.
            beside = vars(importlib.import_module(module))
            is_row = isinstance(ast.parse(text).body[0], ast.Expr)
            text = f"ROW = (\n{text})\n" if is_row else text
            module = f"{module}_{name.lower() or 'more'}"
        else:
            beside = {}
        path = tmp_path / f"{module}.py"
        path.write_text(text, encoding="utf-8")
        spec = importlib.util.spec_from_file_location(module, path)
        assert spec is not None
        assert spec.loader is not None
        new = importlib.util.module_from_spec(spec)
        vars(new).update({key: value for key, value in beside.items() if key[:2] != "__"}, **given)
        monkeypatch.setitem(sys.modules, module, new)
        spec.loader.exec_module(new)
        given.update({module.rsplit(".", 1)[-1]: new}, **classes_of(new))
        return new

    given: dict[str, Any] = {}
    return made


def classes_of(module: ModuleType) -> dict[str, Any]:
    """The classes that a module defines itself."""
    return {
        name: each for name, each in vars(module).items()
        if isinstance(each, type) and each.__module__ == module.__name__
    }  # fmt: skip


def test_every_recipe_is_tried() -> None:
    heads = {*NETWORK, *TOOL, *EXPORTER, *PANEL, *FORMAT}
    assert heads == set(blocks())


NETWORK = (
    "engine/networks/convolution.py",
    "engine/networks/convolution_network.py",
    "engine/networks/table.py, ARCHITECTURES",
)


def test_the_network_runs(
    recipe: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = [recipe(head) for head in NETWORK][-1].ARCHITECTURES
    assert [*made] == [*ARCHITECTURES, "convolution"]
    monkeypatch.setitem(ARCHITECTURES, "convolution", made["convolution"])
    network = build(preset("convolution"))
    assert sum(each.numel() for each in network.parameters()) == parameter_count(network.spec)
    *_, result = segment(Model(network, CPU), lesion(disk(24)), SampleSettings(members=2, steps=2))
    assert result.done == result.total


TOOL = (
    "nca_seg_app/state/tools.py",
    "nca_seg_app/state/tools.py, TOOLS",
    "resources/icons/saw.svg",
)


def test_the_tool_draws(recipe: Callable[[str], ModuleType], qtbot: QtBot) -> None:
    recipe(TOOL[0])
    row = recipe(TOOL[1]).ROW
    assert row.name == row.drawing.name == "saw"
    assert row.shortcut not in {each.shortcut for each in tools.TOOLS}
    assert ElementTree.fromstring(blocks()[TOOL[2]]).get("viewBox") == "0 0 24 24"
    document = MaskDocument((20, 20), np.ones((20, 20), bool))
    saw = row.drawing(document, lambda: 1.0, np.zeros((20, 20, 3), np.uint8))
    saw.press((10.0, 0.0), erase=False)
    saw.drag((10.0, 20.0))
    assert len(saw.sketch) == 2
    saw.release()
    assert not document.mask_hw[9:11].any()
    assert document.mask_hw[[8, 11]].all()
    document.undo()
    assert document.mask_hw.all()


EXPORTER = ("engine/study/areas.py", "engine/study/exporters.py, EXPORTERS")


def test_the_exporter_writes(recipe: Callable[[str], ModuleType], tmp_path: Path) -> None:
    recipe(EXPORTER[0])
    row = recipe(EXPORTER[1]).ROW
    assert row.name not in {each.name for each in exporters.EXPORTERS}
    dataset = drawn_dataset(tmp_path, count=3)
    assert [(step.done, step.total) for step in row.write(dataset)] == [(1, 3), (2, 3), (3, 3)]
    written = (dataset.root / row.file).read_text(encoding="utf-8").splitlines()
    assert len(written) == 4
    assert written[1].startswith("drawn_0.png,")


PANEL = ("nca_seg_app/ui/panels/reviewed.py", "nca_seg_app/ui/panels/table.py, DOCKS")


def test_the_panel_shows(recipe: Callable[[str], ModuleType], qtbot: QtBot, tmp_path: Path) -> None:
    recipe(PANEL[0])
    row = recipe(PANEL[1]).ROW
    assert row.shortcut not in {each.shortcut for each in table.DOCKS}
    desk = Desk(qtbot, tmp_path)
    panel = row.make(desk.session)
    qtbot.addWidget(panel)
    panel.show()
    desk.open("a.png", "b.png")
    desk.until(lambda: panel.count.text() == "0 of 2 images are reviewed")
    leave(desk)


FORMAT = ("engine/images/formats.py, FORMATS",)


def test_the_format_is_read(
    recipe: Callable[[str], ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = recipe(FORMAT[0]).ROW
    monkeypatch.setattr(formats, "FORMATS", (*formats.FORMATS, row))
    pixels_hwc = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    path = tmp_path / f"a{row.suffixes[0]}"
    PillowImage.fromarray(pixels_hwc).save(path)
    assert np.array_equal(read_image(path).pixels_hwc, pixels_hwc)


# Names


def test_files_that_documents_name_are_there() -> None:
    expect_none(
        f"{name(document)} names {path}, which is not there"
        for document in current()
        for path in paths_in(prose(document))
        if path not in blocks() and not there(path)
    )


def test_names_that_documents_give_are_there() -> None:
    expect_none(
        f"{name(document)}: there is no {wanted} in {file}"
        for document in current()
        for file, wanted in names_in(prose(document))
        if (place := there(file)) and not set(wanted.split(".")) <= defined(place)
    )


def test_links_between_documents_lead_somewhere() -> None:
    expect_none(
        f"{name(document)} links to {target}, which is not there"
        for document in DOCUMENTS
        for target in re.findall(r"\]\((?!https?:)([^)#\s]+)", document.read_text(encoding="utf-8"))
        if not (document.parent / target).exists()
    )


def test_records_that_the_source_names_are_there() -> None:
    expect_none(
        f"{each.name} names {path}, which is not there"
        for each in sources(*ALL)
        for path in re.findall(r"docs/(?:decisions|experiments)/[\w-]+\.md", each.text)
        if not (PROJECT / path).exists()
    )


def test_every_record_is_listed_by_its_title() -> None:
    listed = (PROJECT / "docs/decisions/README.md").read_text(encoding="utf-8")
    for path in (PROJECT / "docs/decisions").glob("0*.md"):
        number, title = path.read_text(encoding="utf-8").splitlines()[0][2:].split(". ", 1)
        assert path.name.startswith(f"{int(number):04}-")
        assert f"| {number} | [{title}]({path.name}) |" in listed


def current() -> Iterator[Path]:
    """The documents that speak of the program as it is."""
    return (each for each in DOCUMENTS if not name(each).startswith(OF_THEIR_TIME))


def name(document: Path) -> str:
    return document.relative_to(PROJECT).as_posix()


def prose(document: Path) -> str:
    """A document without its blocks of code."""
    return FENCE.sub("", document.read_text(encoding="utf-8"))


def paths_in(text: str) -> Iterator[str]:
    """What is written as a file or folder of the project."""
    for quoted in re.findall(r"`([^`\n]+)`", text):
        is_path = quoted.startswith(tuple(f"{each}/" for each in (*ALL, "docs")))
        if PATH.fullmatch(quoted) and (is_path or quoted.endswith(".py")):
            yield quoted


def names_in(text: str) -> Iterator[tuple[str, str]]:
    """(file, name) of what a text says is in a file."""
    for file, names in NAMED_IN.findall(text):
        listed = re.findall(r"`([\w.]+)`", names)
        yield from ((file, each) for each in listed if not each.endswith(".py"))


@cache
def there(path: str) -> Path | None:
    """The file or folder that is written so, in full or by the end of its path."""
    if (PROJECT / path).exists():
        return PROJECT / path
    found = [each.path for each in sources(*ALL) if f"/{each.name}".endswith(f"/{path}")]
    return found[0] if found else None


@cache
def defined(path: Path) -> set[str]:
    """Everything that a file of Python defines or assigns."""
    found: set[str] = set()
    for node in source(path).nodes:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
    return found


@pytest.mark.parametrize(
    ("text", "paths", "names"),
    [
        ("`engine/files.py`, `write_atomic`: so", ["engine/files.py"], ["write_atomic"]),
        ("`files.py`, `A.b` and `c`", ["files.py"], ["A.b", "c"]),
        ("`files.py`, `locks.py`, `a`", ["files.py", "locks.py"], ["a"]),
        ("see `docs/` and `images/`", ["docs/"], []),
        ("`files.py`: `a`", ["files.py"], []),
        ("`a.csv` and `b`", [], []),
    ],
)
def test_what_a_text_names_is_found(text: str, paths: list[str], names: list[str]) -> None:
    assert list(paths_in(text)) == paths
    assert [each for _, each in names_in(text)] == names


def test_what_is_not_there_is_not_found() -> None:
    assert there("engine/nowhere.py") is None
    assert there("engine/files.py") == PROJECT / "engine/files.py"
    assert {"write_atomic", "replacing"} <= defined(PROJECT / "engine/files.py")
    assert "write_somehow" not in defined(PROJECT / "engine/files.py")
    assert isinstance(source(PROJECT / "engine/files.py"), Source)
