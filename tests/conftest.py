"""Law: a test reads and writes nothing of the person who runs it, and needs no display."""

from __future__ import annotations

import gc
import os
import tempfile
from pathlib import Path

# Set before anything imports Qt or torch: later it would have no effect.
os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Not in a folder of one test: matplotlib takes many seconds to look at all fonts anew.
os.environ["MPLCONFIGDIR"] = str(Path(tempfile.gettempdir()) / "nca-seg-tests-matplotlib")

import pytest

PROJECT = Path(__file__).parents[1]
SHARED_DATA = PROJECT.parent / "shared" / "data"


@pytest.fixture(autouse=True)
def own_folders(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folder that stands for the person's home in this test: settings, models and caches."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("NCA_SEG_HOME", str(home / "nca-seg"))
    for name in ("CONFIG", "DATA", "STATE", "CACHE"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(home / name.lower()))
    return home


@pytest.fixture(scope="session")
def sample_image() -> Path:
    """The project's own clearest sample picture."""
    return PROJECT / "resources" / "samples" / "sample_1_plain.jpg"


@pytest.fixture(scope="session")
def isic2018() -> Path:
    """ISIC 2018 beside the project; the test is skipped where it is not."""
    folder = SHARED_DATA / "isic2018"
    if not folder.is_dir():
        pytest.skip("needs ../shared/data/isic2018 beside the project")
    return folder


def pytest_collection_finish() -> None:
    """Leave what was imported out of every look at the living objects; window tests look often."""
    gc.collect()
    gc.freeze()
