"""Outlines the lesion of one image in every style that a model knows, tightest to widest."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from engine.diffusion.ensemble import segment
from engine.diffusion.sampling import Denoises
from engine.metrics import dice
from engine.types import Image, ModelSpec, Outline, Outlines, Prompt, SampleSettings, StyleChoice

#: Members of each outline at most. On val the best of the outlines is as good as with four.
MEMBERS = 2
#: How tight and how wide the outlines are drawn beside those in the styles of tools.
WIDTHS = (-1.0, 1.0)
#: Two outlines with a Dice from this on, on the grid, look alike: the later one is left out.
ALIKE = 0.985


def outlines(
    model: Denoises,
    image: Image,
    settings: SampleSettings,
    prompt: Prompt | None = None,
) -> Iterator[Outlines]:
    """Outline an image in all styles; yields after each style, the settings' own style first.

    Each outline is the mean of few members (`MEMBERS`). One that hardly differs from an earlier one
    is left out, so that there may be fewer outlines than styles. A model that is not steerable has
    one.

    Parameters
    ----------
    model, image, prompt : as for `engine.diffusion.ensemble.segment`.
    settings : how each ensemble is drawn; style and width are those of the first outline.

    Raises
    ------
    TooLarge, StyleNotKnown, OutOfMemory, NotFinite, ValueError : as `segment`.
    """
    few = replace(settings, members=min(settings.members or MEMBERS, MEMBERS))
    choices = styles_to_show(model.spec, StyleChoice(settings.style, settings.width))
    found: list[Outline] = []
    for done, choice in enumerate(choices, start=1):
        *_, result = segment(model, image, choice.applied(few), prompt)
        one = Outline(choice, result)
        if all(_differ(one, other) for other in found):
            found.append(one)
        yield Outlines(done, len(choices), tuple(sorted(found, key=lambda each: each.area)))


def styles_to_show(spec: ModelSpec, own: StyleChoice) -> tuple[StyleChoice, ...]:
    """The styles in which a model outlines an image to choose from, a person's own first."""
    choices = [own]
    if spec.steerable:
        choices += [StyleChoice(own.style, width) for width in WIDTHS]
        choices += [StyleChoice(tool, own.width) for tool in spec.styles]
    return tuple(dict.fromkeys(choices))


def _differ(one: Outline, other: Outline) -> bool:
    mask_hw, other_hw = one.result.mean_hw >= 0.5, other.result.mean_hw >= 0.5
    return dice(mask_hw, other_hw) < ALIKE
