"""Renders a report as one HTML page without further files; missing measurements are named."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields

from engine.evaluation.scoring import FAILED_DICE, Evaluation, Scores
from engine.evaluation.styles import TOOLS, ByStyle, GivenStyle
from engine.evaluation.uncertainty import UNCERTAINTIES
from engine.metrics import SURFACE_TOLERANCE
from engine.report import plots
from engine.report.beside import beside_the_paper, recipe_table
from engine.report.markup import (
    Html,
    element,
    figure,
    joined,
    line,
    page,
    photograph,
    table,
)
from engine.report.measuring import PIXELS_AN_IMAGE
from engine.report.sweep import MEMBERS, TOLERANCE, Point, Sweep, best, cheapest
from engine.report.values import Report, UncertaintyRanking
from engine.report.wording import (
    chosen,
    count,
    images,
    mean,
    missing,
    number,
    with_interval,
)
from engine.report.worst import Outlines, Worst

USE = "Research use only, not a medical device."


def render(report: Report, written: str = "") -> str:
    """The report as HTML text; `written` says when and by what.

    Styles and pictures are in the text itself. All text that is not the program's own is escaped.
    Raises ImportError without matplotlib.
    """
    sections = (
        ("scores", "Scores", _scores(report)),
        ("doubt", "Does uncertainty find the failures?", _uncertainty(report)),
        ("calibration", "Is a probability of 0.8 right in 8 of 10?", _calibration(report)),
        ("steps", "How few steps and members will do?", _steps(report)),
        ("paper", "Beside the paper", beside_the_paper(report)),
        ("recipes", "The recipe, by experiment", recipe_table(report)),
        ("worst", "The worst images", _worst(report)),
    )
    contents = (element("li", element("a", title, href=f"#{name}")) for name, title, _ in sections)
    title = f"Report on {report.subject.model.spec.name or report.subject.name}"
    body = joined(
        (
            element("h1", title),
            element("p", USE, class_="use"),
            _unfinished(report),
            _left_out(report),
            _head(report, written),
            element("nav", element("ol", joined(contents)), aria_label="Contents"),
            *(
                element("section", element("h2", title), content, id=name)
                for name, title, content in sections
            ),
        )
    )
    return page(title, body)


# What was asked, and how far it came


def _unfinished(report: Report) -> Html:
    if report.done == report.total:
        return Html("")
    text = f"This report is unfinished: {report.done} of {report.total} measurements were made."
    return element("p", text, class_="notice")


def _left_out(report: Report) -> Html:
    if not report.left_out:
        return Html("")
    named = "; ".join(f"{error.path.name} ({error.reason})" for error in report.left_out)
    files = count(len(report.left_out), "file")
    text = f"{files} could not be read, and no figure is of them: {named}."
    return element("p", text, class_="notice")


def _head(report: Report, written: str) -> Html:
    subject, spec = report.subject, report.subject.model.spec
    seen = spec.samples_seen
    facts = {
        "Model": subject.name,
        "Fingerprint": subject.fingerprint,
        "Architecture": f"{spec.architecture}, {subject.parameters:,} parameters",
        "Grid": f"about {spec.size} × {spec.size} cells",
        "Training": "" if seen is None else f"{seen:,} samples seen",
        "Images": report.data,
        "Limit": "" if report.limit is None else f"{report.limit} images a split, spread over it",
        "Settings": chosen(report.settings),
        "Device": subject.model.device,
        "Written": written,
    }
    shown = (
        joined((element("dt", name), element("dd", value)))
        for name, value in facts.items()
        if str(value)
    )
    return element("dl", joined(shown))


# Scores


def _scores(report: Report) -> Html:
    splits = [
        (name, evaluation)
        for name, evaluation in (("val", report.val), ("test", report.test))
        if evaluation is not None
    ]
    if not splits:
        return missing("No image was evaluated.")
    head = ["Score", "Better", *(f"{name}, {images(each)}" for name, each in splits)]
    lines = [
        (
            score.metadata["label"],
            score.metadata["better"],
            *(mean(each, score.name, score.metadata["digits"]) for _, each in splits),
        )
        for score in fields(Scores)
    ]
    shares = (f"{100 * evaluation.failed:.1f} %" for _, evaluation in splits)
    below = (f"Images with a Dice below {FAILED_DICE}", "low", *shares)
    pooled = [
        (label, "high", *(_pooled(each, name) for _, each in splits))
        for name, label in (("dice", "Dice, pooled"), ("iou", "IoU, pooled"))
    ]
    caption = (
        "Mean of the images, in brackets the 95 % bootstrap interval over images. The mask is the "
        "mean of the members cut at 0.5, held against the expert's at the image's own size; two "
        "empty masks agree fully. Surface Dice: the share of both outlines that is within "
        f"{100 * SURFACE_TOLERANCE:g} % of the image's diagonal of the other one. "
        "Variance to expected error measure the members' uncertainty, on the grid. "
        "Seconds are from the picture in memory to its mask. Pooled: the pixels of all images "
        "counted as if they were one image, as much of the literature on ISIC does (EGE-UNet and "
        "what builds on its code); the pairs of the MedSegDiffNCA paper are no pooled ones, whose "
        "IoU is Dice / (2 − Dice)."
    )
    pieces = [table(head, [*lines, *pooled, below], caption, words=2)]
    pieces += [_styles(name, each.styles) for name, each in splits if each.styles is not None]
    pieces += [_given(name, each.given) for name, each in splits if each.given is not None]
    if report.test is not None:
        drawn = plots.dice_histogram(report.test, FAILED_DICE)
        note = (
            f"{images(report.test)}, in bins of 0.025. The dashed line is at {FAILED_DICE}: "
            "below it an image counts as failed."
        )
        pieces.append(figure(drawn, "Dice on test", note))
    else:
        pieces.append(missing("No image of test was evaluated."))
    return joined(pieces)


def _pooled(evaluation: Evaluation, name: str) -> str:
    return f"{getattr(evaluation.pooled, name):.3f} {_bounds(evaluation.pooled_intervals[name])}"


def _styles(split: str, styles: ByStyle) -> Html:
    """The scores by the tool that made the masks, beside how much people agree."""
    lines: list[tuple[object, ...]] = []
    for tool, found in styles.tools.items():
        dice = f"{found.dice:.3f} {_bounds(found.interval)}"
        lines.append((TOOLS[tool], found.images, dice, f"{found.pooled_dice:.3f}"))
    caption = f"On {split}, by the tool that made the expert's mask (styles.csv)."
    if (people := styles.people) is not None:
        agreed = f"{people.dice:.3f} {_bounds(people.interval)}, median {people.median:.3f}"
        model = f"{people.model_dice:.3f}, median {people.model_median:.3f}"
        lines.append(("People with each other", people.images, agreed, ""))
        lines.append(("The model on the same images", people.images, model, ""))
        caption += (
            " Last: the mean Dice among the authors of images with several masks, and the model's "
            "with the one that the data set took."
        )
    return table(("Masks made by", "Images", "Dice", "Dice, pooled"), lines, caption)


def _given(split: str, given: GivenStyle) -> Html:
    """The scores without and with each image's own tool given as style."""
    lines: list[tuple[object, ...]] = []
    rows = {TOOLS[tool]: found for tool, found in given.tools.items()} | {"all": given.whole}
    for label, found in rows.items():
        dice = f"{found.given:.3f} {_bounds(found.interval)}"
        best = "" if found.best is None else f"{found.best:.3f}"
        lines.append((label, found.images, f"{found.before:.3f}", dice, best))
    caption = (
        f"On {split}, with the tool that made each mask given to the model as style, and the best "
        "of its styles for each image, which a person could pick."
    )
    return table(
        ("Style given", "Images", "Dice before", "Dice given", "Best style"), lines, caption
    )


