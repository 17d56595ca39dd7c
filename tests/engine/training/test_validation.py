"""Pictures that are validated together have the scores they have alone."""

from __future__ import annotations

import numpy as np
import pytest

from engine.training.validation import scores, together
from tests.oracles import disk, lesion, lively_model


def references() -> list[tuple[np.ndarray, np.ndarray]]:  # type: ignore[type-arg]
    found = []
    for number, radius in enumerate((0.1, 0.2, 0.3, 0.4)):
        mask_hw = disk(16, radius)[: 12 if number % 2 else 16]
        pixels = lesion(mask_hw, seed=number).pixels_hwc.transpose(2, 0, 1) / np.float32(255)
        found.append((pixels.astype(np.float32), mask_hw))
    return found


def test_pictures_are_scored_together_as_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    model, asked = lively_model(), references()
    alone = [score for each in asked for score in together(model, [each])]
    assert len(set(alone)) > 1
    assert scores(model, asked) == alone
    # Those of one grid, in one call.
    assert [*together(model, asked[::2]), *together(model, asked[1::2])] == pytest.approx(
        alone[::2] + alone[1::2], abs=0.02
    )
