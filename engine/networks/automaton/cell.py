"""The automaton as the paper has it: one cell, one level, two levels; the definition that trains.

State channels, in this order: noise estimate | R G B | x_t | hidden … | t. All begin at zero but
the image, x_t and t, and where the spec has `detail` the first hidden ones: how the pixels in a
cell differ from their mean. One update: attend (where the model has attention), perceive, think,
act, and add the change in the cells that fire.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own name for it
from torch import Tensor, nn

from engine.networks.automaton.cbam import CBAM
from engine.types import ModelSpec

NOISE, RED, BLUE, NOISY, TIME = 0, 1, 3, 4, -1

#: Differences within a cell are a few hundredths, where other channels are nearer to 1.
DETAIL_GAIN = 2.0

#: Which cells fire: (level, update, (rows, columns)) → bool (n, 1, rows, columns).
Fires = Callable[[int, int, tuple[int, int]], Tensor]


class Moment(NamedTuple):
    """The state (n, channels, rows, columns) after one update of one level, and who fired in it."""

    level: int
    update: int
    state_nchw: Tensor
    fires_n1hw: Tensor


class Cell(nn.Module):
    """The update every cell obeys: 3×3 neighbourhood in, change of the cell's own state out.

    Perception is the state itself beside two 3×3 convolutions of it (here one convolution with
    twice the outputs; reflect padding), so 3 × channels numbers; an MLP with leaky ReLU turns them
    into a change. Its last layer begins at zero: an untrained cell changes nothing.
    """

    def __init__(self, channels: int, hidden: int, attention: bool) -> None:
        super().__init__()
        self.attention = CBAM(channels) if attention else None
        self.perceive = nn.Conv2d(channels, 2 * channels, 3)
        self.think = nn.Linear(3 * channels, hidden)
        self.act = nn.Linear(hidden, channels, bias=False)
        nn.init.zeros_(self.act.weight)

    def forward(self, state_nchw: Tensor, fires_n1hw: Tensor) -> Tensor:
        """The state after one update. Only firing cells pass through the MLP; others stay."""
        n, channels, rows, columns = state_nchw.shape
        attended = state_nchw if self.attention is None else self.attention(state_nchw)
        neighbours = self.perceive(F.pad(attended, (1, 1, 1, 1), mode="reflect"))
        firing = fires_n1hw.reshape(-1).nonzero().squeeze(1)
        full = filled(firing)
        # index_select, not indexing: its gradient is many times cheaper on the CPU.
        perceived = torch.cat(
            [
                _cells(attended).index_select(0, full).to(neighbours.dtype),
                _cells(neighbours).index_select(0, full),
            ],
            dim=1,
        )
        change = self.act(F.leaky_relu(self.think(perceived)))[: len(firing)]
        cells = _cells(state_nchw).index_add(0, firing, change.to(state_nchw.dtype))
        return cells.view(n, rows, columns, channels).permute(0, 3, 1, 2)


def filled(firing: Tensor) -> Tensor:
    """Those cells, then cell 0 again and again up to a round number of cells.

    How many cells fire is hardly twice the same, and for every new number of rows oneDNN makes
    machine code anew, which takes as long as the product of hundreds of rows.
    """
    return F.pad(firing, (0, -len(firing) % (16 if len(firing) <= 512 else 64)))


def _cells(state_nchw: Tensor) -> Tensor:
    """The cells of a grid as rows, (n × rows × columns, channels); free in channels-last memory."""
    return state_nchw.permute(0, 2, 3, 1).reshape(-1, state_nchw.shape[1])


class Automaton(nn.Module):
    """One or two levels of cells that turn (image, x_t, t) into the prediction of channel 0.

    With two levels the first runs on the image reduced by `spec.factor`; its whole state is carried
    up (bilinear), image, x_t and t are put back at full size, and the second level refines it.
    """

    def __init__(self, spec: ModelSpec, *, levels: int, attention: bool) -> None:
        super().__init__()
        self.spec = spec
        self.levels = nn.ModuleList(
            Cell(spec.channels, spec.hidden, attention) for _ in range(levels)
        )

    def updates(self, level: int) -> int:
        """Cell updates of a level, counted from 1."""
        coarse = level < len(self.levels)
        return (coarse and self.spec.coarse_updates) or self.spec.updates

    def begin(self, image_n3hw: Tensor, noisy_n1hw: Tensor, time_n: Tensor) -> Tensor:
        """The first state: zeros, the image in [−1, 1], x_t at unit variance, t / timesteps."""
        n, _, rows, columns = noisy_n1hw.shape
        state = image_n3hw.new_zeros(n, rows, columns, self.spec.channels).permute(0, 3, 1, 2)
        return self._given(state, image_n3hw, noisy_n1hw, time_n)

    def _given(self, state: Tensor, image: Tensor, noisy: Tensor, time_n: Tensor) -> Tensor:
        time = time_n[:, None, None, None].expand_as(noisy).to(state.dtype)
        mean = _resized(image, noisy.shape[2:])
        hidden = self._told(state[:, NOISY + 1 : TIME], image, mean)
        parts = [state[:, :RED], mean, noisy, hidden, time]
        return torch.cat(parts, dim=1).contiguous(memory_format=torch.channels_last)

    def _told(self, hidden: Tensor, image: Tensor, mean: Tensor) -> Tensor:
        """The hidden channels with the details of the image added to the first of them."""
        detail = self.spec.detail
        if detail == 1:
            return hidden
        pixels = _resized(image, torch.Size(detail * side for side in mean.shape[2:]))
        finer = F.pixel_unshuffle(pixels, detail) - mean.repeat_interleave(detail**2, dim=1)
        rest = hidden.shape[1] - finer.shape[1]
        return hidden + DETAIL_GAIN * F.pad(finer, (0, 0, 0, 0, 0, rest))

    def enter(
        self,
        level: int,
        carried_nchw: Tensor | None,
        image_n3hw: Tensor,
        noisy_n1hw: Tensor,
        time_n: Tensor,
    ) -> Tensor:
        """The first state of a level, from the last one of the level before it, if there is one."""
        factor = self.spec.factor ** (len(self.levels) - level)
        shape = torch.Size(max(2, side // factor) for side in noisy_n1hw.shape[2:])
        noisy = _resized(noisy_n1hw, shape)
        if carried_nchw is None:
            return self.begin(image_n3hw, noisy, time_n)
        return self._given(_enlarge(carried_nchw, shape), image_n3hw, noisy, time_n)

    def evolve(
        self, image_n3hw: Tensor, noisy_n1hw: Tensor, time_n: Tensor, fires: Fires
    ) -> Iterator[Moment]:
        """Every moment from the first state of the first level to the last update of the last.

        `update` 0 is a level's first state, where nobody has fired yet.
        """
        state: Tensor | None = None
        for level, cell in enumerate(self.levels, start=1):
            state = self.enter(level, state, image_n3hw, noisy_n1hw, time_n)
            nobody = torch.zeros_like(state[:, :1], dtype=torch.bool)
            yield Moment(level, 0, state, nobody)
            for update in range(1, self.updates(level) + 1):
                fires_n1hw = fires(level, update, (state.shape[2], state.shape[3]))
                state = cell(state, fires_n1hw)
                yield Moment(level, update, state, fires_n1hw)

    def forward(
        self, image_n3hw: Tensor, noisy_n1hw: Tensor, time_n: Tensor, fires: Fires
    ) -> Tensor:
        """The last state, (n, channels, rows, columns)."""
        for moment in self.evolve(image_n3hw, noisy_n1hw, time_n, fires):
            state = moment.state_nchw
        return state

    def answer(
        self, image_n3hw: Tensor, noisy_n1hw: Tensor, time_n: Tensor, fires: Fires
    ) -> Tensor:
        """Channel 0 of the last state, (n, 1, rows, columns)."""
        last: Tensor = self(image_n3hw, noisy_n1hw, time_n, fires)
        return last[:, NOISE : NOISE + 1]


def _resized(picture_nchw: Tensor, shape: torch.Size) -> Tensor:
    """The picture at another size, the mean of what lies in each place."""
    if picture_nchw.shape[2:] == shape:
        return picture_nchw
    rows, columns = shape
    return F.adaptive_avg_pool2d(picture_nchw, (rows, columns))


def _enlarge(state_nchw: Tensor, shape: torch.Size) -> Tensor:
    return F.interpolate(state_nchw, size=tuple(shape), mode="bilinear", align_corners=False)
