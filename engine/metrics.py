"""Scores of masks against masks: Dice, IoU, distance of outlines, agreement of several masks.

Each function states its range and what it gives for empty masks. The module knows no model,
ensemble or setting, so every other module may use it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
Numbers = NDArray[np.float64]

#: ISIC 2018 counts an image as failed where its IoU is below this.
JACCARD_THRESHOLD = 0.65
#: How far apart outlines may be that still agree, in shares of the image's diagonal: the tolerance
#: of the boundary F1 score of Csurka et al. 2013 (and of MATLAB's bfscore), 0.75 %.
SURFACE_TOLERANCE = 0.0075
#: Pixels that enter one matrix product: bounds its memory, and float32 counts them exactly.
_BLOCK = 2**18
#: From one outline pixel in this many pixels on, a distance transform is faster than a tree.
_DENSE = 16


# Two masks


def dice(mask_hw: Mask, truth_hw: Mask) -> float:
    """Twice the shared area over the sum of both areas, in [0, 1].

    Two empty masks agree fully: 1. One empty mask: 0. The masks are bool (height, width) of one
    shape, else ValueError.
    """
    return overlap(mask_hw, truth_hw).dice


def iou(mask_hw: Mask, truth_hw: Mask) -> float:
    """The shared area over the area of either, in [0, 1]; conventions as in `dice`."""
    return overlap(mask_hw, truth_hw).iou


@dataclass(frozen=True)
class Overlap:
    """Pixels that a mask shares with the truth, and the pixels of each.

    The sum of the overlaps of several images counts their pixels as if they were one image: its
    `dice` and `iou` are the pooled ones. An image of more pixels weighs more there, and a larger
    lesion too; `pooled.iou` is always `pooled.dice / (2 - pooled.dice)`.
    """

    shared_px: int = 0
    mask_px: int = 0
    truth_px: int = 0

    def __add__(self, other: Overlap) -> Overlap:
        return Overlap(
            self.shared_px + other.shared_px,
            self.mask_px + other.mask_px,
            self.truth_px + other.truth_px,
        )

    @property
    def areas_px(self) -> int:
        """The sum of both areas, by which this image's Dice weighs in the pooled one."""
        return self.mask_px + self.truth_px

    @property
    def union_px(self) -> int:
        """The pixels in either, by which this image's IoU weighs in the pooled one."""
        return self.areas_px - self.shared_px

    @property
    def dice(self) -> float:
        """As `engine.metrics.dice`: 1 where both are empty."""
        return 2 * self.shared_px / self.areas_px if self.areas_px else 1.0

    @property
    def iou(self) -> float:
        """As `engine.metrics.iou`: 1 where both are empty."""
        return self.shared_px / self.union_px if self.union_px else 1.0


def overlap(mask_hw: Mask, truth_hw: Mask) -> Overlap:
    """Count the pixels that a mask and the truth share; masks as in `dice`."""
    _check_pair(mask_hw, truth_hw)
    return Overlap(*(int(np.count_nonzero(x)) for x in (mask_hw & truth_hw, mask_hw, truth_hw)))


def threshold_jaccard(mask_hw: Mask, truth_hw: Mask) -> float:
    """The IoU, or 0 where it is below 0.65: the ranking score of ISIC 2018."""
    found = iou(mask_hw, truth_hw)
    return found if found >= JACCARD_THRESHOLD else 0.0


def sensitivity(mask_hw: Mask, truth_hw: Mask) -> float:
    """Share of the truth's pixels that the mask holds too, in [0, 1]; masks as in `dice`.

    An empty truth has no pixel to miss: 1, as ISIC's scoring has it.
    """
    pixels = overlap(mask_hw, truth_hw)
    return pixels.shared_px / pixels.truth_px if pixels.truth_px else 1.0


def specificity(mask_hw: Mask, truth_hw: Mask) -> float:
    """Share of the pixels outside the truth that the mask leaves out too, in [0, 1].

    A truth that fills the image leaves nothing out: 1, as ISIC's scoring has it. Masks as in
    `dice`. It grows with the skin around a lesion: no score to compare data sets by.
    """
    pixels = overlap(mask_hw, truth_hw)
    outside = truth_hw.size - pixels.truth_px
    return (truth_hw.size - pixels.union_px) / outside if outside else 1.0


