"""Lists the files of over 400 lines, each with the subject it should be the only one of.

A length is no fault: the list is there to be read. `make check` prints it and never fails by it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
FOLDERS = ("engine", "nca_seg_app", "resources", "packaging", "tests")
LONG = 400


def long_files(project: Path = PROJECT) -> Iterator[tuple[int, str, str]]:
    """(lines, path below the project, first line of the docstring) of each, the longest first."""
    found = []
    for path in (path for folder in FOLDERS for path in (project / folder).rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        lines = len(text.splitlines())
        if lines > LONG:
            says = ast.get_docstring(ast.parse(text)) or "says nothing"
            found.append((lines, path.relative_to(project).as_posix(), says.splitlines()[0]))
    yield from sorted(found, reverse=True)


def main() -> None:
    """Print the list."""
    found = list(long_files())
    print(f"Files of over {LONG} lines: {len(found) or 'none'}")
    for lines, name, says in found:
        print(f"  {lines:>5}  {name}: {says}")


if __name__ == "__main__":
    main()
