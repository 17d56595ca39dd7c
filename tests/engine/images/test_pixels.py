"""Law: large pictures come over whole, and their previews are the same picture in small."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage

from engine.images import pixels
from engine.images.preview import read_preview
from engine.images.reading import read_image


def gradient(width: int, height: int) -> PillowImage.Image:
    rows, columns = np.mgrid[0:height, 0:width]
    bands = (255 * rows / height, 255 * columns / width, 255 * (rows + columns) % 256)
    return PillowImage.fromarray(np.stack(bands, axis=2).astype(np.uint8))


@pytest.mark.parametrize("size", [(101, 67), (7, 1000), (1000, 1)])
def test_strips_are_the_whole(monkeypatch: pytest.MonkeyPatch, size: tuple[int, int]) -> None:
    picture = gradient(*size)
    monkeypatch.setattr(pixels, "_LARGE", 1)
    monkeypatch.setattr(pixels, "_STRIP", 1500)
    assert np.array_equal(pixels.as_array(picture), np.asarray(picture))


def test_a_preview_is_the_picture_in_small_and_upright(tmp_path: Path) -> None:
    path = tmp_path / "large.jpg"
    exif = PillowImage.Exif()
    exif[0x0112] = 6
    gradient(640, 480).save(path, quality=95, exif=exif)
    small, whole = read_preview(path, 60), read_image(path).pixels_hwc
    assert small is not None
    assert whole.shape == (640, 480, 3)
    assert small.shape == (80, 60, 3)
    expected = np.asarray(PillowImage.fromarray(whole).resize((60, 80), PillowImage.Resampling.BOX))
    # The third band is a saw that small pictures smooth in their own ways.
    assert np.abs(small.astype(int) - expected)[..., :2].max() < 12


def test_small_progressive_foreign_and_damaged_files_have_no_preview(tmp_path: Path) -> None:
    gradient(100, 100).save(tmp_path / "small.jpg")
    gradient(640, 480).save(tmp_path / "progressive.jpg", progressive=True)
    gradient(640, 480).save(tmp_path / "other.png")
    (tmp_path / "damaged.jpg").write_bytes(b"\xff\xd8\xff\xe0damaged")
    for name in ("small.jpg", "progressive.jpg", "other.png", "damaged.jpg", "missing.jpg"):
        assert read_preview(tmp_path / name, 60) is None


def test_a_pipe_does_not_block(tmp_path: Path) -> None:
    if not hasattr(os, "mkfifo"):
        pytest.skip("this system has no named pipes")
    os.mkfifo(tmp_path / "pipe.jpg")
    assert read_preview(tmp_path / "pipe.jpg") is None
