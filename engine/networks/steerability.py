"""Refuses styles and widths that a model was not trained to draw in."""

from __future__ import annotations

from engine.errors import StyleNotKnown
from engine.types import ModelSpec, SampleSettings


def expect_style(spec: ModelSpec, settings: SampleSettings) -> None:
    """Raise StyleNotKnown if a model cannot draw in the style and width of the settings.

    Mixed or unknown with width 0 is what every model can, and all that one can which is not
    steerable. A steerable one can draw in every width, and in the style of each tool that made
    masks it was trained with.
    """
    known = tuple(spec.styles)
    if settings.style not in ("mixed", "unknown", *known):
        raise StyleNotKnown(spec.name, settings.style, known)
    if settings.width and not spec.steerable:
        raise StyleNotKnown(spec.name, "width", known)
