"""Draws what strokes bring: mean Dice after each, by way of correcting, as a PNG."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from engine.report.plots import AMBER, BLUE, GREEN, PURPLE, QUIET, VERMILION

if TYPE_CHECKING:
    from engine.evaluation.simulated_person import Simulation

_COLOURS = {"paint": QUIET, "held": AMBER, "heard": GREEN, "both": BLUE, "style": VERMILION}


def drawing(simulation: Simulation) -> bytes:
    """A PNG of mean Dice against strokes, over all images and over the bad ones; needs matplotlib.

    `simulation` has corrected one image at least.
    """
    from matplotlib.figure import Figure

    from engine.evaluation.simulated_person import ARMS, BAD, GOALS

    parts = [("all images", simulation.scores())]
    if simulation.bad:
        parts.append((f"Dice below {BAD:g} at first", simulation.scores(only_bad=True)))
    drawn = Figure(figsize=(4.4 * len(parts), 3.8), layout="constrained")
    row = drawn.subplots(1, len(parts), squeeze=False)[0]
    for axes, (title, scores) in zip(row, parts, strict=True):
        for name, found in scores.items():
            colour = _COLOURS.get(name, PURPLE)
            axes.plot(
                range(len(found.dice)), found.dice, "o-", color=colour, label=ARMS[name].label
            )
        for goal in GOALS:
            axes.axhline(goal, color=QUIET, linestyle=":", linewidth=1)
        count = next(iter(scores.values())).images
        axes.set(title=f"{count} images: {title}", xlabel="Strokes")
        axes.xaxis.get_major_locator().set_params(integer=True)
    row[0].set_ylabel("Mean Dice")
    row[-1].legend(frameon=False, fontsize=8, loc="lower right")
    stream = io.BytesIO()
    drawn.savefig(stream, format="png", dpi=110, metadata={"Software": ""})
    return stream.getvalue()
