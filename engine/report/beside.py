"""The report's sections on the paper, its table and figures beside ours, and on training runs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import fields

from engine.report.commands import measured_by, trained_by
from engine.report.compared import Compared
from engine.report.markup import Html, bitmap, element, html, joined, line, photograph, table
from engine.report.recipes import changed, usual
from engine.report.reproduction import (
    PAPER,
    Row,
    by_loss,
    headings,
    in_order,
    loss_of,
    rows,
    samples,
)
from engine.report.values import Measured, Report
from engine.report.wording import count, images, mean, missing, symbols, with_interval
from engine.types import BEFORE_CHOICES, ModelSpec, TrainSettings

_PREDICTS = {"noise": "the noise", "clean": "the clean mask", "velocity": "the velocity"}
_LOSSES = symbols(
    "L_n is the squared error of the noise (eq. 3), L_RGB that of the RGB channels against the "
    "mask (eq. 4). The mask loss is cross-entropy plus soft Dice of channel 0 and, at half weight, "
    "of the mean of the RGB channels."
)


def beside_the_paper(report: Report) -> Html:
    """Table 1, Figure 3b and Figure 4 of the paper, with the models measured here."""
    if not report.measured:
        return missing("This needs images of test; none was evaluated.")
    return joined(
        (
            element("h3", "Table 1: the four models"),
            _table(report),
            element("h3", symbols("Figure 3b: with and without L_RGB")),
            _losses(report),
            element("h3", "Figure 4: the same images, every model"),
            _gallery(in_order(report.measured), report.compared, _chosen(report)),
        )
    )


def recipe_table(report: Report) -> Html:
    """Training runs side by side: setting, samples seen, Dice on val."""
    recipes = report.recipes
    if not recipes:
        return missing("No training runs were given (--recipes).")
    common = usual(recipes)
    lines = [
        (
            recipe.name,
            _listed(changed(recipe, common)) or "nothing",
            samples(recipe.spec),
            "" if recipe.dice is None else f"{recipe.dice:.3f}",
        )
        for recipe in recipes
    ]
    caption = (
        "The best weights of each run by their Dice on val, as training measures it: one member, "
        "three steps, on the grid, so that runs of another size compare only roughly. One seed "
        "each: a hundredth of Dice may be chance. A plus: the samples of the parent are not known."
    )
    commands = (
        element("p", f"{recipe.name}: ", element("code", recipe.command), _notes(recipe.spec))
        for recipe in recipes
        if recipe.command
    )
    return joined(
        (
            element("p", f"Unless its row says otherwise, a run has: {_listed(common)}."),
            table(("Run", "Differs in", "Samples seen", "val Dice"), lines, caption, words=2),
            element("details", element("summary", "The commands"), joined(commands)),
        )
    )


def _listed(settings: dict[str, object]) -> str:
    told = {True: "yes", False: "no"}
    return ", ".join(
        f"{name.replace('_', ' ')} {told[value] if isinstance(value, bool) else value}"
        for name, value in settings.items()
    )


# The table


def _table(report: Report) -> Html:
    head = ("Model", "Dice", "IoU", "Parameters", "Samples seen", "Grid")
    lines = [each for row in rows(report.measured) for each in _lines(report, row)]
    caption = (
        "The paper: Mittal, Kalkhof, Mukhopadhyay and Bhavsar, MedSegDiffNCA, Table 1 (ISIC 2018, "
        f"256 px, 10 members; {PAPER[-1].name} as quoted there), without intervals. Here: mean "
        "over test with its 95 % bootstrap interval over images, which says nothing of another "
        "training. The two can be compared where the images are those of ISIC 2018, and then with "
        "care: the paper's split is not known. PARENT, DATA and DIR stand for what a model file "
        "does not record; a plus stands for the samples of a parent that is not known. "
    )
    return table(head, lines, joined((caption, _LOSSES)))


def _lines(report: Report, row: Row) -> Iterable[Html]:
    published = row.published
    if published is not None:
        name = joined((published.name, element("small", "the paper")))
        size = f"about {published.parameters:,}"
        yield line((name, f"{published.dice:g}", f"{published.iou:g}", size, "", 256))
    for measured in row.measured:
        subject, spec = measured.subject, measured.subject.model.spec
        loss = loss_of(spec) or "a loss that is not recorded"
        made = f"here, {images(measured.evaluation)}; predicts {_PREDICTS[spec.predicts]}; {loss}"
        cells = (
            joined((spec.name or subject.name, element("small", symbols(made)))),
            mean(measured.evaluation, "dice"),
            mean(measured.evaluation, "iou"),
            f"{subject.parameters:,}",
            samples(spec),
            spec.size,
        )
        yield line(cells, class_="first")
        yield _how(report, measured, len(cells))


def _how(report: Report, measured: Measured, columns: int) -> Html:
    """A row of a table that holds the commands which measured and trained a model."""
    how = [
        html("Measured by "),
        element(
            "code", measured_by(measured.subject.name, report.data, report.settings, report.limit)
        ),
    ]
    spec = measured.subject.model.spec
    if training := trained_by(spec):
        how += [Html("<br />"), html("Trained by "), element("code", training), _notes(spec)]
    return element("tr", element("td", joined(how), colspan=columns, class_="word how"))


def _notes(spec: ModelSpec) -> Html:
    """What a command that trained a model does not say, in brackets."""
    steps = spec.training.get("steps_done")
    known = {**BEFORE_CHOICES, **spec.training}
    unknown = [each.name for each in fields(TrainSettings) if each.name not in known]
    notes = [] if steps is None else [f"the weights are those of step {steps}"]
    notes += [f"PARENT has the fingerprint {spec.parent}"] if spec.parent else []
    notes += [f"its record is older than the settings {', '.join(unknown)}"] if unknown else []
    return html(f" ({'; '.join(notes)})" if notes else "")


# The figures


def _losses(report: Report) -> Html:
    groups = by_loss(report.measured)
    if not groups:
        return missing("No two models of one architecture were trained with different losses.")
    head = ("Loss", "Samples seen", "Dice", "IoU", "Dice more than the first")
    caption = (
        "Models of one architecture that learned by different losses, on the same images of test "
        "and at the settings of this report. Last column: the mean difference image by image. "
    )
    pieces: list[Html] = []
    for group in groups:
        lines = [each for one in group for each in _loss_lines(report, group[0], one, len(head))]
        pieces += [
            table(head, lines, joined((caption, _LOSSES))),
            _gallery(group, report.compared[::2], "Every second of the images below"),
        ]
    return joined(pieces)


def _loss_lines(report: Report, first: Measured, one: Measured, columns: int) -> Iterable[Html]:
    spec = one.subject.model.spec
    dice, other = one.evaluation.column("dice"), first.evaluation.column("dice")
    both = min(len(dice), len(other))
    cells = (
        joined((symbols(loss_of(spec)), element("small", f"{spec.architecture}, {spec.name}"))),
        samples(spec),
        mean(one.evaluation, "dice"),
        mean(one.evaluation, "iou"),
        "" if one is first else with_interval(dice[:both] - other[:both]),
    )
    yield line(cells, class_="first")
    yield _how(report, one, columns)


def _gallery(models: Sequence[Measured], shown: Sequence[Compared], chosen: str) -> Html:
    """A row for each image: photograph, the expert's mask, and the mask of each model."""
    if not shown:
        return missing("None of the images to be shown has been evaluated.")
    named = [
        element("th", joined(element("span", symbols(text)) for text in headings(one)))
        for one in models
    ]
    head = element("tr", element("th", "Photograph"), element("th", "Expert"), *named)
    body = joined(_pictures(one, models) for one in shown)
    caption = element("caption", f"{chosen}. Below each mask its Dice with the expert's.")
    width = f"width: {7.5 * (2 + len(models))}rem"
    whole = element("table", caption, element("thead", head), element("tbody", body), style=width)
    return element("div", whole, class_="wide gallery")


def _chosen(report: Report) -> str:
    spread = count(len(report.compared), "image")
    return f"{spread} spread evenly over test, chosen before any model had seen them"


def _pictures(one: Compared, models: Sequence[Measured]) -> Html:
    answers = {answer.model: answer for answer in one.answers}
    cells = [
        _picture(photograph(one.pixels_hwc), f"photograph {one.id}", one.id),
        _picture(bitmap(one.truth_hw), f"the expert's mask of {one.id}", ""),
    ]
    for model in models:
        name = model.subject.name
        if name in answers:
            source, told = bitmap(answers[name].mask_hw), f"{answers[name].dice:.3f}"
            cells.append(_picture(source, f"{name}: mask of {one.id}", told))
        else:
            cells.append(element("td", ""))
    return element("tr", *cells)


def _picture(source: str, words: str, below: str) -> Html:
    return element("td", element("img", src=source, alt=words), element("span", below))
