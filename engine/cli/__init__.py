"""The command line: one command a module, and what they share."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from engine.cli import (
    compare,
    doctor,
    evaluate,
    export,
    finetune,
    fit_style,
    models,
    pack,
    report,
    segment,
    simulate,
    train,
)
from engine.cli.console import end_output, prepare_streams
from engine.cli.exit_codes import NOBODY_READS, NOTHING_DONE
from engine.cli.messages import say
from engine.plaintext import shown_reason

HELP = """Outline skin lesions with a neural cellular automaton, and teach it by example.

For research; not a medical device.

\b
Examples:
  nca-seg segment photo.jpg --out results
  nca-seg segment pictures/ --out results --members 20 --sampler ddpm --steps 100
  nca-seg evaluate --data isic2018 --split val --json figures.json
  nca-seg report isic2018 --out report
  nca-seg train --data isic2018 --out runs/first --minutes 90
  nca-seg compare --data isic2018 --out runs/hour --minutes 60 --models U-Net-0.4M,MultiCBAM-ours
  nca-seg export pictures/ --out corrected
  nca-seg finetune --data corrected --minutes 2
  nca-seg fit-style --data pictures/
  nca-seg simulate --data isic2018 --split test --plot strokes.png
  nca-seg pack isic2018 --out pack
  nca-seg models
  nca-seg doctor

\b
Exit codes:
  0    done
  1    an unexpected defect of the program
  2    the command was not understood
  3    not everything could be done, and why is said; the rest is done or kept
  4    nothing could be done: the model, the data or the disk
  130  interrupted; what was finished is kept (143 by SIGTERM, 129 where the terminal closes)
  141  nobody reads the output any more; what was finished is kept
"""

app = typer.Typer(
    name="nca-seg",
    help=HELP,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def _show_version(asked: bool) -> None:
    if asked:
        print(f"nca-seg {doctor.version()}")
        raise typer.Exit


@app.callback()
def _program(
    _version: Annotated[
        bool,
        typer.Option("--version", help="Show the version.", callback=_show_version, is_eager=True),
    ] = False,
) -> None:
    """Options of the program as a whole."""


app.command("segment")(segment.segment)
app.command("evaluate")(evaluate.evaluate)
app.command("report")(report.report)
app.command("compare")(compare.compare)
app.command("train")(train.train)
app.command("finetune")(finetune.finetune)
app.command("fit-style")(fit_style.fit_style)
app.command("simulate")(simulate.simulate)
app.command("export")(export.export)
app.command("pack")(pack.pack)
app.command("models")(models.models)
app.command("doctor")(doctor.doctor)


def main() -> None:
    """Run the command line; ends the process with one of the exit codes in the help."""
    prepare_streams()
    code: str | int | None = 0
    trouble: BaseException | None = None
    try:
        app(prog_name="nca-seg")
    except SystemExit as end:
        code = end.code
        if isinstance(end.__context__, BrokenPipeError):
            trouble = end.__context__
    except OSError as error:
        # Of what a command meets it tells itself; this was met while printing help or version.
        trouble = error
    trouble = end_output() or trouble
    sys.exit(code if trouble is None else _unwritten(trouble))


def _unwritten(trouble: BaseException) -> int:
    """The exit code where the output could not be written; says why unless nobody reads it."""
    if isinstance(trouble, BrokenPipeError):
        return NOBODY_READS
    reason = trouble.strerror if isinstance(trouble, OSError) else trouble
    say(f"The output could not be written: {shown_reason(reason)}.")
    return NOTHING_DONE
