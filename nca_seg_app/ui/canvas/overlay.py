"""Computes what lies over the picture: tint, heat map, outlines and where members disagree."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage
from PySide6.QtGui import QColor, QImage

from engine.framing import Box, Frame
from engine.masks.outlines import outline
from engine.types import EnsembleResult, Float
from nca_seg_app.state.document import Mask
from nca_seg_app.state.guidance import Guidance, painted
from nca_seg_app.state.view_state import Kind
from nca_seg_app.ui.widgets.theme import ANNOTATION

#: An outline (n, 2) of (row, column) in pixel-edge coordinates of the image.
Contour = NDArray[np.float64]
Window = tuple[slice, slice]

#: Grid maps are interpolated to about this many cells a side before contours and colours.
FINE_SIDE = 384
#: The same while a run goes on: the next step moves the border further than these cells are wide.
FORMING_SIDE = 96
#: The same for the members' borders, of which there are many.
MEMBER_SIDE = 128
#: The same for outlines to choose from.
STYLE_SIDE = 192
MOST_BORDERS = 20
#: A contour of fewer points is a dot that keeps them all.
FEWEST_POINTS = 16
#: Pixels looked at for one outline; a coarser raster is taken where there are more.
OUTLINE_PIXELS = 500_000
#: Disagreement (0 to 1) from which a border is a little, more, and very doubtful.
DOUBT_LEVELS = (0.25, 0.5, 0.75)
#: The inferno colour map at nine even places, sRGB.
_INFERNO = np.array(
    [
        (0, 0, 4),
        (31, 12, 72),
        (85, 15, 109),
        (136, 34, 106),
        (186, 54, 85),
        (227, 89, 51),
        (249, 140, 10),
        (249, 201, 50),
        (252, 255, 164),
    ],
    dtype=np.float64,
)


class Tint:
    """Holds the inside of the mask, one bit a pixel, as an image with a colour table."""

    def __init__(self, shape: tuple[int, int]) -> None:
        """The tint of an empty mask of `shape` (height, width)."""
        height, width = shape
        #: Nothing has been tinted yet: there is nothing to paint.
        self.blank = True
        self.image = QImage(width, height, QImage.Format.Format_Mono)
        self.set_opacity(0.0)
        self.image.fill(0)

    def refresh(self, mask_hw: Mask, window: Window) -> None:
        """Take over what the mask has become in a window (rows, columns)."""
        self.blank = False
        rows, columns = window
        # Whole bytes: the window's, and the few columns beside it that share its first and last.
        first, last = columns.start // 8, -(-columns.stop // 8)
        inside_hw = mask_hw[rows, 8 * first : 8 * last]
        bits = np.frombuffer(self.image.bits(), np.uint8).reshape(-1, self.image.bytesPerLine())
        bits[rows, first:last] = np.packbits(inside_hw, axis=1)

    def set_opacity(self, opacity: float) -> None:
        """Tint the inside by a share of the annotation's colour, 0 to 1."""
        colour = QColor(ANNOTATION)
        colour.setAlphaF(opacity)
        self.image.setColorTable([0, colour.rgba()])


def heat_image(map_hw: Float, kind: Kind, side: int = FINE_SIDE) -> QImage:
    """A map in inferno colours, more transparent where there is less; smooth enough to magnify.

    `side` is how many cells it is interpolated to. "variance" is shown as disagreement. "noisy"
    and "channel" are stretched between their extremes, but for the most extreme hundredth.
    """
    if kind == "colours":
        bands = [_finer(map_hw[..., band], side) for band in range(3)]
        return _painted(255 * np.stack(bands, axis=-1), np.full(bands[0].shape, 0.88))
    if kind == "variance":
        share_hw, opacity_hw = _share_and_opacity(disagreement_of(_finer(map_hw, side)), 2.5)
    elif kind == "probability":
        share_hw, opacity_hw = _share_and_opacity(_finer(map_hw, side), 1.5)
    else:
        low, high = np.percentile(map_hw, (0.5, 99.5))
        share_hw = np.clip((_finer(map_hw, side) - low) / max(float(high - low), 1e-6), 0, 1)
        opacity_hw = np.full(share_hw.shape, 0.88)
    places = np.linspace(0, 1, len(_INFERNO))
    table = np.stack(
        [np.interp(np.linspace(0, 1, 256), places, band) for band in _INFERNO.T], axis=1
    )
    return _painted(table[(share_hw * 255).astype(np.uint8)], opacity_hw)


