"""How the window feels: every figure with its bound, beside labelme and napari where they start.

    python -m tests.bench.window [--parts start brush opening folder working flat] [--quick]

Each part runs in a process of its own, without a display (Qt's offscreen platform, for the other
programs too). labelme and napari are installed with pip into build/peers, each in an environment
of its own, at the first run. `--quick` takes few repetitions: to try the benchmark, not to measure.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

import numpy as np
from PIL import Image as PillowImage
from PySide6.QtCore import QEvent, QEventLoop, QPointF, Qt, QThread, QTimer, SignalInstance
from PySide6.QtGui import QMouseEvent
from PySide6.QtWidgets import QApplication

from nca_seg_app.services.engine import real_engine, warm_up
from nca_seg_app.session import Session
from nca_seg_app.state.settings import Settings
from nca_seg_app.ui.canvas.canvas import Canvas
from nca_seg_app.ui.stall_watch import StallWatch
from nca_seg_app.ui.widgets.theme import apply_theme
from nca_seg_app.ui.window import Window
from tests.bench.parts import results
from tests.fakes import Person

Line = tuple[str, str, str]
PEERS = {"labelme": ("labelme",), "napari": ("napari[pyqt6]",)}
#: 24 million pixels, as a camera gives them.
LARGE = (4000, 6000)


def start(given: argparse.Namespace) -> Iterator[Line]:
    """From the start of the process to the first painted window."""
    programs = {"nca-seg": Path(sys.executable)}
    for name, packages in PEERS.items():
        python = Path("build/peers") / name / "bin" / "python"
        if not python.exists():
            venv.create(python.parent.parent, with_pip=True)
            pip = [str(python), "-m", "pip", "install", "--quiet", *packages]
            if subprocess.run(pip, stdout=sys.stderr, check=False).returncode:
                python.unlink()
        if python.exists():
            programs[name] = python.absolute()
        else:
            yield f"start of {name}", "cannot be installed here", ""
    times: dict[str, list[float]] = {name: [] for name in programs}
    for _ in range(2 if given.quick else 6):
        for name, python in programs.items():
            began = time.time()
            command = [str(python), str(Path(__file__).with_name("firstpaint.py")), name]
            told = subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)
            if told.returncode == 0 and told.stdout:
                times[name].append(float(told.stdout.split()[-1]) - began)
    for name, measured in times.items():
        # The first start of each reads its files from the disk.
        shown = f"{median(measured[1:]):.2f} s" if measured[1:] else "does not start here"
        yield f"cold start to the first painted window, {name}", shown, _under("0.7 s", name)


def brush(given: argparse.Namespace) -> Iterator[Line]:
    """Strokes on an image of 24 megapixels."""
    desk = Desk(Path(tempfile.mkdtemp()), [LARGE])
    desk.open()
    desk.session.view_state.choose_tool("brush")
    draws = np.random.default_rng(0)
    count = 200 if given.quick else 5000
    events: list[float] = []
    middle = memory_mb()
    for number in range(count):
        # One in fifty is long; the others are dabs.
        moves = 40 if number % 50 == 0 else 2
        events += desk.stroke(draws, moves)
        if number == count // 2:
            middle = memory_mb()
    after = memory_mb()
    yield "brush: mouse event to painted pixels, median", ms(median(events)), ""
    yield "brush: 95th percentile", ms(float(np.percentile(events, 95))), "16 ms"
    yield "brush: longest", ms(max(events)), ""
    yield f"memory, second half of {count} strokes", f"{after - middle:+.0f} MB", "flat"
    undone = [desk.timed(desk.session.mask_edits.undo) for _ in range(min(count, 1000))]
    yield f"undo of a stroke: longest of {len(undone):,}", ms(max(undone)), "30 ms"
    desk.close()


def opening(_: argparse.Namespace) -> Iterator[Line]:
    """From the request to the painted image, for images of 24 megapixels."""
    desk = Desk(Path(tempfile.mkdtemp()), [LARGE] * 4)
    began, shown = time.perf_counter(), [0.0]

    def note_preview() -> None:
        if desk.session.opening.preview_hwc is not None and not shown[0]:
            # At once, rather than when the loop comes to it.
            desk.canvas.repaint()
            shown[0] = time.perf_counter() - began

    desk.session.opening.preview_changed.connect(note_preview)
    first = desk.timed(desk.open)
    yield "its preview, painted", ms(shown[0]) if shown[0] else "none", "before it"
    yield "open a folder at a JPEG of 24 megapixels", ms(first), "600 ms"
    others = []
    for _ in range(3):
        # A look at the image before; meanwhile the next one is read.
        desk.spin(2.0)
        others.append(desk.timed(lambda: desk.follow(desk.session.opening.open_next)))
    yield "next image of 24 megapixels", ms(median(others)), "100 ms, prefetched"
    desk.close()


def folder(given: argparse.Namespace) -> Iterator[Line]:
    """A folder of 13,000 images."""
    where = Path(tempfile.mkdtemp())
    count = 1000 if given.quick else 13_000
    desk = Desk(where, [(48, 64)])
    only = next((where / "images").iterdir())
    for number in range(1, count):
        os.link(only, only.with_name(f"image_{number:05}.jpg"))
    before = memory_mb()
    yield f"open a folder of {count:,} images, first time", ms(desk.timed(desk.open)), "1,000 ms"
    longest = desk.spin(3.0)
    yield "longest wait of an event while thumbnails come", ms(longest), "50 ms"
    yield "memory for it", f"{memory_mb() - before:+.0f} MB", ""
    desk.close()
    again = Desk(where, [])
    yield "open it again", ms(again.timed(again.open)), "1,000 ms"
    again.close()


def working(given: argparse.Namespace) -> Iterator[Line]:
    """Events while all cores compute; a run under the window beside a run alone."""
    desk = Desk(Path(tempfile.mkdtemp()), [(768, 1024)] * 5)
    desk.open()
    session = desk.session
    session.model_library.refresh()
    desk.until(lambda: session.model_library.chosen is not None)
    desk.segment()
    desk.spin(0.2)
    alone, under, waits = [], [], []
    for _ in range(2 if given.quick else 12):
        alone.append(desk.alone())
        began = time.perf_counter()
        # Unwatched: to look a hundred times a second costs a run, too.
        desk.segment(watched=False)
        under.append(time.perf_counter() - began)
        # Painting the answer and noting its doubt belong to this run, not to the next.
        desk.spin(0.2)
        waits.append(desk.segment())
        desk.spin(0.2)
    yield "a default ensemble alone, median", ms(median(alone)), ""
    yield "the same in the window", ms(median(under)), "+5 %"
    yield "cost of the window", f"{100 * (min(under) / min(alone) - 1):+.1f} %", "+5 %"
    yield "longest wait of an event while segmenting", ms(max(waits)), "50 ms"
    for _ in range(4):
        desk.segment()
        # Not until it is saved only: the next run would begin on the image that is about to go.
        desk.follow(session.review.accept_and_next, session.workspace.image_changed)
    session.training.finetune()
    waits = [desk.spin(1.0) for _ in range(3 if given.quick else 20)]
    yield "longest wait of an event while fine-tuning", ms(max(waits)), "50 ms"
    session.training.cancel()
    desk.close()


def flat(given: argparse.Namespace) -> Iterator[Line]:
    """500 images opened, segmented with tiny settings and saved in a row."""
    count = 30 if given.quick else 500
    desk = Desk(Path(tempfile.mkdtemp()), [(192, 256)] * count)
    sample = Settings().sample
    tiny = type(sample)(steps=1, members=1)
    desk.session.context.change_settings(sample=tiny, run_ahead=False)
    desk.open()
    desk.session.model_library.refresh()
    desk.until(lambda: desk.session.model_library.chosen is not None)
    early = 0.0
    for number in range(count - 1):
        desk.segment()
        desk.follow(desk.session.review.accept_and_next, desk.session.workspace.image_changed)
        if number == count // 5:
            early = memory_mb()
    yield f"memory from image {count // 5} to {count}", f"{memory_mb() - early:+.0f} MB", "flat"
    desk.close()


PARTS = {part.__name__: part for part in (start, brush, opening, folder, working, flat)}


class Desk:
    """The real window with the real engine, and a hand at its mouse."""

    def __init__(self, home: Path, shapes: list[tuple[int, int]]) -> None:
        os.environ["NCA_SEG_HOME"] = str(home / "home")
        self.images = home / "images"
        self.images.mkdir(exist_ok=True)
        for number, shape in enumerate(shapes):
            draw_picture(self.images / f"image_{number:05}.jpg", shape)
        sys.setswitchinterval(0.001)
        self.app = QApplication.instance() or QApplication(["bench"])
        assert isinstance(self.app, QApplication)
        apply_theme(self.app, "dark")
        self.session = Session(real_engine(), Person(save="discard"), Settings())
        self.window = Window(self.session)
        self.window.resize(1440, 900)
        self.window.show()
        self.canvas = self.window.findChild(Canvas)
        # As the program does after its first paint.
        self.session.context.aside.run(warm_up)
        self.until(lambda: not self.session.context.aside.pending)

    def open(self) -> None:
        """Open the folder and wait until its first image is painted."""
        self.follow(
            lambda: self.session.opening.open_path(self.images),
            self.session.workspace.image_changed,
        )

    def follow(self, act: Callable[[], object], signal: object = None) -> None:
        """Do something that ends with a signal, and paint what came of it."""
        happened: list[object] = []
        signal = signal or self.session.workspace.image_changed
        note = lambda *_: happened.append(1)  # noqa: E731 - to be taken off again
        signal.connect(note)  # type: ignore[attr-defined]
        act()
        self.until(lambda: bool(happened))
        signal.disconnect(note)  # type: ignore[attr-defined]
        self.app.processEvents()

    def segment(self, *, watched: bool = True) -> float:
        """One run to its end; the longest wait of an event meanwhile, in seconds."""
        segmentation = self.session.segmentation
        segmentation.segment()
        longest = self.spin(120.0, end=segmentation.completed, watched=watched)
        assert not segmentation.running, "the segmentation did not end"
        return longest

    def alone(self) -> float:
        """Seconds of the same run in a thread, with nobody listening."""
        from engine.diffusion.ensemble import segment
        from engine.diffusion.model import load

        session = self.session
        model = load(session.model_library.chosen.path, session.context.settings.device)
        took: list[float] = []

        class Alone(QThread):
            def run(self) -> None:
                began = time.perf_counter()
                *_, result = segment(
                    model, session.workspace.image, session.context.settings.sample
                )
                result.mask()
                took.append(time.perf_counter() - began)

        thread = Alone()
        thread.start()
        thread.wait()
        return took[0]

    def stroke(self, draws: np.random.Generator, moves: int) -> list[float]:
        """One stroke along a lesion's border; the seconds from each event to painted pixels."""
        room = np.array([self.canvas.width(), self.canvas.height()])
        angle, kind, button = draws.uniform(0, 2 * np.pi), QEvent.Type, Qt.MouseButton

        def place() -> np.ndarray:  # type: ignore[type-arg]
            radius = 0.3 * room.min() + draws.normal(0, 3)
            return np.array(room / 2 + radius * np.array([np.cos(angle), np.sin(angle)]))

        times = [self.hand(kind.MouseButtonPress, place(), button.LeftButton)]
        for _ in range(moves):
            angle += 0.02
            times.append(self.hand(kind.MouseMove, place(), button.NoButton))
        return [*times, self.hand(kind.MouseButtonRelease, place(), button.LeftButton)]

    def hand(self, kind: QEvent.Type, place: np.ndarray, button: Qt.MouseButton) -> float:  # type: ignore[type-arg]
        """A mouse event, until what it changed is painted."""
        at = QPointF(*place)
        held = Qt.MouseButton.LeftButton
        event = QMouseEvent(
            kind, at, self.canvas.mapToGlobal(at), button, held, Qt.KeyboardModifier.NoModifier
        )
        return self.timed(lambda: self.app.sendEvent(self.canvas, event))

    def timed(self, act: Callable[[], object]) -> float:
        """Seconds of something and of painting what came of it."""
        began = time.perf_counter()
        act()
        self.app.processEvents()
        return time.perf_counter() - began

    def until(self, fact: Callable[[], bool]) -> None:
        """Wait for something in the loop; AssertionError after two minutes."""
        self.spin(120.0, fact)
        assert fact(), "it took more than two minutes"

    def spin(
        self,
        seconds: float,
        fact: Callable[[], bool] | None = None,
        end: SignalInstance | None = None,
        *,
        watched: bool = True,
    ) -> float:
        """Let the loop run for some time, until a fact holds, or until a signal comes.

        The longest time an event had to wait for its turn, in seconds.
        """
        watch, loop, look, limit = StallWatch(), QEventLoop(), QTimer(), QTimer()
        limit.timeout.connect(loop.quit)
        limit.start(round(1e3 * seconds))
        if fact is not None:
            look.timeout.connect(lambda: loop.quit() if fact() else None)
            look.start(2)
        if end is not None:
            # Looking every two milliseconds would cost a run some percent.
            end.connect(loop.quit)
        watch.set_running(watched)
        loop.exec()
        watch.set_running(False)
        if end is not None:
            end.disconnect(loop.quit)
        return watch.longest_ms / 1e3

    def close(self) -> None:
        """Close the window and wait for its threads."""
        self.session.close()
        self.window.close()


