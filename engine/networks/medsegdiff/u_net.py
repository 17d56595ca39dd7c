"""Encoder and decoder of a residual U-Net, of which D and C are made."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from engine.networks.medsegdiff.blocks import Block, SelfAttention, Up, down

#: Changes the last feature of a level: (level from 0, feature) → feature.
Meet = Callable[[int, Tensor], Tensor]


class Stage(nn.Module):
    """The blocks of one level, each followed by self-attention if the level has it."""

    def __init__(
        self, inputs: Sequence[int], width: int, time_width: int, *, attention: bool
    ) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Block(channels, width, time_width) for channels in inputs)
        self.attention = nn.ModuleList(SelfAttention(width) for _ in inputs if attention)

    def step(self, number: int, feature_nchw: Tensor, time_nt: Tensor | None) -> Tensor:
        """The feature after block `number`, counted from 0."""
        feature: Tensor = self.blocks[number](feature_nchw, time_nt)
        if self.attention:
            feature = self.attention[number](feature)
        return feature


class Encoder(nn.Module):
    """Goes down all levels of a U-Net.

    Parameters
    ----------
    widths : channels of each level, from full size down; the first are those of its input.
    blocks : residual blocks in a level.
    time_width : numbers in the embedding of t; 0 if the blocks do not know t.
    attention : whether the deepest level has self-attention.
    """

    def __init__(
        self, widths: Sequence[int], blocks: int, time_width: int = 0, *, attention: bool = False
    ) -> None:
        super().__init__()
        last = len(widths) - 1
        befores = [widths[0], *widths[:-1]]
        self.stages: Sequence[Stage] = nn.ModuleList(  # type: ignore[assignment]
            Stage(
                [before, *[width] * (blocks - 1)],
                width,
                time_width,
                attention=attention and level == last,
            )
            for level, (before, width) in enumerate(zip(befores, widths, strict=True))
        )
        self.downs = nn.ModuleList(down(width) for width in widths[:-1])

    def forward(
        self, feature_nchw: Tensor, time_nt: Tensor | None = None, meet: Meet | None = None
    ) -> list[list[Tensor]]:
        """The features of each level: what it began from, and the one after each of its blocks.

        Parameters
        ----------
        feature_nchw : the first feature, at full size.
        time_nt : the embedding of t if the blocks know t.
        meet : changes the last feature of each level.
        """
        levels: list[list[Tensor]] = []
        for level, stage in enumerate(self.stages):
            if level:
                feature_nchw = self.downs[level - 1](feature_nchw)
            features = [feature_nchw]
            for number in range(len(stage.blocks)):
                features.append(stage.step(number, features[-1], time_nt))
            if meet is not None:
                features[-1] = meet(level, features[-1])
            feature_nchw = features[-1]
            levels.append(features)
        return levels


class Middle(nn.Module):
    """Two residual blocks at the deepest level, with self-attention between them if wanted."""

    def __init__(self, width: int, time_width: int = 0, *, attention: bool = False) -> None:
        super().__init__()
        self.before = Block(width, width, time_width)
        self.attention = SelfAttention(width) if attention else None
        self.after = Block(width, width, time_width)

    def forward(self, feature_nchw: Tensor, time_nt: Tensor | None = None) -> Tensor:
        feature: Tensor = self.before(feature_nchw, time_nt)
        if self.attention is not None:
            feature = self.attention(feature)
        told: Tensor = self.after(feature, time_nt)
        return told


class Decoder(nn.Module):
    """Goes up all levels of a U-Net; each of its blocks is given a feature of the encoder too.

    It has one block more in a level than the encoder. The parameters are those of the `Encoder`.
    """

    def __init__(
        self, widths: Sequence[int], blocks: int, time_width: int = 0, *, attention: bool = False
    ) -> None:
        super().__init__()
        last = len(widths) - 1
        befores = [widths[0], *widths[:-1]]
        belows = [*widths[1:], widths[-1]]
        self.stages: Sequence[Stage] = nn.ModuleList(  # type: ignore[assignment]
            Stage(
                # The encoder's features are taken newest first, and its oldest has other channels.
                [below + width, *[2 * width] * (blocks - 1), width + before],
                width,
                time_width,
                attention=attention and level == last,
            )
            for level, (before, width, below) in enumerate(
                zip(befores, widths, belows, strict=True)
            )
        )
        self.ups = nn.ModuleList(Up(width) for width in widths[1:])

    def forward(
        self, deepest_nchw: Tensor, levels: list[list[Tensor]], time_nt: Tensor | None = None
    ) -> Tensor:
        """The last feature, at full size.

        Parameters
        ----------
        deepest_nchw : the feature to begin from, at the deepest level.
        levels : what the encoder gave.
        time_nt : the embedding of t if the blocks know t.
        """
        feature = deepest_nchw
        for level in reversed(range(len(levels))):
            for number, before in enumerate(reversed(levels[level])):
                joined = torch.cat([feature, before], dim=1)
                feature = self.stages[level].step(number, joined, time_nt)
            if level:
                feature = self.ups[level - 1](feature)
        return feature
