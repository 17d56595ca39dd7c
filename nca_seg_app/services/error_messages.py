"""Writes the sentences that tell a person about errors.

Each says what happened, what it means for the person's work, and what to do, in that order.
"""

from __future__ import annotations

import traceback

from engine.errors import (
    ChangedOutside,
    DatasetProblem,
    Diverged,
    EngineError,
    FolderInUse,
    MaskKept,
    MissingExtra,
    NotFinite,
    NotRun,
    NotTrainable,
    OutOfMemory,
    StudyProblem,
    StyleNotKnown,
    TooLarge,
    UnknownArchitecture,
    UnreadableImage,
    UnreadableMask,
    UnreadableModel,
    Vanished,
)
from engine.plaintext import (
    NAME,
    fitting,
    one_line,
    shown_file,
    shown_name,
    shown_path,
    shown_reason,
)
from nca_seg_app.state.settings import UnreadableSettings


def explain(error: BaseException) -> tuple[str, str]:
    """What to tell the person about an error: a `sentence`, and `details` to copy."""
    return sentence(error), details(error)


def details(error: BaseException) -> str:
    """The error with its traceback."""
    return "".join(traceback.format_exception(error)).strip()


def sentence(error: BaseException) -> str:
    """An error in words as one line of plain text, of at most `plaintext.SENTENCE` characters."""
    return fitting(lambda path, reason: _sentence(error, path, reason))


def _sentence(error: BaseException, most_path: int, most: int) -> str:
    path = getattr(error, "path", "")
    name, place = shown_name(path), shown_path(path, most_path)
    why = _middle(getattr(error, "reason", ""), most)
    match error:
        case UnreadableImage():
            return (
                f"{name} cannot be opened: {why}. Nothing else has changed; check the file or "
                "open another one."
            )
        case UnreadableMask():
            return (
                f"The mask {name} cannot be used: {why}. It has been left as it is; move it away "
                "to begin a new one."
            )
        case UnreadableModel():
            return (
                f"The model {name} cannot be loaded: {why}. Your masks are not affected; choose "
                "another model."
            )
        case FolderInUse():
            return (
                f"The folder {place} is in use: {why}. Nothing was changed there; wait "
                "until that has ended."
            )
        case TooLarge():
            return (
                f"The model asks for {error.size} × {error.size} cells with {error.updates} "
                f"updates in a step, about {error.memory_gb:.1f} GB for each member: more than is "
                "computed. Your mask is not affected; choose a smaller model."
            )
        case MissingExtra():
            return (
                f"The model {one_line(error.name, NAME)} needs packages that are not installed: "
                f"pip install 'nca-seg[{error.extra}]' brings them. Or choose another model."
            )
        case NotTrainable():
            return (
                f"{one_line(error.name, NAME)} cannot be trained: a network from an ONNX file is "
                "run as it is. Your masks are not affected; choose another model to fine-tune."
            )
        case NotRun():
            return (
                f"The model {one_line(error.name, NAME)} could not be run: {why}. Your mask is not "
                "affected; choose another model."
            )
        case NotFinite():
            return (
                f"The model {one_line(error.name, NAME)} computed numbers that are not finite, so "
                "it has no result. Your mask is not affected; choose another model."
            )
        case StyleNotKnown():
            return (
                f"The model {one_line(error.name, NAME)} was not trained to draw in another style "
                "or width. Your mask is not affected; choose the usual style or another model."
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
            return f"{name} stays as it is: {why}. Write the result to another folder."
        case ChangedOutside():
            return (
                f"Nothing was saved: {name} was changed by another window or program. What you "
                "drew is kept; open the image to choose whose mask holds."
            )
        case Vanished():
            return (
                f"{place}: {why}. What you drew is kept in this window; bring it back, or save the "
                "mask elsewhere with Export Mask."
            )
        case StudyProblem():
            return (
                f"The folder {place} cannot be used: {why}. Masks already saved are not affected; "
                "check that you may write there."
            )
        case DatasetProblem():
            return (
                f"{place}: {why}. No mask of yours was changed; correct the folder or choose "
                "another one."
            )
        case UnknownArchitecture():
            return (
                f"This program does not know the architecture {one_line(repr(error.name), NAME)}. "
                "Your masks are not affected; choose another model or update the program."
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
                f"The settings could not be read: {why}. The defaults are used; "
                f"the old file is kept as {shown_path(error.kept, most_path)}."
            )
        case OSError():
            return _file_sentence(error, most_path, most)
        case MemoryError():
            return (
                "There is not enough memory for this. Your mask is not affected; close other "
                "programs and try again."
            )
        case EngineError() | ValueError():
            return f"That did not work: {_middle(error, most)}. Your saved masks are not affected."
    return (
        f"Something unexpected went wrong ({type(error).__name__}). Your saved masks are not "
        "affected; save, and please report the details."
    )


def _file_sentence(error: OSError, most_path: int, most: int) -> str:
    return (
        f"{shown_file(error, most_path)} could not be read or written: "
        f"{_middle(error.strerror or error, most)}. What is on the screen is still there; "
        "free the disk or check the permissions, then try again."
    )


def _middle(reason: object, most: int) -> str:
    """A reason as it stands in the middle of a sentence: without a capital and a full stop."""
    shown = shown_reason(reason, most)
    first = shown.split(maxsplit=1)[0]
    return shown if not first.istitle() else shown[0].lower() + shown[1:]
