"""Law: torch's libraries are there before torch is, and torch is as usual."""

from __future__ import annotations

import subprocess
import sys

import pytest

BEFORE_AND_AFTER = """
import sys
from pathlib import Path
from engine.preload import load_libraries

load_libraries()
assert "torch" not in sys.modules
assert "libtorch_cpu" in Path("/proc/self/maps").read_text()
import torch
assert float(torch.ones(3).sum()) == 3
load_libraries()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux's loader is used")
def test_libraries_come_before_torch() -> None:
    subprocess.run([sys.executable, "-c", BEFORE_AND_AFTER], check=True, timeout=120)
