"""Law: docs/THIRD_PARTY.md names what the program needs to run, with the licence of each.

`python packaging/notices.py` writes it, from the metadata of what is installed beside this Python.
"""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
NOTICES = PROJECT / "docs" / "THIRD_PARTY.md"
#: What is longer is the text of the licence and not its name.
LONGEST_NAME = 60

HEAD = """\
# What nca-seg stands on

nca-seg, its weights and its sample pictures are under the Apache License 2.0 (`LICENSE`). None of
what follows is part of its repository or of its wheel: pip installs it beside the program, each
under its own licence, whose full text lies in the package (`*.dist-info`).

## Qt and PySide6

The window is drawn by Qt, through PySide6 and shiboken6, all under the **LGPL 3** (or, by choice,
the GPL or a commercial licence of The Qt Company). They are used unchanged, as libraries of their
own that are loaded when the program starts, and each can be replaced by another build of the same
version: `pip install` puts them into site-packages as files. Their source is at
<https://code.qt.io>. Who hands on nca-seg together with them, as one bundle, must hand on the
text of the LGPL 3 and this notice, say where the source of these libraries is, and leave them
replaceable (a folder of libraries and not one sealed file).

## Training data

The weights were trained on images and masks of ISIC 2018, which are CC0 according to the
attribution that came with them (`resources/MODEL_CARD.md`). None of them is handed on. The sample
pictures are drawn by `resources/samples/generate.py`.
"""

TABLE = """
## {title}

| Package | Licence, as its metadata says |
|---|---|
"""


def declared() -> tuple[list[str], list[str]]:
    """The names of what the program needs, and of what its reports need beside that."""
    with (PROJECT / "pyproject.toml").open("rb") as stream:
        project = tomllib.load(stream)["project"]
    wanted = (project["dependencies"], project["optional-dependencies"]["report"])
    needed, report = ([_name_of(each) for each in list_] for list_ in wanted)
    return needed, report


def licence(installed: Distribution) -> str:
    """The name of a package's licence."""
    metadata = installed.metadata
    for field in ("License-Expression", "License"):
        name = metadata.get(field, "")
        if 0 < len(name) <= LONGEST_NAME or (name and field == "License-Expression"):
            return str(name)
    known = [each for each in metadata.get_all("Classifier") or () if each.startswith("License")]
    return ", ".join(each.rsplit(" :: ", 1)[-1] for each in known) or "not said"


def page() -> str:
    """The notices of what is installed here; PackageNotFoundError where something is missing."""
    needed, report = declared()
    direct = {_key(name): distribution(name) for name in (*needed, *report)}
    behind = {key: each for key, each in _behind(direct).items() if key not in direct}
    return HEAD + "".join(
        TABLE.format(title=title) + "".join(sorted(_row(each) for each in packages))
        for title, packages in (
            ("What the program needs", [direct[_key(name)] for name in needed]),
            ("What reports need as well", [direct[_key(name)] for name in report]),
            ("What these need in turn", list(behind.values())),
        )
    )


def _row(installed: Distribution) -> str:
    return f"| {installed.metadata['Name']} | {licence(installed)} |\n"


def _behind(direct: dict[str, Distribution]) -> dict[str, Distribution]:
    """All that these need, as far as it is installed here."""
    found, waiting = dict(direct), list(direct.values())
    while waiting:
        for requirement in waiting.pop().requires or ():
            key = _key(_name_of(requirement))
            if key in found or "extra ==" in requirement:
                continue
            try:
                found[key] = distribution(key)
            except PackageNotFoundError:
                # Of another system.
                continue
            waiting.append(found[key])
    return found


def _name_of(requirement: str) -> str:
    return re.split(r"[^\w.-]", requirement)[0]


def _key(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


if __name__ == "__main__":
    NOTICES.write_text(page(), encoding="utf-8")
