"""MedSegDiff-V2 and its relatives as rows of the table, and what they cost."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from typing import TYPE_CHECKING

from engine.networks.architecture import Architecture, Cost, Inspection, PaperProtocol
from engine.networks.medsegdiff.config import MedSegDiffConfig, MedSegDiffV2Config, UNetConfig
from engine.types import PAPER, ModelSpec, NetworkConfig

if TYPE_CHECKING:
    from engine.networks.medsegdiff.networks import DiffusionUNet

#: Bytes for one pair of tokens: what a filter's layer holds, and the affinity as complex numbers.
PAIR_BYTES = 4 * 3 * 16 + 8 * 4


def _build(spec: ModelSpec) -> DiffusionUNet:
    from engine.networks.medsegdiff import networks

    kinds: dict[str, type[DiffusionUNet]] = {
        "medsegdiff-v2": networks.MedSegDiffV2,
        "medsegdiff": networks.MedSegDiff,
        "segdiff": networks.SegDiff,
        "ensemdiff": networks.EnsemDiff,
    }
    return kinds[spec.architecture](spec)


def parameters(spec: ModelSpec) -> int:
    """How many parameters a spec's network has: it is built without memory. Loads torch."""
    return _counted(spec.architecture, spec.config, spec.timesteps)


@lru_cache(maxsize=64)
def _counted(architecture: str, config: NetworkConfig, timesteps: int) -> int:
    import torch

    with torch.device("meta"):
        network = _build(ModelSpec("", architecture, config, timesteps=timesteps))
    return sum(weight.numel() for weight in network.parameters())


def cost(spec: ModelSpec) -> Cost:
    """The cost of one diffusion step, by a formula of the convolutions alone.

    The memory is the features that D's encoder keeps for its decoder, and the pairs of tokens.
    """
    config, area = spec.config, spec.size**2
    if not isinstance(config, UNetConfig):
        raise TypeError(f"the config of {spec.name!r} is no U-Net's")
    work = area * sum(_convolutions(config.widths, config.blocks))
    kept = sum(width / 4**level for level, width in enumerate(config.widths))
    memory = 4 * area * ((config.blocks + 1) * kept + 4 * config.base)
    if isinstance(config, MedSegDiffConfig):
        work += area * sum(_convolutions(config.condition_widths, 1)) / 2
        memory += 4 * area * config.base
    if isinstance(config, MedSegDiffV2Config) and config.transformer:
        tokens, width = (spec.size / config.reduction) ** 2, config.tokens
        work += 2 * config.depth * tokens * width * (20 * width + 10 * tokens)
        memory += tokens**2 * (PAIR_BYTES + 4 * 2 * config.depth)
    return Cost(memory_bytes=round(memory), multiplications=work)


def _convolutions(widths: Sequence[int], blocks: int) -> Iterator[float]:
    """Multiplications of each level's convolutions per cell of the full grid."""
    for level, width in enumerate(widths):
        # A block of the encoder has two, one of the decoder takes twice the channels.
        squares = 2 * blocks + 3.2 * (blocks + 1) + 1.5
        yield 9 * width**2 * squares / 4**level


#: By preset: building them all to count takes long.
COUNTED = {
    "MedSegDiff-V2": 46_643_211,
    "MedSegDiff-V2-ours": 46_644_939,
    "MedSegDiff-V2-small": 8_234_075,
    "MedSegDiff": 24_980_225,
    "MedSegDiff-small": 3_493_865,
    "SegDiff": 23_332_737,
    "EnsemDiff": 23_110_337,
}

#: What a published spec has beside its config.
_PUBLISHED = {"predicts": "noise", "schedule": "linear", "mask_scale": 1.0, "framing": "square"}
#: MedSegDiff-V2's, where it says how; its relatives are held against it under the same.
PROTOCOL = PaperProtocol(replace(PAPER, batch_size=32, rgb_weight=0.0), _PUBLISHED)
PROTOCOL_V2 = replace(PROTOCOL, spec={**_PUBLISHED, "sees": "noisy"})


def _v2(name: str, config: MedSegDiffV2Config) -> ModelSpec:
    size = 64 if config.base < 64 else 256
    return ModelSpec(name, "medsegdiff-v2", config, predicts="clean", mask_scale=0.2, size=size)


def _published(name: str, architecture: str, config: UNetConfig) -> ModelSpec:
    """As the papers train it."""
    return ModelSpec(name, architecture, config).changed(**_PUBLISHED)


INSPECTION = Inspection(
    title="Blocks",
    states="its anchor and gate, the tokens' lengths and what the filters let pass",
    moment="block",
    place="point",
)

#: What all rows have in common.
_row = partial(Architecture, build=_build, parameters=parameters, counted=COUNTED, cost=cost)

FAMILY: tuple[Architecture, ...] = (
    _row(
        label="MedSegDiff-V2",
        presets=(
            _published("MedSegDiff-V2", "medsegdiff-v2", MedSegDiffV2Config()),
            _v2("MedSegDiff-V2-ours", MedSegDiffV2Config(sees="both")),
            _v2(
                "MedSegDiff-V2-small",
                MedSegDiffV2Config(
                    base=24,
                    multipliers=(1, 2, 3, 4, 4),
                    blocks=1,
                    condition_base=16,
                    tokens=96,
                    sees="both",
                ),
            ),
        ),
        paper=PROTOCOL_V2,
        inspection=INSPECTION,
        about={
            "MedSegDiff-V2": "The second paper's network, 46 million parameters, as published: "
            "wants a GPU and thousands of masks; a step takes a minute on a CPU.",
            "MedSegDiff-V2-ours": "The second paper's network, 46 million parameters, with our "
            "way to train it: wants a GPU; a step takes a minute on a CPU.",
            "MedSegDiff-V2-small": "The second paper's network made small, 8 million parameters, "
            "with our way to train it: a step takes a few seconds on a CPU.",
        },
    ),
    _row(
        label="MedSegDiff",
        presets=(
            _published("MedSegDiff", "medsegdiff", MedSegDiffConfig()),
            ModelSpec(
                "MedSegDiff-small",
                "medsegdiff",
                MedSegDiffConfig(
                    base=24,
                    multipliers=(1, 2, 3, 4, 4),
                    blocks=1,
                    condition_base=16,
                    spectrum=64,
                ),
                predicts="clean",
                mask_scale=0.2,
                size=64,
            ),
        ),
        paper=PROTOCOL,
        about={
            "MedSegDiff": "What came before MedSegDiff-V2, 25 million parameters, as published: "
            "wants a GPU; a step takes a minute on a CPU.",
            "MedSegDiff-small": "What came before MedSegDiff-V2, made small, 3.5 million "
            "parameters: a step takes a few seconds on a CPU.",
        },
    ),
    _row(
        label="SegDiff",
        presets=(_published("SegDiff", "segdiff", UNetConfig()),),
        paper=PROTOCOL,
        about={
            "SegDiff": "A diffusion U-Net that adds image and mask, 23 million parameters, as "
            "published: wants a GPU; a step takes a minute on a CPU."
        },
    ),
    _row(
        label="EnsemDiff",
        presets=(_published("EnsemDiff", "ensemdiff", UNetConfig()),),
        paper=PROTOCOL,
        about={
            "EnsemDiff": "A diffusion U-Net that is given image and mask, 23 million parameters, "
            "as published: wants a GPU; a step takes a minute on a CPU."
        },
    ),
)
