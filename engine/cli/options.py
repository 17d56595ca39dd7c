"""Flags of the commands: those that several share, and those that settings describe."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import Field, fields, replace
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from engine.cli.exit_codes import INTERRUPTED, NOBODY_READS, NOTHING_DONE
from engine.cli.messages import Refusal, say, sentence
from engine.cli.signals import ending
from engine.errors import EngineError
from engine.networks.table import ARCHITECTURES
from engine.settings import Flag
from engine.types import Device

DataOption = Annotated[
    Path,
    typer.Option(
        "--data", help="Folder with images/ and masks/, or one whose images have saved masks."
    ),
]
TrainingDataOption = Annotated[
    list[Path],
    typer.Option(
        "--data",
        help="Folder with images/ and masks/, or one whose images have saved masks; several are "
        "trained on together.",
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


def command(
    settings: Any = None,
    without: Collection[str] = (),
    switches: Mapping[str, str] | None = None,
    configs: bool = False,
) -> Callable[[Command], Command]:
    """Make a function a command: failures become one sentence and an exit code.

    Parameters
    ----------
    settings : of a dataclass: the function's `settings` becomes one flag per field, described by
        the field's own metadata, with these as defaults.
    without : names of fields that get no flag.
    The function's `told`, where it has one, is the set of names of fields whose flags were given.
    switches : name and help of flags that are given or not, shown in the place of the function's
        `chosen`, which is the set of names given.
    configs : whether the flags of the configs of all architectures are shown, in the place of the
        function's `config`, which holds the values given by name.
    """

    def decorate(body: Command) -> Command:
        names = {f.name for f in fields(settings)} - set(without) if settings else set()
        tells = "told" in inspect.signature(body).parameters
        switched = switches or {}
        of_configs = _config_flags() if configs else {}

        @functools.wraps(body)
        def run(**given: Any) -> None:
            if tells:
                context = given.pop("context")
                given["told"] = frozenset(
                    name
                    for name in names
                    if context.get_parameter_source(name).name == "COMMANDLINE"
                )
            if settings is not None:
                chosen = {name: given.pop(name) for name in names}
                try:
                    given["settings"] = replace(settings, **chosen)
                except ValueError as error:
                    raise typer.BadParameter(str(error)) from error
            if switched:
                given["chosen"] = frozenset(name for name in switched if given.pop(name))
            if configs:
                told = {name: given.pop(name) for name in of_configs}
                given["config"] = {key: value for key, value in told.items() if value is not None}
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
        parameters: list[inspect.Parameter] = []
        for own in inspect.signature(body).parameters.values():
            if own.name == "chosen":
                parameters += (_switch(name, text) for name, text in switched.items())
            elif own.name == "config":
                parameters += of_configs.values()
            elif own.name == "told":
                parameters.append(own.replace(name="context", annotation=typer.Context))
            elif own.name != "settings":
                parameters.append(own.replace(annotation=hints[own.name]))
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
        kind = hints[field.name]
        described: dict[str, Any] = {}
        default, word = getattr(settings, field.name), field.metadata["word"]
        if word:
            described = {"parser": _number_or(field), "metavar": f"N|{word}"}
            described["show_default"] = word if default == field.metadata["low"] else True
        elif kind in (int, float):
            described = {"min": field.metadata["low"], "max": field.metadata["high"]}
        option = typer.Option(_word(field.name, kind), help=field.metadata["help"], **described)
        yield inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=default,
            annotation=Annotated[kind, option],
        )


def _config_flags() -> dict[str, inspect.Parameter]:
    """A flag for each field of any architecture's config that has one, by name.

    It means the same in every config that has the field: the first describes it.
    """
    found: dict[str, inspect.Parameter] = {}
    for config in dict.fromkeys(entry.config for entry in ARCHITECTURES.values()):
        hints = get_type_hints(config)
        for field in config.flagged():
            flag: Flag = field.metadata["flag"]
            kind, usual = hints[field.name], flag.usual or field.default
            if kind is bool:
                usual = _word(field.name, kind).split("/")[not field.default]
            option = typer.Option(
                _word(field.name, kind),
                min=flag.low,
                max=flag.high,
                help=f"{flag.help}  [default: {usual}, or as --from]",
            )
            found.setdefault(
                field.name,
                inspect.Parameter(
                    field.name,
                    inspect.Parameter.POSITIONAL_OR_KEYWORD,
                    default=None,
                    annotation=Annotated[kind | None, option],
                ),
            )
    return found


def _word(name: str, kind: Any) -> str:
    """The flag of a value of that name and type."""
    word = name.replace("_", "-")
    return f"--{word}/--no-{word}" if kind is bool else f"--{word}"


def _switch(name: str, text: str) -> inspect.Parameter:
    return inspect.Parameter(
        name,
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
        default=False,
        annotation=Annotated[bool, typer.Option(f"--{name.replace('_', '-')}", help=text)],
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
