"""nca-seg segment: outlines the lesion in images and writes the masks."""

from __future__ import annotations

import errno
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.cli.exit_codes import INTERRUPTED, NOTHING_DONE, SOME_FAILED
from engine.cli.inputs import find_model, load_model
from engine.cli.messages import (
    Refusal,
    print_json,
    say,
    sentence,
    show,
)
from engine.cli.options import (
    DeviceOption,
    JsonOption,
    ModelOption,
    ThresholdOption,
    command,
)
from engine.cli.progress import Advance, progress
from engine.errors import EngineError, MaskKept, UnreadableImage
from engine.types import SampleSettings

if TYPE_CHECKING:
    from engine.diffusion.model import Model
    from engine.networks.library import ModelEntry
    from engine.study.results import ResultFiles


@command(SampleSettings())
def segment(
    images: Annotated[list[Path], typer.Argument(help="Image files, or folders of them.")],
    out: Annotated[Path, typer.Option("--out", help="Folder for the results.")],
    settings: SampleSettings,
    model: ModelOption = "",
    device: DeviceOption = "auto",
    threshold: ThresholdOption = 0.5,
    json_: JsonOption = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace masks that no model made, too.")
    ] = False,
) -> None:
    """Outline the lesion in each image.

    Writes <stem>_segmentation.png (0 and 255), <stem>_variance.png (0 to 0.25 as 0 to 255), both of
    the image's size, and <stem>.json, which says how they came to be. A mask that a person drew or
    changed is never replaced without --overwrite.

    \b
    Examples:
      nca-seg segment photo.jpg --out results
      nca-seg segment pictures/ --out results --members 20 --seed 7
      nca-seg segment photo.jpg --out results --sampler ddpm --steps 100
      nca-seg segment *.jpg --out results --json > results.json
    """
    from engine.study.results import expect_no_study

    paths = _image_files(images)
    expect_no_study(out)
    entry = find_model(model)
    loaded = load_model(entry, device)
    done: list[dict[str, Any]] = []
    problems: list[dict[str, str]] = []
    interrupted = False
    try:
        with progress("Segmenting") as advance:
            for number, path in enumerate(paths):
                try:
                    files = _segment_one(
                        path, out, loaded, entry, settings, threshold, overwrite,
                        None if advance is None else _part(advance, number, len(paths), path),
                    )  # fmt: skip
                except (UnreadableImage, MaskKept) as error:
                    problems.append({"image": str(path), "reason": sentence(error)})
                    say(sentence(error))
                    continue
                except (EngineError, OSError) as error:
                    problems.append({"image": str(path), "reason": sentence(error)})
                    say(sentence(error))
                    if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
                        continue
                    # The next image would fail for the same reason.
                    break
                done.append({**files.content, "image": str(path), "mask": str(files.mask)})
                if not json_:
                    print(_line(path, files), flush=True)
                elif advance is None:
                    say(_line(path, files))
    except KeyboardInterrupt:
        interrupted = True
    if json_:
        head = {"format": "nca-seg/results", "version": 1}
        print_json({**head, "results": done, "problems": problems})
    if interrupted:
        say(f"Interrupted. {len(done)} of {len(paths)} images are done and kept in {out}.")
        raise typer.Exit(INTERRUPTED)
    if problems:
        say(f"{len(done)} of {len(paths)} images are done.")
        raise typer.Exit(SOME_FAILED if done else NOTHING_DONE)


def _image_files(given: Sequence[Path]) -> list[Path]:
    """The images among files and folders, each once. Raises Refusal, BadParameter.

    Says what is left out of a folder because it cannot be read.
    """
    from engine.images.listing import list_folder

    paths: dict[Path, Path] = {}
    for path in given:
        inside = [path]
        if path.is_dir():
            listing = list_folder(path)
            inside = listing.images
            if not inside:
                say(f"{path} holds no images.")
            for kind, count in listing.skipped.items():
                pictures = "picture is" if count == 1 else "pictures are"
                say(f"{path}: {count:,} {kind} {pictures} left out, which cannot be read.")
        paths |= {one.absolute(): one for one in inside}
    if not paths:
        raise Refusal("There are no images to segment.")
    stems: dict[str, Path] = {}
    for path in paths.values():
        other = stems.setdefault(path.stem.casefold(), path)
        if other != path:
            raise typer.BadParameter(
                f"{other} and {path} would have the same result files; segment them into two "
                "--out folders."
            )
    return list(paths.values())


def _segment_one(
    path: Path,
    out: Path,
    loaded: Model,
    entry: ModelEntry,
    settings: SampleSettings,
    threshold: float,
    overwrite: bool,
    advance: Advance | None,
) -> ResultFiles:
    from engine.diffusion.ensemble import segment as ensemble
    from engine.images.reading import read_image
    from engine.study.results import expect_replaceable, write_result

    image = read_image(path)
    if image.note:
        say(f"{path}: {image.note}.")
    if not overwrite:
        # Before the work, not after it.
        expect_replaceable(out, path.stem, image)
    began = time.perf_counter()
    for result in ensemble(loaded, image, settings):
        if advance is not None:
            advance(result.done / result.total, f"step {result.done}/{result.total}")
    return write_result(
        out, path.stem, result, image, entry.name, loaded.fingerprint, settings, threshold,
        time.perf_counter() - began, overwrite,
    )  # fmt: skip


def _part(advance: Advance, number: int, count: int, path: Path) -> Advance:
    return lambda share, now: advance(
        (number + share) / count, f"{number + 1}/{count} {path.name}, {now}"
    )


def _line(path: Path, files: ResultFiles) -> str:
    content = files.content
    share = f"lesion {100 * content['lesion_share']:.1f} % of the picture"
    found = share if content["lesion_share"] else "nothing is outlined"
    return (
        f"{show(path)} -> {show(files.mask)} ({found}, doubt {content['doubt']:.3f}, "
        f"{content['seconds']:.1f} s)"
    )
