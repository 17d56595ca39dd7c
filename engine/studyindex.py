"""The index of a study: a whole file of one version, or made anew, since the masks tell it all."""

from __future__ import annotations

import sqlite3
import time
from contextlib import suppress
from pathlib import Path

from engine.errors import StudyProblem

VERSION = 2
BUSY_TIMEOUT_S = 10.0
TABLE = """CREATE TABLE images (
    name TEXT PRIMARY KEY, status TEXT NOT NULL DEFAULT 'new', origin TEXT, saved_at TEXT,
    doubt REAL, stamp TEXT NOT NULL DEFAULT ''
) WITHOUT ROWID"""


def connect(path: Path) -> sqlite3.Connection:
    """The index at `path`, to be closed; a damaged one is moved aside first.

    Raises StudyProblem for a newer version, sqlite3.Error and OSError for locks and full disks.
    """
    try:
        return _connect_when_free(path)
    except sqlite3.DatabaseError as error:
        # Its subclasses tell of locks and full disks; itself, of a damaged file.
        if type(error) is not sqlite3.DatabaseError:
            raise
        _move_aside(path)
        return _connect_when_free(path)


def _connect_when_free(path: Path) -> sqlite3.Connection:
    """SQLite waits for locks itself, but not where two programs turn a new file to WAL at once."""
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
    connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S)
    try:
        version = _version(connection)
        if version > VERSION:
            raise StudyProblem(path, f"is of version {version}, which is not known")
        (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok":
            raise sqlite3.DatabaseError(verdict)
        connection.execute("PRAGMA synchronous = NORMAL")
        if version < VERSION:
            connection.execute("PRAGMA journal_mode = WAL")
            _renew(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _version(connection: sqlite3.Connection) -> int:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return int(version)


def _renew(connection: sqlite3.Connection) -> None:
    """An empty table of this version, whole or not at all.

    Version 1 held another measure than doubt, which is lost with it.
    """
    with connection:
        connection.execute("BEGIN IMMEDIATE")
        # Another program may have been first.
        if _version(connection) < VERSION:
            connection.execute("DROP TABLE IF EXISTS images")
            connection.execute(TABLE)
            connection.execute(f"PRAGMA user_version = {VERSION}")


def _move_aside(path: Path) -> None:
    moment = time.time_ns()
    for ending in ("", "-wal", "-shm"):
        with suppress(FileNotFoundError):
            path.with_name(path.name + ending).rename(
                path.with_name(f"{path.name}.damaged-{moment}{ending}")
            )