def draw_picture(path: Path, shape: tuple[int, int]) -> None:
    """A blot on skin with grain, as JPEG."""
    small = np.random.default_rng(len(path.name)).normal(0, 9, (64, 96, 3))
    rows, columns = np.mgrid[-1:1:64j, -1:1:96j]
    small += np.where((rows**2 + columns**2 < 0.2)[..., None], (110, 70, 55), (205, 165, 145))
    picture = PillowImage.fromarray(np.clip(small, 0, 255).astype(np.uint8))
    picture.resize(shape[::-1], PillowImage.Resampling.BICUBIC).save(path, quality=92)


def memory_mb() -> float:
    """What the process holds now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1024**2


def ms(seconds: float) -> str:
    return f"{1e3 * seconds:.1f} ms" if seconds < 0.1 else f"{1e3 * seconds:,.0f} ms"


def _under(bound: str, name: str) -> str:
    return bound if name == "nca-seg" else ""


def main() -> None:
    """Each part in a process of its own; this one prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    os.environ["QT_QPA_PLATFORM"] = "offscreen"
    print("| what | measured | bound |\n|---|---|---|")
    for name, lines, _ in results("tests.bench.window", parser, PARTS):
        for line in lines or [[name, "failed", ""]]:
            print(f"| {' | '.join(line)} |", flush=True)


if __name__ == "__main__":
    main()
