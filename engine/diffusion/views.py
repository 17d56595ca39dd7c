"""The mirrored views of an image that the members of an ensemble take; importing loads no torch."""

from __future__ import annotations

from collections.abc import Sequence

from engine.types import ModelSpec, Views

#: The views that members take in turn: the axes along which each is mirrored.
VIEWS: tuple[tuple[int, ...], ...] = ((), (-1,), (-2,), (-2, -1))


def views_of(members: Sequence[int], views: Views = "mirrored") -> list[int]:
    """The number of the view that each member takes, its place in `VIEWS`.

    Mirrored, member k takes view k mod 4. A lesion has no up and down, so a network's answers for
    mirrored views should agree. Where they do not it is unsure, and their mean is better than each
    of them. Plain, all members take view 0, the image as it is.
    """
    return [member % len(VIEWS) if views == "mirrored" else 0 for member in members]


def most_members(spec: ModelSpec, views: Views = "mirrored") -> int | None:
    """How many members of an ensemble can differ: one for each view if the network sees no noise.

    None where there is no limit.
    """
    if spec.sees_noise:
        return None
    return len(set(views_of(range(len(VIEWS)), views)))
