"""Keeps the index of a study in SQLite; a damaged or old one is made anew from the masks."""

from __future__ import annotations

import json
import math
import os
import sqlite3
import time
import zlib
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from engine.errors import StudyProblem
from engine.files import is_writable, put_in_place
from engine.study.mask_files import MaskFiles
from engine.study.records import Status, origin_from_json, origin_to_json, read_record
from engine.types import Origin

VERSION = 2
#: A version further ahead is no newer program's but a damaged number.
VERSIONS_AHEAD = 3
BUSY_TIMEOUT_S = 10.0
TABLE = """CREATE TABLE images (
    name TEXT PRIMARY KEY, status TEXT NOT NULL DEFAULT 'new', origin TEXT, saved_at TEXT,
    doubt REAL, stamp TEXT NOT NULL DEFAULT ''
) WITHOUT ROWID"""
_KEEP = (
    "INSERT INTO images (name, status, origin, saved_at, stamp) VALUES (?, ?, ?, ?, ?)"
    " ON CONFLICT (name) DO UPDATE SET status = excluded.status, origin = excluded.origin,"
    " saved_at = excluded.saved_at, stamp = excluded.stamp"
)
#: What SQLite says of the world around a file that is whole.
_NO_DAMAGE = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_INTERRUPT,
    sqlite3.SQLITE_PROTOCOL,
}
#: These, too, where files cannot be made in the folder; where they can, the file is to blame.
_PERHAPS_DAMAGE = {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM}

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Row:
    """What the index says of an image; `stamp` is that of the files it was read from."""

    status: Status = "new"
    origin: Origin | None = None
    saved_at: datetime | None = None
    expected_error: float | None = None
    stamp: str = ""


def transact(
    path: Path, work: Callable[[sqlite3.Connection], Answer], told: Callable[[Path], object]
) -> Answer:
    """Do some work in one transaction on an index, and return its answer.

    Parameters
    ----------
    path : the index, made where it is missing; its folder is there.
    work : given the connection.
    told : given where a damaged index was moved; `work` is then done with a new one.

    Raises StudyProblem for an index of a newer version, sqlite3.Error and OSError for locks and
    full disks.
    """
    try:
        return _transact(path, work)
    except (sqlite3.Error, UnicodeDecodeError) as error:
        if not _is_damage(path, error):
            raise
    told(_move_aside(path))
    return _transact(path, work)


def reconcile(
    index: sqlite3.Connection, files: MaskFiles, image_paths: list[Path]
) -> dict[str, Row]:
    """Bring the index up to date with the files of masks and records, and return its rows.

    Only images whose files changed are read again. The rows go by the name of their image.
    """
    rows, names, changed = _rows(index), files.names(), False
    for path in image_paths:
        stamp = files.stamp(path, names)
        if stamp != rows.get(path.name, Row()).stamp:
            changed = True
            _keep(index, path.name, row_of(files, path), stamp)
    return _rows(index) if changed else rows


def row_of(files: MaskFiles, image_path: Path) -> Row:
    """What the mask of an image and its record say."""
    mask_path, owned = files.find(image_path)
    if not owned:
        return Row()
    try:
        record = read_record(mask_path)
    except StudyProblem:
        # What keeps it from being read is told when its image is opened.
        return Row("saved", None, datetime.fromtimestamp(0, UTC))
    return Row("reviewed" if record.reviewed else "saved", record.origin, record.saved_at)


def keep_expected_error(index: sqlite3.Connection, name: str, expected_error: float | None) -> None:
    """Set the expected error of the newest result on an image."""
    index.execute(
        "INSERT INTO images (name, doubt) VALUES (?, ?)"
        " ON CONFLICT (name) DO UPDATE SET doubt = excluded.doubt",
        (name, expected_error),
    )


