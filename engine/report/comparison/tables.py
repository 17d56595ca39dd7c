"""Tables of a comparison, from the results that lie beside the weights."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.metrics import interval
from engine.report.comparison.results import Result
from engine.report.comparison.runs import Regime
from engine.report.markup import Html, table

#: Networks of this many parameters are held beside each other once more.
ALIKE = (300_000, 500_000)
#: What stands where nothing is defined, as the AUROC where no image failed.
NONE = "–"
#: What a clock measures.
CLOCKS = {
    "processor": "processor time of the whole process, validation included",
    "wall": "wall time (that of the steps alone where no plan recorded it)",
}
REGIMES: dict[Regime, str] = {
    "time": "equal time",
    "samples": "equal samples at equal image pixels",
}


class Table(NamedTuple):
    """A table with a title; all cells are text."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    caption: str

    def markdown(self) -> str:
        """The table as Markdown."""
        lines = [self.head, ("---",) * len(self.head), *self.rows]
        text = "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
        return f"**{self.title}**\n\n{text}\n\n{self.caption}\n"

    def html(self) -> Html:
        """The table as HTML."""
        return table(self.head, self.rows, f"{self.title}. {self.caption}")


@dataclass(frozen=True)
class Row:
    """A method with its results, one for each seed, of the same images."""

    method: str
    results: tuple[Result, ...]

    @property
    def parameters(self) -> int:
        return int(self.results[0]["model"]["parameters"])

    def dice(self) -> NDArray[np.float64]:
        """Dice of each image, the mean over the seeds."""
        columns = [[each["dice"] for each in one["images"].values()] for one in self.results]
        mean_n: NDArray[np.float64] = np.array(columns, dtype=np.float64).mean(axis=0)
        return mean_n

    def cell(self, value: Callable[[Result], float | None], digits: int, unit: float = 1) -> str:
        """A number as the mean over the seeds, and each seed's own in brackets."""
        found = [value(one) for one in self.results]
        known = [each / unit for each in found if each is not None]
        if not known:
            return NONE
        mean = f"{sum(known) / len(known):,.{digits}f}"
        if len(found) == 1:
            return mean
        own = (NONE if each is None else f"{each / unit:,.{digits}f}" for each in found)
        return f"{mean} ({'; '.join(own)})"


def rows(results: Iterable[Result], first: Sequence[str]) -> tuple[Row, ...]:
    """The results by method: those named `first` in their order, then the others by name."""
    found: dict[str, list[Result]] = {}
    for result in results:
        found.setdefault(result["method"], []).append(result)
    order = [name for name in first if name in found]
    order += sorted(found.keys() - set(order))
    return tuple(
        Row(name, tuple(sorted(found[name], key=lambda one: one["seed"]))) for name in order
    )


def tables(rows: Sequence[Row]) -> tuple[Table, ...]:
    """All tables of rows of one regime; where some have about 0.4M parameters these come again."""
    if not rows:
        return ()
    alike = [row for row in rows if ALIKE[0] <= row.parameters <= ALIKE[1]]
    again = (_quality("Equal parameters, about 0.4M", alike),) if 1 < len(alike) < len(rows) else ()
    return _quality("Masks", rows), _doubt(rows), _cost(rows), *again


def _quality(title: str, rows: Sequence[Row]) -> Table:
    head = (
        "method", "Dice (95 %)", "Dice, seeds", f"Dice more than {rows[0].method}", "Dice, pooled",
        "IoU", "HD95, pixels", "below 0.8, %",
    )  # fmt: skip
    images = rows[0].results[0]["scored"]
    caption = (
        f"Means over {images} images at their own size, over the seeds where there are several, "
        "whose own figures stand in brackets. The intervals are bootstraps over images; they say "
        "nothing of another training. The difference is paired, image by image."
    )
    return Table(title, head, tuple(_quality_row(row, rows[0]) for row in rows), caption)


def _quality_row(row: Row, first: Row) -> tuple[str, ...]:
    seeds = ", ".join(f"{one['seed']}: {one['mean']['dice']:.4f}" for one in row.results)
    return (
        row.method,
        _with_interval(row.dice()),
        seeds,
        NONE if row is first else _difference(row, first),
        row.cell(lambda one: one["pooled"]["dice"], 3),
        row.cell(lambda one: one["mean"]["iou"], 3),
        row.cell(lambda one: one["mean"]["hd95_px"], 1),
        row.cell(lambda one: 100 * one["failed"], 1),
    )


