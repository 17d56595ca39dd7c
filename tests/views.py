"""Draws a picture of what a training is shown: each sample as it is, then framed and placed views.

    python -m tests.views docs/views.png
    python -m tests.views OUT.png --data FOLDER [--size 48] [--samples 6]

Without a data set it takes the project's sample images, and two whose lesions are cut by the edge.
Masks are outlined in green.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

from engine.study.dataset import read_dataset
from engine.training import augmentation
from engine.training.batches import BatchSource
from engine.types import Sample, TrainSettings, evenly
from resources.samples.generate import RECIPES, make
from tests.oracles import tiny_spec
from tests.sources import PROJECT

DETAIL, VIEWS, GAP = 4, 3, 4
OUTLINE_RGB = 0, 255, 0
#: Where the lesions lie that the picture's edge cuts: rows and columns of their middles.
AT_THE_EDGE = (60, 512), (640, 940)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.views", description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--size", type=int, default=24)
    parser.add_argument("--samples", type=int, default=6)
    asked = parser.parse_args()
    with TemporaryDirectory() as folder:
        samples = own_samples(Path(folder))
        if asked.data is not None:
            samples = evenly(read_dataset(asked.data).split("train"), asked.samples)
        rows = [row(sample, asked.size) for sample in samples]
    PillowImage.fromarray(stacked(rows)).save(asked.out, optimize=True)


def own_samples(folder: Path) -> Sequence[Sample]:
    """The project's sample images, and two of the same kind with a lesion at the edge."""
    shown = PROJECT / "resources" / "samples"
    found = [
        Sample(path.stem, path, shown / "masks" / f"{path.stem}_segmentation.png", "train")
        for path in sorted(shown.glob("*.jpg"))
    ]
    for recipe, centre_rc in zip(RECIPES, AT_THE_EDGE, strict=False):
        pixels_hwc, mask_hw = make(replace(recipe, centre_rc=centre_rc))
        image_path, mask_path = (folder / f"{recipe.stem}{kind}.png" for kind in ("", "_mask"))
        PillowImage.fromarray(pixels_hwc).save(image_path)
        PillowImage.fromarray(mask_hw.astype(np.uint8) * np.uint8(255)).save(mask_path)
        found.append(Sample(recipe.stem, image_path, mask_path, "train"))
    return found


def row(sample: Sample, size: int) -> NDArray[np.uint8]:
    """The sample as inference sees it, `VIEWS` framed views and as many placed ones."""
    plain = TrainSettings(batch_size=1, size=size, augment=False)
    tiles = list(views(sample, plain))
    varied = replace(plain, batch_size=VIEWS, augment=True)
    usual = augmentation.FRAMED
    try:
        for framed in (1.0, 0.0):
            augmentation.FRAMED = framed
            tiles.extend(views(sample, varied))
    finally:
        augmentation.FRAMED = usual
    return beside(tiles)


def views(sample: Sample, settings: TrainSettings) -> Iterator[NDArray[np.uint8]]:
    """Views of a sample, uint8 (rows, columns, 3), with the outlines of their masks."""
    spec = tiny_spec(channels=64, detail=DETAIL)
    seed = sum(sample.id.encode())
    batch = BatchSource([sample], spec, replace(settings, seed=seed)).draw(0)
    for image_3hw, share_1hw in zip(batch.image_n3hw, batch.share_n1hw, strict=True):
        pixels_hwc = (image_3hw.permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)
        mask_hw = np.kron(share_1hw[0].numpy() >= 0.5, np.ones((DETAIL, DETAIL), bool))
        inner_hw = np.pad(mask_hw, 1)
        inner_hw = (
            inner_hw[:-2, 1:-1] & inner_hw[2:, 1:-1] & inner_hw[1:-1, :-2] & inner_hw[1:-1, 2:]
        )
        pixels_hwc[mask_hw & ~inner_hw] = OUTLINE_RGB
        yield pixels_hwc


def beside(tiles: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Pictures side by side on white."""
    height = max(len(tile) for tile in tiles)
    return np.concatenate([padded(tile, height - len(tile), GAP) for tile in tiles], axis=1)


def stacked(rows: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Pictures one below the other on white."""
    width = max(each.shape[1] for each in rows)
    return np.concatenate([padded(each, GAP, width - each.shape[1]) for each in rows])


def padded(picture_hwc: NDArray[np.uint8], below: int, right: int) -> NDArray[np.uint8]:
    return np.pad(picture_hwc, ((0, below), (0, right), (0, 0)), constant_values=255)


if __name__ == "__main__":
    main()
