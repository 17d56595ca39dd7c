"""Tests wait for facts and not for time, and are named after what they test."""

from __future__ import annotations

import ast
import builtins
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sources import PROJECT, Source, expect_none, sources

#: Run on request, and measure or wait for other programs: those may let time pass.
MAY_WAIT = ("tests/bench/", "tests/campaigns/")
#: What lets time pass, by the last part of its name.
SLEEPS = {"sleep", "msleep", "usleep", "qSleep", "qWait"}

#: Tests of a rule that many modules keep together: each is named after the rule.
RULES = {
    "tests/app/services/test_accepting.py": "from a result to a mask",
    "tests/app/services/test_kept_results.py": "which results wait for their image",
    "tests/app/services/test_meanwhile.py": "what happens while something is under way",
    "tests/app/services/test_threshold.py": "a mask follows the threshold",
    "tests/app/services/test_two_windows.py": "two windows on one folder",
    "tests/app/test_main.py": "the program as it is started",
    "tests/app/ui/canvas/test_drawing.py": "from the mouse to a pixel",
    "tests/app/ui/canvas/test_giving_up.py": "a stroke that is given up",
    "tests/app/ui/canvas/test_looking.py": "what the canvas shows",
    "tests/app/ui/canvas/test_steering.py": "strokes and boxes on the canvas",
    "tests/app/ui/canvas/test_style_outlines.py": "outlines of the styles on the canvas",
    "tests/app/ui/panels/test_panels.py": "panels show what the session says",
    "tests/app/ui/test_toy_network.py": "a network without cells in the window",
    "tests/app/ui/test_responsiveness.py": "the window's thread never waits",
    "tests/app/ui/widgets/test_fields.py": "what is typed belongs to its field",
    "tests/engine/cli/test_commands.py": "exit codes, sentences and files of every command",
    "tests/engine/images/test_pages.py": "files of several pages",
    "tests/engine/images/test_whole_files.py": "files that are not all there",
    "tests/engine/networks/medsegdiff/test_learning.py": "small networks of the family learn",
    "tests/engine/networks/test_toy_network.py": "a network that is no automaton",
    "tests/engine/test_pipes.py": "a pipe is never waited for",
    "tests/engine/test_public.py": "what `import engine` gives",
    "tests/engine/test_streams.py": "every stream of the engine",
    "tests/engine/test_workers.py": "threads of everything that computes",
    "tests/engine/training/test_ending.py": "however a training ends",
    "tests/engine/training/test_protocol.py": "the paper's protocol, each of its switches",
    "tests/engine/cli/test_style.py": "what the commands do with a style",
    "tests/engine/diffusion/test_prompts.py": "a run keeps to what a person shows",
    "tests/engine/diffusion/test_steering.py": "a model does as it is told, in files and cells",
}


def test_no_test_sleeps() -> None:
    watched = [each for each in sources("tests") if not each.name.startswith(MAY_WAIT)]
    expect_none(text for each in watched for text in sleeps(each))


def sleeps(each: Source) -> Iterator[str]:
    """Where time is let pass, instead of waiting for a fact."""
    for call in each.calls():
        parts = ast.unparse(call.func).split(".")
        if parts[-1] in SLEEPS or (parts[-1] == "wait" and parts[-2:-1] == ["qtbot"]):
            yield each.at(call, f"{ast.unparse(call)} waits for time to pass, not for a fact")


@pytest.mark.parametrize(
    ("line", "is_found"),
    [
        ("time.sleep(1)", True),
        ("sleep(1)", True),
        ("desk.qtbot.wait(20)", True),
        ("qtbot.wait(ms=20)", True),
        ("QTest.qWait(20)", True),
        ("QThread.msleep(20)", True),
        ("qtbot.waitUntil(done)", False),
        ("process.wait()", False),
        ("event.wait(20)", False),
    ],
)
def test_what_sleeps_is_found(line: str, is_found: bool) -> None:
    made = Source(PROJECT / "tests" / "made.py")
    made.__dict__["tree"] = ast.parse(line)
    assert bool(list(sleeps(made))) == is_found


