"""Asks the person with the system's own dialogs, only about what undo could not take back."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QDialog,
    QFileDialog,
    QMessageBox,
    QVBoxLayout,
    QWidget,
)

from engine.errors import ChangedOutside
from engine.images.formats import IMAGE_SUFFIXES
from engine.plaintext import NAME, one_line
from nca_seg_app.services.prompts import Answer, PathKind, Whose
from nca_seg_app.session import Session
from nca_seg_app.ui.help import close_button
from nca_seg_app.ui.widgets.form import Form

PREFERENCES = ("theme", "device", "autosave_s", "run_ahead", "cache_mb", "log_stalls")


class Dialogs:
    """Asks the session's questions over the window `parent`, which is set once there is one."""

    def __init__(self) -> None:
        self.parent: QWidget | None = None

    def ask_save(self, name: str) -> Answer:
        """What to do with the unsaved mask of the image `name`."""
        button = QMessageBox.StandardButton
        told = f"The mask of {one_line(name, NAME) or 'this image'} has not been saved."
        box = question_box(
            self.parent, "Unsaved mask", told, button.Save | button.Discard | button.Cancel
        )
        box.setInformativeText("Save it before going on?")
        box.setDefaultButton(button.Save)
        answers: dict[int, Answer] = {button.Save: "save", button.Discard: "discard"}
        return answers.get(box.exec(), "cancel")

    def ask_whose(self, name: str, changed: ChangedOutside) -> Whose:
        """Whose mask of the image `name` is kept, where another window or program wrote one."""
        shown, role = one_line(name, NAME), QMessageBox.ButtonRole.AcceptRole
        if changed.what == "image":
            told, theirs = f"{shown} was changed by another program since it was opened.", "Reload"
            more = "Reload shows the new picture; what you drew is kept as a copy beside the masks."
            if changed.fits:
                more += " Keep Mine and Keep Both save it for the new picture."
        else:
            did = ("reviewed" if changed.reviewed else "saved") if changed.found.mask else "removed"
            told, theirs = f"Another window or program {did} a mask of {shown}.", "Keep Theirs"
            more = (
                "Keep Theirs shows that one, and yours is kept as a copy. Keep Mine saves yours in "
                "its place. Keep Both saves yours, and theirs is kept as a copy."
            )
        cancel = QMessageBox.StandardButton.Cancel
        box = question_box(self.parent, "Changed outside", told, cancel)
        box.setInformativeText(more)
        answers: dict[object, Whose] = {box.addButton(theirs, role): "theirs"}
        if changed.fits:
            answers[box.addButton("Keep Mine", role)] = "mine"
            answers[box.addButton("Keep Both", role)] = "both"
        box.setDefaultButton(cancel)
        box.exec()
        return answers.get(box.clickedButton(), "cancel")

    def ask_path(self, kind: PathKind, suggestion: Path) -> Path | None:
        """Where to open or save; None where the person cancels."""
        start, path = str(suggestion), ""
        if kind == "image":
            pattern = " ".join(f"*{suffix} *{suffix.upper()}" for suffix in sorted(IMAGE_SUFFIXES))
            path, _ = QFileDialog.getOpenFileName(
                self.parent, "Open image", start, f"Pictures ({pattern});;All files (*)"
            )
        elif kind == "model":
            path, _ = QFileDialog.getOpenFileName(
                self.parent, "Add model", start, "Models (*.safetensors *.onnx)"
            )
        elif kind == "folder":
            path = QFileDialog.getExistingDirectory(self.parent, "Open folder", start)
        elif kind == "mask":
            path, _ = QFileDialog.getSaveFileName(
                self.parent, "Export mask", start, "PNG pictures (*.png)"
            )
        else:
            path = QFileDialog.getExistingDirectory(
                self.parent, "Folder for the data set", str(suggestion.parent)
            )
        return Path(path) if path else None

    def confirm(self, question: str) -> bool:
        """Whether the person agrees."""
        button = QMessageBox.StandardButton
        box = question_box(self.parent, "Please confirm", question, button.Yes | button.No)
        # Agreeing always costs something, so Return alone is not enough.
        box.setDefaultButton(button.No)
        return box.exec() == button.Yes


def question_box(
    parent: QWidget | None, title: str, question: str, buttons: QMessageBox.StandardButton
) -> QMessageBox:
    """A question with the answers `buttons`, whose text is plain."""
    box = QMessageBox(parent)
    box.setIcon(QMessageBox.Icon.Question)
    box.setWindowTitle(title)
    box.setTextFormat(Qt.TextFormat.PlainText)
    box.setText(one_line(question))
    box.setStandardButtons(buttons)
    return box


class Preferences(QDialog):
    """Shows the settings that have no place in a panel; each change holds at once."""

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self.setWindowTitle("Preferences")
        self._form = Form(session.context.settings, PREFERENCES)
        self._form.changed.connect(self._take)
        layout = QVBoxLayout(self)
        layout.addWidget(self._form)
        layout.addWidget(close_button(self))
        session.context.settings_changed.connect(self._show)

    def _show(self) -> None:
        self._form.set_value(self._session.context.settings)

    def _take(self, settings: object) -> None:
        device = self._session.context.settings.device
        self._session.context.change_settings(
            **{name: getattr(settings, name) for name in PREFERENCES}
        )
        if self._session.context.settings.device != device:
            self._session.model_library.warm_up()
