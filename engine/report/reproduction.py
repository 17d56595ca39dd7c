"""The paper's Table 1, and the models measured here in its order and its words."""

from __future__ import annotations

from dataclasses import dataclass

from engine.networks.table import architecture
from engine.report.values import Measured
from engine.types import ModelSpec


@dataclass(frozen=True)
class Published:
    """A line of the paper's Table 1; Dice and IoU in [0, 1]."""

    name: str
    architecture: str
    dice: float
    iou: float
    parameters: int


#: Mittal et al., MedSegDiffNCA, Table 1: ISIC 2018 at 256 px, 10 members. MedSegDiff-V2 is quoted
#: there from its own paper.
PAPER = (
    Published("MedSegDiffNCA", "basic", 0.6373, 0.5119, 139_000),
    Published("CBAM-MedSegDiffNCA", "cbam", 0.6853, 0.5301, 206_000),
    Published("Multi-MedSegDiffNCA", "multi", 0.8390, 0.7455, 410_000),
    Published("MultiCBAM-MedSegDiffNCA", "multicbam", 0.8784, 0.7886, 412_000),
    Published("MedSegDiff-V2", "medsegdiff", 0.932, 0.853, 46_000_000),
)


@dataclass(frozen=True, eq=False)
class Row:
    """A line of the paper and the models of its architecture; without a line, one model."""

    published: Published | None
    measured: tuple[Measured, ...]


def rows(measured: tuple[Measured, ...]) -> tuple[Row, ...]:
    """The paper's lines in its order, then the models whose architecture it has not."""
    known = {line.architecture for line in PAPER}
    return (
        *(
            Row(line, tuple(one for one in measured if _architecture(one) == line.architecture))
            for line in PAPER
        ),
        *(Row(None, (one,)) for one in measured if _architecture(one) not in known),
    )


def in_order(measured: tuple[Measured, ...]) -> tuple[Measured, ...]:
    """The models in the order of the paper's table, then the others."""
    return tuple(one for row in rows(measured) for one in row.measured)


def headings(measured: Measured) -> tuple[str, ...]:
    """A model in few words, a line each: architecture, loss, name and samples seen."""
    spec = measured.subject.model.spec
    names = {line.architecture: line.name.removesuffix("-MedSegDiffNCA") for line in PAPER}
    seen = samples(spec)
    lines = (
        names.get(spec.architecture, spec.architecture),
        loss_of(spec),
        spec.name or measured.subject.name,
        f"{seen} samples" if seen else "",
    )
    return tuple(text for text in lines if text)


def samples(spec: ModelSpec) -> str:
    """How many samples a model learned from, in words; "" where its file does not record it.

    With a plus where the model it began from has seen more that are not counted.
    """
    if spec.samples_seen is None:
        return ""
    more = spec.parent and "samples_before" not in spec.training
    return f"{spec.samples_seen:,}{'+' if more else ''}"


def loss_of(spec: ModelSpec) -> str:
    """The loss that a model was trained with, in the paper's terms; "" where it is not recorded.

    L_n is eq. 3 and L_RGB eq. 4; L_total (eq. 5) is their sum.
    """
    if "rgb_weight" not in spec.training:
        return ""
    own = {"noise": "L_n", "clean": "mask loss", "velocity": "velocity loss"}[spec.predicts]
    of_network = architecture(spec.architecture).own_loss
    weight = float(spec.training["rgb_weight"])
    if not weight or not of_network:
        return f"{own} only"
    if spec.predicts == "noise" and weight == 1:
        return f"L_total = L_n + {of_network} (eq. 5)"
    return f"{own} + {of_network}" if weight == 1 else f"{own} + {weight:g} {of_network}"


def by_loss(measured: tuple[Measured, ...]) -> tuple[tuple[Measured, ...], ...]:
    """Models of one architecture that were trained with different losses: the paper's Figure 3b.

    A group for each architecture with two losses or more, in the paper's order; in a group L_n
    comes first and the loss without L_RGB before the same one with it. Models whose loss is not
    recorded are left out.
    """
    groups: dict[str, list[Measured]] = {}
    for one in in_order(measured):
        if loss_of(one.subject.model.spec):
            groups.setdefault(_architecture(one), []).append(one)
    return tuple(
        tuple(sorted(group, key=_loss_rank))
        for group in groups.values()
        if len({loss_of(one.subject.model.spec) for one in group}) > 1
    )


def _architecture(measured: Measured) -> str:
    return measured.subject.model.spec.architecture


def _loss_rank(measured: Measured) -> tuple[int, float]:
    spec = measured.subject.model.spec
    return ("noise", "velocity", "clean").index(spec.predicts), float(spec.training["rgb_weight"])
