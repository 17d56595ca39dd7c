"""Laws: the window is up before torch, and without a display the same work ends in files."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage
from PySide6.QtCore import qWarning

from engine.masks.reading import read_mask
from engine.networks import library
from nca_seg_app.__main__ import has_display, parser
from nca_seg_app.headless import KNOWN_COMPLAINT, without_known_complaint
from tests.conftest import PROJECT

TINY = """
import sys
from pathlib import Path
from engine.networks.device import choose
from engine.diffusion.model import Model, save
from engine.networks.table import build, preset
spec = preset("multicbam").changed(name="tiny", channels=8, hidden=8, updates=1, size=16)
path = Path(sys.argv[1])
path.parent.mkdir(parents=True)
save(path, Model(build(spec), choose("cpu")))
"""

BEFORE_TORCH = """
import sys
from PySide6.QtWidgets import QApplication
from nca_seg_app.application import open_window
app = QApplication([])
window = open_window(app)
app.processEvents()
assert window.isVisible()
assert not window.grab().isNull()
assert "torch" not in sys.modules, "torch came before the window"
assert window.close()
"""


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=PROJECT,
        env={**os.environ, "QT_QPA_PLATFORM": "offscreen"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_window_is_up_before_torch() -> None:
    done = run("-c", BEFORE_TORCH)
    assert done.returncode == 0, done.stderr


@pytest.mark.timeout(300)
def test_without_a_display_the_result_lies_in_files(tmp_path: Path, sample_image: Path) -> None:
    if not any(entry.shipped for entry in library.installed()):
        model = library.models_folder() / "tiny.safetensors"
        made = run("-c", TINY, str(model))
        assert made.returncode == 0, made.stderr
    out = tmp_path / "out"
    done = run("-m", "nca_seg_app", "--sample", "--headless", str(out))
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.strip().splitlines()) == 1
    assert "propagateSizeHints" not in done.stderr
    assert str(out) in done.stdout
    stem = sample_image.stem
    assert sorted(path.name for path in out.iterdir()) == [
        f"{stem}.json",
        f"{stem}_overlay.png",
        f"{stem}_segmentation.png",
        f"{stem}_variance.png",
        "window.png",
    ]
    with PillowImage.open(sample_image) as picture:
        shape = (picture.height, picture.width)
    read_mask(out / f"{stem}_segmentation.png", shape)
    assert json.loads((out / f"{stem}.json").read_text())["format"] == "nca-seg/result"
    with PillowImage.open(out / f"{stem}_overlay.png") as overlay:
        assert (overlay.height, overlay.width) == shape
    with PillowImage.open(out / "window.png") as window:
        pixels_hwc = np.asarray(window.convert("RGB"))
    # A picture of a lesion is in it, not one grey.
    assert pixels_hwc.shape[:2] == (900, 1440)
    assert len(np.unique(pixels_hwc.reshape(-1, 3), axis=0)) > 1000


def test_one_line_of_qt_is_dropped_and_no_other(capsys: pytest.CaptureFixture[str]) -> None:
    with without_known_complaint():
        for text in (KNOWN_COMPLAINT, "something else", f"{KNOWN_COMPLAINT} at all"):
            qWarning(text)
    assert capsys.readouterr().err.splitlines() == ["something else", f"{KNOWN_COMPLAINT} at all"]


def test_what_cannot_be_opened_is_one_sentence(tmp_path: Path) -> None:
    if not any(entry.shipped for entry in library.installed()):
        run("-c", TINY, str(library.models_folder() / "tiny.safetensors"))
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"this is not a picture")
    done = run("-m", "nca_seg_app", str(broken), "--headless", str(tmp_path / "out"))
    assert done.returncode == 1
    assert "broken.png" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("environment", "platform", "expected"),
    [
        ({}, "linux", False),
        ({"DISPLAY": ":0"}, "linux", True),
        ({"WAYLAND_DISPLAY": "wayland-0"}, "linux", True),
        ({"QT_QPA_PLATFORM": "offscreen"}, "linux", True),
        ({}, "win32", True),
        ({}, "darwin", True),
    ],
)
def test_a_display_is_known(environment: dict[str, str], platform: str, expected: bool) -> None:
    assert has_display(environment, platform) == expected


def test_paths_may_be_many() -> None:
    assert parser().parse_args(["a.png", "b.png"]).paths == [Path("a.png"), Path("b.png")]
