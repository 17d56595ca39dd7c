"""The row of the table for networks from ONNX files, which cannot be trained."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.networks.architecture import Architecture
from engine.networks.onnx.config import OnnxConfig, config_of, cost
from engine.types import ModelSpec

if TYPE_CHECKING:
    from engine.networks.onnx.network import OnnxNetwork


def _build(spec: ModelSpec) -> OnnxNetwork:
    from engine.networks.onnx.network import OnnxNetwork

    return OnnxNetwork(spec)


ONNX = Architecture(
    label="ONNX network",
    presets=(),
    name="onnx",
    config=OnnxConfig,
    build=_build,
    parameters=lambda spec: config_of(spec).parameters,
    stored=lambda spec: config_of(spec).file_bytes,
    cost=cost,
)
