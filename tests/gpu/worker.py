"""Runs parts in a process of its own, and prints a line of JSON for each thing that is found.

    python -m tests.gpu.worker '{"parts": […], "data": …}'

What else is printed goes to standard error. The process ends with `BROKEN` once the device no
longer computes: after some errors of CUDA nothing works until the next process.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from dataclasses import asdict, replace
from importlib import import_module
from pathlib import Path
from typing import TextIO

from tests.gpu.parts import PARTS, RESERVE_S, Figure, Given, Result

BROKEN = 3


def run(names: list[str], given: Given, lines: TextIO) -> None:
    """Run parts one after another; what goes wrong in one is a result, and the next follows.

    Parameters
    ----------
    names : of the parts.
    given : for all of them; its `end_s` is the end of the whole.
    lines : where the lines are written.
    """

    def tell(part: str, **told: object) -> None:
        lines.write(json.dumps({"part": part, **told}) + "\n")
        lines.flush()

    for name in names:
        part = PARTS[name]
        last_s = given.end_s if part.limit_s is not None else given.end_s - RESERVE_S
        end_s = min(last_s, time.time() + part.limit_s) if part.limit_s is not None else last_s
        tell(name, begun=True, end_s=end_s)
        if part.needs_gpu and given.device == "cpu":
            tell(name, what="skipped", reason=f"needs CUDA: {part.needs_gpu}")
            continue
        act: Callable[[Given], Iterator[Result]]
        try:
            act = getattr(import_module(f"tests.gpu.{part.module}"), name)
            for result in act(replace(given, end_s=end_s)):
                tell(name, **asdict(result))
        except Exception as error:  # whatever it is, the next part is to be tried
            reason = f"{type(error).__name__}: {error}"
            tell(name, what="broke", passed=False, reason=reason)
            traceback.print_exc()
            if given.device == "cuda" and not _computes():
                sys.exit(BROKEN)


def _computes() -> bool:
    """Whether the GPU can still be used by this process; frees what memory the last part had."""
    import torch

    try:
        torch.cuda.synchronize()
        torch.cuda.empty_cache()
    except RuntimeError:
        return False
    return True


def machine(device: str) -> Result:
    """What the parts run on."""
    import torch

    figures: dict[str, Figure] = {
        "torch": torch.__version__,
        "python": platform.python_version(),
        "cores": os.cpu_count() or 0,
    }
    if device == "cpu":
        return Result(platform.machine(), figures)
    card = torch.cuda.get_device_properties(0)
    figures |= {"cuda": torch.version.cuda or "", "memory_gb": card.total_memory / 1e9}
    return Result(card.name, figures)


def main() -> None:
    """Run what the argument asks for."""
    asked = json.loads(sys.argv[1])
    names = asked.pop("parts")
    paths = {name: Path(asked.pop(name)) for name in ("data", "out")}
    lines = sys.stdout
    with redirect_stdout(sys.stderr):
        from engine.networks.device import choose

        device = choose(asked.pop("device")).name
        given = Given(**paths, device=device, train_flags=tuple(asked.pop("train_flags")), **asked)
        lines.write(json.dumps({"part": "machine", **asdict(machine(device))}) + "\n")
        run(names, given, lines)


if __name__ == "__main__":
    main()
