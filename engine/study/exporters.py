"""The forms in which a data set's masks can be exported besides its own: one table.

Every export is a data set folder, images and masks with an index (`engine.study.export`). An
exporter writes one further file into that folder, for programs that read no masks.

To add one, write a generator function as `engine.study.coco.write_annotations` is one, and add an
`Exporter` to `EXPORTERS`: `nca-seg export` then has its flag.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from engine.study import coco
from engine.study.export import ExportStep
from engine.types import Dataset


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


EXPORTERS = (
    Exporter(
        "coco",
        "COCO",
        coco.ANNOTATIONS,
        f"Write all its masks to {coco.ANNOTATIONS}, too.",
        coco.write_annotations,
    ),
)
