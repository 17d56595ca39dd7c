"""Law: an export that ended at any moment can be repeated; what is on the disk is read."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.errors import DatasetProblem
from engine.study.dataset import read_dataset
from engine.study.export import export_dataset
from tests.engine.exports import contents, export, make_samples

#: What changes anything on a disk; between two of them a kill changes nothing.
CHANGES = ("mkdir", "replace", "rename", "unlink", "fsync", "link", "rmdir")


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """No disk fails here, so none is waited for."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


class Killed(BaseException):
    """The process is gone; whatever it still tried changes nothing."""


def limited(monkeypatch: pytest.MonkeyPatch, count: int) -> list[str]:
    """Let `count` more changes happen, and none after them; gives those that happened."""
    happened: list[str] = []

    def counted(name: str, change: Callable[..., Any]) -> Callable[..., Any]:
        def changing(*arguments: Any, **more: Any) -> Any:
            if len(happened) >= count:
                raise Killed(name)
            happened.append(name)
            return change(*arguments, **more)

        return changing

    for name in CHANGES:
        monkeypatch.setattr(os, name, counted(name, getattr(os, name)))
    return happened


def killed_everywhere(
    begin: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch, folder: Path
) -> int:
    """Kill an export after each of its changes and repeat it; how many kills there were."""
    samples = make_samples(folder / "from", "ab")
    whole = folder / "whole"
    begin(whole)
    export(samples, whole)
    for count in range(1000):
        out = folder / f"out{count}"
        begin(out)
        held = contents(out)
        is_whole = True
        with monkeypatch.context() as patch:
            happened = limited(patch, count)
            try:
                export(samples, out)
            except Killed:
                is_whole = False
        assert len(happened) <= count
        # What was a data set before is still one, with all that it held.
        if held:
            before = {name.split("/")[-1] for name in held if name.startswith("images/")}
            after = {sample.image_path.name for sample in read_dataset(out).samples}
            assert before <= after
        assert export(samples, out).written == 2
        assert contents(out) == contents(whole), f"killed at change {count}"
        if is_whole:
            return count
    raise AssertionError("it never came to its end")


def test_an_export_into_a_new_folder_can_be_repeated_wherever_it_was_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert killed_everywhere(lambda out: None, monkeypatch, tmp_path) > 15


def test_an_export_into_one_that_grows_can_be_repeated_wherever_it_was_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    earlier = make_samples(tmp_path / "earlier", "x")

    def begin(out: Path) -> None:
        export(earlier, out)

    assert killed_everywhere(begin, monkeypatch, tmp_path) > 15


@pytest.mark.parametrize(
    "left",
    [
        ["images/"],
        ["images/", "masks/"],
        ["images/", "masks/", ".splits.csv.0123abcd.part"],
        ["images/", "masks/", "splits.csv", ".dataset.json.0123abcd.part"],
        [".dataset.json.0123abcd.part", ".DS_Store", "Thumbs.db"],
        ["images/", "images/.a.png.0123abcd.part"],
    ],
)
def test_what_a_kill_of_another_version_left_is_no_work_of_anybody(
    left: list[str], tmp_path: Path
) -> None:
    samples, out = make_samples(tmp_path / "from", "ab"), tmp_path / "to"
    out.mkdir()
    for name in left:
        if name.endswith("/"):
            (out / name).mkdir()
        else:
            (out / name).write_text("id,split\n")
    assert export(samples, out).written == 2
    assert not list(out.rglob("*.part"))
    assert len(read_dataset(out).samples) == 2


@pytest.mark.parametrize("work", ["images/a.png", "masks/notes.txt", "splits.csv", "letter.part"])
def test_a_folder_with_work_in_it_is_left_alone(work: str, tmp_path: Path) -> None:
    samples, out = make_samples(tmp_path / "from", "ab"), tmp_path / "to"
    (out / work).parent.mkdir(parents=True)
    (out / work).write_text("id,split\na,val\n")
    with pytest.raises(DatasetProblem, match="is not empty"):
        list(export_dataset(samples, out))
    assert list(contents(out)) == [work]


@pytest.mark.parametrize("room", range(0, 5_000, 600))
def test_a_full_disk_leaves_a_readable_data_set_of_the_samples_so_far(
    room: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples, out = make_samples(tmp_path / "from", "abcdefgh"), tmp_path / "to"
    write = Path.write_bytes

    def used() -> int:
        return sum(path.stat().st_size for path in out.rglob("*") if path.is_file())

    def expect_room(name: str | None) -> None:
        if used() > room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), name)

    def synced(descriptor: int) -> None:
        expect_room(None)

    def written(path: Path, content: bytes) -> int:
        count = write(path, content)
        expect_room(str(path))
        return count

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "write_bytes", written)
    done, problem = 0, None
    try:
        for step in export_dataset(samples, out):
            done = step.done
    except DatasetProblem as error:
        problem = error
    monkeypatch.undo()
    assert (problem is None) == (done == 8)
    if problem is not None:
        assert problem.reason == os.strerror(errno.ENOSPC)
        assert problem.path.is_relative_to(out)
    if done:
        assert [sample.id for sample in read_dataset(out).samples] == [*"abcdefgh"[:done]]
    assert not list(out.rglob("*.part"))
    assert export(samples, out).written == 8
    assert len(read_dataset(out).samples) == 8