def _rows(index: sqlite3.Connection) -> dict[str, Row]:
    """The rows by the name of their image; one that is not as it was written has no stamp."""
    found = {}
    for name, status, origin, saved_at, doubt, stamp in index.execute("SELECT * FROM images"):
        known = doubt if isinstance(doubt, float) and math.isfinite(doubt) else None
        found[name] = Row(expected_error=known)
        if stamp and stamp.rpartition("#")[2] == _checksum(status, origin, saved_at):
            with suppress(ValueError, TypeError):
                found[name] = Row(
                    status,
                    origin_from_json(json.loads(origin)) if origin else None,
                    datetime.fromisoformat(saved_at) if saved_at else None,
                    known,
                    stamp.rpartition("#")[0],
                )
    return found


def _keep(index: sqlite3.Connection, name: str, row: Row, stamp: str) -> None:
    origin = json.dumps(origin_to_json(row.origin)) if row.origin is not None else None
    saved_at = row.saved_at.isoformat() if row.saved_at is not None else None
    checksum = _checksum(row.status, origin, saved_at)
    index.execute(_KEEP, (name, row.status, origin, saved_at, f"{stamp}#{checksum}"))


def _checksum(*cells: Any) -> str:
    return f"{zlib.crc32(repr(cells).encode(errors='replace')):08x}"


def _transact(path: Path, work: Callable[[sqlite3.Connection], Answer]) -> Answer:
    with closing(connect(path)) as connection:
        answer = work(connection)
        connection.commit()
    return answer


def connect(path: Path) -> sqlite3.Connection:
    """The index at `path`, to be closed, made where it is missing.

    Raises StudyProblem for a newer version, sqlite3.Error for damage, locks and full disks.
    """
    # SQLite waits for locks itself, but not where two programs turn a new file to WAL at once.
    until = time.monotonic() + BUSY_TIMEOUT_S
    while True:
        try:
            return _connect(path)
        except sqlite3.OperationalError as error:
            busy = getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY
            if not busy or time.monotonic() > until:
                raise
        time.sleep(0.01)


def _connect(path: Path) -> sqlite3.Connection:
    # SQLite would wait for a pipe, and write to wherever a link leads.
    if os.path.lexists(path) and not path.is_file():
        raise sqlite3.DatabaseError("it is not a regular file")
    connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S)
    # What is damaged is noticed by the checksum of its row.
    connection.text_factory = lambda text: text.decode(errors="replace")
    try:
        version = _version(connection)
        if VERSION < version <= VERSION + VERSIONS_AHEAD:
            raise StudyProblem(path, f"is of version {version}, which is not known")
        (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok":
            raise sqlite3.DatabaseError(verdict)
        connection.execute("PRAGMA synchronous = NORMAL")
        if 0 <= version < VERSION:
            connection.execute("PRAGMA journal_mode = WAL")
            _renew(connection)
        tables = connection.execute("SELECT sql FROM sqlite_master WHERE type = 'table'")
        if tables.fetchall() != [(TABLE,)] or _version(connection) != VERSION:
            raise sqlite3.DatabaseError("its table is another one")
    except BaseException:
        connection.close()
        raise
    return connection


def _version(connection: sqlite3.Connection) -> int:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return int(version)


def _renew(connection: sqlite3.Connection) -> None:
    """An empty table of this version, whole or not at all.

    Version 1 held another measure than the expected error, which is lost with it.
    """
    with connection:
        connection.execute("BEGIN IMMEDIATE")
        # Another program may have been first.
        if _version(connection) < VERSION:
            connection.execute("DROP TABLE IF EXISTS images")
            connection.execute(TABLE)
            connection.execute(f"PRAGMA user_version = {VERSION}")


def _is_damage(path: Path, error: Exception) -> bool:
    """Whether an error tells of the file itself; if not, of locks, full disks and the like."""
    # What has no code comes from this module, or from Python's reading of a damaged value.
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF
    if code in _PERHAPS_DAMAGE:
        return os.path.lexists(path) and is_writable(path.parent)
    return code not in _NO_DAMAGE


def _move_aside(path: Path) -> Path:
    moment = time.time_ns()
    aside = path.with_name(f"{path.name}.damaged-{moment}")
    for ending in ("", "-wal", "-shm"):
        with suppress(FileNotFoundError):
            put_in_place(path.with_name(path.name + ending), aside.with_name(aside.name + ending))
    return aside
