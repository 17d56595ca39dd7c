"""What the commands work on: models, devices and data, opened by the names that flags give."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from engine.cli.messages import Refusal, say
from engine.errors import DatasetProblem
from engine.plaintext import shown_text
from engine.types import Dataset, Device

if TYPE_CHECKING:
    from engine.diffusion.model import Model
    from engine.networks.library import ModelEntry


def find_model(name: str) -> ModelEntry:
    """The installed model of a name or file. Raises EngineError."""
    from engine.networks.library import find

    return find(name)


def load_model(entry: ModelEntry, device: Device) -> Model:
    """A model ready to run. Raises what `expect_device` raises, or EngineError."""
    from engine.diffusion.model import load

    expect_device(device)
    return load(entry.path, device)


def tell_leftovers() -> None:
    """Say what a fine-tuning that was killed had learned; what leads to nothing is removed."""
    from engine.training.leftovers import unfinished

    left = unfinished()
    if left is not None:
        say(
            "A fine-tuning was interrupted. The best of what it had learned is "
            f"{left.weights}; nca-seg models --add adds it."
        )


def expect_device(device: Device) -> None:
    """Raise Refusal, with the reason, where a device is not there."""
    from engine.networks.device import choose

    try:
        choose(device)
    except ValueError as error:
        advice = ". Leave --device out to use the processor" if device == "cuda" else ""
        raise Refusal(f"{error}{advice}.") from error


def open_data(folder: Path) -> Dataset:
    """The samples of a data set folder, or of a folder under annotation. Raises EngineError.

    Says what of the data set folder is left out.
    """
    from engine.study.dataset import read_dataset
    from engine.study.study import Study, study_dataset

    if os.path.lexists(folder / "images") or not folder.is_dir():
        dataset = read_dataset(folder)
        if left_out := dataset.left_out:
            files, one = ("files are", "one is") if len(left_out) > 1 else ("file is", "it is")
            unlisted = f"{len(left_out)} {files} left out, for the index does not list them"
            say(f"{folder}: {unlisted}; {one} {shown_text(left_out[0])}.")
        return dataset
    dataset = study_dataset(Study.open(folder))
    if not dataset.samples:
        raise DatasetProblem(folder, "has neither images/ and masks/ nor saved masks of its images")
    return dataset
