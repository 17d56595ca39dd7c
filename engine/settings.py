"""Fields of settings that describe themselves, for form, flags and help, and their check."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Flag:
    """How the command line lets a value of a network's config be chosen.

    Parameters
    ----------
    help : one sentence.
    low, high : the bounds of a number, both allowed, as the help shows them; None for none. The
        config checks the value by its own.
    usual : what the help calls the default, "" for its value.
    """

    help: str
    low: float | None = None
    high: float | None = None
    usual: str = ""


def bounded(
    default: Any,
    *,
    low: float | None = None,
    high: float | None = None,
    choices: Sequence[str] = (),
    flag: Flag | None = None,
) -> Any:
    """A dataclass field that says what it may hold, for `check_settings`, and its flag if any."""
    metadata = {"low": low, "high": high, "choices": choices, "flag": flag}
    return field(default=default, metadata=metadata)


def setting(
    default: Any,
    label: str,
    help: str,  # noqa: A002 - the field's own word for it
    *,
    low: float | None = None,
    high: float | None = None,
    unit: str = "",
    choices: tuple[str, ...] = (),
    word: str = "",
) -> Any:
    """A dataclass field that describes itself, for the form, the flag and the help page.

    Parameters
    ----------
    default : the value unless another is given.
    label : of the form's row.
    help : one sentence, for the form's tooltip and the flag's help.
    low, high : the bounds of a number, both allowed; None for none.
    unit : behind the number in the form, "" for none.
    choices : the values that are allowed, empty where the type alone says it.
    word : what the lowest value is called where it is no number like the others, as "auto".
    """
    return field(
        default=default,
        metadata={
            "label": label,
            "help": help,
            "low": low,
            "high": high,
            "unit": unit,
            "choices": choices,
            "word": word,
        },
    )


def check_settings(settings: Any) -> None:
    """Raise ValueError, naming the field, where a value is not what its type and metadata say."""
    for described in dataclasses.fields(settings):
        value, metadata = getattr(settings, described.name), described.metadata
        if metadata.get("choices"):
            if value not in metadata["choices"]:
                raise ValueError(
                    f"{described.name} must be one of {', '.join(metadata['choices'])}"
                )
            continue
        holds, called = _KINDS.get(str(described.type), (_is_anything, ""))
        if not holds(value):
            raise ValueError(f"{described.name} is {value!r}, not {called}")
        low, high = metadata.get("low"), metadata.get("high")
        if (low is not None and value < low) or (high is not None and value > high):
            raise ValueError(f"{described.name} is {value}, outside {low} to {high}")


def _is_whole(value: Any) -> bool:
    # To Python True is the number 1, in a file it is a mistake.
    return isinstance(value, int) and not isinstance(value, bool)


def is_number(value: Any) -> bool:
    """Whether a value read from a file is a finite number, and not true or false."""
    return _is_whole(value) or (isinstance(value, float) and math.isfinite(value))


def _is_anything(_: Any) -> bool:
    return True


#: What a field holds by its annotation, and what that is called; others check themselves.
_KINDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "int": (_is_whole, "a whole number"),
    "float": (is_number, "a number"),
    "bool": (lambda value: isinstance(value, bool), "true or false"),
    "str": (lambda value: isinstance(value, str), "text"),
}
