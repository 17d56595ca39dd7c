"""Law: while a file is read or written, or a model computes, the window's thread does neither."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, FrameType

import pytest
from PySide6.QtCore import QTimer
from pytestqt.qtbot import QtBot

import engine
from nca_seg_app.session import Session
from nca_seg_app.ui.panels.images import ImagesPanel
from tests.app.desks import Desk, leave
from tests.fakes import DiskModel, write_image

ENGINE = Path(engine.__file__).parent
#: Modules of the engine that read, write or compute for longer than an event may wait.
SLOW_MODULES = {
    "augment", "checkpoint", "dataset", "drafts", "ensemble", "evaluation", "files",
    "images", "library", "maskfiles", "maskreading", "metadata",
    "model", "pixels", "sampling", "study", "studyindex", "training",
}  # fmt: skip
#: Functions of `engine.masks.edits` that go over the whole mask or a file.
SLOW_EDITS = {"fill_holes", "keep_largest", "smooth", "read_mask", "write_mask"}
#: It compares two paths.
QUICK = ("is_beside_images", "stamp")


class Watch:
    """What of the slow parts is called in this thread while it runs."""

    def __init__(self) -> None:
        self.found: set[str] = set()

    def __enter__(self) -> Watch:
        sys.setprofile(self._note)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)

    def _note(self, frame: FrameType, event: str, _: object) -> None:
        if event == "call" and is_slow(frame.f_code):
            self.found.add(frame.f_code.co_qualname)


def is_slow(code: CodeType) -> bool:
    file = Path(code.co_filename)
    if code.co_name in QUICK or code.co_name.startswith("<"):
        return False
    if file.parent == ENGINE:
        return file.stem in SLOW_MODULES or (file.stem == "masks" and code.co_name in SLOW_EDITS)
    # The stand-in for the model.
    return code.co_qualname.startswith("DiskModel.")


@pytest.fixture
def desk(qtbot: QtBot, tmp_path: Path) -> Iterator[Desk]:
    made = Desk(qtbot, tmp_path, DiskModel())
    yield made
    leave(made)


def test_no_slow_part_of_the_engine_runs_in_the_windows_thread(desk: Desk) -> None:
    session: Session = desk.session
    panel = ImagesPanel(session)
    desk.qtbot.addWidget(panel)
    panel.show()
    with Watch() as watch:
        desk.open("a.png", "b.png", "c.png", "d.png")
        desk.segment()
        session.review.accept_and_next()
        desk.settle()
        desk.draw()
        for edit in (
            session.mask_edits.fill_holes,
            session.mask_edits.keep_largest,
            session.mask_edits.smooth,
            session.mask_edits.undo,
        ):
            edit()
            desk.settle()
        session.saving.write_draft()
        desk.settle()
        session.save()
        desk.settle()
        session.saving.mark_reviewed()
        session.opening.open_previous()
        desk.settle()
        session.model_library.refresh()
        desk.settle()
        desk.person.path = desk.folder / "exported"
        session.export.export_dataset()
        desk.settle()
    assert session.workspace.index == 0
    assert desk.failures == []
    assert watch.found == set()


def test_the_watch_of_these_tests_sees_what_it_is_to_see(tmp_path: Path) -> None:
    with Watch() as watch:
        engine.read_image(write_image(tmp_path / "a.png"))
    assert "read_image" in watch.found


def test_a_window_answers_while_the_model_computes(desk: Desk) -> None:
    desk.open()
    desk.model.holds_at = 1
    desk.session.segment()
    desk.until(lambda: desk.session.segmentation.result is not None)
    # The stream now stands still in the middle of its second step, for as long as it likes.
    turns: list[int] = []
    timer = QTimer()
    timer.timeout.connect(lambda: turns.append(1))
    timer.start(1)
    desk.until(lambda: len(turns) > 5)
    desk.draw()
    desk.session.mask_edits.undo()
    desk.session.save()
    desk.until(lambda: not desk.session.context.lane.pending)
    assert desk.mask_path.exists()
    assert desk.session.context.jobs.current is not None
    assert threading.get_ident() not in desk.model.threads
    desk.model.gate.set()
    desk.settle()
    assert desk.session.segmentation.result is not None
    assert desk.session.segmentation.result.finished
