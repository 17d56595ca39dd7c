"""Law: one table says which formats are read; an entry in it is all that a further one needs."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage

from engine.errors import UnreadableImage
from engine.images import formats
from engine.images.formats import FORMATS, ImageFormat, format_of
from engine.images.reading import read_image

PIXELS = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
SGI = ImageFormat("SGI", "SGI", rb"\x01\xda", (".sgi",))


@pytest.mark.parametrize("kind", FORMATS, ids=lambda kind: kind.name)
def test_a_file_is_known_by_how_it_begins(kind: ImageFormat, tmp_path: Path) -> None:
    path = tmp_path / f"a{kind.suffixes[0]}"
    PillowImage.fromarray(PIXELS).save(path, kind.name)
    assert format_of(path.read_bytes()[:512]) is kind
    assert read_image(path).pixels_hwc.shape == PIXELS.shape


def test_no_suffix_has_two_formats() -> None:
    for one, other in combinations(FORMATS, 2):
        assert not set(one.suffixes) & set(other.suffixes)


def test_a_format_that_is_added_to_the_table_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.sgi"
    PillowImage.fromarray(PIXELS).save(path)
    with pytest.raises(UnreadableImage, match="not a JPEG"):
        read_image(path)
    monkeypatch.setattr(formats, "FORMATS", (*FORMATS, SGI))
    assert np.array_equal(read_image(path).pixels_hwc, PIXELS)
