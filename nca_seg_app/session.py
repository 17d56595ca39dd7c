"""What is open and what can be done with it: the session acts, the views show."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, QTimer, Signal

from engine.masks import edits
from engine.networks.library import ModelEntry
from engine.study.study import Study, Writer
from engine.types import Image
from nca_seg_app.background.jobs import Jobs, Tasks
from nca_seg_app.services.annotation import OpenedImage
from nca_seg_app.services.engine import Engine, ImageRow, Prompts
from nca_seg_app.services.error_messages import explain
from nca_seg_app.services.export import Export
from nca_seg_app.services.fine_tuning import FineTuning
from nca_seg_app.services.folder_watch import FolderWatch
from nca_seg_app.services.image_cache import ImageCache
from nca_seg_app.services.lookahead import Lookahead
from nca_seg_app.services.mask_edits import edit_aside
from nca_seg_app.services.model_library import ModelLibrary
from nca_seg_app.services.opening import Opening
from nca_seg_app.services.saving import Saving
from nca_seg_app.services.segmentation import Segmentation
from nca_seg_app.services.study_reader import Opened
from nca_seg_app.state import settings as settings_files
from nca_seg_app.state.capabilities import Has, facts
from nca_seg_app.state.document import Edit, Mask, MaskDocument
from nca_seg_app.state.image_order import ImageOrder
from nca_seg_app.state.settings import Settings
from nca_seg_app.state.view_state import ViewState

__all__ = ["Has", "Session"]

#: Radius of `smooth()` as a share of the image's shorter side.
SMOOTH_SHARE = 0.005


class Session(QObject):
    """What the person is doing. Panels and canvas read its properties and call its verbs.

    Composed of `segmentation` (a model's proposal), `learning` (fine-tuning), `keeping` (saving),
    `exporting`, `listing` (the order of the images), `neighbours` and `ahead` (the next image, and
    its result, before they are asked for), `watching` (the folder), `viewing` (tool and shown map),
    `models_held`, `document` (the mask) and `jobs` (long work).
    `lane` does short work on files and masks in order, `aside` what need not wait for it.
    """

    state_changed = Signal()
    #: Another image, or none; `image` and `document` are both new.
    image_changed = Signal()
    #: The list of images, their status or doubt, or the place in it.
    images_changed = Signal()
    #: Another model was chosen, or it is known where it runs.
    model_changed = Signal()
    #: The list of models.
    models_changed = Signal()
    settings_changed = Signal()
    #: A sentence for the status bar.
    message = Signal(str)
    #: A sentence and its copyable details.
    failed = Signal(str, str)
    #: A save or export reached the disk; carries its path.
    saved = Signal(object)

    def __init__(
        self,
        engine: Engine,
        prompts: Prompts,
        settings: Settings | None = None,
        settings_file: Path | None = None,
        parent: QObject | None = None,
    ) -> None:
        """A session with nothing open. Without `settings_file` settings are not kept."""
        super().__init__(parent)
        self.engine = engine
        self.prompts = prompts
        self._settings = settings or Settings()
        self._settings_file = settings_file
        self._study: Study | None = None
        self._rows: tuple[ImageRow, ...] = ()
        self._index, self._state = -1, Has.NOTHING
        self._image: Image | None = None
        self._document: MaskDocument | None = None
        #: Whose drafts this window's are; let go when the session is closed.
        self.writer = Writer()
        self.lane = Tasks(self)
        # Two threads: loading torch takes seconds, and thumbnails should not wait for it.
        self.aside = Tasks(self, threads=2)
        self.jobs = Jobs(self)
        self.view_state = ViewState(self)
        self.model_library = ModelLibrary(self)
        self.segmentation = Segmentation(self)
        self.fine_tuning = FineTuning(self)
        self.saving = Saving(self)
        self.export = Export(self)
        self.opening = Opening(self)
        self.image_order = ImageOrder(self)
        self.image_cache = ImageCache(self)
        self.lookahead = Lookahead(self)
        self.folder_watch = FolderWatch(self)
        self._settings_timer = QTimer(self)
        self._settings_timer.setSingleShot(True)
        self._settings_timer.setInterval(400)
        self._settings_timer.timeout.connect(self._write_settings)
        self.jobs.changed.connect(self.update_state)
        self.fine_tuning.candidate_changed.connect(self.update_state)
        self.saving.saved.connect(self.saved)
        self.export.saved.connect(self.saved)
        self.model_library.listed.connect(self.models_changed)
        self.model_library.chosen_changed.connect(self.model_changed)
        self.model_changed.connect(self.update_state)
        self.images_changed.connect(self.update_state)
        self.image_order.changed.connect(self.update_state)
        self.opening.preview_changed.connect(self.update_state)
        self.settings_changed.connect(self.update_state)
        self.update_state()

    # What is open

    @property
    def state(self) -> Has:
        """All facts that hold now; an action is enabled when `action.needs in session.state`."""
        return self._state

    @property
    def settings(self) -> Settings:
        """What a person has chosen."""
        return self._settings

    @property
    def study(self) -> Study | None:
        """The folder under annotation."""
        return self._study

    @property
    def image(self) -> Image | None:
        """The open image."""
        return self._image

    @property
    def document(self) -> MaskDocument | None:
        """The mask of the open image."""
        return self._document

    @property
    def images(self) -> tuple[ImageRow, ...]:
        """The images of the open folder, or those opened; `listing` says in which order."""
        return self._rows

    @property
    def index(self) -> int:
        """The place of the open image in `images`, or -1."""
        return self._index

    @property
    def row(self) -> ImageRow | None:
        """The open image as `images` lists it."""
        return self._rows[self._index] if self._index >= 0 else None

    @property
    def path(self) -> Path | None:
        """The file of the open image."""
        return self.row.path if self.row is not None else None

    @property
    def models(self) -> tuple[ModelEntry, ...]:
        """The installed models."""
        return self.model_library.entries

    @property
    def model(self) -> ModelEntry | None:
        """The model that the next run uses."""
        return self.model_library.chosen

    @property
    def device_text(self) -> str:
        """Where the model runs, as "CPU · bf16"; empty until it is known."""
        return self.model_library.device_text

    # Opening and closing

    def open(self) -> None:
        """Ask for an image and open it."""
        self.opening.ask("image")

    def open_folder(self) -> None:
        """Ask for a folder and open it."""
        self.opening.ask("folder")

    def open_path(self, paths: Path | Sequence[Path]) -> None:
        """Open an image, a folder, or a list of images; nothing changes where that fails."""
        listed = [paths] if isinstance(paths, Path) else list(paths)
        if listed:
            self.opening.open_listed(listed)

    def open_recent(self, place: int = 0) -> None:
        """Open the file or folder at `place` of the recent ones."""
        if place < len(self._settings.recent):
            self.open_path(Path(self._settings.recent[place]))

    def open_sample(self) -> None:
        """Open the sample images that come with the program."""
        self.lane.run(self.engine.sample_folder, self.open_path, self.fail)

    def open_row(self, index: int) -> None:
        """Open the image at `index` of `images`."""
        if 0 <= index < len(self._rows) and index != self._index:
            self.opening.open_row(index)

    def open_next(self) -> None:
        """Open the next image of the list that can be read."""
        self.opening.open_neighbour(1)

    def open_previous(self) -> None:
        """Open the image before in the list that can be read."""
        self.opening.open_neighbour(-1)

    def close(self) -> bool:
        """Ask about unsaved work, stop everything and wait; False where the person stays."""
        if not all(x.may_close() for x in (self.fine_tuning, self.export, self.saving)):
            return False
        self.folder_watch.close()
        self.lookahead.close()
        self.image_cache.close()
        self.segmentation.discard()
        self.fine_tuning.cancel()
        self.jobs.close()
        self.fine_tuning.discard()
        self.export.close()
        if self._settings_timer.isActive():
            self._settings_timer.stop()
            self._write_settings()
        self.lane.close()
        self.aside.close()
        self.writer.close()
        return True

    # Models and settings

    def choose_model(self, name: str) -> None:
        """Use the model called `name` from the next run on."""
        self.model_library.choose(name)

    def refresh_models(self) -> None:
        """Look again which models are installed."""
        self.model_library.refresh()

    def warm_up(self) -> None:
        """Load the chosen model in the background, so that the first picture comes at once."""
        self.model_library.warm_up()

    def change_settings(self, **changes: Any) -> None:
        """Settings with `changes`, kept on disk; ValueError where one is out of range."""
        changed = dataclasses.replace(self._settings, **changes)
        if changed != self._settings:
            self._settings = changed
            self._settings_timer.start()
            self.settings_changed.emit()

    # The mask

    def undo(self) -> None:
        """Take the last step back."""
        if self._document is not None:
            self._document.undo()

    def redo(self) -> None:
        """Bring the last undone step back."""
        if self._document is not None:
            self._document.redo()

    def fill_holes(self) -> None:
        """Fill what the outline encloses."""
        self.edit_aside("Fill holes", edits.fill_holes)

    def keep_largest(self) -> None:
        """Remove all but the largest connected area."""
        self.edit_aside("Keep largest", edits.keep_largest)

    def smooth(self) -> None:
        """Round the outline a little, in proportion to the image."""
        if self._image is not None:
            radius_px = max(1.0, SMOOTH_SHARE * min(self._image.height, self._image.width))
            self.edit_aside("Smooth", lambda mask_hw: edits.smooth(mask_hw, radius_px))

    def clear(self) -> None:
        """Empty the mask."""
        self.edit_aside("Clear", lambda mask_hw: edits.replace(mask_hw, mask_hw & False))

    def save(self) -> None:
        """Write the mask to the study with its origin; `saved` follows."""
        self.segmentation.when_settled(self.saving.save)

    def save_as(self) -> None:
        """Ask for a file and write the mask there as a PNG."""
        self.export.export_mask()

    def export_dataset(self) -> None:
        """Ask for a folder and write the saved masks there as a data set."""
        self.export.export_dataset()

    def accept_and_next(self) -> None:
        """Accept the result if one is proposed, save as reviewed, open the next image.

        What a person drew since the result was put up, or taken, is kept and saved instead.
        """
        self.saving.accept_and_next()

    def edit_aside(
        self,
        text: str,
        edit: Edit,
        then: Callable[[], None] | None = None,
        note: Callable[[Mask], object] | None = None,
    ) -> None:
        """Apply a slow edit, computed off the main thread, as one undo step called `text`.

        Where the mask changed meanwhile the edit is computed again. `note`, given the new mask,
        makes the document's note of the step; `then` is called when it is done.
        """
        if self._document is not None:
            edit_aside(self, self._document, text, edit, then, note)

    # For the parts of the session

    def fail(self, error: BaseException) -> None:
        """Tell the person what went wrong."""
        self.failed.emit(*explain(error))

    def set_row(self, path: Path, **changes: Any) -> None:
        """Change what the list says about the image at `path`."""
        changed = tuple(
            dataclasses.replace(row, **changes) if row.path == path else row for row in self._rows
        )
        if changed != self._rows:
            self._rows = changed
            self.images_changed.emit()

    def take_rows(self, rows: tuple[ImageRow, ...]) -> None:
        """List images as they were found on disk now; the open one is among them."""
        if rows != self._rows:
            self._index = next((n for n, row in enumerate(rows) if row.path == self.path), -1)
            before, self._rows = [row.path for row in self._rows], rows
            # Statuses alone move nothing under a person's hand.
            if before != [row.path for row in rows]:
                self.image_order.refresh()
            self.images_changed.emit()

    def update_state(self) -> None:
        """Look at the facts again; `state_changed` follows where one is another."""
        state = facts(self)
        if state != self._state:
            self._state = state
            self.state_changed.emit()

    def adopt_study(self, opened: Opened) -> None:
        """Take over a folder, or images, that have just been read."""
        self.lookahead.remember()
        # Together with the rows: the old place may not be among them.
        self._study, self._rows, self._index = opened.study, opened.rows, opened.index
        self.adopt(opened.index, opened.opened)
        whole = opened.study.folder if len(opened.rows) > 1 else opened.rows[0].path
        self.change_settings(recent=self._settings.opened(whole).recent)

    def adopt(self, index: int, opened: OpenedImage) -> None:
        """Take over an image that has just been read, in place of the open one."""
        self.segmentation.reset()
        self.view_state.show(None)
        self.view_state.pick(None)
        old, document = self._document, opened.document(self)
        self._index, self._image, self._document = index, opened.image, document
        self.set_row(self._rows[index].path, readable=True)
        document.history_changed.connect(self.update_state)
        document.history_changed.connect(self.segmentation.note_history)
        self.saving.begin(document, opened)
        self.image_changed.emit()
        self.images_changed.emit()
        self.update_state()
        self.lookahead.propose()
        if opened.image.note:
            self.message.emit(f"{self._rows[index].path.name}: {opened.image.note}.")
        if opened.is_outdated:
            self.message.emit("Recovered a drawing over an earlier mask; undo gives the saved one.")
        elif document.unsaved:
            self.message.emit("Recovered what was drawn and not saved; undo gives the saved mask.")
        if opened.trouble is not None:
            self.fail(opened.trouble)
        if old is not None:
            old.deleteLater()

    def _write_settings(self) -> None:
        settings, file = self._settings, self._settings_file
        if file is not None:
            self.lane.run(lambda: settings_files.save(settings, file), None, self.fail)
