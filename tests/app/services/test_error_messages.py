"""Law: every error the engine foresees becomes a sentence that names the thing and a way on."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine import errors
from engine.plaintext import SENTENCE
from nca_seg_app.services.error_messages import explain
from nca_seg_app.state.settings import UnreadableSettings

PATH = Path("/images/ä lesion.png")


@pytest.mark.parametrize(
    ("error", "named"),
    [
        (errors.UnreadableImage(PATH, "Truncated file."), "truncated file"),
        (errors.UnreadableMask(PATH, "4×4, not 8×8"), "ä lesion.png"),
        (errors.UnreadableModel(PATH, "JPEG inside"), "JPEG inside"),
        (errors.DatasetProblem(PATH, "names no samples"), "names no samples"),
        (errors.StudyProblem(PATH, "is not a folder"), "is not a folder"),
        (errors.UnknownArchitecture("unet", ["multi"]), "'unet'"),
        (errors.OutOfMemory(8, 256, "members"), "Members to 4"),
        (errors.OutOfMemory(1, 512, "members"), "512 × 512 cells"),
        (errors.NotTrainable("mine"), "mine cannot be trained"),
        (errors.NotRun("mine", "Onnxruntime says no"), "could not be run: onnxruntime says no"),
        (UnreadableSettings(PATH, "bad", Path("/kept.json")), "kept.json"),
        (PermissionError(13, "Permission denied", str(PATH)), "permission denied"),
        (MemoryError(), "memory"),
        (ValueError("CUDA cannot be used"), "CUDA"),
        (KeyError("x"), "KeyError"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_an_error_is_named_and_has_a_way_on(error: Exception, named: str) -> None:
    sentence, details = explain(error)
    assert named in sentence
    assert sentence.endswith(".")
    assert ".." not in sentence
    assert sentence.count(".") <= 5
    assert type(error).__name__ in details


def test_details_say_where_it_happened() -> None:
    try:
        raise ValueError("here")
    except ValueError as error:
        _, details = explain(error)
    assert "test_details_say_where_it_happened" in details


NASTY = "<b>a\u202eb</b>\x1b[31mc\nd\udcff"


@pytest.mark.parametrize(
    "error",
    [
        errors.UnreadableImage(f"/{NASTY}/{'x' * 5000}.png", NASTY + "y" * 5000),
        errors.UnreadableMask(f"/{'x' * 5000}.png", NASTY),
        errors.UnreadableModel(NASTY, "y" * 5000),
        errors.DatasetProblem(f"/{'x' * 5000}", "y" * 5000),
        errors.StudyProblem(f"/{'x' * 5000}", "y" * 5000),
        errors.MaskKept(f"/{'x' * 5000}", "y" * 5000),
        errors.UnknownArchitecture(NASTY * 500, [NASTY]),
        errors.NotTrainable(NASTY * 500),
        errors.NotRun(NASTY * 500, NASTY + "y" * 5000),
        UnreadableSettings(PATH, "y" * 5000, Path("/" + "x" * 5000)),
        OSError(13, NASTY * 500, f"/{'x' * 5000}"),
        OSError(13, "Permission denied", b"/\xff\x1b.png"),
        ValueError(NASTY * 500),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_sentence_is_a_bounded_line_that_keeps_the_way_on(error: Exception) -> None:
    told = explain(error)[0]
    assert len(told) <= SENTENCE
    assert told.isprintable()
    whole = explain(type(error)(*SHORT.get(type(error), ("x",))))[0]
    # What to do is the last sentence, and is not cut.
    assert told.rsplit(". ", 1)[-1][-40:] == whole.rsplit(". ", 1)[-1][-40:] or "kept as" in told


#: Errors of the same kinds about something short.
SHORT: dict[type, tuple[object, ...]] = {
    errors.UnreadableImage: ("/a", "b"),
    errors.UnreadableMask: ("/a", "b"),
    errors.UnreadableModel: ("/a", "b"),
    errors.DatasetProblem: ("/a", "b"),
    errors.StudyProblem: ("/a", "b"),
    errors.NotRun: ("a", "b"),
    errors.MaskKept: ("/a", "b"),
    errors.UnknownArchitecture: ("a", ["b"]),
    UnreadableSettings: (PATH, "b", PATH),
    PermissionError: (13, "b", "/a"),
}