def hd95_px(mask_hw: Mask, truth_hw: Mask) -> float:
    """95th percentile of the symmetric Hausdorff distance between two outlines, in pixels.

    An outline is the mask's own pixels that touch, by a side, what is not in the mask; beyond the
    image's edge nothing is. From every pixel of one outline the distance to the nearest pixel of
    the other is taken, then the (linearly interpolated) 95th percentile of these distances; the
    greater of both directions is the score. This is MONAI's definition; tools that take one
    percentile over both directions together give less.

    Two empty masks: 0. Exactly one empty: the image's diagonal, which no two outlines reach.
    Masks as in `dice`.
    """
    _check_pair(mask_hw, truth_hw)
    if not mask_hw.any() or not truth_hw.any():
        return math.hypot(*mask_hw.shape) if mask_hw.any() or truth_hw.any() else 0.0
    there_px, back_px = _outline_distances_px(mask_hw, truth_hw)
    return float(max(np.percentile(there_px, 95), np.percentile(back_px, 95)))


def hd95_share(mask_hw: Mask, truth_hw: Mask) -> float:
    """`hd95_px` in shares of the image's diagonal, in [0, 1]: comparable between image sizes."""
    distance_px = hd95_px(mask_hw, truth_hw)
    return distance_px / math.hypot(*mask_hw.shape) if distance_px else 0.0


def surface_dice(mask_hw: Mask, truth_hw: Mask, tolerance: float = SURFACE_TOLERANCE) -> float:
    """Normalised surface Dice: the share of both outlines that is near the other one, in [0, 1].

    Of all pixels of the two outlines together, those whose distance to the nearest pixel of the
    other outline is at most the tolerance (Nikolov et al. 2018, counted in pixels of outlines as
    MONAI does without subvoxels). It knows nothing of areas: a lesion of any size has one outline.

    Parameters
    ----------
    mask_hw, truth_hw : bool (height, width) of one shape, else ValueError; outlines are as in
        `hd95_px`. Two empty masks: 1. Exactly one empty: 0.
    tolerance : in shares of the image's diagonal, at least 0.
    """
    _check_pair(mask_hw, truth_hw)
    if not mask_hw.any() or not truth_hw.any():
        return 0.0 if mask_hw.any() or truth_hw.any() else 1.0
    distances_px = np.concatenate(_outline_distances_px(mask_hw, truth_hw))
    return float((distances_px <= tolerance * math.hypot(*mask_hw.shape)).mean())


# Many masks of one image


def pairwise_dice(members_nhw: Mask) -> Numbers:
    """The Dice of every pair of different members, (n (n − 1) / 2,) float64 in [0, 1].

    The pairs run (0, 1), (0, 2), …, (1, 2), …. Two empty members agree fully: 1. `members_nhw` is
    bool (members, rows, columns) with one member at least, else ValueError; one has no pairs.
    """
    _check_stack(members_nhw)
    shared_nn, areas_nn = _pair_areas(members_nhw, members_nhw)
    dice_nn = np.where(areas_nn > 0, 2 * shared_nn / np.maximum(areas_nn, 1), 1.0)
    pairs: Numbers = dice_nn[np.triu_indices(len(members_nhw), k=1)]
    return pairs


def ci(members_nhw: Mask) -> float:
    """How much the members agree: their mean pairwise Dice, in [0, 1]; one member: 1.

    MedSegDiff-V2 (table 5) reports a "CI" of its samples, high where they differ little, and calls
    it Confidence Interval, but defines it nowhere. This definition is ours: same direction and
    scale, yet numbers of that table are not to be compared with it. Members as in `pairwise_dice`.
    """
    pairs = pairwise_dice(members_nhw)
    return float(pairs.mean()) if pairs.size else 1.0


