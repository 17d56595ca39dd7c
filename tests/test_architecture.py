"""The source is laid out as docs/architecture.md says, and stays small enough to be read."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from tests.sources import (
    ALL,
    PROJECT,
    SHIPPED,
    Function,
    Source,
    excepted,
    expect_none,
    source,
    sources,
)

#: What turns data into code, or reaches the network: no use for either here.
FORBIDDEN_CALLS = {"eval", "exec", "compile", "__import__", "breakpoint"}
#: The first two read pickles; models are safetensors.
FORBIDDEN_METHODS = {"torch.load", "torch.save", "os.system"}
FORBIDDEN_ARGUMENTS = {"shell", "allow_pickle"}
FORBIDDEN_IMPORTS = {
    "pickle",
    "marshal",
    "shelve",
    "dill",
    "joblib",
    "socket",
    "ssl",
    "http",
    "urllib",
    "urllib3",
    "requests",
    "ftplib",
    "smtplib",
    "PySide6.QtNetwork",
}

#: Methods, properties and attributes that others may use: more are more than one subject.
MOST_MEMBERS = 20
#: Each with the reason why it is one subject all the same.
MANY_MEMBERS = {
    "nca_seg_app.state.capabilities.Has": "an enumeration: each fact an action may need is a value",
    "nca_seg_app.state.document.MaskDocument": (
        "a mask, the stroke under way and the undo stack change together or not at all"
    ),
    "nca_seg_app.session.Session": "names every service, and has three verbs of its own",
}

#: Of a function's body: a signature may declare twenty options, and a docstring has examples.
MOST_LINES = 60
LONG_FUNCTIONS = {
    "nca_seg_app.services.error_messages._sentence": "a table: one sentence for each error",
}

#: Names under which anything could lie, so that nothing is looked for there.
EMPTY_NAMES = {
    "base",
    "common",
    "core",
    "data",
    "etc",
    "extra",
    "extras",
    "func",
    "functions",
    "general",
    "helper",
    "helpers",
    "info",
    "lib",
    "manager",
    "managers",
    "misc",
    "miscellaneous",
    "other",
    "stuff",
    "things",
    "tool",
    "tools",
    "util",
    "utilities",
    "utils",
    "various",
}
NAMES_THAT_SAY_ENOUGH = {"nca_seg_app.state.tools": "the drawing tools, and nothing else"}


#: For each package a module, and one that imports it, which it imports for typing alone.
CIRCLES = {
    "engine": ("engine.report.wording", "engine.report.page"),
    "application": ("nca_seg_app.services.context", "nca_seg_app.services.saving"),
}


def contracts(root: Path) -> subprocess.CompletedProcess[str]:
    """What import-linter says of the two packages in a folder that holds pyproject.toml, too."""
    # By this Python, not by its script, which knows where it was installed.
    program = "from importlinter.cli import lint_imports_command as lint; lint()"
    return subprocess.run(
        [sys.executable, "-c", program, "--no-cache"],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )


def test_import_contracts_hold() -> None:
    pytest.importorskip("importlinter")
    report = contracts(PROJECT)
    assert report.returncode == 0, report.stdout + report.stderr


def test_a_circle_breaks_the_contract_that_forbids_it(tmp_path: Path) -> None:
    pytest.importorskip("importlinter")
    for each in sources("engine", "nca_seg_app"):
        copied = tmp_path / each.path.relative_to(PROJECT)
        copied.parent.mkdir(parents=True, exist_ok=True)
        copied.write_text(each.text, encoding="utf-8")
    shutil.copy(PROJECT / "pyproject.toml", tmp_path)
    for module, importer in CIRCLES.values():
        assert module in source(PROJECT / f"{importer.replace('.', '/')}.py").imports()
        with (tmp_path / f"{module.replace('.', '/')}.py").open("a", encoding="utf-8") as stream:
            stream.write(
                f"\nfrom typing import TYPE_CHECKING\n\nif TYPE_CHECKING:\n    import {importer}\n"
            )
    report = contracts(tmp_path)
    assert report.returncode == 1, report.stdout + report.stderr
    broken = re.findall(r"^(.+) BROKEN$", report.stdout, re.MULTILINE)
    assert broken == [f"No circle in the {package}" for package in CIRCLES]


def test_every_module_of_the_application_has_a_layer() -> None:
    # One without a layer may import anything: import-linter says nothing about it.
    with (PROJECT / "pyproject.toml").open("rb") as stream:
        contracts = tomllib.load(stream)["tool"]["importlinter"]["contracts"]
    (layers,) = (
        each["layers"]
        for each in contracts
        if each["type"] == "layers" and each["containers"] == ["nca_seg_app"]
    )
    listed = [name for layer in layers for name in re.split(r"[\s|:]+", layer)]
    found = {
        path.stem
        for path in (PROJECT / "nca_seg_app").iterdir()
        if path.suffix == ".py" or (path / "__init__.py").is_file()
    }
    assert sorted(listed) == sorted(found - {"__init__"})


def test_what_decides_knows_no_widgets() -> None:
    # The session and all that it stands on; import-linter sees PySide6 as one module.
    waiting, seen, offences = ["nca_seg_app.session"], set(), []
    while waiting:
        module = waiting.pop()
        path = PROJECT / f"{module.replace('.', '/')}.py"
        if module in seen or not path.is_file():
            continue
        seen.add(module)
        names = list(source(path).imports())
        waiting += [name for name in names if name.startswith("nca_seg_app.")]
        offences += [
            f"{module} imports {name}"
            for name in names
            if name.startswith(("PySide6.QtWidgets", "pyqtgraph"))
        ]
    expect_none(offences)
    assert {
        "nca_seg_app.session",
        "nca_seg_app.state.document",
        "nca_seg_app.background.jobs",
    } <= seen


def test_the_window_opens_before_torch_is_loaded() -> None:
    code = (
        "import sys, nca_seg_app.session, engine.types; "
        "sys.exit('torch came along' if 'torch' in sys.modules else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_nothing_runs_data_or_calls_home() -> None:
    expect_none(text for each in sources(*SHIPPED) for text in dangers(each))


def dangers(each: Source) -> Iterator[str]:
    """What in the file could run data as code, or reach the network."""
    for name in each.imports():
        parts = name.split(".")
        parents = {".".join(parts[: count + 1]) for count in range(len(parts))}
        if parents & FORBIDDEN_IMPORTS:
            yield f"{each.name} imports {name}"
    for call in each.calls():
        called = ast.unparse(call.func)
        if called in FORBIDDEN_CALLS | FORBIDDEN_METHODS:
            yield each.at(call, f"calls {called}")
        arguments = {keyword.arg for keyword in call.keywords if keyword.arg}
        for argument in sorted(arguments & FORBIDDEN_ARGUMENTS):
            yield each.at(call, f"gives {argument}= to {called}")


def test_a_module_says_what_it_is() -> None:
    expect_none(
        each.at(None, "has no docstring")
        for each in sources(*SHIPPED, "packaging", "tests")
        if each.text and not ast.get_docstring(each.tree)
    )


def test_a_module_has_a_name_that_says_something() -> None:
    offences = {
        each.module: f"{each.name}: {words!r} says nothing about what is in it"
        for each in sources(*ALL)
        # Those of tests are the names of what they test.
        if not each.path.name.startswith("test_") and (words := empty_part(each))
    }
    expect_none(excepted(offences, NAMES_THAT_SAY_ENOUGH))


def empty_part(each: Source) -> str:
    """What says nothing in the name of a module, or ""."""
    stem = each.module.split(".")[-1]
    numbered = re.search(r"(?:^|_)(?:[a-z]|v?\d+)$", stem)
    return stem if stem in EMPTY_NAMES else numbered.group() if numbered else ""


def test_a_class_has_one_subject() -> None:
    bases = by_name(node for each in sources(*ALL) for _, node in each.classes())
    offences = {
        name: each.at(node, f"{name} has {len(members)} public members")
        for each in sources(*ALL)
        for name, node in each.classes()
        if len(members := public_members(node, bases)) > MOST_MEMBERS
    }
    expect_none(excepted(offences, MANY_MEMBERS))


def by_name(classes: Iterable[ast.ClassDef]) -> dict[str, ast.ClassDef]:
    """The classes whose name no other one has."""
    listed = list(classes)
    counts = Counter(node.name for node in listed)
    return {node.name: node for node in listed if counts[node.name] == 1}


def public_members(node: ast.ClassDef, bases: dict[str, ast.ClassDef]) -> set[str]:
    """What others may use of a class, and of those of `bases` that it is made from."""
    names: set[str] = set()
    for base in node.bases:
        above = bases.get(ast.unparse(base).split("[")[0].rsplit(".", 1)[-1])
        if above is not None and above is not node:
            names |= public_members(above, bases)
    for item in node.body:
        if isinstance(item, Function):
            names.add(item.name)
        elif isinstance(item, ast.Assign | ast.AnnAssign):
            names |= {
                each.id
                for each in ast.walk(item)
                if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store)
            }
        if isinstance(item, Function) and item.name == "__init__":
            names |= {
                each.attr
                for each in ast.walk(item)
                if isinstance(each, ast.Attribute)
                and isinstance(each.ctx, ast.Store)
                and isinstance(each.value, ast.Name)
                and each.value.id == "self"
            }
    return {name for name in names if not name.startswith("_")}


def test_every_kind_of_member_is_counted_once() -> None:
    code = """
