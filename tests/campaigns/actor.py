"""One of two windows on a folder: a real session that does what it is told, a line at a time."""

from __future__ import annotations

import json
import random
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PySide6.QtCore import QCoreApplication, QObject, Qt, QTimer, Signal

from engine.errors import ChangedOutside
from engine.masks import edits
from engine.types import SampleSettings
from nca_seg_app.services.engine import Whose
from nca_seg_app.session import Session
from nca_seg_app.state.settings import Settings
from tests.campaigns.harness import mask_hash
from tests.campaigns.journal import note, watch_studies
from tests.fakes import DiskModel, fake_engine

LOOK_MS = 5
QUICK = Settings(sample=SampleSettings(steps=2, members=2), autosave_s=600.0, run_ahead=False)


class Person:
    """Answers as the script says, and tells every question."""

    def __init__(self) -> None:
        self.answer: Whose = "both"
        self.session: Session | None = None

    def ask_save(self, name: str) -> str:
        note("asked", question="save", about=name)
        return "save"

    def ask_path(self, kind: str, suggestion: Path) -> None:
        note("asked", question="path", about=kind)

    def confirm(self, question: str) -> bool:
        note("asked", question="confirm", about=question)
        return self.answer == "mine"

    def ask_whose(self, name: str, changed: ChangedOutside) -> Whose:
        document = self.session.workspace.document if self.session is not None else None
        mine = mask_hash(document.mask_hw) if document is not None and document.unsaved else None
        note(
            "asked", question="conflict", about=name, image=name, answer=self.answer, mine=mine,
            reviewed=changed.reviewed, what=changed.what, fits=changed.fits,
        )  # fmt: skip
        return self.answer


class Actor(QObject):
    """Does an action, waits until all of it is done, and tells so."""

    told = Signal(object)

    def __init__(self, folder: Path, own: Path, number: int) -> None:
        super().__init__()
        self._folder, self._person = folder, Person()
        model = DiskModel(size=16 + 8 * number)
        engine = fake_engine(own, model)
        self.session = Session(engine, self._person, QUICK, own / "settings.json")  # type: ignore[arg-type]
        self._person.session = self.session
        self.session.context.failed.connect(lambda told, details: note("failed", told=told))
        self.session.context.message.connect(lambda told: note("message", told=told))
        self.session.workspace.image_changed.connect(self._tell_image)
        self.session.model_library.refresh()
        self._look = QTimer(self, interval=LOOK_MS, timeout=self._settle)
        self._quiet = 0
        self.told.connect(self._do, Qt.ConnectionType.QueuedConnection)

    def _do(self, told: dict[str, Any]) -> None:
        self._person.answer = told["answer"]
        session, rng, what = self.session, random.Random(told["seed"]), told["do"]
        actions: dict[str, Callable[[], object]] = {
            "open": lambda: session.opening.open_path(self._folder),
            "draw": lambda: self._draw(rng),
            "save": session.save,
            "review": session.saving.toggle_reviewed,
            "segment": session.segment,
            "accept_and_next": session.review.accept_and_next,
            "next": session.opening.open_next,
            "previous": session.opening.open_previous,
            "draft": session.saving.write_draft,
            "undo": session.mask_edits.undo,
            "reopen": lambda: session.opening.open_path(session.workspace.path or self._folder),
            "close": self._close,
        }
        actions[what]()
        self._quiet = 0
        self._look.start()

    def _draw(self, rng: random.Random) -> None:
        document = self.session.workspace.document
        if document is None:
            return
        height, width = document.shape
        line = np.array([[rng.uniform(0, height), rng.uniform(0, width)] for _ in range(2)])
        radius = rng.uniform(2, 8)
        document.begin("brush")
        document.draw(lambda mask_hw: edits.stroke(mask_hw, line, radius, rng.random() < 0.8))
        document.commit("Brush stroke")

    def _close(self) -> None:
        note("closed", stays=not self.session.close())
        QTimer.singleShot(50, QCoreApplication.quit)

    def _settle(self) -> None:
        session = self.session
        busy = (
            session.context.lane.pending
            or session.context.aside.pending
            or session.context.jobs.current is not None
            or session.opening.under_way
            or session.review.moving_on
        )
        # One look more: what ended may have begun something else.
        self._quiet = 0 if busy else self._quiet + 1
        if self._quiet > 3:
            self._look.stop()
            self._tell_image("done")

    def _tell_image(self, event: str = "image") -> None:
        document, path = self.session.workspace.document, self.session.workspace.path
        held = mask_hash(document.mask_hw) if document is not None else None
        unsaved = document is not None and document.unsaved
        name = path.name if path is not None else None
        note(event, image=name, mask=held, unsaved=unsaved)


def main() -> int:
    folder, own, number = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    watch_studies()
    application = QCoreApplication(sys.argv[:1])
    actor = Actor(folder, own, number)

    def listen() -> None:
        for line in sys.stdin:
            actor.told.emit(json.loads(line))

    threading.Thread(target=listen, daemon=True).start()
    return application.exec()


if __name__ == "__main__":
    sys.exit(main())
