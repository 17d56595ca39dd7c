"""Laws: what cannot be opened changes nothing; next and previous go as the list is seen."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as PillowImage

from engine.images.preview import read_preview
from engine.study.study import Study
from nca_seg_app.services import opening, study_reader
from nca_seg_app.services.annotation import OpenedImage, read_opened
from nca_seg_app.session import Has, Session
from tests.app.desks import SHAPE, Desk, disk_is_full
from tests.fakes import write_image


def test_a_bad_file_gives_a_message_and_changes_nothing(desk: Desk) -> None:
    desk.open()
    image, document = desk.session.workspace.image, desk.session.workspace.document
    bad = desk.folder / "bad" / "x.png"
    bad.parent.mkdir()
    bad.write_bytes(b"not a picture")
    for path in (bad, desk.folder / "missing.png", bad.parent / "nothing", desk.folder / "models"):
        desk.session.opening.open_path(path)
        desk.settle()
    assert len(desk.failures) == 4
    assert "x.png cannot be opened" in desk.failures[0]
    assert (desk.session.workspace.image, desk.session.workspace.document) == (image, document)
    assert desk.session.workspace.index == 0
    assert [each.name for each in bad.parent.iterdir()] == ["x.png"]


def test_several_images_open_as_a_list_without_the_bad_ones(desk: Desk) -> None:
    good = [write_image(desk.folder / "images" / f"{name}.png", SHAPE) for name in "ab"]
    bad = desk.folder / "images" / "0.png"
    bad.write_bytes(b"")
    elsewhere = write_image(desk.folder / "other" / "z.png")
    desk.session.opening.open_path([bad, *good, elsewhere])
    desk.settle()
    assert [row.path.name for row in desk.session.workspace.images] == ["a.png", "b.png"]
    assert len(desk.failures) == 1
    desk.session.opening.open_next()
    desk.settle()
    assert desk.session.workspace.path == good[1]


def test_an_unreadable_image_is_stepped_over_the_second_time(desk: Desk) -> None:
    desk.open()
    (desk.folder / "images" / "b.png").write_bytes(b"broken meanwhile")
    desk.session.opening.open_next()
    desk.settle()
    assert desk.session.workspace.index == 0
    assert len(desk.failures) == 1
    desk.session.opening.open_next()
    desk.settle()
    assert desk.session.workspace.index == 2


def test_an_image_that_opens_after_all_is_no_longer_stepped_over(desk: Desk) -> None:
    desk.open()
    path = desk.folder / "images" / "b.png"
    path.write_bytes(b"broken meanwhile")
    desk.session.opening.open_next()
    desk.settle()
    assert not desk.session.workspace.images[1].readable
    write_image(path, SHAPE)
    desk.session.opening.open_row(1)
    desk.settle()
    assert desk.session.workspace.images[1].readable
    desk.session.opening.open_next()
    desk.settle()
    desk.session.opening.open_previous()
    desk.settle()
    assert desk.session.workspace.index == 1


def test_a_folder_opens_at_its_first_image_that_is_not_reviewed(desk: Desk) -> None:
    desk.open()
    desk.draw()
    desk.session.saving.mark_reviewed()
    desk.settle()
    desk.session.opening.open_path(desk.folder / "images")
    desk.settle()
    assert desk.session.workspace.index == 1
    assert desk.session.workspace.images[0].status == "reviewed"


def test_next_and_previous_go_through_the_list_as_it_is_seen(desk: Desk) -> None:
    desk.open("a.png", "b.png", "c.png", "d.png")
    session, images = desk.session, desk.folder / "images"
    for name, error in (("a", 0.3), ("b", 0.1), ("d", 0.2)):
        session.workspace.set_row(images / f"{name}.png", expected_error=error)
    session.image_order.sort("expected error")
    seen = [
        row.path.stem
        for row in (session.workspace.images[place] for place in session.image_order.places)
    ]
    assert seen == ["a", "d", "b", "c"]
    for expected in seen[1:]:
        session.opening.open_next()
        desk.settle()
        assert session.workspace.path == images / f"{expected}.png"
    assert Has.NEXT not in session.capabilities
    for expected in seen[-2::-1]:
        session.opening.open_previous()
        desk.settle()
        assert session.workspace.path == images / f"{expected}.png"
    assert Has.PREVIOUS not in session.capabilities


def test_what_the_search_leaves_out_is_stepped_over(desk: Desk) -> None:
    desk.open("a1.png", "b.png", "a2.png", "c.png", "a3.png")
    session = desk.session
    session.opening.open_row(4)
    desk.settle()
    session.image_order.find("A")
    session.opening.open_previous()
    desk.settle()
    assert session.workspace.path == desk.folder / "images" / "a3.png"
    session.opening.open_previous()
    desk.settle()
    assert session.workspace.path == desk.folder / "images" / "a2.png"
    session.image_order.find("nowhere")
    assert not (Has.NEXT | Has.PREVIOUS) & session.capabilities
    session.opening.open_next()
    desk.settle()
    assert desk.messages[-1] == "This is the last image."


def test_a_shorter_folder_opens_after_a_longer_one(desk: Desk) -> None:
    desk.open()
    desk.session.opening.open_row(2)
    desk.settle()
    desk.segment()
    desk.session.opening.open_path(write_image(desk.folder / "other" / "z.png"))
    desk.settle()
    assert desk.session.workspace.path == desk.folder / "other" / "z.png"
    assert desk.session.segmentation.result is None
    assert not desk.failures


def test_the_samples_open(desk: Desk) -> None:
    desk.session.opening.open_sample()
    desk.settle()
    assert desk.session.workspace.path is not None
    assert desk.session.workspace.path.name == "sample.png"


def told_previews(session: Session) -> list[NDArray[np.uint8] | None]:
    """Every preview that the session tells of from now on."""
    told: list[NDArray[np.uint8] | None] = []
    session.opening.preview_changed.connect(lambda: told.append(session.opening.preview_hwc))
    return told


def test_a_large_jpeg_is_shown_in_small_until_it_is_read(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = threading.Event()
    session = desk.session

    def slow(study: Study, path: Path, read: object = None) -> OpenedImage:
        if path.suffix == ".jpg":
            assert gate.wait(20)
        return read_opened(study, path)

    monkeypatch.setattr(opening, "read_opened", slow)
    monkeypatch.setattr(opening, "read_preview", lambda path: read_preview(path, 16))
    previews = told_previews(session)
    write_image(desk.folder / "images" / "b.jpg", (480, 640))
    session.context.change_settings(cache_mb=0.0)
    desk.open("a.png")
    before = session.workspace.image
    session.opening.open_next()
    desk.until(lambda: len(previews) == 1)
    small = previews[0]
    assert small is not None
    assert small.shape[0] < 480
    assert small.shape[1] * 480 == small.shape[0] * 640
    assert session.workspace.image is before
    # What is done now must not fall on the image behind the preview.
    assert not session.capabilities & (
        Has.IMAGE | Has.MASK | Has.UNSAVED | Has.CAN_UNDO | Has.RESULT
    )
    gate.set()
    desk.settle()
    assert previews[1:] == [None]
    assert session.workspace.path is not None
    assert session.workspace.path.name == "b.jpg"
    assert Has.IMAGE in session.capabilities


def test_a_folder_shows_its_first_image_in_small_too(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = threading.Event()
    session = desk.session

    def slow(study: Study, path: Path, read: object = None) -> OpenedImage:
        assert gate.wait(20)
        return read_opened(study, path)

    monkeypatch.setattr(study_reader, "read_opened", slow)
    monkeypatch.setattr(opening, "read_preview", lambda path: read_preview(path, 16))
    previews = told_previews(session)
    write_image(desk.folder / "images" / "a.jpg", (480, 640))
    session.opening.open_path(desk.folder / "images")
    desk.until(lambda: len(previews) == 1)
    assert previews[0] is not None
    assert session.workspace.image is None
    gate.set()
    desk.settle()
    assert previews[1:] == [None]
    assert session.workspace.image is not None


def test_the_preview_of_what_is_no_longer_wanted_is_not_shown(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = threading.Event()
    session = desk.session

    def slow(path: Path) -> object:
        assert gate.wait(20)
        return read_preview(path, 16)

    monkeypatch.setattr(opening, "read_preview", slow)
    previews = told_previews(session)
    write_image(desk.folder / "images" / "b.jpg", (480, 640))
    session.context.change_settings(cache_mb=0.0)
    session.opening.open_path(desk.folder / "images" / "b.jpg")
    desk.until(lambda: session.workspace.image is not None)
    gate.set()
    desk.settle()
    assert previews == []


def test_pictures_of_other_kinds_are_named_and_counted(desk: Desk) -> None:
    folder = desk.folder / "images"
    folder.mkdir()
    for name in ("x.heic", "y.HEIC", "z.gif"):
        (folder / name).write_bytes(b"no matter")
    desk.open("a.png")
    assert any("1 GIF picture and 2 HEIC pictures." in message for message in desk.messages)


@pytest.mark.skipif(sys.platform != "linux", reason="names are text elsewhere")
def test_an_image_whose_name_is_no_text_is_counted(desk: Desk) -> None:
    image = write_image(desk.folder / "images" / "a.png", SHAPE)
    (image.parent / os.fsdecode(b"\xff.png")).write_bytes(image.read_bytes())
    desk.open("a.png")
    assert [row.path.name for row in desk.session.workspace.images] == ["a.png"]
    assert any("1 unreadably named picture." in message for message in desk.messages)


def test_how_a_file_was_read_is_told(desk: Desk) -> None:
    path = desk.folder / "images" / "deep.png"
    path.parent.mkdir()
    values_hw = np.linspace(0, 1023, 48 * 64).reshape(48, 64).astype(np.uint16)
    PillowImage.fromarray(values_hw).save(path)
    desk.session.opening.open_path(path)
    desk.settle()
    assert any("deep.png" in message and "10" in message for message in desk.messages)


def test_an_image_is_not_opened_where_the_result_it_waits_for_is_given_up(desk: Desk) -> None:
    desk.open()
    desk.segment()
    session = desk.session
    session.proposal.accept()
    session.opening.open_next()
    assert session.opening.under_way
    session.proposal.discard()
    assert not session.opening.under_way
    desk.settle()
    assert session.workspace.index == 0
    session.opening.open_next()
    desk.settle()
    assert session.workspace.index == 1


def test_a_request_ends_where_the_draft_it_waits_for_is_not_written(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.open()
    desk.draw()
    monkeypatch.setattr(Study, "save_draft", disk_is_full)
    desk.session.opening.open_next()
    assert desk.session.opening.under_way
    desk.settle()
    assert not desk.session.opening.under_way
    assert desk.session.workspace.index == 0


def test_each_request_is_told_and_the_newest_is_shown(desk: Desk) -> None:
    desk.open()
    told: list[str] = []
    desk.session.opening.requested.connect(lambda: told.append("requested"))
    desk.session.opening.leaving.connect(lambda: told.append("leaving"))
    desk.session.opening.open_row(1)
    desk.session.opening.open_row(2)
    desk.settle()
    assert told == ["requested", "requested", "leaving"]
    assert desk.session.workspace.index == 2
    desk.session.opening.reload()
    desk.settle()
    # The same image anew is not left.
    assert told[3:] == ["requested"]
