"""`python -m engine` is the command line; it looks for nothing in the working folder."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

# Python puts that folder before all others: one called resources in it, or a file called numpy.py,
# would be taken for what the program needs.
here = Path(__file__).absolute().parents[1]
if sys.path[:1] == [str(Path.cwd())] and Path.cwd() != here:
    del sys.path[0]

main = import_module("engine.cli").main

main()
