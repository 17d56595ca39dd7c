"""The settings of the window, and the file that holds those that differ from the defaults."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from platformdirs import user_config_path

from engine.files import put_in_place, read_regular, write_atomic
from engine.types import (
    FINE_TUNING,
    Device,
    SampleSettings,
    TrainSettings,
    check_settings,
    setting,
)

FORMAT = "nca-seg/settings"
VERSION = 1
RECENT_COUNT = 12
#: The longest file that is read.
MOST_BYTES = 2**20
#: The thumbnails' share of `Settings.cache_mb`.
THUMBNAIL_SHARE = 0.1


class UnreadableSettings(Exception):
    """A settings file that could not be read; `kept` is the path to which it was moved."""

    def __init__(self, path: Path, reason: str, kept: Path) -> None:
        self.path = path
        self.reason = reason
        self.kept = kept
        super().__init__(f"{path}: {reason}")


@dataclass(frozen=True)
class NewModel:
    """Which model is trained from new weights, and for how long.

    `preset` is a name of `engine.networks.table.offered`; "" where the chosen model is fine-tuned
    instead.
    """

    preset: str = ""
    minutes: float = setting(
        30.0,
        "Time",
        "How long it learns. Longer is better, above all with many masks.",
        low=0.5,
        high=6000.0,
        unit="min",
    )
    batch_size: int = setting(
        0, "Batch", "Samples in a step; auto: as many as it learns best from.", low=0, high=1024,
        word="auto",
    )  # fmt: skip

    def __post_init__(self) -> None:
        check_settings(self)


@dataclass(frozen=True)
class Settings:
    """What a person has chosen, and finds again when the program starts."""

    theme: Literal["system", "light", "dark"] = setting(
        "system", "Theme", "Colours of the window.", choices=("system", "light", "dark")
    )
    device: Device = setting(
        "auto", "Device", "Where the model runs.", choices=("auto", "cpu", "cuda")
    )
    model: str = setting("", "Model", "Name of the model in use; empty takes the first.")
    threshold: float = setting(
        0.5, "Threshold", "Probability from which a pixel counts as lesion.", low=0.0, high=1.0
    )
    autosave_s: float = setting(
        2.0, "Draft every", "Time between drafts while drawing.", low=0.5, high=600.0, unit="s"
    )
    brush_radius_px: float = setting(
        12.0, "Brush radius", "In pixels of the image.", low=0.5, high=500.0, unit="px"
    )
    fill_opacity: float = setting(
        0.12, "Fill opacity", "Of the coloured area inside the outline.", low=0.0, high=0.6
    )
    run_ahead: bool = setting(
        True, "Lookahead", "Segment the next image of the list before you ask for it."
    )
    cache_mb: float = setting(
        500.0, "Images kept", "Memory for thumbnails and for the images beside the open one.",
        low=0.0, high=100_000.0, unit="MB",
    )  # fmt: skip
    log_stalls: bool = setting(
        False, "Log stalls", "Write to the log when the window did not answer for 50 ms."
    )
    show_outline: bool = setting(True, "Outline", "Draw the border of the mask.")
    show_fill: bool = setting(True, "Fill", "Tint the area inside the outline.")
    show_variance: bool = setting(False, "Variance", "Show where the members disagree.")
    sample: SampleSettings = field(default_factory=SampleSettings)
    learn: TrainSettings = FINE_TUNING
    new_model: NewModel = NewModel()
    recent: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_settings(self)

    @property
    def thumbnails_mb(self) -> float:
        """The part of `cache_mb` for thumbnails; the rest is for whole images."""
        return THUMBNAIL_SHARE * self.cache_mb

    def opened(self, path: Path) -> Settings:
        """A copy with `path` as the first of the recent files."""
        others = tuple(recent for recent in self.recent if recent != str(path))
        return dataclasses.replace(self, recent=(str(path), *others)[:RECENT_COUNT])


#: MIGRATIONS[n] turns the values of a file of version n into those of version n + 1.
MIGRATIONS: Mapping[int, Callable[[dict[str, Any]], dict[str, Any]]] = {}


def settings_path() -> Path:
    """The path of settings.json: below NCA_SEG_HOME if that is set, else in the system's folder."""
    home = os.environ.get("NCA_SEG_HOME")
    folder = Path(home) / "config" if home else user_config_path("nca-seg", appauthor=False)
    return folder / "settings.json"


