"""Laws of thumbnails: the same picture as on the canvas, and nothing waits."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from engine.errors import UnreadableImage
from engine.images.reading import read_image
from nca_seg_app.ui.panels.thumbnails import thumbnail_of
from tests.engine.pictures import bytes_of, swapped_profile, written

FLAT = np.full((480, 600, 3), (200, 90, 30), np.uint8)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "TIFF", "WEBP"])
def test_a_thumbnail_has_the_colours_of_the_canvas(tmp_path: Path, kind: str) -> None:
    options = {} if kind == "BMP" else {"icc_profile": swapped_profile()}
    path = written(tmp_path / "a", bytes_of(FLAT, kind, **options))
    image = thumbnail_of(path, 40)
    assert (image.width(), image.height()) == (40, 32)
    colour = image.pixelColor(20, 16)
    seen = np.array([colour.red(), colour.green(), colour.blue()])
    assert np.abs(seen - read_image(path).pixels_hwc[200, 250]).max() <= 3
    assert (seen[1] > seen[0]) == (kind != "BMP")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_thumbnail_of_a_pipe_does_not_wait(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    with pytest.raises(UnreadableImage, match="not a file"):
        thumbnail_of(tmp_path / "pipe.jpg", 40)
