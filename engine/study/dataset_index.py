"""Reads and writes the index of a data set folder: dataset.json and splits.csv."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, get_args

from engine.errors import DatasetProblem
from engine.files import read_regular, write_together
from engine.images.formats import IMAGE_SUFFIXES
from engine.plaintext import shown_text
from engine.study.records import origin_from_json, origin_to_json
from engine.types import Origin, Split

FORMAT = {"format": "nca-seg/dataset", "version": 1}
INDEX, SPLITS = "dataset.json", "splits.csv"
#: A longer index is refused; that of a million samples is not as long.
MOST_BYTES = 64 * 2**20

#: Split and origin by id.
Entries = dict[str, tuple[Split, Origin | None]]
#: Where in a file a sample is named, its id, its split and its origin, none of them checked.
Row = tuple[str, Any, Any, Any]

#: What commas, semicolons and tabs are to spreadsheets in one country or another.
_DELIMITERS = (",", ";", "\t")
_BYTE_ORDER_MARKS = (b"\xff\xfe", b"\xfe\xff")
#: How text begins that spreadsheets take for a formula, with the quotes that escaped it already.
_FORMULA = re.compile(r"'*[=+\-@\t\r\n＝＋－＠]")


class OtherColumns(DatasetProblem):
    """A table whose first line does not name the columns to be read."""


def read_index(root: Path, images: Collection[str]) -> Entries:
    """Read the index of a data set folder that holds images of these ids; empty without one.

    An id may be written with its image's suffix. Raises DatasetProblem, with the place in the file.
    """
    ours, isic = root / INDEX, root / SPLITS
    entries = read_entries(ours, images) if is_there(ours) else {}
    rows = _collected(isic, _split_rows(isic), images) if is_there(isic) else {}
    for path, named in ((ours, entries), (isic, rows)):
        missing = [name for name in named if name not in images]
        if missing:
            more = f", nor have {len(missing) - 1} more" if len(missing) > 1 else ""
            raise DatasetProblem(path, f"names {shown_text(missing[0])}, which has no image{more}")
    if is_there(isic) and not rows:
        raise DatasetProblem(isic, "names no samples")
    if is_there(ours) and not entries:
        raise DatasetProblem(ours, "names no samples; an export that was ended may be repeated")
    for name in entries.keys() & rows.keys():
        if entries[name][0] != rows[name][0]:
            where = f"puts {shown_text(name)} in {rows[name][0]}, {INDEX} in {entries[name][0]}"
            raise DatasetProblem(isic, where)
    return {**rows, **entries}


def read_entries(path: Path, images: Collection[str] = ()) -> Entries:
    """What a `dataset.json` says. Raises DatasetProblem."""
    try:
        content = json.loads(read_regular(path, MOST_BYTES))
    except (OSError, ValueError, RecursionError) as error:
        raise DatasetProblem(path, reason_of(error)) from error
    if not isinstance(content, dict) or content.get("format") != FORMAT["format"]:
        raise DatasetProblem(path, f"is not a {FORMAT['format']} file")
    if content.get("version") != FORMAT["version"]:
        version = shown_text(str(content.get("version")))
        raise DatasetProblem(path, f"is of version {version}, which is not known")
    samples = content.get("samples")
    if not isinstance(samples, list):
        raise DatasetProblem(path, "has no list of samples")
    known = [sample if isinstance(sample, dict) else {} for sample in samples]
    rows = (
        (f"sample {number}", sample.get("id"), sample.get("split"), sample.get("origin"))
        for number, sample in enumerate(known, 1)
    )
    return _collected(path, rows, images)


def index_files(root: Path, entries: Entries) -> dict[Path, str]:
    """The text of each index file of a folder, in the order to write them.

    Ids that a spreadsheet would take for formulas have a quote before them in `splits.csv`, which
    reading takes away.
    """
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(("id", "split"))
    writer.writerows((as_cell(name), entries[name][0]) for name in sorted(entries))
    samples = [
        {"id": name, "split": entries[name][0], "origin": origin_to_json(entries[name][1])}
        for name in sorted(entries)
    ]
    content = json.dumps({**FORMAT, "samples": samples}, indent=1, ensure_ascii=False)
    # The one with the origins first: where a kill comes between the two, it knows all samples.
    return {root / INDEX: content + "\n", root / SPLITS: table.getvalue()}


def write_index(root: Path, entries: Entries) -> None:
    """Write both index files. Raises DatasetProblem, and then both are as they were."""
    try:
        write_together(index_files(root, entries))
    except OSError as error:
        raise DatasetProblem(error.filename or root / INDEX, reason_of(error)) from error


def as_cell(text: str) -> str:
    """A text as a cell of a CSV file that no spreadsheet takes for a formula."""
    return f"'{text}" if _FORMULA.match(text) else text


def from_cell(cell: str) -> str:
    """The text that `as_cell` made a cell of; any other cell as it is."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def plain(name: str) -> str:
    """An id as an index has it, whatever hands it out: macOS decomposes accents."""
    return unicodedata.normalize("NFC", name.strip())


