"""The mask panel: what the outline measures, how it differs from the model's, and how it came."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QListWidget, QSizePolicy, QVBoxLayout, QWidget

from engine.masks.measurements import Measurements, measure
from engine.metrics import dice
from engine.plaintext import one_line
from nca_seg_app.session import Session
from nca_seg_app.ui.panels.pixmaps import Refresh
from nca_seg_app.ui.panels.wording import difference, measured
from nca_seg_app.ui.widgets.plain_text import PlainLabel

if TYPE_CHECKING:
    from nca_seg_app.state.document import MaskDocument

#: A mask that is being drawn is not measured at every move.
REST_MS = 200
BEGINNING = "As opened"


@dataclass(frozen=True)
class Beside:
    """A mask beside the model's outline: their Dice, and the pixels that only one of them has."""

    dice: float
    added_px: int
    removed_px: int


class MaskPanel(QWidget):
    """Measurements of the open mask, and its history; a step of it can be gone back to."""

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._document: MaskDocument | None = None
        self._busy = self._again = False
        #: The step that is being gone to, and the history as it was when that began.
        self._target: int | None = None
        self._steps: tuple[str, ...] = ()
        self.told, self.beside = _words(), _words()
        self.told.setToolTip("Numbers of the outline alone; they say nothing about the lesion.")
        self.history = QListWidget()
        self.history.setToolTip("Click a step to go back to it, or forward; nothing is lost.")
        self.history.setAccessibleName("History")
        self.history.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Expanding)
        layout = QVBoxLayout(self)
        layout.addWidget(self.told)
        layout.addWidget(self.beside)
        layout.addWidget(PlainLabel("History"))
        layout.addWidget(self.history, 1)
        self._rest = QTimer(self, singleShot=True, interval=REST_MS)
        self._refresh = Refresh(self, self._rest.start)
        self._rest.timeout.connect(self._measure)
        self._history = Refresh(self, self._show_history)
        self.history.itemClicked.connect(lambda item: self._go_to(self.history.row(item)))
        session.workspace.image_changed.connect(self._adopt)
        session.proposal.changed.connect(self._refresh.ask)
        session.proposal.threshold_changed.connect(self._refresh.ask)
        self._adopt()

    def _adopt(self) -> None:
        document = self._document = self._session.workspace.document
        self._target = None
        if document is not None:
            document.changed.connect(self._refresh.ask)
            document.history_changed.connect(self._history.ask)
        self._refresh.ask()
        self._history.ask()

    # The numbers

    def _measure(self) -> None:
        session, document = self._session, self._document
        if document is None or self._busy:
            self._again = self._busy
            return
        result, threshold = session.segmentation.result, session.context.settings.threshold
        if result is not None and result.done < result.total:
            result = None
        snapshot, image = document.snapshot(), session.workspace.image

        def work() -> tuple[Measurements | None, Beside | None]:
            mask_hw = snapshot()
            found = measure(mask_hw)
            if result is None or found is None:
                return found, None
            model_hw = result.mask(threshold)
            added = int(np.count_nonzero(mask_hw & ~model_hw))
            removed = int(np.count_nonzero(model_hw & ~mask_hw))
            return found, Beside(dice(mask_hw, model_hw), added, removed)

        def done(found: tuple[Measurements | None, Beside | None]) -> None:
            if document is self._document and image is not None:
                numbers, beside = found
                self.told.setText(measured(numbers, image.spacing_mm))
                self.beside.setText(
                    difference(beside.dice, beside.added_px, beside.removed_px) if beside else ""
                )
                self.beside.setVisible(beside is not None)
            end()

        def failed(error: BaseException) -> None:
            session.context.fail(error)
            end()

        def end() -> None:
            self._busy = False
            if self._again:
                self._rest.start()

        self._busy, self._again = True, False
        session.context.aside.run(work, done, failed)

    # The history

    def _show_history(self) -> None:
        document = self._document
        steps = [BEGINNING, *map(one_line, document.steps)] if document is not None else []
        shown = [self.history.item(row).text() for row in range(self.history.count())]
        if shown != steps:
            self.history.clear()
            self.history.addItems(steps)
        if document is not None:
            for row in range(self.history.count()):
                item = self.history.item(row)
                font = item.font()
                # What has been undone is still there, and can be brought back.
                font.setItalic(row > document.place)
                item.setFont(font)
            self.history.setCurrentRow(document.place)

    def _go_to(self, place: int) -> None:
        self._target = place
        self._steps = self._document.steps if self._document is not None else ()
        self._move()

    def _move(self) -> None:
        # A step at a time: on large images each takes tens of milliseconds.
        document, target = self._document, self._target
        if document is None or target is None or document.drawing or document.place == target:
            self._target = None
            return
        if document.steps != self._steps:
            # Something else was done meanwhile, and stays.
            self._target = None
            return
        before = document.place
        (document.undo if target < before else document.redo)()
        if document.place != before:
            QTimer.singleShot(0, self, self._move)


def _words() -> PlainLabel:
    label = PlainLabel()
    label.setWordWrap(True)
    return label
