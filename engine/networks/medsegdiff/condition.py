"""The condition network C of MedSegDiff-V2, which looks at the image once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor, nn

from engine.networks.medsegdiff.anchor import AnchorGate
from engine.networks.medsegdiff.u_net import Decoder, Encoder, Middle


class Anchor(NamedTuple):
    """C's own segmentation: its logit, and the gate that D's first feature is multiplied by."""

    logit_n1hw: Tensor
    gate_n1hw: Tensor


class ConditionNetwork(nn.Module):
    """A U-Net of the image without attention and t, with one block a level.

    Parameters
    ----------
    widths : channels of each level, from full size down.
    anchor : "none", "sa" or "u-sa"; without an anchor it has no decoder.
    """

    def __init__(self, widths: Sequence[int], anchor: str) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, widths[0], 3, padding=1)
        self.encoder = Encoder(widths, blocks=1)
        self.middle = Middle(widths[-1])
        has_anchor = anchor != "none"
        self.decoder = Decoder(widths, blocks=1) if has_anchor else None
        self.gate = AnchorGate(widths[0], uncertain=anchor == "u-sa") if has_anchor else None
        self.head = nn.Conv2d(widths[0], 1, 1) if has_anchor else None

    def forward(self, image_n3hw: Tensor) -> tuple[Tensor, Anchor | None]:
        """The deepest feature c⁰, and the anchor if there is one."""
        levels = self.encoder(self.stem(image_n3hw))
        deepest = self.middle(levels[-1][-1])
        if self.decoder is None or self.gate is None or self.head is None:
            return deepest, None
        last = self.decoder(deepest, levels)
        return deepest, Anchor(self.head(last), self.gate(last))