def _doubt(rows: Sequence[Row]) -> Table:
    head = ("method", "members", "GED", "CI", "failure AUROC", "E-AURC", "ECE", "Dice, STAPLE")
    found = tuple(
        (
            row.method,
            row.cell(lambda one: one["mean"]["members"], 0),
            row.cell(lambda one: one["mean"]["ged"], 3),
            row.cell(lambda one: one["mean"]["ci"], 3),
            row.cell(lambda one: one["failure_auroc"], 3),
            row.cell(lambda one: one["excess_aurc"]["expected_error"], 4),
            row.cell(lambda one: one["expected_calibration_error"], 4),
            row.cell(lambda one: one["mean"]["dice_staple"], 3),
        )
        for row in rows
    )
    caption = (
        "AUROC: the chance that an image whose Dice is below 0.8 has a higher expected error than "
        "one above. E-AURC: what the expected error lacks to ranking images as their errors do. "
        "A network of one step has four members, the mirrored views."
    )
    return Table("Members and doubt", head, found, caption)


def _cost(rows: Sequence[Row]) -> Table:
    head = (
        "method", "parameters", "MB", "pixels", "GFLOP a step", "GFLOP an answer", "trained, min",
        "samples", "samples/s", "s an image",
    )  # fmt: skip
    found = tuple(
        (
            row.method,
            f"{row.parameters:,}",
            f"{row.results[0]['model']['file_bytes'] / 1e6:.1f}",
            f"{row.results[0]['model']['pixels']}²",
            f"{row.results[0]['model']['flop_step'] / 1e9:.2f}",
            f"{row.results[0]['model']['flop_answer'] / 1e9:.1f}",
            row.cell(lambda one: one["training"]["seconds"], 1, 60),
            row.cell(lambda one: one["training"]["samples"], 0),
            row.cell(_speed, 1),
            row.cell(_seconds, 2),
        )
        for row in rows
    )
    return Table("Cost", head, found, _clocks(rows))


def _clocks(rows: Sequence[Row]) -> str:
    """What the times are of, where they were measured, and which trainings were cut short."""
    every = [one for row in rows for one in row.results]
    devices = ", ".join(sorted({one["device"] for one in every}))
    by_clock: dict[str, list[str]] = {}
    for one in every:
        by_clock.setdefault(one["training"]["clock"], []).append(_name(one))
    told = "; ".join(
        CLOCKS[clock] + (f": {', '.join(names)}" if len(by_clock) > 1 else "")
        for clock, names in by_clock.items()
    )
    short = [_name(one) for one in every if one["training"]["steps"] < one["training"]["planned"]]
    ended = f" Not trained to the end of its learning rate: {', '.join(short)}." if short else ""
    return (
        f"Training: {told}. An answer is the whole ensemble, 10 members or the four views of a "
        "network of one step, of a square image. A step is of one member. A multiplication and an "
        "addition are two FLOP; Fourier transforms are not counted. Seconds an image: the median, "
        f"wall time, {devices}.{ended}"
    )


def _name(result: Result) -> str:
    return f"{result['method']} seed {result['seed']}"


def _speed(result: Result) -> float | None:
    seconds = result["training"]["seconds"]
    return result["training"]["samples"] / seconds if seconds else None


def _seconds(result: Result) -> float:
    return float(np.median([each["seconds"] for each in result["images"].values()]))


def _difference(row: Row, first: Row) -> str:
    mine, others = row.dice(), first.dice()
    if list(row.results[0]["images"]) != list(first.results[0]["images"]):
        return NONE
    return _with_interval(mine - others, signed=True)


def _with_interval(values: NDArray[np.float64], *, signed: bool = False) -> str:
    low, high = interval(values)
    sign = "+" if signed else ""
    middle, least, most = (f"{each:{sign}.4f}" for each in (values.mean(), low, high))
    return f"{middle} ({least} to {most})".replace("-", "−")