def ged(members_nhw: Mask, truths_mhw: Mask) -> float:
    """The squared generalised energy distance between members and truths, in [0, 2].

    2 E[d(S, Y)] − E[d(S, S')] − E[d(Y, Y')] with d = 1 − IoU, as Kohl et al. 2018 (Probabilistic
    U-Net) measure ambiguous segmentation: S, S' are members and Y, Y' truths, drawn independently,
    so that the means run over all pairs, a mask with itself among them. 0 only where both have the
    same masks in the same shares. Two empty masks: d = 0.

    `members_nhw` and `truths_mhw` are bool (members, height, width) and (experts, height, width)
    of one height and width, else ValueError; one expert is allowed, and then E[d(Y, Y')] is 0.
    """
    _check_stack(members_nhw)
    _check_stack(truths_mhw)
    if members_nhw.shape[1:] != truths_mhw.shape[1:]:
        raise ValueError(
            f"masks of {members_nhw.shape[1:]} and {truths_mhw.shape[1:]} cannot be compared"
        )
    across = _mean_distance(members_nhw, truths_mhw)
    within = _mean_distance(members_nhw, members_nhw) + _mean_distance(truths_mhw, truths_mhw)
    # Never negative (1 − IoU is a metric of negative type), but rounding may say −1e-16.
    return max(0.0, 2 * across - within)


def disagreement(members_nhw: NDArray[np.float32]) -> float:
    """How much the members differ: 1 − their mean pairwise Dice, in [0, 1]; one member: 0.

    They are cut at 0.5; two empty masks agree fully. `members_nhw` is float32 (members, rows,
    columns), one at least, else ValueError.
    """
    return 1.0 - ci(members_nhw >= 0.5)


def expected_error(members_nhw: NDArray[np.float32]) -> float:
    """What 1 − Dice the mask would have if one member's probabilities were the truth, in [0, 1].

    The mean over members of 1 − 2 Σ p m / (Σ p + Σ m), with p the member's probabilities and m the
    mask where the members' mean is 0.5 or more. It counts the members' differences and each one's
    own hesitation, in the unit of the error that is feared. An empty mask of members that say 0
    everywhere: 0. `members_nhw` is float32 (members, rows, columns) in [0, 1], one at least, else
    ValueError.
    """
    if members_nhw.ndim != 3 or not len(members_nhw):
        raise ValueError(f"members are (members, rows, columns), got {members_nhw.shape}")
    mask_hw = members_nhw.mean(axis=0, dtype=np.float32) >= 0.5
    shared_n = members_nhw[:, mask_hw].sum(axis=1, dtype=np.float64)
    areas_n = members_nhw.sum(axis=(1, 2), dtype=np.float64) + np.count_nonzero(mask_hw)
    dice_n = np.where(areas_n > 0, 2 * shared_n / np.where(areas_n > 0, areas_n, 1.0), 1.0)
    return float(1.0 - dice_n.mean())


# Many images


def interval(
    values: Sequence[float] | NDArray[Any],
    seed: int = 0,
    resamples: int = 2000,
    weights: Sequence[float] | NDArray[Any] | None = None,
) -> tuple[float, float]:
    """The 95 % bootstrap interval of a mean, (low, high), by percentiles (Efron).

    Images are drawn anew with replacement, and the interval runs from the 2.5th to the 97.5th
    percentile of their means. It tells how the mean would vary with other images of the same kind,
    not with another training.

    Parameters
    ----------
    values : one score per image.
    seed : the same seed gives the same interval.
    resamples : how often images are drawn.
    weights : how much each image counts in the mean, at least 0; all alike without them. Pooled
        Dice is the mean of Dice weighted by `Overlap.areas_px`. A draw that weighs nothing has
        the plain mean.

    ValueError where there is no value, one is not finite, or the weights do not fit.
    """
    values_n = np.asarray(values, dtype=np.float64)
    if values_n.ndim != 1 or not values_n.size or not np.isfinite(values_n).all():
        raise ValueError("an interval needs one row of finite values, at least one")
    drawn = np.random.default_rng(seed).integers(values_n.size, size=(resamples, values_n.size))
    means = values_n[drawn].mean(axis=1)
    if weights is not None:
        weights_n = np.asarray(weights, dtype=np.float64)
        # Written so that NaN fails too.
        if weights_n.shape != values_n.shape or not (weights_n >= 0).all():
            raise ValueError("an interval needs a weight of at least 0 for each value")
        totals = weights_n[drawn].sum(axis=1)
        sums = (weights_n * values_n)[drawn].sum(axis=1)
        means = np.where(totals > 0, sums / np.where(totals > 0, totals, 1.0), means)
    low, high = np.percentile(means, (2.5, 97.5))
    return float(low), float(high)


