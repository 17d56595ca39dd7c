"""nca-seg report: measures a model and writes one page about it."""

from __future__ import annotations

import json
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from engine.cli.doctor import version
from engine.cli.exit_codes import INTERRUPTED, NOTHING_DONE, SOME_FAILED
from engine.cli.inputs import find_model, load_model, open_data
from engine.cli.messages import Refusal, say, sentence, show
from engine.cli.options import DeviceOption, ModelOption, command
from engine.cli.progress import progress
from engine.errors import EngineError
from engine.files import write_atomic
from engine.types import Device, SampleSettings

if TYPE_CHECKING:
    from engine.report.values import Report, Subject

PAGE, NUMBERS, MASKS = "report.html", "report.json", "masks.png"
#: The page is written anew this often, so that little is lost with a machine that stops.
SECONDS_BETWEEN_PAGES = 300.0
#: Without a terminal a line comes this often.
SECONDS_BETWEEN_LINES = 30.0


@command(SampleSettings())
def report(
    data: Annotated[
        Path, typer.Argument(help="Folder with images/ and masks/, split into val and test.")
    ],
    out: Annotated[Path, typer.Option("--out", help="Folder for report.html and report.json.")],
    settings: SampleSettings,
    model: ModelOption = "",
    also: Annotated[
        list[str] | None,
        typer.Option("--also", help="Evaluate this model on test too; may be given many times."),
    ] = None,
    recipes: Annotated[
        Path | None,
        typer.Option("--recipes", help="Show every training run below this folder side by side."),
    ] = None,
    sweep_images: Annotated[
        int,
        typer.Option("--sweep-images", min=0, help="Images of val to try fewer steps on; 0: none."),
    ] = 20,
    limit: Annotated[
        int | None,
        typer.Option("--limit", min=1, help="At most this many images of a split, spread over it."),
    ] = None,
    device: DeviceOption = "auto",
) -> None:
    """Measure a model and write one page about it.

    Scores on val and test; whether uncertainty finds the failures; calibration, and one temperature
    fitted on val; Dice against steps and members for both samplers; the models beside the paper's
    Table 1 and Figures 3b and 4; the ten worst images. Writes report.html, which needs nothing
    beside it and holds pictures of a few images, report.json, which has all its numbers, and
    masks.png, the masks of Figure 4 without the photographs. Trying fewer steps takes most of the
    time. What is known is written every five minutes, and when Ctrl+C stops it.

    \b
    Examples:
      nca-seg report isic2018 --out report
      nca-seg report isic2018 --out quick --limit 20 --sweep-images 2
      nca-seg report isic2018 --out report --also runs/basic/best.safetensors --recipes runs
    """
    _expect_page()
    dataset = open_data(data)
    subject, *others = (_subject(name, device) for name in (model, *(also or ())))
    out.mkdir(parents=True, exist_ok=True)

    from engine.report.measuring import report as reported
    from engine.report.recipes import read_recipes

    compared = read_recipes(recipes) if recipes else ()
    if recipes and not compared:
        raise Refusal(f"{recipes}: none of its folders holds a training run.")
    newest: Report | None = None
    problem: Exception | None = None
    interrupted = False
    said = kept = time.monotonic()
    stream = reported(
        subject,
        dataset,
        settings,
        others=others,
        recipes=compared,
        sweep_images=sweep_images,
        limit=limit,
    )
    try:
        with progress("Measuring") as advance, closing(stream):  # type: ignore[type-var]
            for newest in stream:
                if advance is not None:
                    advance(newest.done / newest.total, newest.now)
                elif time.monotonic() - said > SECONDS_BETWEEN_LINES:
                    say(f"{newest.done}/{newest.total} {newest.now}")
                    said = time.monotonic()
                if time.monotonic() - kept > SECONDS_BETWEEN_PAGES:
                    _write_meanwhile(newest, out)
                    kept = time.monotonic()
    except KeyboardInterrupt:
        interrupted = True
    except (EngineError, OSError, MemoryError) as error:
        problem = error
    finally:
        if newest is not None:
            _write(newest, out)
    if newest is not None:
        print(f"{show(out / PAGE)}  {_line(newest)}")
    if problem is not None:
        say(sentence(problem))
        raise typer.Exit(SOME_FAILED if newest else NOTHING_DONE)
    if interrupted:
        if newest is None:
            say("Interrupted before the first image was measured.")
        else:
            far = f"{newest.done} of {newest.total} measurements"
            say(f"Interrupted. {far} are done and kept in {out}.")
        raise typer.Exit(INTERRUPTED)


def _expect_page() -> None:
    """Load all that writes the page before the hours, not after them. Raises Refusal."""
    import engine.report.content
    import engine.report.page  # noqa: F401

    try:
        import matplotlib.figure  # noqa: F401
    except ImportError as error:
        raise Refusal(
            "A report needs matplotlib for its drawings; pip install 'nca-seg[report]' brings it."
        ) from error


def _subject(name: str, device: Device) -> Subject:
    from engine.report.values import Subject

    entry = find_model(name)
    loaded = load_model(entry, device)
    parameters = sum(weights.numel() for weights in loaded.network.parameters())
    return Subject(loaded, name or entry.name, loaded.fingerprint, parameters)


def _write_meanwhile(report: Report, out: Path) -> None:
    """Write what is known; where that cannot be done now, say so and let the measuring go on."""
    try:
        _write(report, out)
    except OSError as error:
        say(f"What is known could not be written yet. {sentence(error)}")


def _write(report: Report, out: Path) -> None:
    from engine.report.compared import drawing
    from engine.report.content import as_json
    from engine.report.page import render
    from engine.report.reproduction import headings, in_order

    written = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC by nca-seg {version()}"
    # The numbers first: they are what cannot be had again in a second.
    write_atomic(out / NUMBERS, json.dumps(as_json(report, written), indent=1) + "\n")
    write_atomic(out / PAGE, render(report, written))
    if report.compared:
        titles = [(one.subject.name, "\n".join(headings(one))) for one in in_order(report.measured)]
        write_atomic(out / MASKS, drawing(report.compared, titles))


def _line(report: Report) -> str:
    """The most important number."""
    from engine.report.wording import images, mean

    for name, evaluation in (("test", report.test), ("val", report.val)):
        if evaluation is not None:
            return f"{name} Dice {mean(evaluation, 'dice')}, {images(evaluation)}"
    return ""