def test_a_test_is_named_after_its_module_or_its_rule() -> None:
    offences = {
        each.name: f"{each.name}: {place(each.path)} has no module of that name, and it is no rule"
        for each in sources("tests/engine", "tests/app")
        if each.path.name.startswith("test_") and not has_module(each.path)
    }
    expect_none(
        [
            *(text for name, text in offences.items() if name not in RULES),
            *(f"{name}: is no test of a rule" for name in RULES if name not in offences),
        ]
    )


def place(test: Path) -> Path:
    """The folder whose modules are tested in the folder of this test."""
    part, *below = test.relative_to(PROJECT / "tests").parent.parts
    return Path({"app": "nca_seg_app"}.get(part, part), *below)


def has_module(test: Path) -> bool:
    """Whether the name is a module's, or begins with one as test_study_damage with study."""
    words = test.stem.removeprefix("test_").split("_")
    names = ["_".join(words[:count]) for count in range(1, len(words) + 1)]
    folder = PROJECT / place(test)
    return any((folder / f"{name}.py").is_file() or (folder / name).is_dir() for name in names)


def test_programs_that_tests_start_name_what_there_is() -> None:
    # They lie in strings, where no other check looks.
    found = [
        (each, node, program)
        for each in sources("tests")
        # Here are some that are wrong on purpose.
        if each.path != Path(__file__)
        for node in each.nodes
        if isinstance(node, ast.Constant) and (program := program_in(node.value)) is not None
    ]
    assert len(found) > 10
    expect_none(
        each.at(node, f"has a program where {name} is unknown")
        for each, node, program in found
        for name in unknown(program)
    )


def program_in(value: object) -> ast.Module | None:
    """The program of several lines that a string holds, or None."""
    if not isinstance(value, str) or "\n" not in value or "import " not in value:
        return None
    try:
        return ast.parse(value)
    except SyntaxError:
        return None


def unknown(program: ast.Module) -> Iterator[str]:
    """What a program names or imports though it is nowhere."""
    bound, used, stars = set(dir(builtins)), set(), False
    for node in ast.walk(program):
        if isinstance(node, ast.Name):
            (used if isinstance(node.ctx, ast.Load) else bound).add(node.id)
        elif isinstance(node, ast.arg):
            bound.add(node.arg)
        elif isinstance(node, ast.FunctionDef | ast.ClassDef | ast.ExceptHandler):
            bound.add(node.name or "")
        elif isinstance(node, ast.Import | ast.ImportFrom):
            bound |= {(alias.asname or alias.name).split(".")[0] for alias in node.names}
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if missing(alias.name))
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (
                f"{node.module}.{alias.name}"
                for alias in node.names
                if missing(node.module, alias.name.strip("*"))
            )
            stars |= node.names[0].name == "*"
    if not stars:
        yield from sorted(used - bound)


def missing(module: str, name: str = "") -> bool:
    """Whether a module of the project, or what is imported from it, is not there."""
    if module.split(".")[0] not in ("engine", "nca_seg_app", "resources", "tests"):
        return False
    path = PROJECT / module.replace(".", "/")
    if name and ((path / f"{name}.py").is_file() or (path / name).is_dir()):
        return False
    for file in (path.with_suffix(".py"), path / "__init__.py"):
        if file.is_file():
            return bool(name) and not re.search(rf"\b{name}\b", file.read_text(encoding="utf-8"))
    return True


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("import os\nos.getcwd()", []),
        ("import os\nmasks.stroke()", ["masks"]),
        ("from engine.files import write_atomic", []),
        ("from engine.files import write_somehow", ["engine.files.write_somehow"]),
        ("from engine.masks import edits", []),
        ("import engine.nowhere", ["engine.nowhere"]),
        ("import os\ndef f(a, *b):\n    c = [d for d in b]\n    return a, c, f", []),
    ],
)
def test_what_is_unknown_is_found(line: str, names: list[str]) -> None:
    assert list(unknown(ast.parse(line))) == names
