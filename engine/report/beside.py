"""The paper's table and its figures beside what was measured here, and the recipes compared."""

from __future__ import annotations

from collections.abc import Iterable

from engine.report.markup import Html, bitmap, element, html, joined, line, photograph, table
from engine.report.measuring import Measured, Report
from engine.report.reproduction import (
    PAPER,
    Row,
    by_loss,
    in_order,
    loss_of,
    measured_by,
    rows,
    trained_by,
)
from engine.report.wording import images, mean, missing


def beside_the_paper(report: Report) -> Html:
    """Table 1, Figure 3b and Figure 4 of the paper, with the models measured here."""
    if not report.measured:
        return missing("This needs images of test; none was evaluated.")
    return joined((_table(report), _losses(report), _gallery(report)))


def recipe_table(report: Report) -> Html:
    """Training runs side by side: setting, samples seen, Dice on val."""
    if not report.recipes:
        return missing("No training runs were given (--recipes).")
    lines = [
        (
            recipe.name,
            ", ".join(f"{key} {value}" for key, value in recipe.changed) or "as most",
            element("code", recipe.command),
            "" if recipe.samples_seen is None else f"{recipe.samples_seen:,}",
            "" if recipe.dice is None else f"{recipe.dice:.3f}",
        )
        for recipe in report.recipes
    ]
    caption = (
        "The best weights of each run on val, as training measures it: one member, three steps, on "
        "the grid. One seed each, so that a hundredth of Dice may be chance."
    )
    head = ("Run", "Differs in", "Trained by", "Samples seen", "val Dice")
    return table(head, lines, caption, words=3)


def _losses(report: Report) -> Html:
    lines = [
        (
            one.subject.name,
            loss_of(one.subject.model.spec),
            mean(one.evaluation, "dice"),
            mean(one.evaluation, "iou"),
        )
        for group in by_loss(report.measured)
        for one in group
    ]
    if not lines:
        return missing("No two models differ in their loss only (the paper's Figure 3b).")
    caption = (
        "What L_RGB does, the paper's Figure 3b: models of one architecture that predict the same "
        f"and differ in their loss. Test, {images(report.measured[0].evaluation)}."
    )
    return table(("Model", "Loss", "Dice", "IoU"), lines, caption, words=2)


def _gallery(report: Report) -> Html:
    measured = in_order(report.measured)
    titles = [one.subject.name for one in measured]
    head = ("Image", "Photograph", "Expert", *titles)
    lines = []
    for one in report.compared:
        answers = {answer.model: answer for answer in one.answers}
        cells: list[object] = [
            one.id,
            element("img", src=photograph(one.pixels_hwc), alt=f"photograph {one.id}"),
            element("img", src=bitmap(one.truth_hw), alt=f"the expert's mask of {one.id}"),
        ]
        for title in titles:
            answer = answers.get(title)
            picture = (
                ""
                if answer is None
                else joined(
                    (
                        element(
                            "img", src=bitmap(answer.mask_hw), alt=f"{title}: mask of {one.id}"
                        ),
                        html(f"Dice {answer.dice:.3f}"),
                    )
                )
            )
            cells.append(picture)
        lines.append(line(cells, words=len(cells)))
    caption = (
        f"As the paper's Figure 4: {len(report.compared)} images spread evenly over test, as every "
        "model outlines them."
    )
    return element("div", table(head, lines, caption, words=len(head)), class_="gallery")


def _table(report: Report) -> Html:
    head = ("Model", "From", "Loss", "Dice", "IoU", "Parameters", "Samples seen", "Grid")
    lines = [each for row in rows(report.measured) for each in _lines(report, row)]
    caption = (
        "The paper: Mittal, Kalkhof, Mukhopadhyay and Bhavsar, MedSegDiffNCA, Table 1 (ISIC 2018, "
        f"256 px, 10 members; {PAPER[-1].name} as quoted there), without intervals. Here: mean "
        "over test with its 95 % bootstrap interval over images, which says nothing of another "
        "training. The two can be compared where the images are those of ISIC 2018, and then with "
        "care: the paper's split is not known. PARENT, DATA and DIR stand for what a model file "
        "does not record."
    )
    return table(head, lines, caption, words=3)


def _lines(report: Report, row: Row) -> Iterable[Html]:
    published = row.published
    if published is not None:
        scores = f"{published.dice:g}", f"{published.iou:g}"
        size = f"about {published.parameters:,}"
        yield line((published.name, "paper", "", *scores, size, "", 256), words=3)
    for measured in row.measured:
        subject, evaluation = measured.subject, measured.evaluation
        seen = subject.model.spec.samples_seen
        cells = (
            subject.name,
            f"here, {images(evaluation)}",
            loss_of(subject.model.spec),
            mean(evaluation, "dice"),
            mean(evaluation, "iou"),
            f"{subject.parameters:,}",
            "" if seen is None else f"{seen:,}",
            subject.model.spec.size,
        )
        yield line(cells, words=3, class_="first")
        how = [html("Measured by "), element("code", measured_by(report, subject))]
        if training := trained_by(subject.model.spec):
            how += [Html("<br />"), html("Trained by "), element("code", training)]
            how.append(html(_stopped(measured)))
        yield element("tr", element("td", joined(how), colspan=8, class_="word how"))


def _stopped(measured: Measured) -> str:
    spec = measured.subject.model.spec
    steps, parent = spec.training.get("steps_done"), spec.parent
    notes = [] if steps is None else [f"the weights are those of step {steps}"]
    notes += [f"PARENT has the fingerprint {parent}"] if parent else []
    return f" ({'; '.join(notes)})" if notes else ""
