"""The config of an ONNX network: how it takes pictures and what its output means."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from engine.networks.architecture import Cost
from engine.settings import bounded, is_number
from engine.types import ModelSpec, NetworkConfig

#: Where the colours of a picture stand: (1, 3, rows, columns) or (1, rows, columns, 3).
Layout = Literal["nchw", "nhwc"]
#: What the number of full brightness is, before mean and std.
Scale = Literal["0..1", "0..255"]
#: What the output holds: the logit or the probability of lesion, or the logits of classes.
Output = Literal["logit", "probability", "classes"]


@dataclass(frozen=True)
class OnnxConfig(NetworkConfig):
    """How a network takes pictures, and what its output means.

    Parameters
    ----------
    file_bytes : length of the ONNX file.
    parameters : how many numbers its weights have.
    scale : the range of colours; then `mean` is subtracted and the rest divided by `std`, for red,
        green and blue.
    output : what the output holds. "classes" are logits that are turned into probabilities by
        softmax.
    rows, columns : the only size of picture that it takes; 0 where it takes any.
    multiple : what the sides of a picture must be multiples of where it takes any size.
    layout : the order of a picture's dimensions, and of the output's.
    channel : which channel of the output is lesion, from 0; -1 where it has one.
    output_name : which of several outputs is the mask; "" for the first.
    """

    file_bytes: int = bounded(0, low=0)
    parameters: int = bounded(0, low=0)
    scale: Scale = bounded("0..1", choices=get_args(Scale))
    mean: Sequence[float] = (0.0, 0.0, 0.0)
    std: Sequence[float] = (1.0, 1.0, 1.0)
    output: Output = bounded("logit", choices=get_args(Output))
    rows: int = bounded(0, low=0, high=4096)
    columns: int = bounded(0, low=0, high=4096)
    multiple: int = bounded(32, low=1, high=1024)
    layout: Layout = bounded("nchw", choices=get_args(Layout))
    channel: int = bounded(-1, low=-1, high=100_000)
    output_name: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        # Of one type, whatever a file wrote: the fingerprint is taken of their text.
        object.__setattr__(self, "mean", _colours("mean", self.mean))
        object.__setattr__(self, "std", _colours("std", self.std))
        if min(self.std) <= 0:
            raise ValueError("std must be more than 0 for each colour")
        if bool(self.rows) != bool(self.columns):
            raise ValueError("rows and columns are both given or both 0")


def _colours(name: str, value: Any) -> tuple[float, ...]:
    """Three numbers, for red, green and blue. Raises ValueError."""
    usable = isinstance(value, list | tuple) and len(value) == 3 and all(map(is_number, value))
    if not usable:
        raise ValueError(f"{name} is {value!r}, not three numbers for red, green and blue")
    return tuple(map(float, value))


def config_of(spec: ModelSpec) -> OnnxConfig:
    """The config of an ONNX network's spec. Raises TypeError for another's."""
    if not isinstance(spec.config, OnnxConfig):
        raise TypeError(f"the config of {spec.name!r} is not that of an ONNX network")
    return spec.config


def cost(spec: ModelSpec) -> Cost:
    """The cost of running it once, guessed from the pixels and the weights.

    What a graph computes is not counted: a U-Net with a ResNet-34 takes 2.4e5 multiplications for
    each pixel, and the like of it for a gigabyte is refused.
    """
    pixels = spec.size**2
    return Cost(4 * config_of(spec).parameters + 500 * pixels, 2.5e5 * pixels)
