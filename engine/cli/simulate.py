"""nca-seg simulate: has a simulated person correct a model's outlines, stroke by stroke."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from engine.cli.exit_codes import INTERRUPTED, NOTHING_DONE, SOME_FAILED
from engine.cli.inputs import find_model, load_model, open_data
from engine.cli.messages import Refusal, say, sentence
from engine.cli.options import DataOption, DeviceOption, ModelOption, command
from engine.cli.progress import progress
from engine.errors import EngineError
from engine.files import write_atomic
from engine.types import SampleSettings, Split, evenly

if TYPE_CHECKING:
    from engine.cli.progress import Advance
    from engine.evaluation.simulated_person import ArmScores, Simulation


@command(SampleSettings())
def simulate(
    data: DataOption,
    split: Annotated[Split, typer.Option("--split", help="Which part of the data.")],
    settings: SampleSettings,
    model: ModelOption = "",
    limit: Annotated[
        int | None,
        typer.Option("--limit", min=1, help="At most this many images, spread over the split."),
    ] = None,
    strokes: Annotated[
        int, typer.Option("--strokes", min=1, max=50, help="The most strokes in an image.")
    ] = 5,
    device: DeviceOption = "auto",
    json_: Annotated[
        Path | None, typer.Option("--json", help="Write all figures to this file.")
    ] = None,
    plot: Annotated[
        Path | None, typer.Option("--plot", help="Draw Dice against strokes into this PNG.")
    ] = None,
) -> None:
    """Measure how much a stroke of a person rescues.

    A simulated person who knows the expert's mask corrects each outline. They look for the wrong
    region into which the largest disc fits, and paint there along its medial axis, through its
    deepest point: positive where lesion is missing, negative where there is too much. The radius is
    0.7 of the region's depth, at most 5 % of the root of the image's area, and the stroke at most
    25 % of it long; it stays on its side of the expert's outline. They stop at a Dice of 0.95.

    They do so in several ways: painted into the outline as in a paint program; held, where the
    members are drawn again and keep to what was painted; heard, where the network is told of it,
    too; both, where the painted pixels that the model left are painted besides; and the same after
    the best of the outlines of all styles was taken. A model that is not steerable has the first
    two.

    \b
    Examples:
      nca-seg simulate --data isic2018 --split val --limit 20
      nca-seg simulate --data isic2018 --split test --json strokes.json --plot strokes.png
    """
    if plot is not None:
        _expect_drawing()
    entry = find_model(model)
    dataset = open_data(data)
    samples = evenly(dataset.split(split), limit)
    if not samples:
        raise Refusal(f"{data} has no split {split!r}.")
    for path in (json_, plot):
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
    loaded = load_model(entry, device)

    from engine.evaluation.simulated_person import as_json
    from engine.evaluation.simulated_person import simulate as simulated

    newest: Simulation | None = None
    problem: Exception | None = None
    interrupted = False
    try:
        with (
            progress("Simulating") as advance,
            closing(simulated(loaded, samples, settings, strokes)) as stream,  # type: ignore[type-var]
        ):
            for newest in stream:
                _tell(newest, advance)
    except KeyboardInterrupt:
        interrupted = True
    except (EngineError, OSError, MemoryError) as error:
        problem = error
    corrected = len(newest.corrected) if newest is not None else 0
    if newest is not None and corrected:
        _show(newest)
        if json_ is not None:
            head = {
                "format": "nca-seg/simulation",
                "version": 1,
                "model": {"name": entry.name, "fingerprint": loaded.fingerprint},
                "data": str(data),
                "split": split,
                "settings": asdict(settings),
                "device": str(loaded.device),
            }
            write_atomic(json_, json.dumps({**head, **as_json(newest)}, indent=1) + "\n")
        if plot is not None:
            from engine.report.strokes import drawing

            write_atomic(plot, drawing(newest))
    left_out = newest.left_out if newest is not None else ()
    for unreadable in left_out:
        say(f"Left out. {sentence(unreadable)}")
    if problem is not None:
        say(sentence(problem))
    if interrupted:
        say(f"Interrupted after {newest.done if newest else 0} of {len(samples)} images.")
        raise typer.Exit(INTERRUPTED)
    if problem is not None or left_out:
        raise typer.Exit(SOME_FAILED if corrected else NOTHING_DONE)


def _expect_drawing() -> None:
    """Load what draws before the hours, not after them. Raises Refusal."""
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError as error:
        raise Refusal(
            "A plot needs matplotlib for its drawing; pip install 'nca-seg[report]' brings it."
        ) from error


def _tell(newest: Simulation, advance: Advance | None) -> None:
    """Say how far a simulation is: on the bar, or without one in a line for the newest image."""
    far = f"{newest.done}/{newest.total}"
    if advance is not None:
        advance(newest.done / newest.total, far)
    elif newest.corrected:
        one = newest.corrected[-1]
        arms = (
            f"{name} {found.dice[0]:.3f} to {found.dice[-1]:.3f} by {len(found.dice) - 1}"
            for name, found in one.arms.items()
        )
        say(f"{far} {one.id} {', '.join(arms)}")


def _show(simulation: Simulation) -> None:
    from engine.evaluation.simulated_person import BAD

    parts = [("All images", simulation.scores())]
    if simulation.bad:
        parts.append((f"Dice below {BAD:g} at first", simulation.scores(only_bad=True)))
    for title, scores in parts:
        count = next(iter(scores.values())).images
        print(f"\n{title}: {count}")
        _show_scores(simulation.strokes, scores)


def _show_scores(strokes: int, scores: dict[str, ArmScores]) -> None:
    from engine.evaluation.simulated_person import ARMS

    labels = {name: ARMS[name].label for name in scores}
    wide = max(map(len, labels.values())) + 2
    counts = "".join(f"{count:<7}" for count in range(strokes + 1))
    print(f"{'Dice after strokes':<{wide}}{counts}")
    for name, found in scores.items():
        print(f"{labels[name]:<{wide}}" + "".join(f"{each:<7.3f}" for each in found.dice))
    goals = list(next(iter(scores.values())).strokes)
    head = "".join(f"{f'strokes to {goal}':<17}{'reached':<9}" for goal in goals)
    print(f"{'':<{wide}}{head}{'1st removes':<13}{'first':<8}whole")
    for name, found in scores.items():
        reached = "".join(
            f"{found.strokes[goal]:<17.2f}{100 * found.reached[goal]:<4.0f}{'%':<5}"
            for goal in goals
        )
        first, whole = (
            "" if seconds is None else f"{seconds:.2f} s"
            for seconds in (found.first_s, found.whole_s)
        )
        share = f"{100 * found.removed[0]:.0f} %"
        print(f"{labels[name]:<{wide}}{reached}{share:<13}{first:<8}{whole}".rstrip())
