"""The paper's four models as rows of the table: one or two levels, with or without attention."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from engine.networks.architecture import Architecture, Inspection, PaperProtocol
from engine.networks.automaton.config import AutomatonConfig, cost, parameters
from engine.types import PAPER, ModelSpec

if TYPE_CHECKING:
    from engine.networks.automaton.levels import Automaton


#: MedSegDiffNCA's, where it says how.
PROTOCOL = PaperProtocol(
    PAPER,
    {"predicts": "noise", "mask_scale": 1.0, "framing": "square", "steerable": False},
)
INSPECTION = Inspection(
    title="Cells",
    states="every channel of the automaton",
    moment="cell update",
    place="cell",
    acted="fired",
)


def _build(spec: ModelSpec, *, levels: int, attention: bool) -> Automaton:
    from engine.networks.automaton.levels import Automaton

    return Automaton(spec, levels=levels, attention=attention)


def _entry(
    name: str,
    presets: dict[str, AutomatonConfig],
    label: str,
    *,
    levels: int,
    attention: bool,
    about: dict[str, str],
) -> Architecture:
    return Architecture(
        label=label,
        presets=tuple(
            # Measured to learn much faster than the paper's noise and scale 1.
            ModelSpec(
                called,
                name,
                config,
                predicts="clean",
                mask_scale=0.2,
                # A cell that is given 4 × 4 pixels sees as much on a smaller grid.
                size=256 if config.detail == 1 else 32,
                steerable=True,
            )
            for called, config in presets.items()
        ),
        build=partial(_build, levels=levels, attention=attention),
        parameters=partial(parameters, levels=levels, attention=attention),
        cost=partial(cost, levels=levels, attention=attention),
        paper=PROTOCOL,
        inspection=INSPECTION,
        own_loss="L_RGB",
        about=about,
        places="cells",
    )


#: The paper's text gives all four 512 hidden units; its parameter count for the basic model, 139k,
#: is that of 256 (docs/decisions/0002-match-the-papers-parameter-counts.md).
AUTOMATA: tuple[Architecture, ...] = (
    _entry(
        "basic",
        {"MedSegDiffNCA": AutomatonConfig(hidden=256)},
        "one-level automaton",
        levels=1,
        attention=False,
        about={
            "MedSegDiffNCA": "The paper's smallest automaton, one level, 139,000 parameters, on "
            "256 × 256 cells: a step takes minutes on a CPU."
        },
    ),
    _entry(
        "cbam",
        {"CBAM-MedSegDiffNCA": AutomatonConfig()},
        "one-level automaton with attention",
        levels=1,
        attention=True,
        about={
            "CBAM-MedSegDiffNCA": "The paper's one-level automaton with attention, 0.2 million "
            "parameters, on 256 × 256 cells: a step takes minutes on a CPU."
        },
    ),
    _entry(
        "multi",
        {"Multi-MedSegDiffNCA": AutomatonConfig()},
        "two-level automaton",
        levels=2,
        attention=False,
        about={
            "Multi-MedSegDiffNCA": "The paper's two-level automaton, 0.4 million parameters, on "
            "256 × 256 cells: a step takes minutes on a CPU."
        },
    ),
    _entry(
        "multicbam",
        {
            "MultiCBAM-MedSegDiffNCA": AutomatonConfig(),
            "MultiCBAM-ours": AutomatonConfig(updates=6, coarse_updates=20, detail=4),
            "MultiCBAM-conditioned": AutomatonConfig(
                updates=6, coarse_updates=20, detail=4, condition=14
            ),
        },
        "two-level automaton with attention",
        levels=2,
        attention=True,
        about={
            "MultiCBAM-MedSegDiffNCA": "The paper's best automaton, two levels with attention, "
            "0.4 million parameters, on 256 × 256 cells: a step takes minutes on a CPU.",
            "MultiCBAM-ours": "The automaton that this program brings along, begun anew: two "
            "levels with attention, 0.4 million parameters; a step takes about a second.",
        },
    ),
)