def _painted(rgb_hwc: NDArray[np.floating], opacity_hw: NDArray[np.floating]) -> QImage:
    """Colours of 0 to 255 with their opacity, 0 to 1."""
    rows, columns = opacity_hw.shape
    bgra_hwc = np.empty((rows, columns, 4), np.uint8)
    # Premultiplied, so that smooth scaling does not drag dark fringes in.
    colour_hwc = rgb_hwc * opacity_hw[..., None]
    bgra_hwc[..., :3] = colour_hwc[..., ::-1] + 0.5
    bgra_hwc[..., 3] = opacity_hw * 255 + 0.5
    image = QImage(
        bgra_hwc.data, columns, rows, 4 * columns, QImage.Format.Format_ARGB32_Premultiplied
    )
    return image.copy()


def disagreement_of(variance_hw: Float) -> Float:
    """The members' disagreement, twice their standard deviation: 1 where half say yes, half no."""
    return np.asarray(2 * np.sqrt(np.clip(variance_hw, 0, 0.25)), dtype=np.float32)


def annotation_contours(mask_hw: Mask, window: Window) -> list[Contour]:
    """The mask's outline within a window (rows, columns), at a raster that bounds the work.

    Where the mask goes on beyond the window, it is closed along the window's border.
    """
    rows, columns = window
    area = max(0, rows.stop - rows.start) * max(0, columns.stop - columns.start)
    step = max(1, int(np.ceil((area / OUTLINE_PIXELS) ** 0.5)))
    sampled_hw = mask_hw[rows, columns][step // 2 :: step, step // 2 :: step]
    corner_rc = np.array([rows.start, columns.start])
    return [contour_rc * step + corner_rc for contour_rc in outline(sampled_hw)]


@dataclass(frozen=True, eq=False)
class ProposalOverlay:
    """The border a model proposes, and at each of its points the members' disagreement (0 to 1).

    `sharpness` is the share of its diffusion steps that the first batch has taken.
    """

    contours: tuple[Contour, ...]
    disagreements: tuple[Float, ...]
    sharpness: float = 1.0

    def joined(self, other: ProposalOverlay) -> ProposalOverlay:
        """The borders of both."""
        return ProposalOverlay(
            self.contours + other.contours,
            self.disagreements + other.disagreements,
            self.sharpness,
        )

    def doubtful_stretches(self) -> list[list[Contour]]:
        """For each of DOUBT_LEVELS the stretches of border at least that doubtful."""
        found: list[list[Contour]] = []
        for level in DOUBT_LEVELS:
            stretches: list[Contour] = []
            for contour_rc, disagreement in zip(self.contours, self.disagreements, strict=True):
                stretches += [contour_rc[part] for part in _runs(disagreement >= level)]
            found.append(stretches)
        return found

    def doubtful_places(self, apart_px: float) -> list[tuple[float, float]]:
        """(row, column) of the most doubtful point of each doubtful stretch, along the border.

        Of several within `apart_px` the first stands for all.
        """
        highest = max((float(each.max()) for each in self.disagreements if each.size), default=0.0)
        level = max(0.3, 0.7 * highest)
        places: list[tuple[float, float]] = []
        for contour_rc, disagreement in zip(self.contours, self.disagreements, strict=True):
            for part in _runs(disagreement >= level):
                peak = part.start + int(np.argmax(disagreement[part]))
                row, column = (float(each) for each in contour_rc[peak])
                if all(np.hypot(row - r, column - c) > apart_px for r, c in places):
                    places.append((row, column))
        return places


def proposal_of(
    map_hw: Float,
    variance_hw: Float,
    threshold: float,
    frame: Frame,
    guidance: Guidance,
    sharpness: float,
    side: int = FINE_SIDE,
) -> ProposalOverlay:
    """The border of a probability map on the grid of `frame`, in the image.

    Parameters
    ----------
    map_hw, variance_hw : (rows, columns), the members' mean and variance.
    threshold : what is at least as probable is inside.
    frame : how the grid lies over the image; outside of its box there is nothing.
    guidance : its strokes are inside, or outside, whatever the map says.
    sharpness : as of the overlay.
    side : how many cells the map is interpolated to.
    """
    fine_hw, disagreement_hw = _finer(map_hw, side), _finer(disagreement_of(variance_hw), side)
    rows, columns = fine_hw.shape
    crop = frame.crop
    if guidance.strokes:
        hint_hw = painted(guidance.cropped(crop, (rows, columns)), (rows, columns))
        fine_hw = np.where(hint_hw == 0, fine_hw, hint_hw > 0).astype(np.float32)
    fine_hw = _in_box(fine_hw, frame)
    contours, disagreements = [], []
    for contour_rc in map(_thinned, outline(fine_hw, threshold)):
        cells = np.floor(contour_rc * (np.array(disagreement_hw.shape) / (rows, columns))).astype(
            int
        )
        cells = np.clip(cells, 0, np.array(disagreement_hw.shape) - 1)
        # Along the image's own edge there is no border that could be doubted.
        inside = (contour_rc > 0).all(axis=1) & (contour_rc < (rows, columns)).all(axis=1)
        disagreements.append(disagreement_hw[cells[:, 0], cells[:, 1]] * inside)
        contours.append(_in_image(contour_rc, (rows, columns), crop))
    return ProposalOverlay(tuple(contours), tuple(disagreements), sharpness)


def outline_of(
    result: EnsembleResult, threshold: float, guidance: Guidance, side: int
) -> ProposalOverlay:
    """The border of an ensemble's result, as `proposal_of` draws it."""
    return proposal_of(
        result.mean_hw,
        result.variance_hw,
        threshold,
        result.frame,
        guidance,
        sharpness_of(result),
        side,
    )


def nearest(
    contours: Sequence[Sequence[Contour]], place: tuple[float, float], within_px: float
) -> int | None:
    """Which of several outlines passes nearest to a place (row, column) in the image.

    None where none is as near as `within_px`.
    """
    distances = [
        min((float(np.hypot(*(each - place).T).min()) for each in outline), default=math.inf)
        for outline in contours
    ]
    place_of = int(np.argmin(distances)) if distances else -1
    return place_of if distances and distances[place_of] <= within_px else None


def borders_of(result: EnsembleResult, threshold: float) -> list[Contour]:
    """The borders of all members in the image; of many some."""
    borders: list[Contour] = []
    stride = math.ceil(len(result.members_nhw) / MOST_BORDERS)
    coarse = max(1, max(result.frame.grid_shape) // MEMBER_SIDE)
    for member_hw in result.members_nhw[::stride]:
        picture = PillowImage.fromarray(np.ascontiguousarray(member_hw)).reduce(coarse)
        fine_hw = _in_box(_finer(np.asarray(picture), MEMBER_SIDE), result.frame)
        found = map(_thinned, outline(fine_hw, threshold))
        borders += [_in_image(each, fine_hw.shape, result.frame.crop) for each in found]
    return borders


def _in_box(fine_hw: Float, frame: Frame) -> Float:
    """A map on a grid over the frame's crop, with nothing outside its box."""
    if frame.box is None:
        return fine_hw
    crop, box = frame.crop, frame.box
    high, wide = fine_hw.shape[0] / crop.height, fine_hw.shape[1] / crop.width
    rows = slice(
        round((box.top - crop.top) * high), round((box.top + box.height - crop.top) * high)
    )
    columns = slice(
        round((box.left - crop.left) * wide), round((box.left + box.width - crop.left) * wide)
    )
    inside_hw = np.zeros_like(fine_hw)
    inside_hw[rows, columns] = fine_hw[rows, columns]
    return inside_hw


def _in_image(contour_rc: Contour, shape: tuple[int, ...], crop: Box) -> Contour:
    """A contour on a grid of `shape` (rows, columns) over a part of the image, in the image."""
    pixels = crop.height / shape[0], crop.width / shape[1]
    return np.asarray(contour_rc * pixels + (crop.top, crop.left))


def sharpness_of(result: EnsembleResult) -> float:
    """How far the first guess has become an answer, 0 to 1."""
    return 1.0 if result.finished else result.step.done / max(1, result.step.total)


def value_at(map_hw: Float, share: tuple[float, float]) -> float:
    """The map's value in the cell at a place given as shares (of the rows, of the columns)."""
    rows, columns = map_hw.shape
    row, column = min(int(share[0] * rows), rows - 1), min(int(share[1] * columns), columns - 1)
    return float(map_hw[row, column])


def _thinned(contour_rc: Contour) -> Contour:
    """Every other point, and the last: seen it is the same, and painted in half the time."""
    if len(contour_rc) < FEWEST_POINTS:
        return contour_rc
    return np.concatenate([contour_rc[:-1:2], contour_rc[-1:]])


def _finer(map_hw: Float, side: int) -> Float:
    """The map, interpolated to about `side` cells where it has fewer."""
    rows, columns = map_hw.shape
    factor = max(1, round(side / max(rows, columns)))
    picture = PillowImage.fromarray(np.ascontiguousarray(map_hw, dtype=np.float32))
    # The same interpolation as of an accepted mask, so that accepting moves no border.
    finer = picture.resize((columns * factor, rows * factor), PillowImage.Resampling.BILINEAR)
    return np.asarray(finer, dtype=np.float32)


def _share_and_opacity(share_hw: Float, gain: float) -> tuple[Float, Float]:
    share_hw = np.clip(share_hw, 0, 1)
    return share_hw, np.minimum(share_hw * gain, 1) * 0.85


def _runs(true_n: NDArray[np.bool_]) -> Sequence[slice]:
    """The unbroken runs of True that have at least two places."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], true_n, [False]]).astype(np.int8)))
    return [slice(a, b) for a, b in zip(edges[::2], edges[1::2], strict=True) if b - a > 1]
