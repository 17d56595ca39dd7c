"""The real window with a person of chance before it: `… -m tests.campaigns.scripted FOLDER SEED`.

With the word "look" for a seed it only opens the folder, tells what is on the screen, and closes.
"""

from __future__ import annotations

import itertools
import random
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np
from PySide6.QtCore import QTimer

from engine.errors import ChangedOutside
from engine.masks import edits
from nca_seg_app import __main__ as entry
from nca_seg_app import application
from nca_seg_app.services.engine import Whose
from nca_seg_app.ui.window import Window
from tests.campaigns.harness import mask_hash
from tests.campaigns.journal import note, watch_studies

#: Commands of the window, and how often each is chosen beside the others.
COMMANDS = {
    "run.segment": 4, "run.accept": 4, "run.accept_and_next": 2, "run.replace": 1,
    "file.save": 5, "study.mark_reviewed": 3, "study.next": 3, "study.previous": 2,
    "file.export_dataset": 1, "file.save_as": 1, "edit.undo": 3, "edit.redo": 2,
    "edit.smooth": 1, "edit.keep_largest": 1, "view.variance": 1, "tools.larger": 1,
    "tools.smaller": 1, "view.fill": 1,
}  # fmt: skip
STROKE, SETTINGS = "a stroke", "the settings"


class Answers:
    """Answers every question so that work goes on."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._numbers = folder, itertools.count()

    def ask_save(self, name: str) -> str:
        return "save"

    def ask_whose(self, name: str, changed: ChangedOutside) -> Whose:
        # Nobody else is there: the question is a fault.
        note("failed", told=f"unexpected question: {name}, {changed.what} changed outside")
        return "both" if changed.fits else "theirs"

    def ask_path(self, kind: str, suggestion: Path) -> Path:
        return self._folder / (
            "exported" if kind == "dataset" else f"mask{next(self._numbers)}.png"
        )

    def confirm(self, question: str) -> bool:
        return True


class Script:
    """Acts at each beat of a timer, and tells every state of the mask before others see it."""

    def __init__(self, window: Window, seed: str) -> None:
        self._window, self._session = window, window.session
        self._chances = random.Random(seed)
        self._timer = QTimer(window, singleShot=True, timeout=self._act)
        self._session.workspace.image_changed.connect(self._opened)
        self._session.context.failed.connect(lambda told, details: note("failed", told=told))
        self._session.context.message.connect(lambda told: note("message", told=told))
        if seed == "look":
            self._session.workspace.image_changed.connect(
                lambda: QTimer.singleShot(300, window.close)
            )
        else:
            self._session.workspace.image_changed.connect(lambda: self._timer.start(1))

    def _opened(self) -> None:
        document = self._session.workspace.document
        if document is not None:
            document.changed.connect(lambda _: self._state("state"))
            self._state("opened")

    def _state(self, event: str) -> None:
        document, path = self._session.workspace.document, self._session.workspace.path
        if document is not None and path is not None:
            held = mask_hash(document.mask_hw)
            note(event, image=path.name, mask=held, drawing=document.drawing)

    def _act(self) -> None:
        document = self._session.workspace.document
        if document is not None and document.drawing:
            if self._chances.random() < 0.6:
                self._draw()
            else:
                document.commit("Brush stroke")
                # The same mask, but no stroke is under way any more.
                self._state("state")
        else:
            self._choose()
        self._timer.start(self._chances.choice((1, 5, 15, 40, 120)))

    def _choose(self) -> None:
        kinds = {STROKE: 14, SETTINGS: 1, **COMMANDS}
        (what,) = self._chances.choices(list(kinds), list(kinds.values()))
        if what == STROKE:
            if self._session.workspace.document is not None:
                self._session.workspace.document.begin("brush")
                self._draw()
        elif what == SETTINGS:
            self._session.context.change_settings(brush_radius_px=self._chances.uniform(2, 40))
            note("did", what=what)
        else:
            action = self._window.commands.actions[what]
            if action.isEnabled():
                action.trigger()
                note("did", what=what)

    def _draw(self) -> None:
        document, rng = self._session.workspace.document, self._chances
        assert document is not None
        height, width = document.shape
        row, column = rng.uniform(0, height), rng.uniform(0, width)
        line = np.array([[row, column], [row + rng.uniform(-60, 60), column + 30]])
        radius, value = rng.uniform(2, 25), rng.random() < 0.8
        document.draw(lambda mask_hw: edits.stroke(mask_hw, line, radius, value))


def main() -> int:
    folder, seed = Path(sys.argv[1]), sys.argv[2]
    # A shell that runs the campaign in the background has it ignore Ctrl+C, and its children.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    watch_studies()
    open_window = application.open_window
    kept: list[Any] = []

    def opened(*given: Any) -> Window:
        window = open_window(*given)
        window.session.context.prompts = Answers(folder.parent)  # type: ignore[assignment]
        kept.append(Script(window, seed))
        note("up")
        return window

    application.open_window = opened
    return entry.main([str(folder)])


if __name__ == "__main__":
    sys.exit(main())
