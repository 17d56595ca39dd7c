"""Laws: an export replaces nothing unasked, and a long one keeps nobody from working."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage
from PIL import PngImagePlugin

from engine.masks.reading import read_mask
from engine.study.dataset import read_dataset
from engine.study.export import ExportStep, export_dataset
from engine.types import Sample
from nca_seg_app.actions import find_action
from nca_seg_app.background.jobs import Job
from nca_seg_app.session import Has
from nca_seg_app.ui.status_bar import StatusBar
from tests.app.desks import Desk, leave


@pytest.mark.parametrize(
    ("chosen", "written"),
    [
        ("out.png", "out.png"),
        ("out.PNG", "out.PNG"),
        ("out", "out.png"),
        ("lesion 1.2", "lesion 1.2.png"),
        ("photo.jpg", "photo.jpg.png"),
    ],
)
def test_a_mask_is_written_where_asked(desk: Desk, chosen: str, written: str) -> None:
    desk.open()
    desk.draw()
    before = set(desk.folder.iterdir())
    desk.person.path = desk.folder / chosen
    desk.session.export.export_mask()
    desk.settle()
    assert set(desk.folder.iterdir()) - before == {desk.folder / written}
    assert np.array_equal(read_mask(desk.folder / written), desk.mask_hw)
    assert Has.UNSAVED in desk.session.capabilities
    assert not desk.failures


@pytest.mark.parametrize("agrees", [True, False])
def test_a_file_that_was_not_chosen_is_replaced_only_where_one_agrees(
    desk: Desk, agrees: bool
) -> None:
    desk.open()
    desk.draw()
    there = desk.folder / "other.jpg.png"
    there.write_bytes(b"something else")
    desk.person.path, desk.person.agrees = desk.folder / "other.jpg", agrees
    desk.session.export.export_mask()
    desk.settle()
    assert desk.person.asked[-1].startswith("other.jpg.png exists already")
    assert (there.read_bytes() == b"something else") != agrees


@pytest.mark.parametrize("chosen", ["a.png", "b.png", "b"])
def test_an_image_of_the_study_is_never_replaced(desk: Desk, chosen: str) -> None:
    desk.open()
    desk.draw()
    photographs = {path: path.read_bytes() for path in (desk.folder / "images").glob("*.png")}
    desk.person.path = desk.folder / "images" / chosen
    desk.session.export.export_mask()
    desk.settle()
    (sentence,) = desk.failures
    assert f"{Path(chosen).stem}.png stays as it is: it is an image of this study" in sentence
    assert not [question for question in desk.person.asked if "exists already" in question]
    assert {path: path.read_bytes() for path in photographs} == photographs


def reviewed(desk: Desk, images: int) -> None:
    """Open so many images with a mask each, and choose a folder for the data set."""
    desk.open(*(f"{number}.png" for number in range(images)))
    for index in range(images):
        desk.session.opening.open_row(index)
        desk.settle()
        desk.draw()
        desk.session.saving.mark_reviewed()
        desk.settle()
    desk.person.path = desk.folder / "dataset"


def test_the_saved_masks_are_written_as_a_data_set(desk: Desk) -> None:
    reviewed(desk, 1)
    desk.session.export.export_dataset()
    desk.settle()
    (sample,) = read_dataset(desk.folder / "dataset").samples
    assert np.array_equal(read_mask(sample.mask_path), desk.mask_hw)
    assert desk.messages[-1] == f"Exported 1 sample to {desk.folder / 'dataset'}"
    assert not desk.failures


def test_an_export_that_fails_says_so(desk: Desk) -> None:
    reviewed(desk, 1)
    (desk.folder / "dataset").mkdir()
    (desk.folder / "dataset" / "letter.txt").write_text("not a data set")
    desk.session.export.export_dataset()
    desk.settle()
    assert "is not empty" in desk.failures[0]
    assert Has.EXPORTING not in desk.session.capabilities


def test_what_is_left_out_is_named_with_its_reason_in_a_bounded_sentence(desk: Desk) -> None:
    reviewed(desk, 6)
    kept = (desk.folder / "images" / "segmentations").glob("*.png")
    for path in sorted(kept)[:5]:
        path.write_text("no picture")
    desk.session.export.export_dataset()
    desk.settle()
    assert len(read_dataset(desk.folder / "dataset").samples) == 1
    assert desk.messages[-1] == f"Exported 1 sample to {desk.folder / 'dataset'}"
    (sentence,) = desk.failures
    # What is in the middle may be left out for the folder's long name.
    assert "1 of 6 samples were written, left out: 0" in sentence
    assert "(it is a text file) and 2 more." in sentence
    assert "3_segmentation" not in sentence


@pytest.mark.parametrize("keeps", [True, False])
def test_metadata_leaves_only_where_a_person_agrees(desk: Desk, keeps: bool) -> None:
    reviewed(desk, 1)
    (path,) = (desk.folder / "images").glob("*.png")
    with PillowImage.open(path) as image:
        image.load()
        image.save(path, exif=image.getexif(), pnginfo=named("Erika Mustermann"))
    desk.person.agrees = keeps
    desk.session.export.export_dataset()
    desk.settle()
    assert "place, date, names" in desk.person.asked[-1]
    copy = desk.folder / "dataset" / "images" / path.name
    assert (b"Erika" in copy.read_bytes()) == keeps


def named(name: str) -> PngImagePlugin.PngInfo:
    """What puts a name into a PNG."""
    info = PngImagePlugin.PngInfo()
    info.add_text("Author", name)
    return info


def begin_slowly(desk: Desk, monkeypatch: pytest.MonkeyPatch, wait: Callable[[], object]) -> None:
    """Begin to export three samples, with a wait after each; one is written."""

    def export(
        samples: Iterable[Sample], folder: Path, keep_metadata: bool
    ) -> Iterator[ExportStep]:
        stream = export_dataset(samples, folder, keep_metadata=keep_metadata)
        with closing(stream) as steps:  # type: ignore[type-var]
            for step in steps:
                yield step
                wait()

    monkeypatch.setattr("nca_seg_app.services.export.export_dataset", export)
    reviewed(desk, 3)
    desk.session.export.export_dataset()
    desk.until(lambda: desk.session.export.progress == (1, 3))


def test_a_long_export_is_followed_and_stopped_while_one_works_on(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = threading.Event()
    export, status = desk.session.export, StatusBar(desk.session)
    desk.qtbot.addWidget(status)
    begin_slowly(desk, monkeypatch, lambda: gate.wait(20))
    assert Has.EXPORTING | Has.IDLE in desk.session.capabilities
    assert status.export.text() == "exporting 1 of 3"
    desk.session.opening.open_row(0)
    desk.until(lambda: desk.session.workspace.index == 0)
    desk.session.segment()
    desk.until(lambda: Has.RESULT | Has.IDLE in desk.session.capabilities)
    desk.session.export.export_dataset()
    assert "is being exported" in desk.messages[-1]
    assert export.running
    # Stopping takes one step at most.
    find_action("file.stop_export").method(desk.session)
    gate.set()
    desk.settle()
    assert Has.EXPORTING not in desk.session.capabilities
    assert status.export.text() == ""
    assert "Stopped: 2 of 3" in desk.messages[-1]
    assert len(read_dataset(desk.folder / "dataset").samples) == 2


def test_closing_asks_before_it_ends_an_export_and_leaves_a_data_set(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped = threading.Event()
    begin_slowly(desk, monkeypatch, lambda: stopped.wait(20))
    cancel = Job.cancel

    def cancel_and_go_on(job: Job) -> None:
        cancel(job)
        stopped.set()

    monkeypatch.setattr(Job, "cancel", cancel_and_go_on)
    desk.person.agrees = False
    assert not desk.session.close()
    assert desk.session.export.running
    desk.person.agrees = True
    leave(desk)
    assert 1 <= len(read_dataset(desk.folder / "dataset").samples) < 3
