"""Writes the commands that trained a model and that measured its scores."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, asdict, fields, replace
from pathlib import Path
from typing import Any

from engine.networks.table import architecture, paper_protocol, trainable
from engine.types import ModelSpec, SampleSettings, TrainSettings


def measured_by(model: str, data: Path, settings: SampleSettings, limit: int | None) -> str:
    """The command that measures a model's scores on test again.

    Parameters
    ----------
    model : what `--model` takes for it: a name or a file.
    data : the data set's folder.
    settings : those of the evaluation; only what is not the default becomes a flag.
    limit : the most images of the split, None for all.
    """
    limited = [] if limit is None else ["--limit", str(limit)]
    flags = _flags(SampleSettings(), asdict(settings))
    asked = ["--data", str(data), "--split", "test", "--model", model]
    return shlex.join(["nca-seg", "evaluate", *asked, *flags, *limited])


def trained_by(spec: ModelSpec) -> str:
    """The command of a model's training as its file records it, or "" where it records none.

    DATA, DIR and PARENT stand for what the file does not know.
    """
    if "steps" not in spec.training:
        return ""
    went_on = spec.parent or spec.training.get("samples_before")
    name = _preset(spec)
    begin = ["--from", "PARENT"] if went_on else ["--architecture", name]
    protocol = spec.training.get("protocol", "own")
    usual = choices(trainable(name, protocol))
    changed = {name: value for name, value in choices(spec).items() if value != usual[name]}
    kind = [word for name, value in changed.items() for word in _given(name, value)]
    asked = ["--data", "DATA", "--out", "DIR", *begin, *kind]
    # The protocol's own flag is the one that says where its other values come from.
    settings = TrainSettings()
    if protocol == "paper":
        settings = replace(paper_protocol(spec).settings, protocol="own")
    return shlex.join(["nca-seg", "train", *asked, *_flags(settings, spec.training)])


def _preset(spec: ModelSpec) -> str:
    """The preset whose network a spec has, or the architecture's name where it has none's."""
    first, *others = architecture(spec.architecture).presets
    named = [each.name for each in others if each.config == spec.config]
    return named[0] if named and spec.config != first.config else spec.architecture


def _flags(settings: Any, values: Mapping[str, Any]) -> Iterator[str]:
    """The flags of those values that are not those of the settings."""
    for field in fields(settings):
        value = values.get(field.name, MISSING)
        if value is MISSING or value == getattr(settings, field.name):
            continue
        word = field.metadata["word"]
        is_word = word and value == field.metadata["low"]
        yield from _given(field.name, word if is_word else value)


def _given(name: str, value: Any) -> tuple[str, ...]:
    """The words on the command line that give a flag that value."""
    if isinstance(value, bool):
        return (_flag(name if value else f"no-{name}"),)
    return _flag(name), str(value)


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def choices(spec: ModelSpec) -> dict[str, Any]:
    """What flags of `nca-seg train` choose, by name: of diffusion first, then of the config."""
    diffusion = ("predicts", "mask_scale", "schedule", "framing", "steerable")
    own = {name: getattr(spec, name) for name in diffusion}
    return own | {each.name: getattr(spec.config, each.name) for each in spec.config.flagged()}