def _bounds(interval: tuple[float, float]) -> str:
    return f"({interval[0]:.3f} to {interval[1]:.3f})"


# Uncertainty


def _uncertainty(report: Report) -> Html:
    if report.test is None or report.floor is None:
        return missing("This needs images of test; none was evaluated.")
    lines = [_ranked(each.name.capitalize(), each) for each in report.rankings]
    floor, none = report.floor.aurc, report.floor.kept_risk[-1]
    lines.append(("Floor: the error itself", "", "", number(floor, 4), number(0.0, 4)))
    lines.append(("No order at all", "", "0.500", number(none, 4), number(none - floor, 4)))
    seen = images(report.test)
    caption = (
        f"On test, {seen}. Spearman: rank correlation with 1 − Dice. AUROC: the chance that an "
        f"image with a Dice below {FAILED_DICE} is more uncertain than one above. "
        "AURC: mean of the curve below, lower is better. E-AURC: what it is above the floor."
    )
    head = ("Uncertainty", "Spearman", "AUROC", "AURC", "E-AURC")
    curves = (
        "What is left of the error if only the least uncertain images are kept, and the others are "
        f"looked at by a person. {seen} of test; the floor knows every error."
    )
    clouds = (
        "One dot an image of test. Variance and entropy are summed over the grid and divided by "
        "the area of the mask; disagreement is 1 − mean Dice between members; expected error is "
        "1 − mean Dice between the members' probabilities and the mask."
    )
    return joined(
        (
            table(head, lines, caption),
            figure(plots.risk_coverage(report.rankings, report.floor), "Risk and coverage", curves),
            figure(
                plots.uncertainty_scatter(report.test, [*UNCERTAINTIES]),
                "Uncertainty and error",
                clouds,
            ),
        )
    )


