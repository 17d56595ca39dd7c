"""What the commands share: flags from settings, sentences from errors, progress on a terminal."""

from __future__ import annotations

import functools
import inspect
import json
import os
import sys
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import Field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from engine.cli.console import NOBODY_READS
from engine.cli.signals import INTERRUPTED as INTERRUPTED
from engine.cli.signals import ending
from engine.errors import (
    DatasetProblem,
    Diverged,
    EngineError,
    FolderInUse,
    MaskKept,
    NotFinite,
    OutOfMemory,
    StudyProblem,
    TooLarge,
    UnknownArchitecture,
    UnreadableImage,
    UnreadableMask,
    UnreadableModel,
)
from engine.plaintext import (
    LONGEST_PATH,
    NAME,
    fitting,
    one_line,
    shown_file,
    shown_path,
    shown_reason,
    shown_text,
)
from engine.types import Dataset, Device

if TYPE_CHECKING:
    from engine.diffusion.model import Model
    from engine.networks.library import ModelEntry

SOME_FAILED, NOTHING_DONE = 3, 4

DataOption = Annotated[
    Path,
    typer.Option(
        "--data", help="Folder with images/ and masks/, or one whose images have saved masks."
    ),
]
ModelOption = Annotated[
    str, typer.Option("--model", help="Name of an installed model, or a .safetensors file.")
]
DeviceOption = Annotated[Device, typer.Option("--device", help="Where to compute.")]
ThresholdOption = Annotated[
    float,
    typer.Option(
        "--threshold", min=0.0, max=1.0, help="Mean probability from which a pixel is lesion."
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else on stdout.")]
MinutesOption = Annotated[
    float | None, typer.Option("--minutes", min=0.0, help="End after this long; the best is kept.")
]

Command = Callable[..., None]


class Refusal(Exception):
    """A sentence for the person, where nothing could be done."""


def command(settings: Any = None, without: Collection[str] = ()) -> Callable[[Command], Command]:
    """Make a function a command: failures become one sentence and an exit code.

    With settings (of a dataclass), the function's `settings` becomes one flag per field, described
    by the field's own metadata, with these as defaults; `without` names fields that get no flag.
    """

    def decorate(body: Command) -> Command:
        names = {f.name for f in fields(settings)} - set(without) if settings else set()

        @functools.wraps(body)
        def run(**given: Any) -> None:
            if settings is not None:
                chosen = {name: given.pop(name) for name in names}
                try:
                    given["settings"] = replace(settings, **chosen)
                except ValueError as error:
                    raise typer.BadParameter(str(error)) from error
            with ending() as end:
                try:
                    body(**given)
                except KeyboardInterrupt:
                    say("Interrupted.")
                    raise typer.Exit(end.exit_code) from None
                except typer.Exit as done:
                    interrupted = done.exit_code == INTERRUPTED
                    raise typer.Exit(end.exit_code) if interrupted else done from None
                except BrokenPipeError:
                    raise typer.Exit(NOBODY_READS) from None
                except (EngineError, OSError, MemoryError, Refusal) as error:
                    say(sentence(error))
                    raise typer.Exit(NOTHING_DONE) from None

        hints = get_type_hints(body, include_extras=True)
        parameters = [
            p.replace(annotation=hints[p.name])
            for p in inspect.signature(body).parameters.values()
            if p.name != "settings"
        ]
        if settings is not None:
            parameters += _flags(settings, names)
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {p.name: p.annotation for p in parameters}
        return run

    return decorate


def _flags(settings: Any, names: Collection[str]) -> Iterator[inspect.Parameter]:
    hints = get_type_hints(type(settings))
    for field in fields(settings):
        if field.name not in names:
            continue
        kind, flag = hints[field.name], f"--{field.name.replace('_', '-')}"
        if kind is bool:
            flag += f"/--no-{flag.removeprefix('--')}"
        described: dict[str, Any] = {}
        default, word = getattr(settings, field.name), field.metadata["word"]
        if word:
            described = {"parser": _number_or(field), "metavar": f"N|{word}"}
            described["show_default"] = word if default == field.metadata["low"] else True
        elif kind in (int, float):
            described = {"min": field.metadata["low"], "max": field.metadata["high"]}
        option = typer.Option(flag, help=field.metadata["help"], **described)
        yield inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=default,
            annotation=Annotated[kind, option],
        )


def _number_or(field: Field[Any]) -> Callable[[str], int]:
    """What reads a field's value, which may also be the word for its lowest."""
    low, word = field.metadata["low"], field.metadata["word"]

    def number(text: str) -> int:
        if text == word:
            return int(low)
        try:
            return int(text)
        except ValueError:
            raise typer.BadParameter(f"{text!r} is neither a number nor {word}") from None

    return number


def sentence(error: BaseException) -> str:
    """What happened and what to do, naming file and reason: one bounded line of plain text."""
    return fitting(lambda path, reason: _sentence(error, path, reason))


def _sentence(error: BaseException, most_path: int, most: int) -> str:
    place = shown_path(getattr(error, "path", ""), most_path)
    why = shown_reason(getattr(error, "reason", ""), most)
    match error:
        case UnreadableImage():
            return f"The image {place} cannot be read: {why}."
        case UnreadableMask():
            return f"The mask {place} cannot be used: {why}."
        case UnreadableModel():
            return f"The model {place} cannot be used: {why}."
        case DatasetProblem() | StudyProblem():
            return f"{place}: {why}."
        case FolderInUse():
            return f"{place} is in use: {why}. Wait for it, or choose another --out."
        case TooLarge():
            return (
                f"The model asks for {error.size} × {error.size} cells with {error.updates} "
                f"updates in a step, about {error.memory_gb:.1f} GB for each member: more than is "
                "computed. Choose a smaller one."
            )
        case NotFinite():
            return (
                f"The model {one_line(error.name, NAME)} computed numbers that are not finite, so "
                "there is no result. Its weights are unusable; choose another one."
            )
        case Diverged():
            best = "" if error.best is None else shown_path(error.best, most_path)
            kept = f" The best weights before it are {best}." if best else ""
            return (
                f"The training diverged at step {error.step}: its loss or its weights grew "
                f"beyond all bounds. No model was added.{kept} Try a --learning-rate lower "
                f"than {error.learning_rate:.2g}."
            )
        case MaskKept():
            return f"{place} stays as it is: {why}. Choose another --out, or add --overwrite."
        case UnknownArchitecture(known=()):
            return "No model is installed. Train one with nca-seg train, or name a file."
        case UnknownArchitecture():
            known = shown_reason(", ".join(error.known), most)
            return f"There is no model {one_line(repr(error.name), NAME)} here, only {known}."
        case OutOfMemory(batch=1):
            return f"The model at {error.size} cells does not fit into memory."
        case OutOfMemory():
            return (
                f"{error.batch} {error.what} at once do not fit into memory. "
                f"Try --batch-size {error.smaller}."
            )
        case OSError():
            return f"{shown_file(error, most_path)}: {shown_reason(error.strerror or error, most)}."
        case MemoryError():
            return "There is not enough memory for this."
    return str(error)


def say(text: str) -> None:
    """A line for the person, beside the output; where nobody can read it the work goes on."""
    with suppress(OSError, ValueError):
        print(f"nca-seg: {one_line(text)}", file=sys.stderr, flush=True)


def show(path: Path | str) -> str:
    """A path as a line of output has it: whole, and on one line whatever its name holds."""
    return one_line(path, LONGEST_PATH)


def print_json(content: Any) -> None:
    """Print one JSON document."""
    print(json.dumps(content, indent=1))


def find_model(name: str) -> ModelEntry:
    """The installed model of a name or file. Raises EngineError."""
    from engine.networks.library import find

    return find(name)


def load_model(entry: ModelEntry, device: Device) -> Model:
    """A model ready to run. Raises what `expect_device` raises, or EngineError."""
    from engine.diffusion.model import load

    expect_device(device)
    return load(entry.path, device)


def tell_leftovers() -> None:
    """Say what a fine-tuning that was killed had learned; what leads to nothing is removed."""
    from engine.training.leftovers import unfinished

    left = unfinished()
    if left is not None:
        say(
            "A fine-tuning was interrupted. The best of what it had learned is "
            f"{left.weights}; nca-seg models --add adds it."
        )


def expect_device(device: Device) -> None:
    """Raise Refusal, with the reason, where a device is not there."""
    from engine.networks.device import choose

    try:
        choose(device)
    except ValueError as error:
        advice = ". Leave --device out to use the processor" if device == "cuda" else ""
        raise Refusal(f"{error}{advice}.") from error


def open_data(folder: Path) -> Dataset:
    """The samples of a data set folder, or of a folder under annotation. Raises EngineError.

    Says what of the data set folder is left out.
    """
    from engine.study.dataset import read_dataset
    from engine.study.study import Study, study_dataset

    if os.path.lexists(folder / "images") or not folder.is_dir():
        dataset = read_dataset(folder)
        if left_out := dataset.left_out:
            files, one = ("files are", "one is") if len(left_out) > 1 else ("file is", "it is")
            unlisted = f"{len(left_out)} {files} left out, for the index does not list them"
            say(f"{folder}: {unlisted}; {one} {shown_text(left_out[0])}.")
        return dataset
    dataset = study_dataset(Study.open(folder))
    if not dataset.samples:
        raise DatasetProblem(folder, "has neither images/ and masks/ nor saved masks of its images")
    return dataset


Advance = Callable[[float, str], None]


@contextmanager
def progress(label: str) -> Iterator[Advance | None]:
    """A bar on stderr that is told (share done, what now), or None where there is no terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TimeRemainingColumn())
    bar = Progress(
        *columns,
        console=Console(stderr=True),
        transient=True,
        # Lines on a terminal go above the bar; lines into a file stay the file's.
        redirect_stdout=sys.stdout.isatty(),
    )
    with bar:
        task = bar.add_task(label, total=1.0)

        def advance(share: float, now: str) -> None:
            bar.update(task, completed=share, description=f"{label} {now}")

        yield advance
