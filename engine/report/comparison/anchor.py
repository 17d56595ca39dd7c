"""MedSegDiff-V2's anchor as a model of its own, to see what the diffusion adds to it."""

from __future__ import annotations

from torch import Tensor

from engine.diffusion.model import Model
from engine.networks.device import DeviceChoice
from engine.networks.medsegdiff.networks import MedSegDiffV2
from engine.networks.network import Chance, Network, Outputs, Steering, Tensors


class AnchorAlone(Network):
    """Predicts the mask in one step by the anchor of a MedSegDiff-V2; its parameters are C's.

    Parameters
    ----------
    whole : the network whose anchor it is. Raises TypeError if that has none.
    """

    def __init__(self, whole: Network) -> None:
        if not isinstance(whole, MedSegDiffV2) or "anchor" not in whole.given:
            raise TypeError(f"{whole.spec.name!r} has no anchor")
        super().__init__(whole.spec.changed(timesteps=1, predicts="clean"))
        self.look = whole.look
        # Not as a part: what it has beside C is not asked.
        object.__setattr__(self, "whole", whole)

    whole: MedSegDiffV2

    def condition(self, image_n3hw: Tensor) -> Tensors:
        """The anchor's logit, (n, 1, rows, columns)."""
        given = zip(self.whole.given, self.whole.condition(image_n3hw), strict=True)
        return (dict(given)["anchor"],)

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

    def inferring(self, device: DeviceChoice) -> Network:
        return AnchorAlone(self.whole.inferring(device))


def anchor_alone(model: Model) -> Model:
    """A model that answers with the anchor of another one. Raises TypeError if that has none."""
    return Model(AnchorAlone(model.network), model.device, model.fingerprint)
