"""Writes in plain words what a run, its members, a mask or a training say."""

from __future__ import annotations

from collections.abc import Sequence

from engine.masks.measurements import Measurements
from engine.networks.library import ModelEntry
from engine.plaintext import shown_name
from engine.types import EnsembleResult, ModelSpec
from nca_seg_app.ui.widgets.agreement import Agreement

#: With fewer validation images one of them decides which model looks better.
FEW_IMAGES = 10
#: Two outlines whose Dice with a third differ by less are called alike.
SAME_DICE = 0.005


def titled(entry: ModelEntry) -> str:
    """A model's name and size, as "lesion · 48 cells"."""
    return f"{shown_name(entry.name)} · {entry.spec.size} {entry.architecture.places}"


def figures(entry: ModelEntry, device_text: str) -> str:
    """What is known about a model, as "48 × 48 cells · 412,236 parameters · Dice 0.87"."""
    size = entry.spec.size
    known = [f"{size} × {size} {entry.architecture.places}", f"{entry.parameters:,} parameters"]
    dice = entry.spec.training.get("validation_dice")
    if isinstance(dice, float):
        known.append(f"Dice {dice:.3f} in validation")
    if not entry.spec.sees_noise:
        known.append("draws in one step, once for each view")
    return " · ".join([*known, *([device_text] if device_text else [])])


def duration(seconds: float) -> str:
    """A time a person can grasp: "8 s", "3 min", "1 h 20 min"."""
    if seconds < 60:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def progress_text(
    result: EnsembleResult | None, members: int, seconds_left: float | None, paused: bool
) -> str:
    """How far a run of so many members (0: as many as it takes) is, and the time left.

    As "2 of 10 members · step 1 of 2 · 3 s left".
    """
    if result is None:
        return ""
    drawn = f"{result.finished} of {members} members" if members else f"{result.finished} members"
    if result.done == result.total:
        return drawn
    said = [drawn, f"step {result.step.done} of {result.step.total}"]
    if paused:
        said.append("paused")
    elif seconds_left is not None:
        said.append(f"{duration(seconds_left)} left")
    return " · ".join(said)


def scores(agreement: Agreement, threshold: float, spacing_mm: float | None) -> str:
    """What the members say together: agreement, outlined share, expected error; a line each.

    `threshold` is the probability, 0 to 1, from which a cell is outlined; `spacing_mm` the side of
    a pixel, or None where it is not known.
    """
    frame, members = agreement.result.frame, len(agreement.result.members_nhw)
    crop = frame.crop
    share = agreement.outlined(threshold) * crop.height * crop.width / frame.height / frame.width
    area = f"Outlined: {100 * share:.1f} % of the image"
    if spacing_mm is not None:
        area += f", {share * frame.height * frame.width * spacing_mm**2:.1f} mm²"
    agreed = agreement.agreed
    if agreed is None or not share:
        return "Nothing is outlined at this threshold. Move it to the left."
    if members < 2:
        return f"{area}\nOne member only: how sure it is cannot be told."
    error = f"Expected error {agreement.expected_error:.2f} (0: all sure and alike)"
    return f"Members agree on {100 * agreed:.0f} % of their area\n{area}\n{error}"


def expected_error_text(agreement: Agreement | None) -> str:
    """The expected error of an ensemble, and how far its members overlap."""
    if agreement is None:
        return ""
    error = f"Expected error {agreement.expected_error:.2f}"
    if not agreement.dice.size:
        return f"{error}. One member only: draw more to see where they differ."
    return (
        f"{error}: two members share {100 * agreement.dice.mean():.0f} % of their "
        f"area on average, {100 * agreement.dice.min():.0f} % at worst."
    )


def leftover(parent: str, spec: ModelSpec) -> str:
    """What a training that was killed had learned, before the person decides about it.

    `parent` is the name of the model that was fine-tuned, "" where a new one was trained.
    """
    done, steps = spec.training.get("steps_done"), spec.training.get("steps")
    after = f" after step {done} of {steps}" if isinstance(done, int) else ""
    dice = spec.training.get("validation_dice")
    found = f" It came to a Dice of {dice:.3f} in validation." if isinstance(dice, float) else ""
    of = f"A fine-tuning of {parent}" if parent else f"The training of a new {spec.name}"
    return f"{of} was interrupted; this is its best{after}.{found}"


def offer(parent: str, best_dice: float, start_dice: float | None, images: int) -> str:
    """What the person should know of a trained model before it is added to the models.

    `best_dice` is its Dice on `images` validation images, `start_dice` that of its parent, if it
    has one that was measured.
    """
    if start_dice is None:
        told = f"A new model is ready. Validation Dice: {best_dice:.3f}."
    else:
        # As they are printed, so that the words agree with the figures.
        better = round(best_dice, 3) > round(start_dice, 3)
        verdict = "better than its parent" if better else "but it is not better than its parent"
        told = (
            f"A new model is ready, {verdict}. "
            f"Validation Dice: new {best_dice:.3f}, {shown_name(parent)} {start_dice:.3f}."
        )
    if images < FEW_IMAGES:
        there = "only 1 image was" if images == 1 else f"only {images} images were"
        what = "figure" if start_dice is None else "comparison"
        told += f" The {what} is rough: {there} there to measure on."
    return f"{told} It has not been added to the list yet."


def measured(found: Measurements | None, spacing_mm: float | None) -> str:
    """What an outline measures, a line each; in millimetres, too, where a pixel's side is known."""
    if found is None:
        return "Nothing is outlined yet."
    parts = "1 part" if found.parts == 1 else f"{found.parts} parts"
    lengths = (
        ("Greatest diameter", found.diameter_px),
        ("Least breadth", found.breadth_px),
        ("Border", found.perimeter_px),
    )
    area = f"Area: {found.area_px:,} px · {100 * found.share:.1f} %"
    if spacing_mm is not None:
        area += f" · {found.area_px * spacing_mm**2:.1f} mm²"
    lines = [f"{area} · {parts}"]
    for name, length_px in lengths:
        real = f" · {length_px * spacing_mm:.1f} mm" if spacing_mm is not None else ""
        lines.append(f"{name}: {length_px:,.0f} px{real}")
    return "\n".join([*lines, f"Circularity: {found.circularity:.2f} (a circle: 1)"])


def difference(dice: float, added_px: int, removed_px: int) -> str:
    """How a mask differs from the model's outline: in Dice, and in pixels added and removed."""
    if not added_px and not removed_px:
        return "Just what the model outlines."
    return (
        f"Beside the model's outline: Dice {dice:.3f}, "
        f"{added_px:,} px added, {removed_px:,} px removed."
    )


def compared_text(gains: Sequence[float], total: int, rival: str) -> str:
    """How much nearer to the saved masks a new model comes than the model `rival`, in Dice.

    Of `total` images those of `gains` have been looked at.
    """
    if len(gains) < total:
        return f"Comparing with {rival}: {len(gains)} of {total} images …"
    nearer = sum(gain >= SAME_DICE for gain in gains)
    farther = sum(gain <= -SAME_DICE for gain in gains)
    alike = len(gains) - nearer - farther
    told = f"Nearer to your mask in {nearer}, farther in {farther}, alike in {alike}."
    return f"{told} White: your mask, dashed: {rival}, blue: the new model."
