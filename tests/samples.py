"""Small data sets that tests draw themselves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image as PillowImage

from engine.study.dataset import read_dataset
from engine.types import Dataset
from tests.oracles import disk, lesion


def drawn_dataset(folder: Path, count: int = 8, size: int = 32) -> Dataset:
    """Disks of several places and sizes, a quarter of them for validation."""
    root = folder / "drawn"
    (root / "images").mkdir(parents=True)
    (root / "masks").mkdir()
    rows = ["id,split"]
    draws = np.random.default_rng(0)
    for index in range(count):
        row, column, radius = draws.uniform([0.35, 0.35, 0.15], [0.65, 0.65, 0.3])
        mask_hw = disk(size, radius, row, column)
        name = f"drawn_{index}"
        PillowImage.fromarray(lesion(mask_hw, index).pixels_hwc).save(
            root / "images" / f"{name}.png"
        )
        PillowImage.fromarray(mask_hw.astype(np.uint8) * 255).save(
            root / "masks" / f"{name}_segmentation.png"
        )
        rows.append(f"{name},{'val' if index % 4 == 3 else 'train'}")
    (root / "splits.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return read_dataset(root)
