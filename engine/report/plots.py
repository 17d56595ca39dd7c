"""Draws a report's figures as inline SVG by matplotlib; equal numbers give equal text."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from engine.report.markup import Html
from engine.types import Sampler

if TYPE_CHECKING:
    from engine.evaluation.reliability import Calibration
    from engine.evaluation.scoring import Evaluation
    from engine.report.sweep import Curve, Sweep
    from engine.report.values import UncertaintyRanking

#: Colours that colour-blind people can tell apart (Okabe and Ito), and a grey for references.
BLUE, VERMILION, GREEN, PURPLE = "#0072b2", "#d55e00", "#009e73", "#cc79a7"
AMBER, QUIET = "#e69f00", "#8a949d"
#: The numbers of members at which steps are compared, where so many were drawn.
EQUAL_MEMBERS = (1, 4, 20)
COLOURS = (BLUE, VERMILION, GREEN, PURPLE)
_SAMPLERS: tuple[tuple[Sampler, str], ...] = (("ddim", BLUE), ("ddpm", VERMILION))

_STYLE: dict[Any, Any] = {
    # Text is not turned into paths, so it can be selected and read aloud, and the page is smaller.
    "svg.fonttype": "none",
    "svg.hashsalt": "nca-seg",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#5b6873",
    "axes.grid": True,
    "grid.color": "#e3e8ec",
    "grid.linewidth": 0.7,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
}


class _Canvas(NamedTuple):
    axes: Any
    pieces: list[Html]


@contextmanager
def _drawing(width: float, height: float, columns: int = 1) -> Iterator[_Canvas]:
    """Gives axes to draw on, and a list that holds the figure as SVG once the block ends.

    Parameters
    ----------
    width, height : size of the figure in inches.
    columns : how many axes stand beside one another.
    """
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(_STYLE):
        drawn = Figure(figsize=(width, height), layout="constrained")
        canvas = _Canvas(drawn.subplots(1, columns, sharey=True), [])
        yield canvas
        stream = io.StringIO()
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        drawn.savefig(stream, format="svg", metadata=nothing)
    text = stream.getvalue()
    text = re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.DOTALL)
    canvas.pieces.append(Html(text))


def reliability(before: Calibration, after: Calibration | None) -> Html:
    """Plot the true share of lesion against the predicted probability.

    `before` and `after` are the calibrations without and with the temperature.
    """
    with _drawing(5.2, 4.6) as (axes, pieces):
        axes.plot([0, 1], [0, 1], color=QUIET, linestyle="--", linewidth=1, label="exact")
        named = (("as it is", before, BLUE, "o-"), ("at the temperature", after, VERMILION, "s-"))
        for label, calibration, colour, marks in named:
            if calibration is not None:
                some = calibration.cells > 0
                axes.plot(
                    calibration.predicted[some], calibration.lesion[some], marks,
                    color=colour, markersize=4, label=label,
                )  # fmt: skip
        axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
        axes.set(xlabel="Predicted probability", ylabel="True share of lesion")
        axes.legend(loc="upper left")
    return pieces[0]


def risk_coverage(rankings: Sequence[UncertaintyRanking], floor: UncertaintyRanking) -> Html:
    """Plot the mean 1 − Dice of the surest images against the share of images kept.

    `rankings` have one curve each; `floor` is the best possible ranking.
    """
    with _drawing(6.4, 3.9) as (axes, pieces):
        for ranking, colour in zip(rankings, COLOURS, strict=True):
            label = ranking.name.replace("_", " ")
            axes.plot(ranking.coverage, ranking.kept_risk, color=colour, label=label)
        axes.plot(floor.coverage, floor.kept_risk, color=QUIET, linestyle=":", label="floor")
        axes.axhline(
            floor.kept_risk[-1], color=QUIET, linestyle="--", linewidth=1, label="no order"
        )
        axes.set(xlim=(0, 1), xlabel="Share of images kept, the surest first")
        axes.set_ylim(bottom=0)
        axes.set_ylabel("Mean 1 − Dice of those kept")
        axes.legend(loc="best")
    return pieces[0]


def uncertainty_scatter(test: Evaluation, names: Sequence[str]) -> Html:
    """Plot 1 − Dice of each image of `test` against each of its uncertainties, by `names`."""
    with _drawing(9.2, 3.1, len(names)) as (row, pieces):
        for axes, name, colour in zip(row, names, COLOURS, strict=True):
            axes.scatter(
                test.column(name), 1 - test.column("dice"),
                s=12, color=colour, alpha=0.55, linewidths=0,
            )  # fmt: skip
            axes.set(xlabel=name.replace("_", " ").capitalize(), ylim=(-0.02, 1.02))
            axes.xaxis.get_major_locator().set_params(nbins=4)
        row[0].set_ylabel("1 − Dice")
    return pieces[0]


def dice_histogram(test: Evaluation, failed_below: float) -> Html:
    """Plot a histogram of the Dice of the images of `test`; marks the mean and `failed_below`."""
    with _drawing(6.4, 3.2) as (axes, pieces):
        column = test.column("dice")
        axes.hist(column, bins=np.linspace(0, 1, 41), color=BLUE, edgecolor="white", linewidth=0.6)
        axes.axvline(failed_below, color=QUIET, linestyle="--", linewidth=1)
        axes.axvline(column.mean(), color=VERMILION, linewidth=1.4, label="mean")
        axes.set(xlim=(0, 1), xlabel="Dice", ylabel="Images")
        axes.yaxis.get_major_locator().set_params(integer=True)
        axes.legend(loc="upper left")
    return pieces[0]


def dice_by_steps(sweep: Sweep) -> Html:
    """Plot mean Dice against diffusion steps, a line for each of `EQUAL_MEMBERS` and sampler."""
    with _drawing(7.6, 3.9) as (axes, pieces):
        for sampler, colour in _SAMPLERS:
            for members, marks in zip(EQUAL_MEMBERS, ("o:", "o--", "o-"), strict=True):
                curves = [curve for curve in sweep.of(sampler) if curve.members >= members]
                axes.plot(
                    [curve.steps for curve in curves],
                    [curve.point(members).dice for curve in curves],
                    marks, color=colour, markersize=4, linewidth=1.4,
                    label=f"{sampler.upper()}, {members} member{'s' * (members > 1)}",
                )  # fmt: skip
        steps = sorted({curve.steps for curve in sweep.curves})
        axes.set_xscale("log")
        axes.set_xticks(steps, labels=[str(one) for one in steps])
        axes.minorticks_off()
        axes.set(xlabel="Diffusion steps", ylabel="Mean Dice")
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=9)
    return pieces[0]


def dice_by_members(sweep: Sweep) -> Html:
    """Plot mean Dice of the first 1, 2, … members, a line for each number of steps, by sampler."""
    import matplotlib

    with _drawing(9.2, 3.7, 2) as (row, pieces):
        for axes, (sampler, _) in zip(row, _SAMPLERS, strict=True):
            curves = sweep.of(sampler)
            shades = matplotlib.colormaps["viridis"](np.linspace(0, 0.88, len(curves)))
            for curve, shade in zip(curves, shades, strict=True):
                _by_members(axes, curve, shade)
            axes.set_title(sampler.upper(), fontsize=10)
            axes.set_xlabel("Members")
            axes.xaxis.get_major_locator().set_params(integer=True)
        row[0].set_ylabel("Mean Dice")
        row[1].legend(title="Steps", loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=9)
    return pieces[0]


def _by_members(axes: Any, curve: Curve, colour: Any) -> None:
    members = range(1, curve.members + 1)
    dices = [curve.point(count).dice for count in members]
    axes.plot(members, dices, ".-", color=colour, linewidth=1.3, label=str(curve.steps))
