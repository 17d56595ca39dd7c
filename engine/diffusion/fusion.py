"""Many members become one answer: every way gives each cell a probability, to be cut at 0.5."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from engine.metrics import iou

Mask = NDArray[np.bool_]
Float = NDArray[np.float32]
Fusion = Literal["mean", "majority", "staple"]

#: STAPLE stops where no sensitivity or specificity moved by more than this (as in ITK).
_TOLERANCE = 1e-7
#: STAPLE's answer is taken as it is after so many rounds; some dozens are usual, noise needs more.
_ROUNDS = 1000
#: Stands for a probability of 0 where a logarithm is taken.
_TINY = 1e-300


def fuse(members_nhw: Float, how: Fusion = "mean") -> Float:
    """What the members say together: (rows, columns) float32 in [0, 1], probability of lesion.

    Parameters
    ----------
    members_nhw : float32 (members, rows, columns) in [0, 1]; one member at least.
    how : "mean", the mean of their probabilities; "majority", the share of members whose own mask
        (probability 0.5 or more) holds the cell, so that a tie is lesion at threshold 0.5;
        "staple", `staple` of these masks.

    Raises ValueError where the members have another type or shape, or `how` is none of these.
    """
    if members_nhw.dtype != np.float32 or members_nhw.ndim != 3 or not len(members_nhw):
        raise ValueError(
            "members are float32 (members, rows, columns) with one member at least, "
            f"got {members_nhw.dtype} {members_nhw.shape}"
        )
    if how not in FUSIONS:
        raise ValueError(f"how must be one of {', '.join(FUSIONS)}")
    return FUSIONS[how](members_nhw)


def staple(masks_nhw: Mask) -> Float:
    """STAPLE's probability of lesion, (rows, columns) float32 in [0, 1] (Warfield et al. 2004).

    Expectation maximisation for binary masks: given each member's sensitivity p and specificity q,
    the probability W that a cell is lesion (E-step); given W, each member's p and q (M-step); from
    W = the share of members that hold the cell until p and q rest. The prior is one number for all
    cells, the mean of all masks. So a member that disagrees with the others counts less, and what
    surrounds a lesion counts too: an image with more skin gives another answer. Equal to ITK's
    filter, but with some hundred members, where ITK's 1 − p rounds to 0 and never leaves it.

    `masks_nhw` is bool (members, rows, columns) with one member at least, else ValueError. One
    member, or equal members: that mask. All empty: 0 everywhere. All full: 1 everywhere. Where two
    members differ, nothing says which is right: about 0.5.
    """
    if masks_nhw.dtype != np.bool_ or masks_nhw.ndim != 3 or not len(masks_nhw):
        raise ValueError(
            "masks are bool (members, rows, columns) with one member at least, "
            f"got {masks_nhw.dtype} {masks_nhw.shape}"
        )
    prior = float(masks_nhw.mean())
    if prior in (0.0, 1.0):
        return np.full(masks_nhw.shape[1:], prior, dtype=np.float32)
    # Cells on which all members say the same are one case: some hundred cases, not 65,536 cells.
    says_cn, cells_c, case_p = _cases(masks_nhw.reshape(len(masks_nhw), -1))
    silent_cn = 1.0 - says_cn
    lesion_c = says_cn.mean(axis=1)
    before = np.full((2, len(masks_nhw)), np.inf)
    for _ in range(_ROUNDS):
        inside_c, outside_c = cells_c * lesion_c, cells_c * (1.0 - lesion_c)
        # Both sides of p and of q are summed on their own: 1 − p would lose what is below 1e-16.
        p, not_p = _shares(inside_c @ says_cn, inside_c @ silent_cn)
        q, not_q = _shares(outside_c @ silent_cn, outside_c @ says_cn)
        # The E-step in log odds: with many members the products themselves would vanish.
        odds_c = (
            np.log(prior / (1.0 - prior))
            + says_cn @ (np.log(p) - np.log(not_q))
            + silent_cn @ (np.log(not_p) - np.log(q))
        )
        lesion_c = 0.5 + 0.5 * np.tanh(odds_c / 2)
        after = np.stack([p, q])
        if np.abs(after - before).max() < _TOLERANCE:
            break
        before = after
    lesion_hw: Float = lesion_c.astype(np.float32)[case_p].reshape(masks_nhw.shape[1:])
    return lesion_hw


def last_change(members_nhw: Float, how: Fusion = "mean", last: int = 10) -> float:
    """How far the answer still moved over the last ensembles, in [0, 1]; 0 is not at all.

    The last `last` ensembles are the first n − last + 1, …, n − 1 and all n members, in the
    members' order. Each is fused and cut at 0.5, and the greatest 1 − IoU between one of the
    smaller ones and the whole is given. Fewer than `last` members have not shown it yet: 1.
    Members and errors as in `fuse`; `last` below 2 is a ValueError.
    """
    if last < 2:
        raise ValueError(f"last is {last}: a change needs two ensembles at least")
    whole_hw = fuse(members_nhw, how) >= 0.5
    count = len(members_nhw)
    if count < last:
        return 1.0
    sizes = range(count - last + 1, count)
    return max(1.0 - iou(fuse(members_nhw[:size], how) >= 0.5, whole_hw) for size in sizes)


def settled(
    members_nhw: Float, how: Fusion = "mean", last: int = 10, tolerance: float = 0.001
) -> bool:
    """Whether more members would hardly change the answer: `last_change` is below `tolerance`.

    MedSegDiff-V2 (Model Efficiency) takes "a variance of performance less than 0.1% across the
    last ten ensembles" for convergence. Its performance needs the truth, which nobody has while an
    image is segmented, so the answers are compared with each other: 1 − IoU is a metric, hence
    whatever the truth is, no IoU against it differs between one of these ensembles and the whole
    by as much as `tolerance`, and no Dice by twice that. Our reading of the paper's sentence, and
    a stricter one than a variance.
    """
    return last_change(members_nhw, how, last) < tolerance


def _mean(members_nhw: Float) -> Float:
    mean: Float = members_nhw.mean(axis=0, dtype=np.float32)
    return mean


def _majority(members_nhw: Float) -> Float:
    share: Float = (members_nhw >= 0.5).mean(axis=0, dtype=np.float32)
    return share


def _staple(members_nhw: Float) -> Float:
    return staple(members_nhw >= 0.5)


#: Every way to fuse, by name.
FUSIONS: Mapping[str, Callable[[Float], Float]] = MappingProxyType(
    {"mean": _mean, "majority": _majority, "staple": _staple}
)


def _cases(
    masks_np: Mask,
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """The distinct columns of masks: what each member says (cases, n), cells of each, case by cell.

    At most 2 to the power n cases, and never more than cells.
    """
    packed_pb = np.ascontiguousarray(np.packbits(masks_np, axis=0).T)
    # One opaque value per cell: sorting these is ten times as fast as sorting rows.
    codes_p = packed_pb.view(np.dtype((np.void, packed_pb.shape[1]))).ravel()
    _, first_c, case_p, cells_c = np.unique(
        codes_p, return_index=True, return_inverse=True, return_counts=True
    )
    return masks_np[:, first_c].T.astype(np.float64), cells_c, case_p.ravel()


def _shares(
    yes_n: NDArray[np.float64], no_n: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Both shares of the sum of two weights, in [1e-300, 1]."""
    total_n = np.maximum(yes_n + no_n, _TINY)
    return np.maximum(yes_n / total_n, _TINY), np.maximum(no_n / total_n, _TINY)
