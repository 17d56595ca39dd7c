"""nca-seg pack: makes data sets one small folder, to be carried to another machine."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from engine.cli.exit_codes import INTERRUPTED
from engine.cli.inputs import open_data, tell_leaking
from engine.cli.messages import say, show
from engine.cli.options import command
from engine.cli.progress import progress

if TYPE_CHECKING:
    from engine.study.packing import PackStep


@command()
def pack(
    data: Annotated[
        list[Path],
        typer.Argument(help="Folders with images/ and masks/, or whose images have saved masks."),
    ],
    out: Annotated[Path, typer.Option("--out", help="Folder for the pack; it must be new.")],
    short_side: Annotated[
        int,
        typer.Option(
            "--short-side",
            min=16,
            max=4096,
            help="Pixels of the shorter side; smaller images keep theirs.",
        ),
    ] = 192,
    most_mb: Annotated[
        float,
        typer.Option("--most-mb", min=0.0, help="Stop if the pack would be larger than this."),
    ] = 40.0,
) -> None:
    """Pack data sets into one small folder for training on another machine.

    Images become JPEG of quality 92 without metadata, masks PNG of one bit; splits.csv and
    styles.csv are those of all folders together. Every command that takes a data set folder reads
    it. Ids and splits stay, and two images with one id are refused. An image of train whose lesion
    (lesion_id) stands in val or test is left out, and one of val whose lesion stands in test.

    \b
    Examples:
      nca-seg pack isic2018 isic2017 --out pack
      nca-seg pack isic2018 --out pack256 --short-side 256
      nca-seg train --data pack --out runs/gpu --device cuda --minutes 8
    """
    from engine.study.packing import pack as packed

    newest: PackStep | None = None
    try:
        stream = packed([open_data(folder) for folder in data], out, short_side, most_mb)
        with progress("Packing") as advance, closing(stream):  # type: ignore[type-var]
            for newest in stream:
                if advance is not None:
                    advance(newest.done / newest.total, newest.path.name)
    except KeyboardInterrupt:
        say("Interrupted." if out.exists() else "Interrupted; nothing is left of the pack.")
        raise typer.Exit(INTERRUPTED) from None
    if newest is not None:
        tell_leaking(newest.leaking)
        print(f"{show(out)}  {newest.done} images  {newest.size_bytes / 1e6:.1f} MB")
