"""Tells the size of a pixel on skin, where a file's density can be a measurement of it."""

from __future__ import annotations

from PIL import Image as PillowImage

#: Densities that cameras, screens and editors write without having measured anything.
_CUSTOMARY_DPI = {0, 1, 72, 96, 100, 120, 144, 150, 160, 180, 192, 200, 220, 230, 240, 254, 256}
_CUSTOMARY_DPI |= {300, 314, 350, 360, 400, 480, 500, 600, 720, 1000, 1200, 1440, 2400, 4800}


def spacing_mm(picture: PillowImage.Image) -> float | None:
    """Side of a pixel where the file's density can be a measurement of skin, else None."""
    try:
        across_dpi, down_dpi = (float(dpi) for dpi in picture.info["dpi"])
    except (KeyError, TypeError, ValueError, ArithmeticError):
        return None
    if not (across_dpi > 0 and abs(across_dpi - down_dpi) <= 0.001 * across_dpi):
        return None
    if abs(across_dpi - round(across_dpi)) < 0.02 and round(across_dpi) in _CUSTOMARY_DPI:
        return None
    spacing_mm = 25.4 / across_dpi
    # A close-up shows from a millimetre to a hand's breadth.
    return spacing_mm if 1 <= spacing_mm * max(picture.size) <= 150 else None
