"""MedSegDiff-V2 and its relatives as `Network`s; all share D, a residual U-Net that knows t.

D has widths that halve the grid's sides level by level, so image and x_t are padded at the right
and at the bottom to a multiple of the reduction, and the outputs are cut back.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own name for it
from torch import Tensor, nn

from engine.networks.device import DeviceChoice
from engine.networks.medsegdiff.anchor import anchor_loss, anchored
from engine.networks.medsegdiff.blocks import Block, Head, TimeEmbedding, group_norm
from engine.networks.medsegdiff.condition import ConditionNetwork
from engine.networks.medsegdiff.config import MedSegDiffConfig, MedSegDiffV2Config, UNetConfig
from engine.networks.medsegdiff.ff_parser import FFParser
from engine.networks.medsegdiff.ss_former import SSFormer
from engine.networks.medsegdiff.u_net import Decoder, Encoder, Middle
from engine.networks.network import Chance, Moment, Network, Outputs, Steering, Target, Tensors
from engine.types import ModelSpec, TrainSettings

#: Parameters that have two dimensions and are no matrices: vectors by t, factors by frequency.
NO_MATRICES = ("table", "spectrum")

_Config = TypeVar("_Config", bound=UNetConfig)


class DiffusionUNet(Network):
    """D, with places where a relative puts in what it knows of the image.

    Parameters
    ----------
    spec : what it is built from; its config is a `UNetConfig`.
    inputs : channels of what the first layer sees.
    """

    def __init__(self, spec: ModelSpec, inputs: int = 1) -> None:
        super().__init__(spec)
        config = config_of(spec, UNetConfig)
        self._reduction = config.reduction
        widths, time = config.widths, config.time_width
        self.time = TimeEmbedding(spec.timesteps, time)
        self.stem = nn.Conv2d(inputs, widths[0], 3, padding=1)
        self.encoder = Encoder(widths, config.blocks, time, attention=True)
        self.middle = Middle(widths[-1], time, attention=True)
        self.decoder = Decoder(widths, config.blocks, time, attention=True)
        self.head = Head(widths[0])

    def condition(self, image_n3hw: Tensor) -> Tensors:
        """The padded image."""
        return (self._padded(image_n3hw),)

    def time_condition(self, time_n: Tensor, grid: tuple[int, int]) -> Tensors:
        """The embedding of t."""
        return (self.time(time_n),)

    def predict(
        self,
        image_given: Tensors,
        time_given: Tensors,
        noisy_n1hw: Tensor,
        chance: Chance,
        steering: Steering | None = None,
    ) -> Outputs:
        """What D predicts; it draws no random numbers and cannot be steered."""
        rows, columns = noisy_n1hw.shape[2:]
        deepest, levels = self._encoded(image_given, time_given, noisy_n1hw)
        deepest = self._conditioned(deepest, levels, image_given, time_given)
        whole = self.head(self.decoder(deepest, levels, self._time(time_given)))
        return Outputs(whole[:, :, :rows, :columns])

    def _time(self, time_given: Tensors) -> Tensor:
        """The embedding of t in the precision of D."""
        return time_given[0].to(self.stem.weight.dtype)

    def _encoded(
        self, image_given: Tensors, time_given: Tensors, noisy_n1hw: Tensor
    ) -> tuple[Tensor, list[list[Tensor]]]:
        """D's deepest feature, and those of its encoder."""
        time = self._time(time_given)
        first = self._first(image_given, self._padded(noisy_n1hw))
        levels = self.encoder(first, time)
        return self.middle(levels[-1][-1], time), levels

    def _first(self, image_given: Tensors, noisy_n1hw: Tensor) -> Tensor:
        """The first feature of D, at full size, from the padded x_t."""
        first: Tensor = self.stem(noisy_n1hw)
        return first

    def _conditioned(
        self,
        deepest_nchw: Tensor,
        levels: list[list[Tensor]],
        image_given: Tensors,
        time_given: Tensors,
    ) -> Tensor:
        """What the decoder begins from; takes D's deepest feature and those of its encoder."""
        return deepest_nchw

    def _padded(self, picture_nchw: Tensor) -> Tensor:
        """A picture whose border is repeated up to a multiple of the reduction, for the stem."""
        rows, columns = (-side % self._reduction for side in picture_nchw.shape[2:])
        padded = F.pad(picture_nchw, (0, columns, 0, rows), mode="replicate")
        return padded.to(self.stem.weight.dtype, memory_format=torch.channels_last)

    def is_matrix(self, name: str, weight: Tensor) -> bool:
        """True for matrices and filters of more than one output."""
        single = weight.ndim > 1 and weight.shape[0] == 1
        table = name.rsplit(".", 1)[-1] in NO_MATRICES
        return super().is_matrix(name, weight) and not single and not table

    def inferring(self, device: DeviceChoice) -> DiffusionUNet:
        """A copy whose convolutions are in the device's precision on a CPU; itself on a GPU.

        The copy takes a fraction of a second to make. What computes in float32 in any case, t and
        the SS-Former, stays so.
        """
        if device.name != "cpu":
            return self
        with torch.device("meta"):
            fast = type(self)(self.spec)
        copies = {name: weight.clone() for name, weight in self.state_dict().items()}
        fast.load_state_dict(copies, assign=True)
        for part in fast._in_low_precision():
            part.to(device.dtype).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return fast.eval().requires_grad_(False)

    def _in_low_precision(self) -> Iterator[nn.Module]:
        """The parts of the network that may compute in bfloat16."""
        yield from (self.stem, self.encoder, self.middle, self.decoder, self.head)


