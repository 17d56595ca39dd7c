"""Law: a pipe in the place of a small file is refused, never waited for."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from engine.errors import DatasetProblem, MaskKept
from engine.study.export_folder import prepare
from engine.study.results import expect_replaceable
from engine.types import Image


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes with a name are Unix's")
def test_a_pipe_in_place_of_a_record_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.json")
    with pytest.raises(MaskKept):
        expect_replaceable(tmp_path, "a", Image(np.zeros((4, 4, 3), np.uint8)))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes with a name are Unix's")
def test_a_pipe_in_place_of_an_index_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "splits.csv")
    with pytest.raises(DatasetProblem):
        prepare(tmp_path, ())
