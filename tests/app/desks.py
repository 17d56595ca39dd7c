"""A session with a person before it: for tests of the session's verbs, and of panels."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from PySide6.QtCore import QObject, QPoint, Qt, QTimer
from PySide6.QtWidgets import QWidget
from pytestqt.qtbot import QtBot

from engine.masks import edits
from engine.masks.arrays import Mask
from engine.types import SampleSettings, TrainSettings
from nca_seg_app.background.tasks import Tasks
from nca_seg_app.services.engine import Engine
from nca_seg_app.session import Has, Session
from nca_seg_app.state.document import MaskDocument
from nca_seg_app.state.settings import Settings
from nca_seg_app.ui.window import Window
from tests.fakes import DiskModel, Person, fake_engine, write_image

SHAPE = (48, 64)
QUICK = Settings(
    sample=SampleSettings(steps=4, members=3, batch_size=2),
    learn=TrainSettings(steps=6, validate_every=2),
    autosave_s=0.5,
    # Only where a test is about it: elsewhere a run that nobody asked for is in the way.
    run_ahead=False,
)
#: For the whole window; the next image is segmented ahead.
SMALL = Settings(sample=SampleSettings(steps=3, members=2))
SETTINGS = Settings(sample=SampleSettings(steps=4, members=5, batch_size=2), run_ahead=False)


def is_still(*parts: QObject) -> bool:
    """Whether no part would do anything by itself: no timer of it runs, no task of it is open."""
    timers = [timer for part in parts for timer in part.findChildren(QTimer)]
    tasks = [each for part in parts for each in part.findChildren(Tasks)]
    # Else this would wait for nothing, and the test say nothing.
    assert timers or tasks, "they have neither timers nor tasks"
    waits = any(timer.isSingleShot() and timer.isActive() for timer in timers)
    return not waits and not any(each.pending for each in tasks)


def disk_is_full(*_: object) -> None:
    """Stands in for a write that finds no space."""
    raise OSError(28, "No space left on device", "/study/a.png")


class Desk:
    """A session with a person before it, and everything it told them."""

    def __init__(
        self,
        qtbot: QtBot,
        folder: Path,
        model: DiskModel | None = None,
        engine: Engine | None = None,
    ) -> None:
        self.qtbot = qtbot
        self.folder = folder
        self.model = model or DiskModel()
        self.person = Person()
        self.settings_file = folder / "settings.json"
        engine = engine or fake_engine(folder, self.model)
        self.session = Session(engine, self.person, QUICK, self.settings_file)
        self.failures: list[str] = []
        self.messages: list[str] = []
        self.session.context.failed.connect(lambda sentence, _: self.failures.append(sentence))
        self.session.context.message.connect(self.messages.append)
        self.session.model_library.refresh()
        self.settle()

    @property
    def mask_hw(self) -> Mask:
        assert self.session.workspace.document is not None
        return self.session.workspace.document.mask_hw

    @property
    def mask_path(self) -> Path:
        assert self.session.workspace.path is not None
        return (
            self.folder
            / "images"
            / "segmentations"
            / f"{self.session.workspace.path.stem}_segmentation.png"
        )

    def until(self, fact: Callable[[], bool]) -> None:
        self.qtbot.waitUntil(fact, timeout=20_000)

    def settle(self) -> None:
        """Wait until nothing is under way."""
        session = self.session
        self.until(
            lambda: (
                not session.context.lane.pending
                and not session.context.aside.pending
                and session.context.jobs.current is None
                and not session.export.running
            )
        )

    def until_still(self, *parts: QObject) -> None:
        """Wait until nothing is under way, and these parts would begin nothing by themselves."""
        self.settle()
        self.until(lambda: is_still(*parts))
        self.settle()

    def open(self, *names: str) -> None:
        """Open the folder with pictures of these names."""
        for name in names or ("a.png", "b.png", "c.png"):
            write_image(self.folder / "images" / name, SHAPE)
        self.session.opening.open_path(self.folder / "images")
        self.settle()

    def open_elsewhere(self) -> None:
        """Ask for another folder, of one picture z.png."""
        write_image(self.folder / "elsewhere" / "z.png", SHAPE)
        self.session.opening.open_path(self.folder / "elsewhere")

    def segment(self) -> None:
        self.session.segment()
        self.settle()

    def begin_stroke(self, row: float, column: float, radius_px: float) -> MaskDocument:
        """Draw a dab of a stroke that goes on until the document commits it."""
        document = self.session.workspace.document
        assert document is not None
        document.begin("brush")
        document.draw(lambda hw: edits.stroke(hw, np.array([[row, column]]), radius_px, True))
        return document

    def draw(self, row: float = 20, column: float = 20, radius_px: float = 5) -> None:
        self.begin_stroke(row, column, radius_px).commit("Brush stroke")


class AheadDesk(Desk):
    """A person who has segmented the first of four images; running ahead is on from then."""

    def __init__(self, qtbot: QtBot, folder: Path) -> None:
        super().__init__(qtbot, folder, DiskModel())
        self.open("a.png", "b.png", "c.png", "d.png")
        self.segment()

    @property
    def kept(self) -> list[str]:
        return [path.name for path in self.session.lookahead.kept]

    def begin(self, holds_at: int = -1) -> None:
        """Turn it on; with `holds_at` it is under way and stands before that step."""
        self.model.gate.clear()
        self.model.holds_at = holds_at
        self.session.context.change_settings(run_ahead=True)
        if holds_at >= 0:
            self.until(lambda: self.session.lookahead.path is not None and self.model.at_once == 1)

    def go_on(self) -> None:
        self.model.gate.set()
        self.model.holds_at = -1

    def until_idle(self) -> None:
        """Wait until nothing more would be segmented ahead."""
        session = self.session
        self.until(
            lambda: (
                session.context.jobs.free
                and is_still(session.lookahead)
                and session.lookahead.path is None
                and not session.context.lane.pending
                and not session.context.aside.pending
            )
        )


def leave(desk: Desk) -> None:
    """Let the session go, whatever is unsaved."""
    desk.model.gate.set()
    desk.person.save, desk.person.agrees = "discard", True
    assert desk.session.close()


class PanelDesk:
    """A session over a folder of three images, with a model that knows the answer."""

    def __init__(self, qtbot: QtBot, folder: Path) -> None:
        self.qtbot, self.folder = qtbot, folder / "study"
        self.model, self.person = DiskModel(), Person(save="discard")
        self.session = Session(fake_engine(folder, self.model), self.person, SETTINGS)
        self.failures: list[str] = []
        self.session.context.failed.connect(lambda sentence, _: self.failures.append(sentence))
        for name in ("a.png", "b.png", "c.png"):
            write_image(self.folder / name)

    def open(self) -> None:
        with self.qtbot.waitSignal(self.session.workspace.image_changed):
            self.session.opening.open_path(self.folder)
        self.session.model_library.refresh()
        self.qtbot.waitUntil(lambda: self.session.model_library.chosen is not None)

    def segment(self) -> None:
        with self.qtbot.waitSignal(self.session.segmentation.completed):
            self.session.segment()

    def show(self, panel: QWidget, width: int = 320, height: int = 480) -> None:
        self.qtbot.addWidget(panel)
        panel.resize(width, height)
        panel.show()
        self.qtbot.waitExposed(panel)


def opened(window: Window, qtbot: QtBot, path: Path) -> Session:
    """The session of `window`, with an image open."""
    window.session.opening.open_path(path)
    qtbot.waitUntil(lambda: Has.IMAGE in window.session.capabilities)
    return window.session


def trigger(window: Window, action_id: str) -> None:
    """Choose a command, which must be enabled."""
    action = window.commands.actions[action_id]
    assert action.isEnabled(), f"{action_id} is not enabled"
    action.trigger()


def click(desk: PanelDesk, view: QWidget, point: QPoint) -> None:
    desk.qtbot.mouseClick(view, Qt.MouseButton.LeftButton, pos=point)
