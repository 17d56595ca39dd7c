"""How long the program takes while other programs compute: alone, beside one, beside two.

    python -m tests.bench.busy [--minutes 3] [--rounds 8] [--sides …] [--former CHECKOUT]

Each side is a process of its own that waits to be told what to do, so that all sides and loads take
turns within one run, and a machine that becomes slower meanwhile wrongs none. "torch first" imports
torch before the engine, so that OpenMP spins; "former" is the program of another checkout, with no
variable set. A busy program is an endless loop in Python.
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

Times = dict[tuple[str, str, int], list[float]]
POLICIES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
SIDES = ("now", "torch first", "former")
LOADS = (0, 1, 2)
#: Ends with this program, however that ends.
ENDLESS = """
import os
parent = os.getppid()
while os.getppid() == parent:
    for _ in range(1_000_000):
        pass
"""
HERE = Path(__file__).parents[2]


def jobs(folder: Path) -> dict[str, Callable[[], object]]:
    """What is measured, by name; imports the engine of this process."""
    import numpy as np

    from engine.diffusion.ensemble import segment
    from engine.diffusion.model import load
    from engine.networks.library import find
    from engine.networks.table import preset
    from engine.training.loop import finetune, train
    from engine.types import Image, SampleSettings, TrainSettings
    from tests.samples import drawn_dataset

    model = load(find("MultiCBAM").path, "cpu")
    pixels = np.random.default_rng(0).integers(0, 255, (750, 1000, 3), dtype=np.uint8)
    image, asked = Image(pixels, Path("noise.png")), SampleSettings()
    dataset = drawn_dataset(folder, size=256)
    small = TrainSettings(steps=10_000, batch_size=4, size=32, validate_every=10_000)
    tuned = TrainSettings(steps=2, batch_size=4, learning_rate=1e-4, validate_every=2)
    steps = train(preset("multicbam"), dataset, small, folder / "run", device="cpu")

    def first() -> None:
        stream = segment(model, image, asked)
        next(stream).mask()
        stream.close()  # type: ignore[attr-defined]

    def ensemble() -> None:
        *_, result = segment(model, image, asked)
        result.mask()

    def tuning() -> None:
        with tempfile.TemporaryDirectory() as place:
            list(finetune(model, dataset, tuned, Path(place)))

    return {
        "first outline": first,
        "ensemble": ensemble,
        "training step": lambda: next(steps),
        "fine-tuning": tuning,
    }


def serve(folder: Path) -> None:
    """A side: does what the lines of its input name and answers with the seconds it took."""
    known = jobs(folder)
    for job in known.values():
        job()
    print("ready", flush=True)
    for line in sys.stdin:
        began = time.perf_counter()
        known[line.strip()]()
        print(time.perf_counter() - began, flush=True)


class Side:
    """A process with the program in one of its forms."""

    def __init__(self, name: str, folder: Path, former: Path | None) -> None:
        kept = {key: value for key, value in os.environ.items() if key not in POLICIES}
        checkout = former if name == "former" and former else HERE
        command = [sys.executable, __file__, "--serve", str(folder)]
        self.process = subprocess.Popen(
            [*command, "--torch-first"] if name == "torch first" else command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=kept | {"PYTHONPATH": str(checkout)},
        )

    def __enter__(self) -> Side:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()

    def wait(self) -> None:
        """Until it has done everything once."""
        self._answer()

    def seconds(self, job: str) -> float:
        assert self.process.stdin is not None
        print(job, file=self.process.stdin, flush=True)
        return float(self._answer())

    def _answer(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit("a side of the benchmark broke")
        return line


@contextmanager
def endless() -> Iterator[subprocess.Popen[bytes]]:
    """A program that computes for ever, stopped at first."""
    process = subprocess.Popen([sys.executable, "-c", ENDLESS])
    process.send_signal(signal.SIGSTOP)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def measure(sides: dict[str, Side], names: list[str], rounds: int, end: float) -> Times:
    """Seconds by (side, job, busy programs), of as many whole rounds as there is time for."""
    times: Times = {}
    with ExitStack() as stack:
        busy = [stack.enter_context(endless()) for _ in range(max(LOADS))]
        for _ in range(rounds):
            began = time.monotonic()
            for load in LOADS:
                for process in busy[:load]:
                    process.send_signal(signal.SIGCONT)
                for job in names:
                    for name, side in sides.items():
                        times.setdefault((name, job, load), []).append(side.seconds(job))
                for process in busy[:load]:
                    process.send_signal(signal.SIGSTOP)
            if 2 * time.monotonic() - began > end:
                break
    return times


def table(times: Times) -> Iterator[list[str]]:
    """Median milliseconds, and how often the time alone these are."""
    yield ["what", "side", "alone, ms", "beside one, ms", "ratio", "beside two, ms", "ratio"]
    for job in dict.fromkeys(job for _, job, _ in times):
        for name in dict.fromkeys(name for name, _, _ in times):
            alone, one, two = (1e3 * statistics.median(times[name, job, load]) for load in LOADS)
            yield [
                job,
                name,
                f"{alone:.0f}",
                f"{one:.0f}",
                f"{one / alone:.1f}",
                f"{two:.0f}",
                f"{two / alone:.1f}",
            ]


def main() -> None:
    """Print the table, or be one of its sides."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=3, help="for all of it")
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--sides", nargs="+", choices=SIDES, default=["now", "torch first"])
    parser.add_argument("--jobs", nargs="+", help="what to measure, all by default")
    parser.add_argument("--former", type=Path, metavar="CHECKOUT", help="of the side named so")
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--torch-first", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.torch_first:
        import torch  # noqa: F401
    if given.serve:
        serve(given.serve)
        return
    end = time.monotonic() + 60 * given.minutes
    with ExitStack() as stack:
        sides = {}
        for name in given.sides:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            sides[name] = stack.enter_context(Side(name, folder, given.former))
        for side in sides.values():
            side.wait()
        names = given.jobs or ["first outline", "ensemble", "training step", "fine-tuning"]
        times = measure(sides, names, given.rounds, end)
    head, *lines = table(times)
    rounds = len(next(iter(times.values())))
    print(f"{os.cpu_count()} cores, {rounds} rounds, medians\n")
    print(f"| {' | '.join(head)} |\n|{'---|' * len(head)}")
    for line in lines:
        print(f"| {' | '.join(line)} |")


if __name__ == "__main__":
    main()
