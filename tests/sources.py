"""The project's own source, for the tests that look at how it is written."""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from types import ModuleType

import pytest

PROJECT = Path(__file__).parents[1]
#: What is installed.
SHIPPED = ("engine", "nca_seg_app", "resources")
ALL = (*SHIPPED, "packaging", "tests")

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Source:
    """One file of Python."""

    path: Path

    @property
    def name(self) -> str:
        """The path below the project, as engine/files.py."""
        return self.path.relative_to(PROJECT).as_posix()

    @property
    def module(self) -> str:
        """The name it is imported by, as engine.files; a package's is its folder's."""
        return self.name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")

    @cached_property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text, str(self.path))

    @cached_property
    def nodes(self) -> tuple[ast.AST, ...]:
        return tuple(ast.walk(self.tree))

    def at(self, node: ast.expr | ast.stmt | None, why: str) -> str:
        """An offence, as "engine/files.py:12 is too long"."""
        return f"{self.name}:{node.lineno if node is not None else 1} {why}"

    def imports(self) -> Iterator[str]:
        """Full names of all that the file imports, also inside functions."""
        for node in self.nodes:
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module:
                yield node.module
                yield from (f"{node.module}.{alias.name}" for alias in node.names)

    def calls(self) -> Iterator[ast.Call]:
        """Every call in the file."""
        return (node for node in self.nodes if isinstance(node, ast.Call))

    def functions(self) -> Iterator[tuple[str, Function]]:
        """Every function with its qualified name, as engine.study.study.Study.save."""
        for name, node in self._named:
            if not isinstance(node, ast.ClassDef):
                yield name, node

    def classes(self) -> Iterator[tuple[str, ast.ClassDef]]:
        """Every class with its qualified name."""
        for name, node in self._named:
            if isinstance(node, ast.ClassDef):
                yield name, node

    @cached_property
    def _named(self) -> tuple[tuple[str, Function | ast.ClassDef], ...]:
        found: list[tuple[str, Function | ast.ClassDef]] = []
        waiting: list[tuple[str, ast.AST]] = [(self.module, self.tree)]
        while waiting:
            name, parent = waiting.pop()
            for node in ast.iter_child_nodes(parent):
                if isinstance(node, Function | ast.ClassDef):
                    found.append((f"{name}.{node.name}", node))
                    waiting.append(found[-1])
                elif not isinstance(node, ast.expr):
                    waiting.append((name, node))
        return tuple(found)


@cache
def source(path: Path) -> Source:
    """The file, read once."""
    return Source(path)


def script(name: str) -> ModuleType:
    """A file of packaging/, which is no package."""
    spec = importlib.util.spec_from_file_location(name, PROJECT / "packaging" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


def sources(*folders: str) -> list[Source]:
    """Every file of Python in these folders of the project."""
    paths = sorted(path for folder in folders for path in (PROJECT / folder).rglob("*.py"))
    assert paths, f"no source in {folders}"
    return [source(path) for path in paths]


def expect_none(offences: Iterable[str]) -> None:
    """Fail with every offence, one a line."""
    listed = list(offences)
    if listed:
        pytest.fail("\n".join(["", *listed]), pytrace=False)


def excepted(offences: dict[str, str], exceptions: dict[str, str]) -> Iterator[str]:
    """The offences that no exception names, and the exceptions that nothing needs any more."""
    yield from (text for name, text in offences.items() if name not in exceptions)
    yield from (f"{name}: no exception is needed" for name in exceptions if name not in offences)
