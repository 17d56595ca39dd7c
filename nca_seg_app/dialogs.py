"""Questions are asked in the system's own dialogs, and only those that undo could not answer."""

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
from engine.images import IMAGE_SUFFIXES
from nca_seg_app.form import Form
from nca_seg_app.help import close_button
from nca_seg_app.ports import Answer, PathKind, Whose
from nca_seg_app.session import Session

PREFERENCES = ("theme", "device", "autosave_s", "run_ahead", "cache_mb", "log_stalls")


class Dialogs:
    """The session's questions over the window `parent`, which is set once there is one."""

    def __init__(self) -> None:
        self.parent: QWidget | None = None

    def ask_save(self, name: str) -> Answer:
        """What to do with the unsaved mask of the image `name`."""
        box = QMessageBox(self.parent)
        box.setIcon(QMessageBox.Icon.Question)
        box.setWindowTitle("Unsaved mask")
        box.setText(f"The mask of {name or 'this image'} has not been saved.")
        box.setInformativeText("Save it before going on?")
        button = QMessageBox.StandardButton
        box.setStandardButtons(button.Save | button.Discard | button.Cancel)
        box.setDefaultButton(button.Save)
        answers: dict[int, Answer] = {button.Save: "save", button.Discard: "discard"}
        return answers.get(box.exec(), "cancel")

    def ask_whose(self, name: str, changed: ChangedOutside) -> Whose:
        """Whose mask of the image `name` is kept, where another window or program wrote one."""
        box = QMessageBox(self.parent)
        box.setIcon(QMessageBox.Icon.Question)
        box.setTextFormat(Qt.TextFormat.PlainText)
        role = QMessageBox.ButtonRole.AcceptRole
        reload, both = "Reload", "Keep Both"
        if changed.what == "image":
            box.setWindowTitle("Changed image")
            box.setText(f"{name} was changed by another program since it was opened.")
            box.setInformativeText(
                "Reload shows the new picture; what you drew is kept as a copy beside the masks."
            )
        else:
            state = "reviewed" if changed.reviewed else "saved"
            reload = "Keep Theirs"
            box.setWindowTitle("Changed mask")
            box.setText(f"Another window or program {state} a mask of {name} meanwhile.")
            if not changed.found.mask:
                box.setText(f"Another window or program removed the mask of {name} meanwhile.")
            box.setInformativeText(
                "Keep Theirs shows that one, and yours is kept as a copy. Keep Mine saves yours in "
                "its place. Keep Both saves yours, and theirs is kept as a copy."
            )
        answers: dict[object, Whose] = {box.addButton(reload, role): "theirs"}
        if changed.fits:
            answers[box.addButton("Keep Mine", role)] = "mine"
            answers[box.addButton(both, role)] = "both"
        box.setDefaultButton(box.addButton(QMessageBox.StandardButton.Cancel))
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
                self.parent, "Add model", start, "Models (*.safetensors)"
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
        button, title = QMessageBox.StandardButton, "Please confirm"
        # Agreeing always costs something, so Return alone is not enough.
        answer = QMessageBox.question(
            self.parent, title, question, button.Yes | button.No, button.No
        )
        return answer == button.Yes


class Preferences(QDialog):
    """The settings that have no place in a panel; each change holds at once."""

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self.setWindowTitle("Preferences")
        self._form = Form(session.settings, PREFERENCES)
        self._form.changed.connect(self._take)
        layout = QVBoxLayout(self)
        layout.addWidget(self._form)
        layout.addWidget(close_button(self))
        session.settings_changed.connect(self._show)

    def _show(self) -> None:
        self._form.set_value(self._session.settings)

    def _take(self, settings: object) -> None:
        device = self._session.settings.device
        self._session.change_settings(**{name: getattr(settings, name) for name in PREFERENCES})
        if self._session.settings.device != device:
            self._session.warm_up()
