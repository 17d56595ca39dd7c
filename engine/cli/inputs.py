"""What the commands work on: models, devices and data, opened by the names that flags give."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from engine.cli.messages import Refusal, say
from engine.errors import DatasetProblem
from engine.plaintext import shown_text
from engine.types import Dataset, Device, Sample

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


def open_training_data(folders: Sequence[Path]) -> Dataset:
    """The samples of several folders together, each in its split. Raises EngineError.

    Images whose lesion also stands in a more guarded split are left out, which it says.
    """
    from engine.study.merging import merge, without_leakage

    dataset, leaking = without_leakage(merge([open_data(folder) for folder in folders]))
    tell_leaking(leaking)
    return dataset


def tell_leaking(leaking: Sequence[Sample]) -> None:
    """Say which samples are left out because their lesion stands in two splits; one line."""
    if not leaking:
        return
    counts = {split: sum(x.split == split for x in leaking) for split in ("train", "val")}
    of_each = ", ".join(f"{count} of {split}" for split, count in counts.items() if count)
    first = shown_text(leaking[0].id)
    if len(leaking) == 1:
        say(f"1 image is left out ({of_each}), for its lesion is in another split, too: {first}.")
    else:
        many = f"{len(leaking)} images are left out ({of_each})"
        say(f"{many}, for their lesions are in another split, too; one is {first}.")
