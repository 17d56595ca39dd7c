"""The window over the engine. Started by `python -m` it looks for nothing in the working folder."""

import sys
from pathlib import Path

# Python puts that folder before all others: one called engine in it, or a file called numpy.py,
# would be taken for what the program needs. While -m looks for the program, argv[0] is that.
here = Path(__file__).absolute().parents[1]
if sys.argv[:1] == ["-m"] and sys.path[:1] == [str(Path.cwd())] and Path.cwd() != here:
    del sys.path[0]
