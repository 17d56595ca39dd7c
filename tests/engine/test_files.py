"""Law: under its final name a file is whole or not there, and every failure names that file."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

import pytest

from engine.files import read_regular, replacing, write_atomic, write_new, write_together

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