class EnsemDiff(DiffusionUNet):
    """D alone, which sees image and x_t in its first layer (Wolleb 2021)."""

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__(spec, inputs=4)

    def _first(self, image_given: Tensors, noisy_n1hw: Tensor) -> Tensor:
        first: Tensor = self.stem(torch.cat([*image_given, noisy_n1hw], dim=1))
        return first


class SegDiff(DiffusionUNet):
    """D, to whose first feature that of the image is added (Amit 2021)."""

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__(spec)
        width = config_of(spec, UNetConfig).base
        blocks = (Block(width, width) for _ in range(3))
        self.see = nn.Sequential(nn.Conv2d(3, width, 3, padding=1), *blocks)

    def condition(self, image_n3hw: Tensor) -> Tensors:
        """The image's own first feature."""
        return (self.see(self._padded(image_n3hw)),)

    def _first(self, image_given: Tensors, noisy_n1hw: Tensor) -> Tensor:
        return super()._first(image_given, noisy_n1hw) + image_given[0]

    def _in_low_precision(self) -> Iterator[nn.Module]:
        yield from (*super()._in_low_precision(), self.see)


class Meeting(nn.Module):
    """Weighs the condition's feature by D's, of which the FF-Parser leaves what is no noise.

    The condition's feature m_I becomes m_I + (N(m_I) · N(m_x)) · m_I.
    """

    def __init__(self, noise: int, condition: int, side: int) -> None:
        super().__init__()
        self.narrow = nn.Conv2d(noise, condition, 1)
        self.parse = FFParser(condition, side)
        self.norm, self.noise_norm = group_norm(condition), group_norm(condition)

    def forward(self, condition_nchw: Tensor, noise_nchw: Tensor) -> Tensor:
        noise = self.noise_norm(self.parse(self.narrow(noise_nchw)))
        changed: Tensor = condition_nchw + self.norm(condition_nchw) * noise * condition_nchw
        return changed


class MedSegDiff(DiffusionUNet):
    """D, and an encoder of the image that meets D's on every reduced level (Wu 2022).

    What the encoder gives depends on x_t and t, so it runs in every step.
    """

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__(spec)
        config = config_of(spec, MedSegDiffConfig)
        widths, own = config.widths, config.condition_widths
        self.see = nn.Conv2d(3, own[0], 3, padding=1)
        self.condition_encoder = Encoder(own, 1, config.time_width)
        self.meetings: Sequence[Meeting] = nn.ModuleList(  # type: ignore[assignment]
            Meeting(noise, condition, config.spectrum >> level)
            for level, (noise, condition) in enumerate(zip(widths, own, strict=True))
            if level
        )
        self.tell = nn.Conv2d(own[-1], widths[-1], 1)

    def condition(self, image_n3hw: Tensor) -> Tensors:
        """The image's first feature."""
        return (self.see(self._padded(image_n3hw)),)

    def _conditioned(
        self,
        deepest_nchw: Tensor,
        levels: list[list[Tensor]],
        image_given: Tensors,
        time_given: Tensors,
    ) -> Tensor:
        def meet(level: int, feature_nchw: Tensor) -> Tensor:
            if not level:
                return feature_nchw
            met: Tensor = self.meetings[level - 1](feature_nchw, levels[level][-1])
            return met

        seen = self.condition_encoder(image_given[0], self._time(time_given), meet)
        told: Tensor = self.tell(seen[-1][-1])
        return deepest_nchw + told

    def _in_low_precision(self) -> Iterator[nn.Module]:
        yield from super()._in_low_precision()
        yield from (self.see, self.condition_encoder, self.tell)
        for meeting in self.meetings:
            yield from (meeting.narrow, meeting.norm, meeting.noise_norm)


