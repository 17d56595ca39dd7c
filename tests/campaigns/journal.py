"""What a program under trial did, a line each on stdout, which a kill cannot take back."""

from __future__ import annotations

import inspect
import json
import os
import threading
import time
from collections.abc import Callable
from typing import Any

from engine.study.study import Study
from tests.campaigns.harness import mask_hash


def note(event: str, **facts: Any) -> None:
    """Print a line at once, in one write: the kernel has it, whatever becomes of the program."""
    line = json.dumps({"t": time.monotonic(), "event": event, **facts}) + "\n"
    os.write(1, line.encode())


def watch_studies(tell: Callable[..., None] = note) -> None:
    """Have each call of a study in this process told: before it ("begin"), and after ("end").

    One that fails is told as "refused". `call` is what it does: "save", "save_draft",
    "set_reviewed", "drop_draft", "keep_copy" or "load". `t` of a write is when it had the
    lock of the index, since two processes go on in any order afterwards.
    """
    _note_locks()
    for name in (
        "save",
        "save_over",
        "save_draft",
        "set_reviewed",
        "drop_draft",
        "keep_copy",
        "load",
    ):
        _watch(name, tell)


#: When this thread last held the lock of a study's index.
_HELD = threading.local()


def _note_locks() -> None:
    """Both `save` and `set_reviewed` compare what lies there while they hold the lock."""
    original = Study._expect

    def expect(study: Study, *given: Any, **named: Any) -> None:
        _HELD.t = time.monotonic()
        original(study, *given, **named)

    Study._expect = expect  # type: ignore[method-assign]


def _watch(name: str, tell: Callable[..., None]) -> None:
    original = getattr(Study, name)
    signature = inspect.signature(original)

    def watched(study: Study, *given: Any, **named: Any) -> Any:
        bound = signature.bind(study, *given, **named)
        bound.apply_defaults()
        arguments = bound.arguments
        call = "save" if name == "save_over" else name
        facts: dict[str, Any] = {"call": call, "image": arguments["image_path"].name}
        if arguments.get("mask_hw") is not None:
            facts["mask"] = mask_hash(arguments["mask_hw"])
        if "reviewed" in arguments:
            facts["reviewed"] = bool(arguments["reviewed"])
        tell("begin", **facts)
        before, _HELD.t = getattr(_HELD, "t", None), None
        try:
            answer = original(study, *given, **named)
        except BaseException as error:
            tell("refused", **facts, reason=repr(error)[:300])
            raise
        finally:
            held, _HELD.t = _HELD.t, before
        if call == "load":
            facts["mask"] = None if answer is None else mask_hash(answer.mask_hw)
        if held is not None:
            facts["t"] = held
        tell("end", **facts)
        return answer

    setattr(Study, name, watched)
