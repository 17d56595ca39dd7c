"""The forms in which a data set's masks can be exported besides its own: one table.

Every export is a data set folder, images and masks with an index (`engine.study.export`). An
exporter writes one further file into that folder, for programs that read no masks.

To add one, write a generator function as `engine.study.coco.write_annotations` is one, and add an
`Exporter` to `EXPORTERS`: `nca-seg export` then has its flag.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.types import Dataset

if TYPE_CHECKING:
    from engine.study.export import ExportStep


@dataclass(frozen=True)
class Exporter:
    """A further form of a data set's masks.

    Parameters
    ----------
    name : of the flag, "coco" for `--coco`; a Python name.
    label : what people call the form.
    file : the name of what is written into the data set's folder.
    help : what the flag does, as the command line shows it.
    write : given a data set, yields a step for each sample and has written the file, whole or not
        at all, with the last. Raises EngineError.
    """

    name: str
    label: str
    file: str
    help: str
    write: Callable[[Dataset], Iterator[ExportStep]]


def _write_coco(dataset: Dataset) -> Iterator[ExportStep]:
    # Every command reads this table for its flags, and should not load image readers for that.
    from engine.study.coco import write_annotations

    return write_annotations(dataset)


EXPORTERS = (
    Exporter(
        "coco",
        "COCO",
        "annotations.json",
        "Write all its masks to annotations.json, too.",
        _write_coco,
    ),
)
