"""An error becomes what happened, what it means for the work, and what to do, in that order."""

from __future__ import annotations

import traceback
from pathlib import Path

from engine.errors import (
    DatasetProblem,
    Diverged,
    EngineError,
    FolderInUse,
    MaskKept,
    NotFinite,
    OutOfMemory,
    StudyProblem,
    TooLarge,
    UnknownArchitecture,
    UnreadableImage,
    UnreadableMask,
    UnreadableModel,
)
from nca_seg_app.settings import UnreadableSettings


def explain(error: BaseException) -> tuple[str, str]:
    """One or two sentences a person can act on, and the copyable details."""
    return sentence(error), details(error)


def details(error: BaseException) -> str:
    """The error as it came, with the place it came from."""
    return "".join(traceback.format_exception(error)).strip()


def sentence(error: BaseException) -> str:
    """What happened, what it means for the work, what to do."""
    match error:
        case UnreadableImage():
            return (
                f"{_name(error.path)} cannot be opened: {_reason(error.reason)}. Nothing else has "
                "changed; check the file or open another one."
            )
        case UnreadableMask():
            return (
                f"The mask {_name(error.path)} cannot be used: {_reason(error.reason)}. It has "
                "been left as it is; move it away to begin a new one."
            )
        case UnreadableModel():
            return (
                f"The model {_name(error.path)} cannot be loaded: {_reason(error.reason)}. Your "
                "masks are not affected; choose another model."
            )
        case FolderInUse():
            return (
                f"The folder {error.path} is in use: {_reason(error.reason)}. Nothing was changed "
                "there; wait until that has ended."
            )
        case TooLarge():
            return (
                f"The model asks for {error.size} × {error.size} cells with {error.updates} "
                f"updates in a step, about {error.memory_gb:.1f} GB for each member: more than is "
                "computed. Your mask is not affected; choose a smaller model."
            )
        case NotFinite():
            return (
                f"The model {error.name} computed numbers that are not finite, so it has no "
                "result. Your mask is not affected; choose another model."
            )
        case Diverged():
            kept = (
                "There is no new model"
                if error.best is None
                else "The best of what it had learned before is kept"
            )
            return (
                f"The training diverged at step {error.step}. {kept}, and your models and masks "
                f"are not affected; try a lower learning rate than {error.learning_rate:.2g}."
            )
        case MaskKept():
            return (
                f"{_name(error.path)} stays as it is: {_reason(error.reason)}. Write the result to "
                "another folder."
            )
        case StudyProblem():
            return (
                f"The folder {error.path} cannot be used: {_reason(error.reason)}. Masks already "
                "saved are not affected; check that you may write there."
            )
        case DatasetProblem():
            return (
                f"{error.path}: {_reason(error.reason)}. No mask of yours was changed; correct "
                "the folder or choose another one."
            )
        case UnknownArchitecture():
            return (
                f"This program does not know the architecture {error.name!r}. Your masks are not "
                "affected; choose another model or update the program."
            )
        case OutOfMemory(batch=1):
            return (
                f"The model on {error.size} × {error.size} cells does not fit into memory. "
                "Your mask is not affected; close other programs or choose a smaller model."
            )
        case OutOfMemory():
            field = "Members" if error.what == "members" else "Batch"
            return (
                f"{error.batch} {error.what} on {error.size} × {error.size} cells do not fit into "
                f"memory together. Your mask is not affected; set {field} to {error.smaller} and "
                "try again."
            )
        case UnreadableSettings():
            return (
                f"The settings could not be read: {_reason(error.reason)}. The defaults are used; "
                f"the old file is kept as {error.kept}."
            )
        case OSError():
            return _file_sentence(error)
        case MemoryError():
            return (
                "There is not enough memory for this. Your mask is not affected; close other "
                "programs and try again."
            )
        case EngineError() | ValueError():
            return f"That did not work: {_reason(str(error))}. Your saved masks are not affected."
    return (
        f"Something unexpected went wrong ({type(error).__name__}). Your saved masks are not "
        "affected; save, and please report the details."
    )


def _file_sentence(error: OSError) -> str:
    where = f"{error.filename}" if error.filename else "A file"
    reason = _reason(error.strerror or str(error))
    return (
        f"{where} could not be read or written: {reason}. What is on the screen is still there; "
        "free the disk or check the permissions, then try again."
    )


def _name(path: Path) -> str:
    return path.name or str(path)


def _reason(reason: str) -> str:
    """The reason as the middle of a sentence."""
    reason = reason.strip().rstrip(".") or "no reason given"
    first = reason.split(maxsplit=1)[0]
    return reason if not first.istitle() else reason[0].lower() + reason[1:]