# What the scores count


def _check_pair(mask_hw: Mask, truth_hw: Mask) -> None:
    for one_hw in (mask_hw, truth_hw):
        if one_hw.dtype != np.bool_ or one_hw.ndim != 2:
            raise ValueError(f"a mask is bool (height, width), got {one_hw.dtype} {one_hw.shape}")
    if mask_hw.shape != truth_hw.shape:
        raise ValueError(f"masks of {mask_hw.shape} and {truth_hw.shape} cannot be compared")


def _check_stack(members_nhw: Mask) -> None:
    if members_nhw.dtype != np.bool_ or members_nhw.ndim != 3 or not len(members_nhw):
        raise ValueError(
            "masks of members are bool (members, rows, columns) with one member at least, "
            f"got {members_nhw.dtype} {members_nhw.shape}"
        )


def _pair_areas(masks_nhw: Mask, others_mhw: Mask) -> tuple[Numbers, Numbers]:
    """Pixels in both masks, and the sum of both areas, (n, m) each, for every pair."""
    masks_np = masks_nhw.reshape(len(masks_nhw), -1)
    others_mp = others_mhw.reshape(len(others_mhw), -1)
    shared_nm = np.zeros((len(masks_np), len(others_mp)))
    for begin in range(0, masks_np.shape[1], _BLOCK):
        block = slice(begin, begin + _BLOCK)
        shared_nm += (
            masks_np[:, block].astype(np.float32) @ others_mp[:, block].astype(np.float32).T
        )
    masks_n = np.count_nonzero(masks_np, axis=1)
    others_m = np.count_nonzero(others_mp, axis=1)
    return shared_nm, (masks_n[:, None] + others_m[None, :]).astype(np.float64)


def _mean_distance(masks_nhw: Mask, others_mhw: Mask) -> float:
    """Mean of 1 − IoU over every pair of one of these and one of those, in [0, 1]."""
    shared_nm, areas_nm = _pair_areas(masks_nhw, others_mhw)
    iou_nm = np.where(areas_nm > 0, shared_nm / np.maximum(areas_nm - shared_nm, 1), 1.0)
    return float(1.0 - iou_nm.mean())


# Outlines


def _bounds(mask_hw: Mask) -> tuple[slice, slice]:
    """Rows and columns of the smallest rectangle around a mask that is not empty."""
    rows = np.flatnonzero(mask_hw.any(axis=1))
    columns = np.flatnonzero(mask_hw.any(axis=0))
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def _outline(mask_hw: Mask) -> Mask:
    """The mask's pixels of which a neighbour by a side is outside the mask or the array."""
    around = np.pad(mask_hw, 1)
    inner_hw = around[:-2, 1:-1] & around[2:, 1:-1] & around[1:-1, :-2] & around[1:-1, 2:]
    outline: Mask = mask_hw & ~inner_hw
    return outline


def _outline_distances_px(mask_hw: Mask, truth_hw: Mask) -> tuple[Numbers, Numbers]:
    """From each pixel of the mask's outline to the truth's, and back; neither mask is empty."""
    rows, columns = _bounds(mask_hw | truth_hw)
    mask_edge_hw, truth_edge_hw = (
        _outline(one_hw[rows, columns]) for one_hw in (mask_hw, truth_hw)
    )
    return _distances_px(mask_edge_hw, truth_edge_hw), _distances_px(truth_edge_hw, mask_edge_hw)


def _distances_px(from_hw: Mask, to_hw: Mask) -> Numbers:
    """From each pixel of one outline to the nearest of the other, in pixels; neither is empty."""
    # Loaded here: whatever imports this module to count pixels does not pay for scipy.
    from scipy.ndimage import distance_transform_edt  # type: ignore[import-untyped]
    from scipy.spatial import cKDTree  # type: ignore[import-untyped]

    distances: Numbers
    points = int(np.count_nonzero(from_hw)) + int(np.count_nonzero(to_hw))
    if points * _DENSE > from_hw.size:
        # Speckle rather than an outline: the transform's cost is that of the picture alone.
        distances = distance_transform_edt(~to_hw)[from_hw]
    else:
        distances, _ = cKDTree(np.argwhere(to_hw)).query(np.argwhere(from_hw))
    return distances