class MedSegDiffV2(DiffusionUNet):
    """D, gated by the anchor of C and mixed with C's deepest feature by the SS-Former.

    C looks at the image once. Its anchor is trained as a segmentation of its own.
    """

    def __init__(self, spec: ModelSpec) -> None:
        config = config_of(spec, MedSegDiffV2Config)
        super().__init__(spec, inputs=4 if config.sees == "both" else 1)
        own, deepest = config.condition_widths, config.widths[-1]
        has_anchor = config.anchor != "none"
        #: What `condition` gives, by name.
        self.given = tuple(
            name
            for name, there in (
                ("image", config.sees == "both"),
                ("semantics", config.transformer),
                ("gate", has_anchor),
                ("anchor", has_anchor),
            )
            if there
        )
        looks = has_anchor or config.transformer
        self.look = ConditionNetwork(own, config.anchor) if looks else None
        self.former: SSFormer | None = None
        if config.transformer:
            self.former = SSFormer(
                deepest,
                own[-1],
                config.tokens,
                config.depth,
                config.time_width,
                filtered=config.filters,
            )

    def condition(self, image_n3hw: Tensor) -> Tensors:
        """What `given` names: padded image, C's deepest feature, gate, and the anchor's logit."""
        rows, columns = image_n3hw.shape[2:]
        padded = self._padded(image_n3hw)
        found = {"image": padded}
        if self.look is not None:
            found["semantics"], anchor = self.look(padded)
            if anchor is not None:
                found["gate"] = anchor.gate_n1hw
                found["anchor"] = anchor.logit_n1hw[:, :, :rows, :columns]
        return tuple(found[name] for name in self.given)

    def time_condition(self, time_n: Tensor, grid: tuple[int, int]) -> Tensors:
        """The embedding of t, and the SS-Former's filters if it has some."""
        time = self.time(time_n)
        if self.former is None or not self.former.filters:
            return (time,)
        rows, columns = (-(-side // self._reduction) for side in grid)
        return time, self.former.passing(time, (rows, columns))

    def _first(self, image_given: Tensors, noisy_n1hw: Tensor) -> Tensor:
        given = self._named(image_given)
        seen = [given["image"], noisy_n1hw] if "image" in given else [noisy_n1hw]
        first: Tensor = self.stem(torch.cat(seen, dim=1))
        return anchored(first, given["gate"]) if "gate" in given else first

    def _conditioned(
        self,
        deepest_nchw: Tensor,
        levels: list[list[Tensor]],
        image_given: Tensors,
        time_given: Tensors,
    ) -> Tensor:
        if self.former is None:
            return deepest_nchw
        passing = time_given[1] if self.former.filters else None
        mixed: Tensor = self.former(deepest_nchw, self._named(image_given)["semantics"], passing)
        return mixed

    def losses(
        self, outputs: Outputs, image_given: Tensors, target: Target, settings: TrainSettings
    ) -> Sequence[Tensor]:
        """The anchor's loss, if there is an anchor."""
        given = self._named(image_given)
        if "anchor" not in given:
            return ()
        return (anchor_loss(given["anchor"].float(), target.share_n1hw, target.timestep_n),)

    @property
    def channels(self) -> tuple[str, ...]:
        """Maps of what the parts decide; those of parts that are switched off are missing.

        The anchor's probability, its gate, how long the tokens are, and the share of the affinity
        that the block's two filters let pass, by the frequency of the token that asks: the lowest
        in the middle.
        """
        filtered = self.former is not None and self.former.filters
        anchor = ("anchor", "gate") if "gate" in self.given else ()
        return (*anchor, "tokens", *(("filter 1", "filter 2") if filtered else ()))

    @property
    def moments(self) -> int:
        """One for the anchor and the tokens at first, and one for each block of the SS-Former."""
        return 1 + (len(self.former.blocks) if self.former is not None else 0)

    def inspect(
        self,
        image_given: Tensors,
        time_given: Tensors,
        noisy_n1hw: Tensor,
        chance: Chance,
        steering: Steering | None = None,
    ) -> Iterator[Moment]:
        """What the parts decide, as `channels` names it, at first and after each block.

        A map of tokens is enlarged to the grid. Before the first block the filters are 0.
        """
        n, _, rows, columns = noisy_n1hw.shape
        fires = noisy_n1hw.new_ones(n, 1, rows, columns, dtype=torch.bool)
        given = self._named(image_given)
        anchor = []
        if "gate" in given:
            gate = given["gate"][:, :, :rows, :columns]
            anchor = [given["anchor"].float().sigmoid(), gate.float()]
        deepest, _ = self._encoded(image_given, time_given, noisy_n1hw)
        grid = (deepest.shape[2], deepest.shape[3])
        passing = time_given[1] if len(time_given) > 1 else None
        lengths: Iterator[Tensor]
        if self.former is None:
            lengths = iter([deepest.float().flatten(2).norm(dim=1)])
        else:
            states = self.former.states(deepest, given["semantics"], passing)
            lengths = (mixed.condition_ntd.norm(dim=2) for mixed in states)
        for update, length_nt in enumerate(lengths):
            maps = [length_nt.view(n, *grid)]
            if passing is not None:
                pair = passing[:, 2 * update - 2 : 2 * update] if update else 0 * passing[:, :2]
                shares = pair.mean(dim=3).view(n, 2, *grid)
                maps += torch.fft.fftshift(shares, dim=(2, 3)).unbind(1)
            whole = self._on_grid(torch.stack(maps, dim=1), rows, columns)
            yield Moment(1, update, torch.cat([*anchor, whole], dim=1), fires)

    def attention(
        self,
        image_given: Tensors,
        time_given: Tensors,
        noisy_n1hw: Tensor,
        place: tuple[int, int],
    ) -> Tensor:
        """What one of D's tokens takes of the image, (n, blocks, rows, columns) on the grid.

        The numbers are affinities without a softmax: they may be negative and have no common sum.

        Parameters
        ----------
        image_given, time_given, noisy_n1hw : as for `predict`.
        place : row and column of the grid, in which the token lies.

        Raises
        ------
        ValueError : if the network has no SS-Former.
        """
        if self.former is None:
            raise ValueError("the network has no SS-Former")
        rows, columns = noisy_n1hw.shape[2:]
        deepest, _ = self._encoded(image_given, time_given, noisy_n1hw)
        grid = (deepest.shape[2], deepest.shape[3])
        token = place[0] // self._reduction * grid[1] + place[1] // self._reduction
        passing = time_given[1] if len(time_given) > 1 else None
        _, *states = self.former.states(deepest, self._named(image_given)["semantics"], passing)
        taken = torch.stack([mixed.affinity_ntt[:, token] for mixed in states], dim=1)
        return self._on_grid(taken.view(*taken.shape[:2], *grid), rows, columns)

    def _on_grid(self, maps_nchw: Tensor, rows: int, columns: int) -> Tensor:
        """Maps of the tokens, enlarged and cut to the grid."""
        whole = maps_nchw.repeat_interleave(self._reduction, dim=2)
        return whole.repeat_interleave(self._reduction, dim=3)[:, :, :rows, :columns]

    def _named(self, image_given: Tensors) -> dict[str, Tensor]:
        return dict(zip(self.given, image_given, strict=True))

    def _in_low_precision(self) -> Iterator[nn.Module]:
        yield from super()._in_low_precision()
        if self.look is not None:
            yield self.look


def config_of(spec: ModelSpec, kind: type[_Config]) -> _Config:
    """The config of a spec. Raises TypeError if it is of another kind."""
    if not isinstance(spec.config, kind):
        raise TypeError(f"the config of {spec.name!r} is no {kind.__name__}")
    return spec.config
