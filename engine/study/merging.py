"""Merges data sets into one, and leaves out images whose lesion also stands in a guarded split."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from engine.errors import DatasetProblem
from engine.plaintext import shown_text
from engine.study.dataset import GUARDED
from engine.types import Dataset, Sample, Split

#: How the keys of a lesion begin among those of an image's kin (`engine.study.kinship`).
_LESION = "lesion_id "


def merge(datasets: Sequence[Dataset]) -> Dataset:
    """One data set of the samples of several, each in the split that it has; in order of id.

    Its root is that of the first. Raises DatasetProblem, naming both files, for an id that two of
    them have.
    """
    found: dict[str, Sample] = {}
    for dataset in datasets:
        for sample in dataset.samples:
            other = found.setdefault(sample.id, sample)
            if other is not sample:
                reason = f"has the id {shown_text(sample.id)}, and so has {other.image_path}"
                raise DatasetProblem(sample.image_path, reason)
    samples = tuple(found[name] for name in sorted(found))
    return Dataset(datasets[0].root, samples)


def without_leakage(dataset: Dataset) -> tuple[Dataset, tuple[Sample, ...]]:
    """The data set without images that show a lesion of a more guarded split, and those images.

    An image of `train` is left out if one of `val` or `test` shows the same lesion, and one of
    `val` if one of `test` does. By lesion alone: images of a patient's other lesions stay.
    """
    guard: dict[str, Split] = {}
    for split in reversed(GUARDED):
        # The most guarded split comes last, and stays.
        guard |= {key: split for sample in dataset.split(split) for key in _lesions(sample)}
    leaking = tuple(
        sample
        for sample in dataset.samples
        if any(guard[key] != sample.split for key in _lesions(sample))
    )
    left_out = {sample.id for sample in leaking}
    kept = tuple(sample for sample in dataset.samples if sample.id not in left_out)
    return replace(dataset, samples=kept), leaking


def _lesions(sample: Sample) -> tuple[str, ...]:
    return tuple(key for key in sample.kin if key.startswith(_LESION))
