"""nca-seg export: copies images and saved masks into a data set folder."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from engine.cli.exit_codes import INTERRUPTED, NOTHING_DONE, SOME_FAILED
from engine.cli.messages import Refusal, say, sentence, show
from engine.cli.options import command
from engine.cli.progress import progress
from engine.errors import EngineError
from engine.study.exporters import EXPORTERS, Exporter


@command(switches={exporter.name: exporter.help for exporter in EXPORTERS})
def export(
    folder: Annotated[Path, typer.Argument(help="Folder of images with saved masks.")],
    out: Annotated[Path, typer.Option("--out", help="Folder for the data set; it may grow.")],
    chosen: frozenset[str],
    keep_metadata: Annotated[
        bool,
        typer.Option(
            "--keep-metadata",
            help="Copy image files as they are, with place, date, names and comments.",
        ),
    ] = False,
) -> None:
    """Copy images and saved masks into a data set.

    Masks become PNG of 0 and 255. Images go out upright and without place, date, names, comments,
    thumbnails and further pages: a JPEG or PNG keeps its coded pixels, one that has to be turned,
    or is of another kind, becomes a PNG of 8 bits in sRGB. What cannot be read, or has a mask of
    another size, is left out and listed at the end. The folder may be one exported before, however
    that ended; with another image under an id it already has, a sample is left out.

    With --coco, annotations.json beside images/ and masks/ holds the masks of the whole data set as
    COCO's polygons, along the pixels' edges; file_name is the name in images/.

    \b
    Examples:
      nca-seg export pictures/ --out corrected
      nca-seg export pictures/ --out corrected --coco
      nca-seg train --data corrected --out runs/own --from lesion
    """
    from engine.study.export import ExportStep, export_dataset
    from engine.study.study import Study

    samples = Study.open(folder).saved_samples()
    if not samples:
        raise Refusal(f"{folder} has no saved masks.")
    newest: ExportStep | None = None
    problem: Exception | None = None
    interrupted = False
    try:
        stream = export_dataset(samples, out, keep_metadata=keep_metadata)
        with progress("Exporting") as advance, closing(stream):  # type: ignore[type-var]
            for newest in stream:
                if advance is not None:
                    advance(newest.done / newest.total, newest.path.name)
        if newest is not None and newest.written:
            for exporter in EXPORTERS:
                if exporter.name in chosen:
                    _write(exporter, out)
    except KeyboardInterrupt:
        interrupted = True
    except (EngineError, OSError, MemoryError) as error:
        problem = error
    written = newest.written if newest is not None else 0
    if written:
        print(f"{written} sample{'s are' if written > 1 else ' is'} in {show(out)}")
    for left_out in newest.left_out if newest is not None else ():
        say(f"Left out. {sentence(left_out)}")
    if written < len(samples):
        say(f"{written} of {len(samples)} samples are in {out}.")
    if problem is not None:
        say(sentence(problem))
    if interrupted:
        say("Interrupted.")
        raise typer.Exit(INTERRUPTED)
    if problem is not None or written < len(samples):
        raise typer.Exit(SOME_FAILED if written else NOTHING_DONE)


def _write(exporter: Exporter, folder: Path) -> None:
    """Write a data set folder's masks in a further form."""
    from engine.study.dataset import read_dataset

    with progress("Annotating") as advance:
        for step in exporter.write(read_dataset(folder)):
            if advance is not None:
                advance(step.done / step.total, step.path.name)