def _ranked(label: str, ranking: UncertaintyRanking) -> tuple[str, ...]:
    return (
        label,
        number(ranking.spearman, 3),
        number(ranking.auroc, 3),
        number(ranking.aurc, 4),
        number(ranking.excess_aurc, 4),
    )


# Calibration


def _calibration(report: Report) -> Html:
    if report.test is None:
        return missing("This needs images of test; none was evaluated.")
    before, after, temperature = report.test.calibration, report.calibrated, report.temperature
    lines = [("As it is", "", number(before.ece, 4))]
    if after is None or temperature is None:
        note = missing("Without all images of val there is no temperature.")
    else:
        lines.append(("At the temperature", number(temperature, 3), number(after.ece, 4)))
        note = Html("")
    caption = (
        f"Expected calibration error over all pixels of test, {images(report.test)}, in "
        f"{before.cells.size} bins of the probability. The one temperature was fitted on val "
        f"({PIXELS_AN_IMAGE} pixels an image), above 1 where the model is too sure of "
        "itself. It moves no pixel across 0.5, so every mask stays."
    )
    drawn = (
        "Of the pixels that were given a probability, the share that is lesion: on the dashed "
        "line the model means what it says. Mean over the members, at the images' own size."
    )
    return joined(
        (
            table(("Probability", "Temperature", "ECE"), lines, caption),
            note,
            figure(plots.reliability(before, after), "Reliability on test", drawn),
        )
    )


# Steps and members


def _steps(report: Report) -> Html:
    sweep = report.sweep
    if sweep is None or not sweep.curves:
        return missing("No image of val has been segmented with every setting.")
    highest = best(sweep.points)
    enough = cheapest(sweep.points)
    seen = count(len(sweep.images), "image")
    answer = (
        f"Enough: {_named(enough)}, Dice {enough.dice:.4f}, {enough.seconds:.2f} s an image. It is "
        f"the cheapest setting (steps × members) within {TOLERANCE} of the best, "
        f"{_named(highest)} with {highest.dice:.4f} and {highest.seconds:.2f} s"
    )
    if enough != highest:
        less = sweep.column(enough) - sweep.column(highest)
        answer += f"; image by image the difference is {with_interval(less, 4)}"
    caption = (
        f"On val, {seen} spread over it, at their own size; in brackets the 95 % bootstrap "
        "interval over images. Against the best: the mean difference image by image. "
        f"The more steps, the fewer members were drawn ({_plan()}): what more of them would give "
        "is not known. With one step both samplers are the same, so it was measured once. The "
        f"network was asked {sweep.cost} times an image. "
        "Fewer members are the first of them, and take their share of the seconds. The settings "
        "are chosen on the images they are compared on, so the highest Dice is a little too high."
    )
    head = (
        "Sampler", "Steps", "Members", "Dice", "Against the best", "Seconds",
        *(f"Dice of {few}" for few in plots.EQUAL_MEMBERS[:2]),
    )  # fmt: skip
    steps_note = (
        f"Mean over {seen} of val, at equal members: one, four, twenty, where so many were drawn. "
        "With one step both samplers are the same."
    )
    members_note = f"Mean over {seen} of val: the mean of the first members, cut at 0.5."
    return joined(
        (
            element("p", f"{answer}.", class_="answer"),
            table(head, _settings(sweep, enough, highest), caption),
            figure(plots.dice_by_steps(sweep), "Dice and diffusion steps", steps_note),
            figure(plots.dice_by_members(sweep), "Dice and members", members_note),
        )
    )


