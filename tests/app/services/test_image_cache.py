"""Law: the images beside the open one wait in memory, within a bound, and are never stale."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage
from pytestqt.qtbot import QtBot

from engine.images.reading import read_image
from engine.types import Image
from nca_seg_app.services import image_cache as module
from tests.app.desks import SHAPE, Desk, leave

IMAGE_MB = SHAPE[0] * SHAPE[1] * 3 / 1e6
NAMES = ("a.png", "b.png", "c.png", "d.png")


@pytest.fixture
def desk(qtbot: QtBot, tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(qtbot, tmp_path)
    yield desk
    leave(desk)


def held(desk: Desk) -> list[str]:
    session = desk.session
    return [
        row.path.name for row in session.workspace.images if session.image_cache.holds(row.path)
    ]


def test_the_next_and_the_previous_image_are_read_ahead(desk: Desk) -> None:
    desk.open(*NAMES)
    desk.until(lambda: held(desk) == ["b.png"])
    desk.session.opening.open_next()
    desk.settle()
    desk.until(lambda: held(desk) == ["a.png", "c.png"])
    assert desk.session.image_cache.held_mb == pytest.approx(2 * IMAGE_MB)


def test_what_is_held_is_not_read_again(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.open(*NAMES)
    desk.until(lambda: held(desk) == ["b.png"])
    path = desk.session.workspace.images[1].path

    def refuse(_path: Path) -> Image:
        raise AssertionError("it was read again")

    monkeypatch.setattr(module, "read_image", refuse)
    first = desk.session.image_cache.read(path)
    assert np.array_equal(first.pixels_hwc, read_image(path).pixels_hwc)


def test_a_file_that_changed_is_read_again(desk: Desk) -> None:
    desk.open(*NAMES)
    desk.until(lambda: held(desk) == ["b.png"])
    path = desk.session.workspace.images[1].path
    PillowImage.new("RGB", (20, 10), (1, 2, 3)).save(path)
    assert held(desk) == []
    assert desk.session.image_cache.read(path).pixels_hwc.shape == (10, 20, 3)


def test_a_file_of_the_same_length_and_time_in_its_place_is_read_again(desk: Desk) -> None:
    desk.open(*NAMES)
    desk.until(lambda: held(desk) == ["b.png"])
    path = desk.session.workspace.images[1].path
    before, other = path.stat(), path.with_name("other")
    other.write_bytes(path.read_bytes())
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.replace(path)
    assert path.stat().st_mtime_ns == before.st_mtime_ns
    assert held(desk) == []


def test_the_bound_of_the_settings_holds(desk: Desk) -> None:
    desk.open(*NAMES)
    desk.session.opening.open_next()
    desk.settle()
    desk.until(lambda: len(held(desk)) == 2)
    desk.session.context.change_settings(cache_mb=1.5 * IMAGE_MB)
    assert len(held(desk)) == 1
    desk.session.context.change_settings(cache_mb=0.0)
    assert held(desk) == []
    assert desk.session.image_cache.held_mb == 0


def test_who_wants_what_is_being_read_waits_for_it(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, reads = threading.Event(), []

    def slow(path: Path) -> Image:
        reads.append(path)
        assert gate.wait(20)
        return read_image(path)

    monkeypatch.setattr(module, "read_image", slow)
    desk.open("a.png", "b.png")
    desk.until(lambda: len(reads) == 1)
    desk.session.opening.open_next()
    gate.set()
    desk.settle()
    assert desk.session.workspace.index == 1
    assert reads[0] == desk.session.workspace.images[1].path
    # The other one is read for the way back; none is read twice.
    assert len(reads) == len(set(reads))


def test_of_two_that_do_not_fit_the_next_one_is_kept(desk: Desk) -> None:
    desk.session.context.change_settings(cache_mb=1.5 * IMAGE_MB)
    desk.open(*NAMES)
    desk.session.opening.open_next()
    desk.settle()
    desk.until(lambda: held(desk) == ["c.png"])
    desk.session.opening.open_next()
    desk.settle()
    desk.until(lambda: held(desk) == ["d.png"])


def test_another_folder_leaves_nothing_of_the_old_one(desk: Desk, tmp_path: Path) -> None:
    desk.open(*NAMES)
    desk.until(lambda: held(desk) == ["b.png"])
    alone = tmp_path / "other" / "alone.png"
    alone.parent.mkdir()
    PillowImage.new("RGB", (20, 10)).save(alone)
    desk.session.opening.open_path(alone)
    desk.settle()
    desk.until(lambda: desk.session.image_cache.held_mb == 0)


def test_closing_waits_for_no_more_than_what_is_being_read(
    qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk, gate, reads = Desk(qtbot, tmp_path), threading.Event(), []

    def slow(path: Path) -> Image:
        reads.append(path)
        assert gate.wait(20)
        return read_image(path)

    monkeypatch.setattr(module, "read_image", slow)
    desk.open(*NAMES)
    desk.session.opening.open_next()
    desk.until(lambda: len(reads) == 1)
    threading.Timer(0.2, gate.set).start()
    leave(desk)
    assert len(reads) == 1


def test_a_damaged_neighbour_troubles_nobody_until_it_is_opened(desk: Desk) -> None:
    desk.open("a.png", "b.png")
    path = desk.session.workspace.images[1].path
    path.write_bytes(b"damaged")
    desk.session.context.change_settings(cache_mb=400.0)
    desk.session.image_order.changed.emit()
    desk.until_still(desk.session.image_cache)
    assert desk.failures == []
    desk.session.opening.open_next()
    desk.settle()
    assert len(desk.failures) == 1
