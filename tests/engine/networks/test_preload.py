"""Law: torch's libraries are there before torch is, and torch is as usual."""

from __future__ import annotations

import subprocess
import sys

import pytest

BEFORE_AND_AFTER = """
import sys
from pathlib import Path
from engine.networks.preload import load_libraries

load_libraries()
assert "torch" not in sys.modules
assert "libtorch_cpu" in Path("/proc/self/maps").read_text()
import torch
assert float(torch.ones(3).sum()) == 3
load_libraries()
"""

IN_TWO_THREADS = """
import gc
from threading import Event, Thread
from engine.networks.preload import for_good

def load(begun, end, kept):
    with for_good():
        kept.append([[] for _ in range(1000)])
        begun.set()
        end.wait(20)

first, second = ([Event(), Event(), []] for _ in range(2))
threads = [Thread(target=load, args=each) for each in (first, second)]
for thread, (begun, _, _) in zip(threads, (first, second)):
    thread.start()
    assert begun.wait(20)
first[1].set()
threads[0].join()
assert not gc.isenabled()
second[1].set()
threads[1].join()
assert gc.isenabled()
looked_through = {id(each) for each in gc.get_objects()}
assert not looked_through & {id(first[2][0]), id(second[2][0])}
later = [[]]
assert any(each is later for each in gc.get_objects())
"""


def test_what_was_loaded_for_good_is_not_looked_through_and_what_comes_later_is() -> None:
    subprocess.run([sys.executable, "-c", IN_TWO_THREADS], check=True, timeout=120)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux's loader is used")
def test_libraries_come_before_torch() -> None:
    subprocess.run([sys.executable, "-c", BEFORE_AND_AFTER], check=True, timeout=120)
