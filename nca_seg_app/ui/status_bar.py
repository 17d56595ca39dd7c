"""Tells where the model runs, what is under the pointer, what is saved and what goes on."""

from __future__ import annotations

from datetime import datetime

from PySide6.QtCore import Qt, QTimer
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import QSizePolicy, QStatusBar, QWidget

from engine.plaintext import one_line, shown_name
from nca_seg_app.session import Session
from nca_seg_app.ui.help import RESEARCH_USE
from nca_seg_app.ui.widgets.plain_text import PlainLabel, tip
from nca_seg_app.ui.widgets.wording import duration, titled

MESSAGE_MS = 8000


class ElidedLabel(PlainLabel):
    """Cuts its sentence with an ellipsis where there is no room; the window does not grow."""

    def __init__(self) -> None:
        super().__init__()
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)

    def paintEvent(self, event: QPaintEvent) -> None:
        fits = self.fontMetrics().elidedText(
            self.text(), Qt.TextElideMode.ElideRight, self.width() - 4
        )
        painter = QPainter(self)
        painter.drawText(self.rect(), Qt.AlignmentFlag.AlignVCenter, fits)


class StatusBar(QStatusBar):
    """Shows device, model, pointer, expected error, saving and lookahead; messages for a while."""

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self.setSizeGripEnabled(False)
        self.device = self._label("Where the model runs, and with which precision.")
        self.model = self._label("The model that the next run uses.")
        self.pointer = self._label(
            "What is under the pointer: column and row, probability, disagreement of the members."
        )
        self.expected_error = self._label("1 − Dice to be expected of the newest result.")
        self.saved = self._label("")
        self.lookahead = self._label(
            "The next image, or all of them, segmented before you ask for it. "
            "Study, Find Expected Errors of All Images begins and ends that."
        )
        self.export = self._label("The data set being written. File, Stop Export ends it.")
        self.note = ElidedLabel()
        self.addWidget(self.note, 1)
        research_use = PlainLabel(RESEARCH_USE)
        research_use.setContentsMargins(6, 1, 8, 3)
        self.addPermanentWidget(research_use)
        self._note_timer = QTimer(self, singleShot=True, interval=MESSAGE_MS)
        self._note_timer.timeout.connect(self._end_note)
        session.context.message.connect(self.show_note)
        session.saving.saved.connect(self._show_saved)
        session.workspace.image_changed.connect(self._show_image)
        session.workspace.images_changed.connect(self._show_expected_error)
        session.model_library.chosen_changed.connect(self._show_model)
        session.lookahead.changed.connect(self._show_lookahead)
        session.survey.changed.connect(self._show_lookahead)
        session.export.progress_changed.connect(self._show_export)
        session.export.running_changed.connect(self._show_export)
        self._show_model()

    def show_note(self, sentence: str) -> None:
        """Tell something that needs no answer, for a while."""
        self.note.setText(one_line(sentence))
        self.note.setToolTip(tip(sentence))
        # What hardly ever changes makes room for it.
        self._make_room(bool(sentence))
        self._note_timer.start()

    def _end_note(self) -> None:
        self.note.clear()
        self._make_room(False)

    def _make_room(self, needed: bool) -> None:
        for label in (self.device, self.model, self.lookahead):
            label.setVisible(not needed)

    def _label(self, told: str) -> PlainLabel:
        label = PlainLabel()
        label.setContentsMargins(6, 1, 6, 3)
        label.setToolTip(tip(told))
        self.addWidget(label)
        return label

    def _show_saved(self, path: object) -> None:
        self.saved.setText(f"saved {datetime.now().astimezone():%H:%M}")
        self.saved.setToolTip(tip(str(path)))

    def _show_image(self) -> None:
        self.saved.clear()
        self.pointer.clear()
        self._show_expected_error()

    def _show_expected_error(self) -> None:
        row = self._session.workspace.row
        error = row.expected_error if row is not None else None
        self.expected_error.setText(f"expected error {error:.2f}" if error is not None else "")

    def _show_lookahead(self) -> None:
        lookahead = self._session.lookahead
        path = lookahead.path
        text = f"lookahead: {shown_name(path.stem)}" if path is not None else ""
        survey = self._session.survey
        if survey.running:
            (done, total), left_s = survey.progress, survey.seconds_left
            text = f"expected errors of {done:,} of {total:,} new images"
            text += f" · {duration(left_s)} left" if left_s is not None else ""
        self.lookahead.setText(text)

    def _show_export(self) -> None:
        export = self._session.export
        (done, total), left_s = export.progress, export.seconds_left
        text = f"exporting {done} of {total}" if total else "exporting…"
        text += f" · {duration(left_s)} left" if left_s is not None else ""
        self.export.setText(text if export.running else "")

    def _show_model(self) -> None:
        entry, device = self._session.model_library.chosen, self._session.model_library.device_text
        self.device.setText(device or ("model is not loaded yet" if entry else ""))
        self.model.setText(titled(entry) if entry else "no model")
