"""nca-seg evaluate: scores a model's masks against an expert's masks."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from engine.cli.exit_codes import INTERRUPTED, NOTHING_DONE, SOME_FAILED
from engine.cli.inputs import find_model, load_model, open_data
from engine.cli.messages import Refusal, say, sentence
from engine.cli.options import (
    DataOption,
    DeviceOption,
    ModelOption,
    ThresholdOption,
    command,
)
from engine.cli.progress import Advance, progress
from engine.errors import EngineError, StyleNotKnown
from engine.files import write_atomic
from engine.types import ModelSpec, Sample, SampleSettings, Split, evenly

if TYPE_CHECKING:
    from engine.evaluation.scoring import Beside, Evaluation
    from engine.evaluation.styles import ByStyle, GivenStyle


@command(SampleSettings())
def evaluate(
    data: DataOption,
    split: Annotated[Split, typer.Option("--split", help="Which part of the data.")],
    settings: SampleSettings,
    model: ModelOption = "",
    limit: Annotated[
        int | None,
        typer.Option("--limit", min=1, help="At most this many images, spread over the split."),
    ] = None,
    device: DeviceOption = "auto",
    threshold: ThresholdOption = 0.5,
    json_: Annotated[
        Path | None, typer.Option("--json", help="Write the scores to this file.")
    ] = None,
    given_style: Annotated[
        bool,
        typer.Option(
            "--given-style",
            help="Segment each image once more, given the tool that made its mask as style.",
        ),
    ] = False,
    styles: Annotated[
        bool,
        typer.Option(
            "--styles",
            help="As --given-style, and in every other style too: what the best of them reaches.",
        ),
    ] = False,
) -> None:
    """Hold a model's masks against expert masks.

    At each image's own size: Dice, IoU, threshold Jaccard (the IoU, 0 below 0.65), sensitivity,
    specificity, the 95 % Hausdorff distance, normalised surface Dice (the share of both outlines
    within 0.75 % of the image's diagonal of the other one), Dice of two other fusions, GED and CI
    of the members and four measures of their uncertainty, each mean with its 95 % bootstrap
    interval. Two empty masks agree fully. Samples that cannot be read are left out and listed at
    the end.

    Pooled Dice and IoU count the pixels of all images as if they were one image, as much of the
    literature on ISIC does (EGE-UNet and what builds on its code): they are higher than the means
    where a model fails at small lesions. The pairs of the MedSegDiffNCA paper are no pooled ones,
    whose IoU is Dice / (2 - Dice). E-AURC is what the expected error lacks to ranking the images
    as their errors do.

    Where the data has a styles.csv (columns id, tool, masks, agreement), there is a line for each
    tool that made the masks, and how much people agree with each other. With --given-style or
    --styles there are the scores with each image's own tool given as style, too, of models that
    know styles.

    \b
    Examples:
      nca-seg evaluate --data isic2018 --split val --limit 20
      nca-seg evaluate --data isic2018 --split test --model lesion --json test.json
    """
    entry = find_model(model)
    dataset = open_data(data)
    samples = dataset.split(split)
    if not samples:
        held = ", ".join(sorted({sample.split for sample in dataset.samples}))
        raise Refusal(f"{data} has no split {split!r}, only {held}.")
    samples = evenly(samples, limit)
    if json_ is not None:
        json_.parent.mkdir(parents=True, exist_ok=True)
    beside = _beside(entry.spec, samples, given_style, styles)
    loaded = load_model(entry, device)

    from engine.evaluation.scoring import evaluate as evaluated

    newest: Evaluation | None = None
    problem: Exception | None = None
    interrupted, left_out = False, 0
    try:
        with (
            progress("Evaluating") as advance,
            closing(evaluated(loaded, samples, settings, threshold, beside)) as stream,  # type: ignore[type-var]
        ):
            for newest in stream:
                if len(newest.left_out) > left_out:
                    # All that was left out is told at the end, where it is not overlooked.
                    left_out += 1
                    continue
                _tell(newest, advance)
    except KeyboardInterrupt:
        interrupted = True
    except (EngineError, OSError, MemoryError) as error:
        problem = error
    scored = len(newest.images) if newest is not None else 0
    if newest is not None and scored:
        _show(newest)
        if json_ is not None:
            head = {
                "format": "nca-seg/evaluation",
                "version": 1,
                "model": {"name": entry.name, "fingerprint": loaded.fingerprint},
                "data": str(data),
                "split": split,
                "settings": asdict(settings),
                "threshold": threshold,
                "device": str(loaded.device),
                **newest.as_json(),
            }
            write_atomic(json_, json.dumps(head, indent=1) + "\n")
    for unreadable in newest.left_out if newest is not None else ():
        say(f"Left out. {sentence(unreadable)}")
    if left_out:
        say(f"The figures are of {scored} of {len(samples)} images; left out: {left_out}.")
    if problem is not None:
        say(sentence(problem))
    if interrupted:
        say(f"Interrupted after {newest.done if newest else 0} of {len(samples)} images.")
        raise typer.Exit(INTERRUPTED)
    if problem is not None or left_out:
        raise typer.Exit(SOME_FAILED if scored else NOTHING_DONE)


def _beside(spec: ModelSpec, samples: Sequence[Sample], given_style: bool, styles: bool) -> Beside:
    """The styles that the flags ask for beside the settings' own.

    Raises StyleNotKnown for a model without styles, Refusal where no sample's tool is known.
    """
    if not (given_style or styles):
        return "none"
    if not spec.styles:
        raise StyleNotKnown(spec.name, "style", ())
    if not any(each.style and each.style.tool in spec.styles for each in samples):
        raise Refusal("No styles.csv of the data names a tool whose style the model knows.")
    return "each" if styles else "given"


def _tell(newest: Evaluation, advance: Advance | None) -> None:
    """Say how far an evaluation is: on the bar, or without one in a line for the newest image."""
    name, scores = newest.images[-1]
    far, mean = f"{newest.done}/{newest.total}", newest.mean.dice
    if advance is not None:
        advance(newest.done / newest.total, f"{far}, mean Dice {mean:.3f}")
    else:
        say(f"{far} {name} Dice {scores.dice:.3f}, mean {mean:.3f}, {scores.seconds:.1f} s")


def _show(evaluation: Evaluation) -> None:
    mean, intervals = evaluation.mean, evaluation.intervals
    print(f"{'Images':<19}{len(evaluation.images)} of {evaluation.total}")
    for score in fields(mean):
        label, digits = score.metadata["label"], score.metadata["digits"]
        low, high = intervals[score.name]
        value = getattr(mean, score.name)
        print(f"{label:<19}{value:.{digits}f}  ({low:.{digits}f} to {high:.{digits}f})")
    for name, label in (("dice", "Dice, pooled"), ("iou", "IoU, pooled")):
        low, high = evaluation.pooled_intervals[name]
        print(f"{label:<19}{getattr(evaluation.pooled, name):.4f}  ({low:.4f} to {high:.4f})")
    print(f"{'Dice below 0.8':<19}{100 * evaluation.failed:.1f} % of the images")
    print(f"{'ECE':<19}{evaluation.calibration.ece:.4f}")
    print(f"{'E-AURC':<19}{evaluation.excess_aurc['expected_error']:.4f}")
    if evaluation.styles is not None:
        _show_styles(evaluation.styles)
    if evaluation.given is not None:
        _show_given(evaluation.given)


def _show_given(given: GivenStyle) -> None:
    from engine.evaluation.styles import TOOLS

    print(f"\n{'Style given':<28}{'Images':>6}  {'Dice':<8}{'given':<28}Best style")
    rows = {TOOLS[tool]: found for tool, found in given.tools.items()} | {"all": given.whole}
    for label, found in rows.items():
        low, high = found.interval
        dice = f"{found.given:.4f}  ({low:.4f} to {high:.4f})"
        best = "" if found.best is None else f"{found.best:.4f}"
        print(f"{label:<28}{found.images:>6}  {found.before:<8.4f}{dice:<28}{best}".rstrip())


def _show_styles(styles: ByStyle) -> None:
    from engine.evaluation.styles import TOOLS

    print(f"\n{'Masks made by':<28}{'Images':>6}  {'Dice':<28}Dice, pooled")
    for tool, found in styles.tools.items():
        low, high = found.interval
        dice = f"{found.dice:.4f}  ({low:.4f} to {high:.4f})"
        print(f"{TOOLS[tool]:<28}{found.images:>6}  {dice:<28}{found.pooled_dice:.4f}")
    if styles.people is not None:
        people = styles.people
        low, high = people.interval
        print(
            f"People agree with each other to a Dice of {people.dice:.4f}  ({low:.4f} to "
            f"{high:.4f}), median {people.median:.4f}, on {people.images} of these images; the "
            f"model there: {people.model_dice:.4f}, median {people.model_median:.4f}"
        )
