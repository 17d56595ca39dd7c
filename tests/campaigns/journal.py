"""What a program under trial did, a line each on stdout, which a kill cannot take back."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from engine.study import Study
from tests.campaigns.harness import mask_hash


def note(event: str, **facts: Any) -> None:
    """Print a line at once, in one write: the kernel has it, whatever becomes of the program."""
    line = json.dumps({"t": time.monotonic(), "event": event, **facts}) + "\n"
    os.write(1, line.encode())


def watch_studies(tell: Callable[..., None] = note) -> None:
    """Have each write of a study in this process told: before it ("begin"), and after ("end").

    A write that fails is told as "refused". `call` is the name of the method.
    """
    _watch("save", tell)
    _watch("save_draft", tell)
    _watch("set_reviewed", tell)
    _watch("drop_draft", tell)
    _watch("load", tell)


def _watch(call: str, tell: Callable[..., None]) -> None:
    original = getattr(Study, call)

    def watched(study: Study, image_path: Path, *rest: Any, **named: Any) -> Any:
        facts: dict[str, Any] = {"call": call, "image": image_path.name}
        if call in ("save", "save_draft"):
            facts["mask"] = mask_hash(rest[0])
        if call == "save":
            facts["reviewed"] = bool(named.get("reviewed", rest[2] if len(rest) > 2 else False))
        if call == "set_reviewed":
            facts["reviewed"] = bool(named.get("reviewed", rest[0] if rest else False))
        tell("begin", **facts)
        try:
            given = original(study, image_path, *rest, **named)
        except BaseException as error:
            tell("refused", **facts, reason=repr(error)[:300])
            raise
        if call == "load":
            facts["mask"] = None if given is None else mask_hash(given.mask_hw)
        tell("end", **facts)
        return given

    setattr(Study, call, watched)
