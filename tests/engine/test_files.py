"""Law: under its final name a file is whole or not there, and every failure names that file."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from engine import files
from engine.files import (
    put_in_place,
    read_regular,
    replacing,
    write_atomic,
    write_new,
    write_together,
)

LONGEST = 255


def full_disk(*_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_name_as_long_as_names_may_be_is_written(tmp_path: Path) -> None:
    path = tmp_path / ("ä" * 125 + ".json")
    assert len(os.fsencode(path.name)) == LONGEST
    write_atomic(path, "whole")
    assert path.read_text() == "whole"
    assert list(tmp_path.iterdir()) == [path]


def test_a_name_that_is_too_long_is_named_and_writes_nothing(tmp_path: Path) -> None:
    path = tmp_path / ("a" * (LONGEST + 1))
    with pytest.raises(OSError, match="a" * 99) as caught:
        write_together({tmp_path / "before": b"1", path: b"2", tmp_path / "after": b"3"})
    assert (caught.value.errno, caught.value.filename) == (errno.ENAMETOOLONG, str(path))
    assert not list(tmp_path.iterdir())


def test_a_full_disk_is_told_with_the_files_name_and_leaves_all_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.write_text("as it was")
    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError, match="No space") as caught:
        write_together({second: b"new", first: b"new"})
    assert caught.value.filename in (str(first), str(second))
    assert first.read_text() == "as it was"
    assert list(tmp_path.iterdir()) == [first]


def test_a_place_that_is_taken_by_a_folder_is_named(tmp_path: Path) -> None:
    path = tmp_path / "taken"
    path.mkdir()
    with pytest.raises(OSError, match="taken") as caught, replacing(path) as stream:
        stream.write(b"content")
    assert ".part" not in str(caught.value)
    assert list(tmp_path.iterdir()) == [path]


def test_the_files_of_one_result_appear_in_their_order(tmp_path: Path) -> None:
    names = [tmp_path / name for name in ("c", "a", "b")]
    order: list[Path] = []
    real = Path.replace

    def replace(part: Path, path: Path) -> Path:
        order.append(path)
        assert len(list(tmp_path.iterdir())) == len(names), "another was not written before"
        return real(part, path)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Path, "replace", replace)
        write_together(dict.fromkeys(names, b"content"))
    assert order == names


@pytest.mark.parametrize("links", [True, False])
def test_of_two_writers_of_a_new_file_one_succeeds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    def refused(*_: object) -> None:
        raise OSError(errno.EPERM, "this file system has no hard links")

    if not links:
        monkeypatch.setattr(Path, "hardlink_to", refused)
    path, outcomes = tmp_path / "new", list[bytes | str]()
    turns = threading.Barrier(2)

    def write(content: bytes) -> None:
        turns.wait()
        try:
            write_new(path, content)
            outcomes.append(content)
        except FileExistsError as error:
            outcomes.append(str(error.filename))

    writers = [threading.Thread(target=write, args=(content,)) for content in (b"one", b"two")]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert set(outcomes) == {path.read_bytes(), str(path)}
    assert list(tmp_path.iterdir()) == [path]


def test_a_regular_file_is_read_within_its_bound(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"12345")
    assert read_regular(path, 5) == b"12345"
    with pytest.raises(OSError, match="longer than the 4 bytes") as caught:
        read_regular(path, 4)
    assert caught.value.filename == str(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes on Windows")
def test_a_pipe_is_refused_without_waiting(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(OSError, match="not a regular file"):
        read_regular(pipe, 100)


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="there are no devices as files")
def test_a_device_is_refused() -> None:
    with pytest.raises(OSError, match="not a regular file"):
        read_regular(Path("/dev/zero"), 100)


def test_a_missing_file_and_a_folder_are_errors_that_name_them(tmp_path: Path) -> None:
    for path in (tmp_path / "missing", tmp_path):
        with pytest.raises(OSError, match=r"[Dd]irector|regular") as caught:
            read_regular(path, 100)
        assert caught.value.filename == str(path)


def held(number: int | None, times: int, real: Callable[[Path, Path], Path]) -> Callable[..., Path]:
    """A renaming that Windows refuses so many times with that number of its own."""
    left = [times]

    def rename(source: Path, target: Path) -> Path:
        if left[0]:
            left[0] -= 1
            error = PermissionError(errno.EACCES, "Access is denied", str(source))
            error.winerror = number  # type: ignore[attr-defined]
            raise error
        return real(source, target)

    return rename


@pytest.mark.parametrize("number", [5, 32, 33])
@pytest.mark.parametrize("times", [1, 3, 7])
def test_a_file_that_another_program_holds_for_a_moment_is_replaced(
    number: int, times: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits_s: list[float] = []
    monkeypatch.setattr(files, "_wait", waits_s.append)
    monkeypatch.setattr(Path, "replace", held(number, times, Path.replace))
    path = tmp_path / "mask.png"
    path.write_text("old")
    write_atomic(path, "new")
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]
    assert len(waits_s) == times
    assert waits_s == sorted(waits_s)
    assert sum(waits_s) < 1.5


@pytest.mark.parametrize(("number", "waits"), [(32, 7), (None, 0), (19, 0)])
def test_a_file_that_stays_held_is_named_and_left_as_it_was(
    number: int | None, waits: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits_s: list[float] = []
    monkeypatch.setattr(files, "_wait", waits_s.append)
    monkeypatch.setattr(Path, "replace", held(number, 99, Path.replace))
    path = tmp_path / "mask.png"
    path.write_text("old")
    with pytest.raises(PermissionError) as caught:
        write_atomic(path, "new")
    assert caught.value.filename == str(path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
    assert len(waits_s) == waits


def test_a_folder_is_put_in_place_as_a_file_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "_wait", lambda _: None)
    monkeypatch.setattr(Path, "replace", held(32, 2, Path.replace))
    (tmp_path / "run.part").mkdir()
    put_in_place(tmp_path / "run.part", tmp_path / "run")
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
