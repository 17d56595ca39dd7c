"""Law: every error the engine foresees becomes a sentence that names the thing and a way on."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine import errors
from nca_seg_app.notify import explain
from nca_seg_app.settings import UnreadableSettings

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
