"""Work that never ends, each a function for a process that a test kills."""

from __future__ import annotations

from multiprocessing.connection import Connection
from pathlib import Path

from engine.diffusion.ensemble import segment
from engine.study.dataset import read_dataset
from engine.study.results import write_result
from engine.training import loop
from engine.types import SampleSettings, TrainSettings
from tests.oracles import disk, lesion, lively_model, tiny_spec


def training(told: Connection, root: Path, run: Path) -> None:
    """Train on a data set's folder, writing all files after each step, and tell its number."""
    loop.SECONDS_BETWEEN_STATES = 0.0
    settings = TrainSettings(steps=100_000, batch_size=2, size=16, validate_every=1)
    for step in loop.train(tiny_spec(), read_dataset(root), settings, run):
        told.send(step.done)


def segmenting(told: Connection, folder: Path) -> None:
    """Replace the results of one image by others again and again, and tell how many there were."""
    settings, image = SampleSettings(steps=1, members=2), lesion(disk(200))
    for count in range(1, 100_000):
        *_, result = segment(lively_model(seed=count % 5), image, settings)
        write_result(folder, "spot", result, image, "m", "f", settings, 0.5, 0.1, True)
        told.send(count)
