"""Exports the open mask, or all saved masks as a data set; asks before it replaces a file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from PySide6.QtCore import Signal

from engine.errors import DatasetProblem, MaskKept
from engine.images.listing import is_image
from engine.masks.files import mask_name, write_mask
from engine.plaintext import one_line
from engine.study.export import ExportStep, export_dataset
from engine.study.mask_files import keeps_masks
from nca_seg_app.background.job_controller import JobController
from nca_seg_app.background.jobs import Jobs
from nca_seg_app.services.context import Context
from nca_seg_app.services.saving import Saving

SUFFIX = ".png"
#: How many samples that an export left out are named in its message.
NAMED = 3
#: The most characters of a name and of a reason in that message.
NAME, REASON = 40, 80
#: Asked before a data set is written. Closing the question counts as no, so that nothing private
#: is copied without a clear yes.
KEEP_METADATA = (
    "Should the copies of the images keep what the files say besides the picture, as place, date, "
    "names and comments? Without it they are the pictures alone, turned upright."
)


class Export(JobController):
    """Exports one mask as a picture, or all saved masks as a data set, beside other jobs."""

    #: A file or folder has been exported; carries its path.
    saved = Signal(object)
    #: `progress` changed.
    progress_changed = Signal()

    def __init__(self, context: Context, saving: Saving) -> None:
        # Jobs of its own, because copying files and segmenting need not wait for each other.
        super().__init__(Jobs(context), context)
        self._context, self._workspace, self._saving = context, context.workspace, saving
        self._folder = Path()
        self._progress = (0, 0)

    @property
    def progress(self) -> tuple[int, int]:
        """(samples written, samples to write) of the newest data set."""
        return self._progress

    def export_mask(self) -> None:
        """Ask the person for a file, and write the open mask to it."""
        mask = self._saving.open_mask
        if mask is None:
            return
        snapshot = mask.document.snapshot()
        chosen = self._context.prompts.ask_path(
            "mask", mask.path.with_name(mask_name(mask.path.stem))
        )
        if chosen is None:
            return
        # Another suffix is not replaced: it may be part of the name, or that of a photograph.
        is_named = chosen.suffix.lower() == SUFFIX
        file = chosen if is_named else chosen.with_name(chosen.name + SUFFIX)
        there = file.resolve()
        # The list of images is not searched, because it may be long and the window waits.
        if there.exists() and there.parent.samefile(mask.study.folder) and is_image(there):
            self._context.fail(MaskKept(file, "it is an image of this study"))
            return
        # The dialog has asked about replacing the chosen file already.
        if (
            file != chosen
            and file.exists()
            and not self._context.prompts.confirm(f"{file.name} exists already. Replace it?")
        ):
            return

        def done(_: object) -> None:
            self._context.message.emit(f"Exported {file.name}")
            self.saved.emit(file)

        def work() -> None:
            # A yes to replacing a file does not cover a mask of a study, which may be reviewed.
            if there.exists() and keeps_masks(there.parent):
                raise MaskKept(file, "it is a mask of a study, which Save writes")
            write_mask(file, snapshot())

        self._context.lane.run(work, done, self._context.fail)

    def export_dataset(self) -> None:
        """Ask the person for a folder, and write the study's saved masks to it as a data set."""
        study = self._workspace.study
        if study is None:
            return
        if self.running:
            self._context.message.emit(
                "A data set is being exported; wait for it or stop it first."
            )
            return
        folder = self._context.prompts.ask_path("dataset", study.folder.with_name("dataset"))
        if folder is None:
            return
        keep_metadata = self._context.prompts.confirm(KEEP_METADATA)
        self._folder = folder

        def stream() -> Iterator[ExportStep]:
            steps = export_dataset(study.saved_samples(), folder, keep_metadata=keep_metadata)
            with closing(steps):  # type: ignore[type-var]
                yield from steps

        self._set_progress(0, 0)
        self._begin(stream)

    def stop(self) -> None:
        """Stop the export; the samples written so far are a data set."""
        if self._job is not None:
            self._job.cancel()

    def may_close(self) -> bool:
        """Whether the window may close; asks the person if an export is under way."""
        return not self.running or self._context.prompts.confirm(
            "A data set is being exported. Stop it? The samples written so far are one."
        )

    def close(self) -> None:
        """Stop, and wait until the samples written so far are a data set."""
        self._jobs.close()

    # Inside

    def _set_progress(self, done: int, total: int) -> None:
        self._progress = done, total
        self.progress_changed.emit()

    def _show(self, step: ExportStep) -> None:
        self._set_progress(step.done, step.total)

    def _complete(self, step: ExportStep | None) -> None:
        count = step.written if step is not None else 0
        noun = "sample" if count == 1 else "samples"
        self._context.message.emit(f"Exported {count} {noun} to {self._folder}")
        self._tell_left_out(step)
        if count:
            self.saved.emit(self._folder)

    def _stopped(self, step: ExportStep | None) -> None:
        count = f"{step.written} of {step.total}" if step is not None else "none"
        self._context.message.emit(
            f"Stopped: {count} of the samples are in {self._folder}, which can be used as it is."
        )
        self._tell_left_out(step)

    def _tell_left_out(self, step: ExportStep | None) -> None:
        """Report as an error, which stays on the screen, which samples were left out and why."""
        if step is None or not step.left_out:
            return
        named = [f"{one_line(x.path.name, NAME)} ({one_line(x.reason, REASON)})"
                 for x in step.left_out[:NAMED]]  # fmt: skip
        more = f" and {len(step.left_out) - NAMED} more" if len(step.left_out) > NAMED else ""
        counts = f"{step.written} of {step.total} samples were written"
        problem = f"{counts}, left out: {', '.join(named)}{more}"
        self._context.fail(DatasetProblem(self._folder, problem))

    def _fail(self, error: BaseException) -> None:
        self._context.fail(error)
