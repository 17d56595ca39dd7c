"""Data set folders to read, whose pictures are never looked at."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path


def make_folder(root: Path, ids: Iterable[str], splits: str = "") -> Path:
    """A data set folder whose pictures are not even pictures: reading must not open them."""
    (root / "images").mkdir(parents=True)
    (root / "masks").mkdir()
    for name in ids:
        (root / "images" / f"{name}.jpg").write_bytes(f"picture {name}".encode())
        (root / "masks" / f"{name}_segmentation.png").write_bytes(f"mask {name}".encode())
    if splits:
        (root / "splits.csv").write_text("id,split\n" + splits)
    return root
