"""The parts of a benchmark, each in a process of its own: none wrongs the next or its memory."""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence

Part = Callable[[argparse.Namespace], Iterator[Sequence[str]]]


def results(
    module: str, parser: argparse.ArgumentParser, parts: dict[str, Part]
) -> Iterator[tuple[str, list[list[str]], float]]:
    """Name, lines and peak memory in GB of each part asked for; no lines of one that broke."""
    parser.add_argument("--parts", nargs="+", choices=parts, default=list(parts))
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.alone:
        lines = list(parts[given.parts[0]](given))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
        print(json.dumps([lines, peak]))
        return
    for name in given.parts:
        command = [sys.executable, "-m", module, *sys.argv[1:], "--alone", "--parts", name]
        answer = subprocess.run(command, stdout=subprocess.PIPE, check=False, text=True)
        broke = answer.returncode != 0
        lines, peak = ([], 0.0) if broke else json.loads(answer.stdout.splitlines()[-1])
        yield name, lines, peak
