"""The exit codes of the command line; its help explains each."""

from __future__ import annotations

#: Not everything could be done, and why is said; the rest is done or kept.
SOME_FAILED = 3
#: Nothing could be done: the model, the data or the disk.
NOTHING_DONE = 4
#: A person interrupted; what was finished is kept.
INTERRUPTED = 130
#: What a shell says of a program that was ended because nobody read its output any more.
NOBODY_READS = 141
