"""nca-seg fit-style: finds the style and width of a person's outlines from their masks."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict
from typing import Annotated, Any

import typer

from engine.cli.exit_codes import SOME_FAILED
from engine.cli.inputs import find_model, load_model, open_data
from engine.cli.messages import Refusal, print_json, say, sentence
from engine.cli.options import (
    DataOption,
    DeviceOption,
    JsonOption,
    ModelOption,
    ThresholdOption,
    command,
)
from engine.cli.progress import progress
from engine.errors import StyleNotKnown, UnreadableImage, UnreadableMask
from engine.types import FEWEST_FITTED, Sample, StyleChoice, StyleFit, evenly


@command()
def fit_style(
    data: DataOption,
    model: ModelOption = "",
    limit: Annotated[
        int, typer.Option("--limit", min=1, help="At most this many masks, spread over all.")
    ] = 20,
    device: DeviceOption = "auto",
    threshold: ThresholdOption = 0.5,
    json_: JsonOption = False,
) -> None:
    """Find the annotation style in which a model's outlines are nearest to a person's masks.

    No weight changes: it finds the --style and --width for nca-seg segment and evaluate under which
    the masks are likeliest. Masks that were accepted of a model as they were are left out, for they
    show no person's style. The Dice to expect on new images is that of each mask by the style of
    the others.

    \b
    Examples:
      nca-seg fit-style --data pictures/
      nca-seg fit-style --data corrected --model lesion --json
    """
    from engine.evaluation.style_fit import fit_style as fitted

    entry = find_model(model)
    if not entry.spec.steerable:
        raise StyleNotKnown(entry.name, "style", ())
    samples = open_data(data).samples
    drawn = [each for each in samples if each.is_by_a_person]
    if not drawn:
        raise Refusal(f"{data} holds no masks that a person drew or changed.")
    if accepted := len(samples) - len(drawn):
        masks, them = ("mask is", "it") if accepted == 1 else ("masks are", "them")
        say(f"{accepted} {masks} left out: a model drew {them}, and nobody changed {them}.")
    loaded = load_model(entry, device)
    pairs, problems = _read(evenly(drawn, limit))
    if not pairs:
        raise Refusal("None of the masks can be read.")
    with (
        progress("Fitting") as advance,
        closing(fitted(loaded, pairs, threshold=threshold)) as stream,  # type: ignore[type-var]
    ):
        fit: StyleFit | None = None
        for event in stream:
            fit = event.fit
            if advance is not None:
                advance(event.done / event.total, f"{event.done}/{event.total}")
    if fit is None:
        raise AssertionError("a fit ends with what it found")
    if json_:
        head = {"format": "nca-seg/style-fit", "version": 1}
        asked = {"model": {"name": entry.name, "fingerprint": loaded.fingerprint}}
        figures = asdict(fit)
        print_json({**head, **asked, "data": str(data), **figures.pop("choice"), **figures})
    else:
        _show(fit)
    if problems:
        raise typer.Exit(SOME_FAILED)


def _read(samples: Sequence[Sample]) -> tuple[list[tuple[Any, Any]], int]:
    """The images and masks of samples, and how many cannot be read, which is said of each."""
    from engine.images.reading import read_image
    from engine.masks.reading import read_mask

    pairs, problems = [], 0
    for sample in samples:
        try:
            image = read_image(sample.image_path)
            pairs.append((image, read_mask(sample.mask_path, (image.height, image.width))))
        except (UnreadableImage, UnreadableMask) as error:
            say(f"Left out. {sentence(error)}")
            problems += 1
    return pairs, problems


def _show(fit: StyleFit) -> None:
    print(f"--style {fit.choice.style} --width {fit.choice.width:g}")
    print(f"{'Masks':<28}{fit.images}")
    print(f"{'Dice before':<28}{fit.dice_before:.4f}")
    print(f"{'Dice with it':<28}{fit.dice:.4f}")
    print(f"{'Dice to expect':<28}{fit.dice_left_out:.4f}")
    print(f"{'Log-likelihood a cell':<28}{fit.likelihood:.4f}, before {fit.likelihood_before:.4f}")
    if fit.images < FEWEST_FITTED:
        say(f"A style is chosen from {FEWEST_FITTED} masks on.")
    elif fit.choice != StyleChoice() and not fit.is_nearer:
        say("On images that it was not chosen by, it is no better than the mixed style.")
