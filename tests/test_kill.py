"""Law: `kill -9` at any moment loses the last seconds at most, and no file is ever half there."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Protocol

import numpy as np
import pytest
from PIL import Image as PillowImage

from engine.diffusion.model import load
from engine.masks.reading import read_mask
from engine.study.study import Study
from engine.training.loop import BEST, LAST, STATE, train
from engine.types import TrainSettings
from tests import endless
from tests.fakes import write_image
from tests.oracles import tiny_spec
from tests.samples import drawn_dataset

PROJECT = Path(__file__).parents[1]

pytestmark = pytest.mark.skipif(
    not hasattr(signal, "SIGKILL"), reason="there is no kill -9 on Windows"
)

DRAWING = """
import sys
from pathlib import Path
from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QApplication
from engine.masks import edits
from nca_seg_app.session import Session
from nca_seg_app.state.settings import Settings
from tests.fakes import Person, fake_engine

folder = Path(sys.argv[1])
application = QApplication([])
session = Session(fake_engine(folder), Person(), Settings(autosave_s=0.5))
session.context.failed.connect(lambda sentence, _: print("failed", sentence, flush=True))
session.workspace.image_changed.connect(lambda: timer.start(50))
strokes = 0

def draw():
    global strokes
    row = 10.5 + strokes % 300
    document = session.workspace.document
    document.begin("brush")
    document.draw(lambda mask_hw: edits.stroke(mask_hw, [[row, 10.5], [row, 200.5]], 1.0, True))
    document.commit("Brush stroke")
    strokes += 1
    print(strokes, flush=True)

if len(sys.argv) > 2:
    from nca_seg_app.shutdown import Endings
    session.context.change_settings(autosave_s=600.0)
    endings = Endings(application)
    endings.guard(session.saving.write_at_end, lambda: False)
timer = QTimer(timeout=draw)
session.opening.open_path(folder / "images")
application.exec()
"""


class Work(Protocol):
    """Tells through the pipe how often it did something, and does not end."""

    def __call__(self, told: Connection, *places: Path) -> None: ...


def killed_at_work(work: Work, *places: Path, events: int, then_s: float) -> int:
    """The last number that work told; its process is killed `then_s` after it told `events`."""
    # Forked from one that has loaded torch, and what an optimizer loads, which takes seconds.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([work.__module__, "torch._dynamo"])
    heard, told = context.Pipe(duplex=False)
    process = context.Process(target=work, args=(told, *places), daemon=True)
    process.start()
    told.close()
    with heard:
        numbers = [heard.recv() for _ in range(events)]
        timer = threading.Timer(then_s, process.kill)
        timer.start()
        with suppress(EOFError):
            while True:
                numbers.append(heard.recv())
    timer.join()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    return int(numbers[-1])


def killed(
    program: str,
    *arguments: Path | str,
    lines: int,
    then_s: float,
    number: int | None = None,
) -> int:
    """The last number a program printed; it is killed `then_s` after it has printed `lines`.

    By another signal than KILL where `number` is one, and its exit status has to say so.
    """
    with subprocess.Popen(
        [sys.executable, "-c", program, *map(str, arguments)],
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        for _ in range(lines):
            line = process.stdout.readline()
            if not line.strip().isdigit():
                process.kill()
                pytest.fail(f"it printed {line!r}")
        sent = signal.SIGKILL if number is None else number
        timer = threading.Timer(then_s, process.send_signal, [sent])
        timer.start()
        # To its end, which the signal brings.
        rest = process.stdout.read().split()
        timer.join()
    assert number is None or process.returncode == 128 + number
    numbers = [word for word in rest if word.isdigit()]
    return int(numbers[-1]) if numbers else int(line)


def test_what_was_drawn_comes_back(tmp_path: Path) -> None:
    image = write_image(tmp_path / "images" / "a.png", (320, 240))
    strokes = killed(DRAWING, tmp_path, lines=40, then_s=0.37)
    study = Study.open(image.parent)
    draft = study.load_draft(image, (320, 240))
    assert draft is not None
    assert draft.newer
    recovered = int(draft.mask_hw[10:310, 100].sum())
    drawn = min(strokes, 300)
    # A draft follows every half second, and twenty strokes a second are drawn at most.
    assert recovered >= drawn - 40
    assert study.load(image, (320, 240)) is None


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGHUP"])
def test_a_signal_ends_the_window_once_the_newest_stroke_is_written(
    tmp_path: Path, name: str
) -> None:
    image = write_image(tmp_path / "images" / "a.png", (320, 240))
    strokes = killed(
        DRAWING, tmp_path, "signals", lines=5, then_s=0.0, number=getattr(signal, name)
    )
    draft = Study.open(image.parent).load_draft(image, (320, 240))
    assert draft is not None
    assert draft.newer
    # The last number may be lost on its way, the stroke is not.
    assert strokes <= int(draft.mask_hw[10:310, 100].sum()) <= strokes + 4


@pytest.mark.parametrize("then_s", [0.0, 0.013, 0.05])
def test_a_killed_training_goes_on_from_whole_files(tmp_path: Path, then_s: float) -> None:
    dataset, run = drawn_dataset(tmp_path), tmp_path / "run"
    done = killed_at_work(endless.training, dataset.root, run, events=5, then_s=then_s)
    assert load(run / BEST).spec.size == 16
    settings = TrainSettings(steps=done + 3, batch_size=2, size=16, validate_every=1)
    steps = list(train(tiny_spec(), dataset, settings, run, resume=True))
    assert done - 1 <= steps[0].done <= done + 2
    assert steps[-1].done == done + 3
    visible = {path.name for path in run.iterdir() if not path.name.startswith(".")}
    assert visible == {BEST, LAST, STATE}


@pytest.mark.parametrize("then_s", [0.0, 0.011, 0.033])
def test_a_killed_segmentation_leaves_whole_results(tmp_path: Path, then_s: float) -> None:
    killed_at_work(endless.segmenting, tmp_path, events=4, then_s=then_s)
    mask_hw = read_mask(tmp_path / "spot_segmentation.png", (200, 200))
    assert mask_hw.shape == (200, 200)
    with PillowImage.open(tmp_path / "spot_variance.png") as variance:
        assert np.asarray(variance).shape == (200, 200)
    record = json.loads((tmp_path / "spot.json").read_text(encoding="utf-8"))
    digest = hashlib.sha256((tmp_path / "spot_segmentation.png").read_bytes()).hexdigest()
    # What is there is known as a result, so that it may be replaced by another one.
    assert digest in (record["mask_sha256"], record["replaced_sha256"])
