"""The window of the program. Under `python -m` it imports nothing from the working folder."""

import sys
from pathlib import Path

# Python puts the working folder first on its path, so a folder called engine there, or a file
# called numpy.py, would be imported in place of the right one. While -m looks for the program,
# argv[0] is "-m".
here = Path(__file__).absolute().parents[1]
if sys.argv[:1] == ["-m"] and sys.path[:1] == [str(Path.cwd())] and Path.cwd() != here:
    del sys.path[0]
