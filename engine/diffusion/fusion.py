"""Fuses the members of an ensemble into one map of probabilities, by mean, majority or STAPLE."""

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

#: STAPLE stops once no sensitivity or specificity moves by more than this (as in ITK).
_TOLERANCE = 1e-7
#: STAPLE stops after so many iterations in any case; some dozens are usual, noise needs more.
_ROUNDS = 1000
#: Replaces a probability of 0 where a logarithm is taken.
_TINY = 1e-300


def fuse(members_nhw: Float, how: Fusion = "mean") -> Float:
    """Fuse members into a probability of lesion, float32 (rows, columns) in [0, 1].

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
    """STAPLE's probability of lesion, float32 (rows, columns) in [0, 1] (Warfield et al. 2004).

    Expectation maximisation for binary masks: given each member's sensitivity p and specificity q,
    the probability W that a cell is lesion (E-step); given W, each member's p and q (M-step). It
    begins with W = the share of members that hold the cell, and ends when p and q no longer move.
    The prior is one number for all cells, the mean of all masks. A member that disagrees with the
    others counts less. The skin around a lesion counts too, so an image with more of it gives
    another answer. The result equals that of ITK's filter, except with some hundred members, where
    ITK's 1 − p rounds to 0 and stays there.

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
    # Cells that are alike in all masks are computed once: some hundred cases, not 65,536 cells.
    says_cn, cells_c, case_p = _cases(masks_nhw.reshape(len(masks_nhw), -1))
    silent_cn = 1.0 - says_cn
    lesion_c = says_cn.mean(axis=1)
    before = np.full((2, len(masks_nhw)), np.inf)
    for _ in range(_ROUNDS):
        inside_c, outside_c = cells_c * lesion_c, cells_c * (1.0 - lesion_c)
        # p and 1 − p are summed separately: a subtraction would lose all below 1e-16.
        p, not_p = _shares(inside_c @ says_cn, inside_c @ silent_cn)
        q, not_q = _shares(outside_c @ silent_cn, outside_c @ says_cn)
        # The E-step is in log odds: with many members the products would underflow.
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
    """How much the mask changed over the last ensembles, in [0, 1]; 0 is not at all.

    The last `last` ensembles are the first n − last + 1, …, n − 1 and all n members, in order. Each
    is fused and cut at 0.5; the result is the greatest 1 − IoU between one of the smaller ensembles
    and the whole, or 1 if there are fewer than `last` members.

    Parameters
    ----------
    members_nhw, how : as for `fuse`.
    last : how many ensembles are compared, 2 at least.

    Raises
    ------
    ValueError : as `fuse`, and if `last` is below 2.
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
    """Whether more members would hardly change the mask: `last_change` is below `tolerance`.

    MedSegDiff-V2 (Model Efficiency) takes "a variance of performance less than 0.1% across the
    last ten ensembles" for convergence. That needs the truth, which is not known while an image is
    segmented, so here the masks are compared with each other. 1 − IoU is a metric; hence, whatever
    the truth is, the IoU against it differs by less than `tolerance` between one of these ensembles
    and the whole, and Dice by less than twice that. This is our reading of the paper's sentence,
    and stricter than a variance.

    Parameters
    ----------
    members_nhw, how, last : as for `last_change`.
    tolerance : the change, in [0, 1], below which the result counts as settled.
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


#: The functions that fuse, by name.
FUSIONS: Mapping[str, Callable[[Float], Float]] = MappingProxyType(
    {"mean": _mean, "majority": _majority, "staple": _staple}
)


def _cases(
    masks_np: Mask,
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """Groups cells that are alike in all masks into cases, of which there are at most 2 to the n.

    Gives each case's values in the n masks, float64 (cases, n), the number of its cells, and the
    case of every cell.
    """
    packed_pb = np.ascontiguousarray(np.packbits(masks_np, axis=0).T)
    # With one opaque value for each cell sorting is ten times as fast as with rows.
    codes_p = packed_pb.view(np.dtype((np.void, packed_pb.shape[1]))).ravel()
    _, first_c, case_p, cells_c = np.unique(
        codes_p, return_index=True, return_inverse=True, return_counts=True
    )
    return masks_np[:, first_c].T.astype(np.float64), cells_c, case_p.ravel()


def _shares(
    yes_n: NDArray[np.float64], no_n: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The share of each of two weights in their sum, in [1e-300, 1]."""
    total_n = np.maximum(yes_n + no_n, _TINY)
    return np.maximum(yes_n / total_n, _TINY), np.maximum(no_n / total_n, _TINY)