def load(path: Path) -> Settings:
    """The settings stored at `path`; the defaults if there is no file.

    Raises UnreadableSettings if the file cannot be used, after moving it aside.
    """
    try:
        text = read_regular(path, MOST_BYTES).decode("utf-8")
    except FileNotFoundError:
        return Settings()
    except (OSError, UnicodeDecodeError) as error:
        raise UnreadableSettings(path, str(error), _move_aside(path)) from error
    try:
        return from_json(text)
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise UnreadableSettings(path, str(error), _move_aside(path)) from error


def save(settings: Settings, path: Path) -> None:
    """Write `settings` to `path`, atomically. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, to_json(settings))


def to_json(settings: Settings) -> str:
    """The settings that differ from the defaults, as JSON text."""
    header = {"format": FORMAT, "version": VERSION}
    return json.dumps(header | _differences(settings, Settings()), indent=2) + "\n"


def from_json(text: str) -> Settings:
    """The settings in a text of `to_json`. Raises ValueError or TypeError if it is none."""
    values = json.loads(text)
    if not isinstance(values, dict) or values.pop("format", None) != FORMAT:
        raise ValueError(f"not a {FORMAT} file")
    version = values.pop("version", None)
    if not isinstance(version, int) or isinstance(version, bool) or not 1 <= version <= VERSION:
        raise ValueError(f"version {version!r} is not known here")
    for known in range(version, VERSION):
        values = MIGRATIONS[known](values)
    settings: Settings = _merged(Settings(), values)
    return settings


def _differences(value: Any, default: Any) -> dict[str, Any]:
    """The fields of a dataclass that differ from the default's, by name; nested ones likewise."""
    different: dict[str, Any] = {}
    for each in dataclasses.fields(value):
        now, usual = getattr(value, each.name), getattr(default, each.name)
        if now != usual:
            nested = dataclasses.is_dataclass(now)
            different[each.name] = _differences(now, usual) if nested else now
    return different


def _merged(default: Any, values: Mapping[str, Any]) -> Any:
    """A copy of the dataclass `default` with `values` for its own.

    Raises ValueError for an unknown name or a value of another type.
    """
    changes: dict[str, Any] = {}
    for name, value in values.items():
        usual = getattr(default, name, None)
        if name not in {each.name for each in dataclasses.fields(default)}:
            raise ValueError(f"{name} is not a setting")
        changes[name] = _converted(name, value, usual)
    return dataclasses.replace(default, **changes)


def _converted(name: str, value: Any, usual: Any) -> Any:
    """A JSON value as the type of the default `usual`. Raises ValueError if it has another type."""
    if dataclasses.is_dataclass(usual) and isinstance(value, dict):
        return _merged(usual, value)
    if isinstance(usual, tuple) and isinstance(value, list):
        if all(isinstance(each, str) for each in value):
            return tuple(value)
    elif isinstance(usual, bool) or isinstance(value, bool):
        if isinstance(usual, bool) and isinstance(value, bool):
            return value
    elif isinstance(usual, float) and isinstance(value, int | float):
        return float(value)
    elif type(value) is type(usual):
        return value
    raise ValueError(f"{name} is {value!r}")


def _move_aside(path: Path) -> Path:
    """Rename an unreadable file, and give its new path; the old one if that fails."""
    kept = path.with_name(f"{path.stem}.unreadable{path.suffix}")
    for number in range(2, 100):
        if not kept.exists():
            break
        kept = path.with_name(f"{path.stem}.unreadable-{number}{path.suffix}")
    try:
        put_in_place(path, kept)
    except OSError:
        # The file stays where it is, and the message names that path.
        return path
    return kept
