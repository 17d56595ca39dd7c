"""A network of MONAI as a `Network` that predicts the clean mask from the image alone."""

from __future__ import annotations

import torch.nn.functional as F  # noqa: N812 - torch's own name for it
from torch import Tensor, nn

from engine.errors import MissingExtra
from engine.networks.baselines.config import (
    BasicUNetConfig,
    DynUNetConfig,
    SwinUNETRConfig,
    UNETRConfig,
)
from engine.networks.device import DeviceChoice
from engine.networks.low_precision import LowPrecision
from engine.networks.network import Chance, Network, Outputs, Steering, Tensors
from engine.networks.padding import padded
from engine.types import ModelSpec

#: Parts of the names of tables that hold positions, not matrices.
TABLES = ("position_embeddings", "relative_position_bias_table")


class PlainNetwork(Network):
    """Predicts the logit of lesion from the image, whatever x_t and t are.

    All is computed in `condition`, so that every view of an image is computed once for all its
    members. The image is padded by its border to what the network needs, and the logit is cut back.

    Parameters
    ----------
    spec : with one of the configs of `engine.networks.baselines.config`. Raises MissingExtra where
        MONAI is not installed.
    """

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__(spec)
        try:
            self.inner, self.multiple = _inner(spec)
        except ImportError as error:
            raise MissingExtra("baselines", spec.name) from error
        for module in self.inner.modules():
            # Tables of places that follow from the config: a model's file has parameters only.
            for name, buffer in list(module.named_buffers(recurse=False)):
                module.register_buffer(name, buffer, persistent=False)

    def condition(self, image_n3hw: Tensor) -> Tensors:
        """The logit of lesion, (n, 1, rows, columns)."""
        rows, columns = image_n3hw.shape[2:]
        if self.multiple:
            whole = self.inner(padded(image_n3hw, self.multiple))
            return (whole[..., :rows, :columns],)
        own = (self.spec.size + -self.spec.size % 16,) * 2
        logit = self.inner(F.interpolate(image_n3hw, own, mode="bilinear"))
        return (F.interpolate(logit, (rows, columns), mode="bilinear"),)

    def predict(
        self,
        image_given: Tensors,
        time_given: Tensors,
        noisy_n1hw: Tensor,
        chance: Chance,
        steering: Steering | None = None,
    ) -> Outputs:
        """The logit that `condition` computed."""
        return Outputs(image_given[0])

    def is_matrix(self, name: str, weight: Tensor) -> bool:
        """True for filters and matrices, false for tables of positions."""
        return super().is_matrix(name, weight) and not name.endswith(TABLES)

    def inferring(self, device: DeviceChoice) -> Network:
        return LowPrecision.of(self, device)


def _inner(spec: ModelSpec) -> tuple[nn.Module, int]:
    """MONAI's network of a spec, and what the sides of its pictures must be multiples of.

    0 where it takes pictures of one size only. Raises ImportError, TypeError.
    """
    from monai.networks import nets

    config = spec.config
    if isinstance(config, BasicUNetConfig):
        return nets.BasicUNet(2, 3, 1, config.features), 16
    if isinstance(config, DynUNetConfig):
        kernels, strides = [3] * config.stages, [1] + [2] * (config.stages - 1)
        net = nets.DynUNet(2, 3, 1, kernels, strides, strides[1:], filters=config.features)
        # These hold its other modules once more, and a file would hold all weights twice.
        skips = net._modules.pop("skip_layers")
        object.__setattr__(net, "skip_layers", skips)
        return net, 2 ** (config.stages - 1)
    if isinstance(config, UNETRConfig):
        side = spec.size + -spec.size % 16
        net = nets.UNETR(3, 1, (side, side), feature_size=config.features, spatial_dims=2)
        return net, 0
    if isinstance(config, SwinUNETRConfig):
        net = nets.SwinUNETR(3, 1, feature_size=config.features, spatial_dims=2)
        return net, 32
    raise TypeError(f"the config of {spec.name!r} is not that of a plain network")
