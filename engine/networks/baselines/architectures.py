"""The plain networks as rows of the table: U-Net, DynUNet, UNETR and Swin UNETR.

They predict the clean mask from the image alone, in one step. Their members are the mirrored views.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.networks.architecture import Architecture
from engine.networks.baselines.config import (
    BasicUNetConfig,
    DynUNetConfig,
    SwinUNETRConfig,
    UNETRConfig,
    cost,
)
from engine.types import ModelSpec, NetworkConfig

if TYPE_CHECKING:
    from engine.networks.baselines.plain import PlainNetwork


def _build(spec: ModelSpec) -> PlainNetwork:
    from engine.networks.baselines.plain import PlainNetwork

    return PlainNetwork(spec)


def _parameters(spec: ModelSpec) -> int:
    # MONAI reads numbers from tensors while it builds, which torch's meta device does not allow.
    return sum(parameter.numel() for parameter in _build(spec).parameters())


#: By preset: building them all to count takes long.
COUNTED = {
    "U-Net-0.4M": 380_213,
    "U-Net-2M": 1_979_009,
    "U-Net-31M": 31_113_217,
    "DynUNet": 20_611_713,
    "UNETR": 87_727_345,
    "Swin-UNETR": 6_302_875,
    "Swin-UNETR-48": 25_139_275,
}


def _entry(
    name: str,
    label: str,
    presets: dict[str, NetworkConfig],
    size: int,
    about: dict[str, str],
) -> Architecture:
    return Architecture(
        label=label,
        presets=tuple(
            ModelSpec(
                called, name, config, predicts="clean", timesteps=1, mask_scale=0.2, size=size
            )
            for called, config in presets.items()
        ),
        build=_build,
        parameters=_parameters,
        counted={called: COUNTED[called] for called in presets},
        cost=cost,
        about=about,
        packages=("monai",),
        places="pixels",
    )


BASELINES: tuple[Architecture, ...] = (
    _entry(
        "unet",
        "U-Net",
        {
            "U-Net-0.4M": BasicUNetConfig(),
            "U-Net-2M": BasicUNetConfig(first=32, width=32),
            "U-Net-31M": BasicUNetConfig(first=64, width=128),
        },
        size=128,
        about={
            "U-Net-0.4M": "A plain U-Net as small as our automaton, 0.4 million parameters: "
            "draws in one step and learns fastest; a step of training takes about a second.",
            "U-Net-2M": "A plain U-Net, 2 million parameters: draws in one step; a step of "
            "training takes about a second.",
            "U-Net-31M": "A plain U-Net of the usual size, 31 million parameters: draws in one "
            "step; a step of training takes some ten seconds on a CPU.",
        },
    ),
    _entry(
        "dynunet",
        "nnU-Net's network",
        {"DynUNet": DynUNetConfig()},
        size=256,
        about={
            "DynUNet": "The network of nnU-Net, 21 million parameters: draws in one step; a step "
            "of training takes some ten seconds on a CPU."
        },
    ),
    _entry(
        "unetr",
        "U-Net with a vision transformer",
        {"UNETR": UNETRConfig()},
        size=256,
        about={
            "UNETR": "A U-Net with a vision transformer, 88 million parameters: learns from "
            "hundreds of masks; a step takes half a minute on a CPU."
        },
    ),
    _entry(
        "swinunetr",
        "U-Net with a Swin transformer",
        {"Swin-UNETR": SwinUNETRConfig(), "Swin-UNETR-48": SwinUNETRConfig(features=48)},
        size=256,
        about={
            "Swin-UNETR": "A U-Net with a Swin transformer, 6 million parameters: draws in one "
            "step; a step of training takes some ten seconds on a CPU.",
            "Swin-UNETR-48": "A U-Net with a wide Swin transformer, 25 million parameters: draws "
            "in one step; a step of training takes half a minute on a CPU.",
        },
    ),
)