def _settings(sweep: Sweep, enough: Point, highest: Point) -> Iterable[Html]:
    for curve in sweep.curves:
        most = curve.point(curve.members)
        less = curve.column(curve.members) - sweep.column(highest)
        equal = (
            f"{curve.point(few).dice:.3f}" if few <= curve.members else ""
            for few in plots.EQUAL_MEMBERS[:2]
        )
        cells = (
            curve.sampler.upper() if curve.steps > 1 else "both",
            curve.steps,
            curve.members,
            with_interval(curve.column(curve.members)),
            with_interval(less),
            f"{most.seconds:.2f}",
            *equal,
        )
        here = (curve.sampler, curve.steps) == (enough.sampler, enough.steps)
        yield line(cells, class_="best" if here else "other")


def _plan() -> str:
    """How many members were drawn at how many steps, in words."""
    by_members: dict[int, list[str]] = {}
    for steps, members in MEMBERS.items():
        by_members.setdefault(members, []).append(str(steps))
    return "; ".join(
        f"{count(members, 'member')} at {', '.join(steps)} steps"
        for members, steps in by_members.items()
    )


def _named(point: Point) -> str:
    steps, members = count(point.steps, "step"), count(point.members, "member")
    return f"{point.sampler.upper()} with {steps} and {members}"


# The worst


def _worst(report: Report) -> Html:
    if not report.worst:
        return missing("This needs images of test; none was evaluated.")
    words = (
        f"The {count(len(report.worst), 'image')} of test with the lowest Dice. White: the "
        "expert's outline. Amber: the model's."
    )
    cards = (figure(_outlined(one), one.id, _card(one)) for one in report.worst)
    return joined((element("p", words), element("div", joined(cards), class_="cards")))


def _card(worst: Worst) -> str:
    scores = worst.scores
    return (
        f"Dice {scores.dice:.3f}, IoU {scores.iou:.3f}, HD95 {scores.hd95_px:.0f} px, "
        f"sensitivity {scores.sensitivity:.3f}, specificity {scores.specificity:.3f}, "
        f"disagreement {scores.disagreement:.3f}."
    )


def _outlined(worst: Worst) -> Html:
    """The small picture with both outlines, as SVG around a JPEG."""
    height, width = worst.pixels_hwc.shape[:2]
    source = photograph(worst.pixels_hwc)
    truth, mask = _path(worst.truth_outlines), _path(worst.mask_outlines)
    return element(
        "svg",
        element("image", href=source, width=width, height=height),
        # A dark line under each, so that it is seen on light skin too.
        *(
            element("path", d=drawn, fill="none", stroke=colour, stroke_width=thick)
            for drawn, strokes in (
                (truth, (("#00000099", 3.4), ("#ffffff", 1.8))),
                (mask, (("#00000099", 3.4), ("#ffb000", 1.8))),
            )
            for colour, thick in strokes
        ),
        viewBox=f"0 0 {width} {height}",
        xmlns="http://www.w3.org/2000/svg",
    )


def _path(outlines: Outlines) -> str:
    return " ".join(
        "M" + "L".join(f"{column:.1f} {row:.1f}" for row, column in outline_rc) + "Z"
        for outline_rc in outlines
    )
