"""Draws the same images by all methods: the outlines of the truth and of each mask."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from engine.errors import UnreadableMask
from engine.images.reading import read_image
from engine.masks.arrays import Mask
from engine.masks.files import mask_name
from engine.masks.outlines import outline
from engine.masks.reading import read_mask
from engine.metrics import dice
from engine.report.plots import GREEN, VERMILION
from engine.report.worst import share, small
from engine.types import Sample


def grid(samples: Sequence[Sample], methods: Sequence[tuple[str, Path]]) -> bytes:
    """A PNG with a row for each image and a column for each method; needs matplotlib.

    Parameters
    ----------
    samples : the images that are shown, with their expert masks.
    methods : name of each method and the folder of its masks (`results.masks_folder`); an image
        whose mask is not there is left empty.

    It holds the photographs: whether it may be passed on depends on their licence. Raises
    UnreadableImage and UnreadableMask for the data's own files.
    """
    from matplotlib.figure import Figure

    drawn = Figure(
        figsize=(1.75 * len(methods) + 0.3, 1.6 * len(samples) + 0.6), layout="constrained"
    )
    rows = drawn.subplots(len(samples), len(methods), squeeze=False)
    for axes, (name, _) in zip(rows[0], methods, strict=True):
        axes.set_title(name, fontsize=8)
    for row, sample in zip(rows, samples, strict=True):
        image = read_image(sample.image_path)
        truth_hw = read_mask(sample.mask_path, (image.height, image.width))
        pixels_hwc = small(image.pixels_hwc)
        row[0].set_ylabel(sample.id, fontsize=7)
        for axes, (_, folder) in zip(row, methods, strict=True):
            axes.set(xticks=[], yticks=[])
            axes.imshow(pixels_hwc, extent=(0, pixels_hwc.shape[1], pixels_hwc.shape[0], 0))
            try:
                mask_hw = read_mask(folder / mask_name(sample.id), truth_hw.shape)
            except UnreadableMask:
                continue
            _line(axes, truth_hw, pixels_hwc.shape[:2], GREEN)
            _line(axes, mask_hw, pixels_hwc.shape[:2], VERMILION)
            axes.set_xlabel(f"Dice {dice(mask_hw, truth_hw):.3f}", fontsize=7)
    stream = io.BytesIO()
    drawn.savefig(stream, format="png", dpi=110, metadata={"Software": ""})
    return stream.getvalue()


def _line(axes: Any, mask_hw: Mask, shape: tuple[int, int], colour: str) -> None:
    for points_rc in outline(share(mask_hw, shape)):
        axes.plot(points_rc[:, 1], points_rc[:, 0], color=colour, linewidth=1.1)