def is_there(path: Path) -> bool:
    """Whether something has this name. Raises DatasetProblem for a link that leads nowhere."""
    if path.is_symlink() and not path.exists():
        raise DatasetProblem(path, "is a link that leads nowhere")
    return os.path.lexists(path)


def reason_of(error: Exception) -> str:
    """What an error says, without the file's name."""
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def csv_rows(path: Path, columns: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    """Read a table, in whichever way a spreadsheet wrote it; yields its rows.

    Parameters
    ----------
    path : the CSV file.
    columns : the columns to read, by their names in lower case.

    Yields
    ------
    tuple : where the row is, as "row 2", and its cells in these columns without blanks around
        them; "" if the row is too short.

    Raises
    ------
    OtherColumns : if the first line does not name the columns.
    DatasetProblem : if the file cannot be read.
    """
    text = _text(path)
    # Excel's own first line, which says what divides the cells.
    told = re.match(r"sep=(.)\r?\n", text, re.IGNORECASE)
    skipped, delimiters = (1, (told[1],)) if told else (0, _DELIMITERS)
    text = text[told.end() :] if told else text
    start = len(text) - len(text.lstrip("\r\n"))
    head = re.split(r"[\r\n]", text[start:], maxsplit=1)[0]
    for delimiter in delimiters:
        names = [cell.strip().casefold() for row in _cells(path, head, delimiter) for cell in row]
        if all(names.count(column) == 1 for column in columns):
            break
    else:
        begins = f"begins with {shown_text(head)!r}" if head.strip() else "is empty"
        wanted = f"{', '.join(columns[:-1])} and {columns[-1]}"
        raise OtherColumns(path, f"{begins}, not with the names of its columns, {wanted}")
    places = [names.index(column) for column in columns]
    is_headed = False
    for number, row in enumerate(_cells(path, text, delimiter), 1 + skipped):
        if not any(cell.strip() for cell in row):
            continue
        if is_headed:
            yield f"row {number}", [row[x].strip() if x < len(row) else "" for x in places]
        is_headed = True


def _split_rows(path: Path) -> Iterator[Row]:
    for where, (name, split) in csv_rows(path, ("id", "split")):
        yield where, from_cell(name) or None, split or None, None


def _text(path: Path) -> str:
    try:
        content = read_regular(path, MOST_BYTES)
    except OSError as error:
        raise DatasetProblem(path, reason_of(error)) from error
    if content.startswith(_BYTE_ORDER_MARKS):
        raise DatasetProblem(path, "is in UTF-16; save it as CSV in UTF-8")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        row = content.count(b"\n", 0, error.start) + 1
        what = f"is not text in UTF-8 (row {row}); save it as CSV in UTF-8"
        raise DatasetProblem(path, what) from error
    if "\0" in text:
        raise DatasetProblem(path, "has zero bytes in it; save it as CSV in UTF-8")
    return text


def _cells(path: Path, text: str, delimiter: str) -> Iterator[list[str]]:
    stream = io.StringIO(text, newline="")
    rows = csv.reader(stream, delimiter=delimiter, skipinitialspace=True)
    try:
        yield from rows
    except csv.Error as error:
        raise DatasetProblem(
            path, f"cannot be read from row {rows.line_num} on: {error}"
        ) from error


def _collected(path: Path, rows: Iterable[Row], images: Collection[str]) -> Entries:
    """Rows as entries, each checked. Raises DatasetProblem."""
    entries: Entries = {}
    for where, name, split, origin in rows:
        for value, what in ((name, "id"), (split, "split")):
            if not isinstance(value, str):
                raise DatasetProblem(path, f"has no {what} in {where}")
        name, split = known_id(plain(name), images), split.strip()
        if any(unicodedata.category(letter) == "Cc" for letter in name):
            what = "has an id with a line break or control character (is a quote left open?)"
            raise DatasetProblem(path, f"{what}: {shown_text(name)}, {where}")
        known_split = next((one for one in get_args(Split) if one == split.casefold()), None)
        if known_split is None:
            unknown = (
                f"puts {shown_text(name)} in an unknown split {shown_text(split)!r} in {where}"
            )
            raise DatasetProblem(path, f"{unknown}; it must be {', '.join(get_args(Split))}")
        if name in entries:
            raise DatasetProblem(
                path, f"names {shown_text(name)} twice, the second time in {where}"
            )
        try:
            entries[name] = known_split, origin_from_json(origin)
        except (TypeError, ValueError) as error:
            what = f"has an origin of {shown_text(name)} that is not one: {shown_text(str(error))}"
            raise DatasetProblem(path, what) from error
    return entries


def known_id(name: str, images: Collection[str]) -> str:
    """The id of an image that is named by its file; any other name as it is."""
    stem, dot, suffix = name.rpartition(".")
    is_file = name not in images and f"{dot}{suffix}".lower() in IMAGE_SUFFIXES
    return stem if is_file and stem in images else name
