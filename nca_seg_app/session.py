"""What is open and what can be done with it: the session acts, the views show."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Flag, auto
from pathlib import Path

from PySide6.QtCore import QObject, Signal

from engine.types import Image
from nca_seg_app.document import MaskDocument
from nca_seg_app.jobs import Jobs
from nca_seg_app.learning import Learning
from nca_seg_app.ports import Engine, ImageRow, ModelEntry, Prompts
from nca_seg_app.segmenting import Segmentation
from nca_seg_app.settings import Settings
from nca_seg_app.viewing import Viewing


class Has(Flag):
    """Facts about the session that actions need."""

    NOTHING = 0
    IMAGE = auto()
    MODEL = auto()
    IDLE = auto()  # no job runs
    RUNNING = auto()  # a segmentation runs, paused or not
    PAUSED = auto()  # the running segmentation waits
    LEARNING = auto()  # a fine-tuning runs
    CANDIDATE = auto()  # a fine-tuned model waits to be accepted or discarded
    RESULT = auto()  # the model has a proposal
    MASK = auto()  # the document's mask is not empty
    UNSAVED = auto()
    STUDY = auto()
    SAVED_MASKS = auto()  # the study holds masks to learn from
    CAN_UNDO = auto()
    CAN_REDO = auto()
    NEXT = auto()
    PREVIOUS = auto()
    RECENT = auto()


class Session(QObject):
    """What the person is doing. Panels and canvas read its properties and call its verbs.

    Composed of `segmentation` (a model's proposal), `learning` (fine-tuning), `viewing` (tool and
    shown map), `document` (the mask) and `jobs` (long work).
    """

    state_changed = Signal()
    #: Another image, or none; `image` and `document` are both new.
    image_changed = Signal()
    #: The list of images, their status or doubt, or the place in it.
    images_changed = Signal()
    #: Another model was chosen.
    model_changed = Signal()
    #: The list of models.
    models_changed = Signal()
    settings_changed = Signal()
    #: A sentence for the status bar.
    message = Signal(str)
    #: A sentence and its copyable details.
    failed = Signal(str, str)
    #: A save or export reached the disk.
    saved = Signal(object)

    def __init__(
        self,
        engine: Engine,
        prompts: Prompts,
        settings: Settings | None = None,
        settings_file: Path | None = None,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self.engine = engine
        self.prompts = prompts
        self.jobs = Jobs(self)
        self.viewing = Viewing(self)
        self.segmentation = Segmentation(self)
        self.learning = Learning(self)
        raise NotImplementedError

    # What is open

    @property
    def state(self) -> Has:
        """All facts that hold now; an action is enabled when `action.needs in session.state`."""
        raise NotImplementedError

    @property
    def settings(self) -> Settings:
        raise NotImplementedError

    @property
    def image(self) -> Image | None:
        raise NotImplementedError

    @property
    def document(self) -> MaskDocument | None:
        raise NotImplementedError

    @property
    def images(self) -> tuple[ImageRow, ...]:
        """The images of the open folder, or the one image, in the order shown."""
        raise NotImplementedError

    @property
    def index(self) -> int:
        """The place of the open image in `images`, or -1."""
        raise NotImplementedError

    @property
    def models(self) -> tuple[ModelEntry, ...]:
        raise NotImplementedError

    @property
    def model(self) -> ModelEntry | None:
        raise NotImplementedError

    @property
    def device_text(self) -> str:
        """Where the model runs, as "CPU · bf16"; empty until it is known."""
        raise NotImplementedError

    # Opening

    def open(self) -> None:
        """Ask for an image and open it."""

    def open_folder(self) -> None:
        """Ask for a folder and open it."""

    def open_path(self, paths: Path | Sequence[Path]) -> None:
        """Open an image, a folder, or a list of images; nothing changes where that fails."""

    def open_sample(self) -> None:
        """Open the sample images that come with the program."""

    def open_row(self, index: int) -> None:
        """Open the image at `index` of `images`."""

    def open_next(self) -> None: ...

    def open_previous(self) -> None: ...

    def close(self) -> bool:
        """Ask about unsaved work, stop everything and wait; False where the person cancels."""
        raise NotImplementedError

    # Models and settings

    def choose_model(self, name: str) -> None: ...

    def refresh_models(self) -> None: ...

    def warm_up(self) -> None:
        """Load the chosen model in the background, so that the first picture comes at once."""

    def change_settings(self, **changes: object) -> None:
        """Settings with `changes`, kept on disk; ValueError where one is out of range."""

    # The mask

    def undo(self) -> None: ...

    def redo(self) -> None: ...

    def fill_holes(self) -> None: ...

    def keep_largest(self) -> None: ...

    def smooth(self) -> None: ...

    def clear(self) -> None: ...

    def save(self) -> None:
        """Write the mask to the study with its origin; `saved` follows."""

    def save_as(self) -> None:
        """Ask for a file and write the mask there as a PNG."""

    def export_dataset(self) -> None:
        """Ask for a folder and write the saved masks there as a data set."""

    def mark_reviewed(self) -> None:
        """Save, and set the image's status to reviewed."""

    def accept_and_next(self) -> None:
        """Accept the result if there is one, save as reviewed, open the next image."""