class Above(QObject):
    inherited = Signal()

class Below(Above):
    field: int
    one = two = 1
    _private = 0
    def __init__(self):
        super().__init__()
        self.attribute, self._hidden = 1, 2
        other.attribute_of_another = self.one = 3
    @property
    def value(self): ...
    @value.setter
    def value(self, value): ...
    def method(self):
        self.not_made_here = local = 1
    class Inner: ...
"""
    classes = by_name(node for node in ast.parse(code).body if isinstance(node, ast.ClassDef))
    expected = {"inherited", "field", "one", "two", "attribute", "value", "method"}
    assert public_members(classes["Below"], classes) == expected


def test_a_function_can_be_read_at_a_glance() -> None:
    offences = {
        name: each.at(node, f"{name} has {lines} lines")
        for each in sources(*ALL)
        for name, node in each.functions()
        if (lines := body_lines(node)) > MOST_LINES
    }
    expect_none(excepted(offences, LONG_FUNCTIONS))


def body_lines(node: Function) -> int:
    """How many lines a function has after its signature and docstring."""
    body = node.body[1:] if ast.get_docstring(node) else node.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def test_every_line_of_a_body_is_counted() -> None:
    code = '''
def f(
    a,
    b,
):
    """Says.

    More.
    """
    g(
        a
    )
    # why
    return b
'''
    (node,) = ast.parse(code).body
    assert isinstance(node, ast.FunctionDef)
    assert body_lines(node) == 5
