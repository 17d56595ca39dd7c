"""The automaton as the paper has it: one or two levels of cells, as they train and as they infer.

State channels, in this order: prediction | R G B | x_t | hidden … | t. All begin at zero but the
image, x_t and t, and where the config has `detail` the first hidden ones: how the pixels in a cell
differ from their mean. After the last update the RGB channels are a first guess of the mask.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own name for it
from torch import Tensor, nn

from engine.networks.automaton.cell import Cell
from engine.networks.automaton.config import config_of
from engine.networks.automaton.fast import DenseCell, FastCell
from engine.networks.device import DeviceChoice, share_out, worker_count
from engine.networks.losses import mask_loss
from engine.networks.network import Chance, Moment, Network, Outputs, Target, Tensors
from engine.types import ModelSpec, TrainSettings

NOISE, RED, BLUE, NOISY, TIME = 0, 1, 3, 4, -1

#: Differences within a cell are a few hundredths, where other channels are nearer to 1.
DETAIL_GAIN = 2.0
#: Weight of the mask loss on the mean of the RGB channels, beside the prediction's own.
GUESS_WEIGHT = 0.5

#: Which cells fire: (level, update, (rows, columns)) → bool (n, 1, rows, columns).
Fires = Callable[[int, int, tuple[int, int]], Tensor]


def rgb_loss(rgb_n3hw: Tensor, mask_n1hw: Tensor) -> Tensor:
    """L_RGB (eq. 4): the three channels' mean squared errors against the mask at ±1, summed."""
    return 3 * F.mse_loss(rgb_n3hw, mask_n1hw.expand_as(rgb_n3hw))


class Automaton(Network):
    """One or two levels of cells that turn (image, x_t, t) into the prediction of channel 0.

    With two levels the first runs on the image reduced by `config.factor`; its whole state is
    carried up (bilinear), image, x_t and t are put back at full size, and the second level refines
    it.
    """

    def __init__(self, spec: ModelSpec, *, levels: int, attention: bool) -> None:
        super().__init__(spec)
        self.config = config_of(spec)
        self.levels = nn.ModuleList(
            Cell(self.config.channels, self.config.hidden, attention) for _ in range(levels)
        )

    def predict(
        self, image_given: Tensors, time_given: Tensors, noisy_n1hw: Tensor, chance: Chance
    ) -> Outputs:
        """Channel 0 of the last state; its RGB channels are the extras."""
        (image_n3hw,), (time_n,) = image_given, time_given
        state = self(image_n3hw, noisy_n1hw, time_n, self._fires(chance, noisy_n1hw))
        return Outputs(state[:, NOISE : NOISE + 1], (state[:, RED : BLUE + 1],))

    def losses(
        self, outputs: Outputs, image_given: Tensors, target: Target, settings: TrainSettings
    ) -> Sequence[Tensor]:
        """L_RGB by its weight; before it the first guess's mask loss, where masks are predicted.

        A prediction of the noise with `rgb_weight` 1 has L_total of the paper (eq. 5).
        """
        rgb_n3hw = outputs.extras[0].float()
        share_n1hw = target.share_n1hw
        told = settings.rgb_weight * rgb_loss(rgb_n3hw, 2 * share_n1hw - 1)
        if self.spec.predicts != "clean":
            return (told,)
        guess_n1hw = rgb_n3hw.mean(dim=1, keepdim=True)
        return GUESS_WEIGHT * mask_loss(guess_n1hw, share_n1hw), told

    def is_matrix(self, name: str, weight: Tensor) -> bool:
        """The matrices of perception and MLP."""
        return super().is_matrix(name, weight) and "attention" not in name

    @property
    def channels(self) -> tuple[str, ...]:
        hidden = (f"hidden {number}" for number in range(1, self.config.channels - 5))
        return ("noise", "R", "G", "B", "x_t", *hidden, "t")

    @property
    def moments(self) -> int:
        """A moment for each update, and one before the first of each level."""
        return sum(self.updates(level) + 1 for level in range(1, len(self.levels) + 1))

    def inspect(
        self, image_given: Tensors, time_given: Tensors, noisy_n1hw: Tensor, chance: Chance
    ) -> Iterator[Moment]:
        """Every moment of `evolve`."""
        (image_n3hw,), (time_n,) = image_given, time_given
        return self.evolve(image_n3hw, noisy_n1hw, time_n, self._fires(chance, noisy_n1hw))

    def inferring(self, device: DeviceChoice) -> Automaton:
        """The same automaton with the cells that compute inference fastest on a device.

        On the CPU the weights are copied, in a millisecond: what is learnt later is not seen. The
        states have the layout and the float32 of the readable ones.
        """
        cells: list[Cell] = list(self.levels)  # type: ignore[arg-type]
        if device.name == "cpu":
            # What is rounded on a coarse grid decides what is lesion, and its cells are few.
            coarse = [FastCell(cell, torch.float32) for cell in cells[:-1]]
            return FastAutomaton(self, [*coarse, FastCell(cells[-1], device.dtype)]).eval()
        swift = Automaton(self.spec, levels=0, attention=False)
        swift.levels = nn.ModuleList(DenseCell(cell) for cell in cells)
        return swift.eval()

    def _fires(self, chance: Chance, noisy_n1hw: Tensor) -> Fires:
        """Which cells fire, where `noisy_n1hw` is."""

        def fires(level: int, update: int, shape: tuple[int, int]) -> Tensor:
            drawn = chance(level, update, shape) < self.config.fire_probability
            return drawn.to(noisy_n1hw.device)

        return fires

    def updates(self, level: int) -> int:
        """Cell updates of a level, counted from 1."""
        return self.config.updates_of(level, len(self.levels))

    def begin(self, image_n3hw: Tensor, noisy_n1hw: Tensor, time_n: Tensor) -> Tensor:
        """The first state: zeros, the image in [−1, 1], x_t at unit variance, t / timesteps."""
        n, _, rows, columns = noisy_n1hw.shape
        state = image_n3hw.new_zeros(n, rows, columns, self.config.channels).permute(0, 3, 1, 2)
        return self._given(state, image_n3hw, noisy_n1hw, time_n)

    def _given(self, state: Tensor, image: Tensor, noisy: Tensor, time_n: Tensor) -> Tensor:
        time = time_n[:, None, None, None].expand_as(noisy).to(state.dtype)
        mean = _resized(image, noisy.shape[2:])
        hidden = self._told(state[:, NOISY + 1 : TIME], image, mean)
        parts = [state[:, :RED], mean, noisy, hidden, time]
        return torch.cat(parts, dim=1).contiguous(memory_format=torch.channels_last)

    def _told(self, hidden: Tensor, image: Tensor, mean: Tensor) -> Tensor:
        """The hidden channels with the details of the image added to the first of them."""
        detail = self.config.detail
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
        factor = self.config.factor ** (len(self.levels) - level)
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


class FastAutomaton(Automaton):
    """An automaton of fast cells; `answer` wastes nothing on moments that nobody looks at."""

    levels: Sequence[FastCell]  # type: ignore[assignment]

    def __init__(self, network: Automaton, cells: Sequence[FastCell]) -> None:
        super().__init__(network.spec, levels=0, attention=False)
        self.levels = nn.ModuleList(cells)  # type: ignore[assignment]

    def predict(
        self, image_given: Tensors, time_given: Tensors, noisy_n1hw: Tensor, chance: Chance
    ) -> Outputs:
        """As `Automaton.predict`, bit by bit, without extras, from `answer`."""
        (image_n3hw,), (time_n,) = image_given, time_given
        fires = self._fires(chance, noisy_n1hw)
        return Outputs(self.answer(image_n3hw, noisy_n1hw, time_n, fires))

    def answer(
        self, image_n3hw: Tensor, noisy_n1hw: Tensor, time_n: Tensor, fires: Fires
    ) -> Tensor:
        """Bit by bit channel 0 of what `forward` gives each member alone, (n, 1, rows, columns).

        A coarse grid is so small that a call costs as much as what it computes: there all members
        take part in one. At full size the state of one alone is as much as the caches hold, and
        each is a piece of work for whichever worker is free; a single member's updates are shared.
        """
        given, last = (image_n3hw, noisy_n1hw, time_n), len(self.levels)
        carried: Tensor | None = None
        for level in range(1, last):
            carried = self.enter(level, carried, *given)
            for fires_n1hw in self._drawn(level, carried, fires):
                self.levels[level - 1].update_(carried, fires_n1hw)
        drawn = list(self._drawn(last, noisy_n1hw, fires))
        pieces = worker_count() if len(image_n3hw) == 1 else 1

        def fine(member: int) -> Tensor:
            one = slice(member, member + 1)
            below = None if carried is None else carried[one]
            state = self.enter(last, below, *(whole[one] for whole in given))
            for update, fires_n1hw in enumerate(drawn, start=1):
                enough = update == len(drawn)
                self.levels[-1].update_(
                    state, fires_n1hw[one], first_is_enough=enough, pieces=pieces
                )
            return state[:, NOISE : NOISE + 1].contiguous()

        return torch.cat(share_out(fine, range(len(image_n3hw))))

    def _drawn(self, level: int, grid_nchw: Tensor, fires: Fires) -> Iterator[Tensor]:
        """Which cells of the grid fire in each update of a level."""
        shape = (grid_nchw.shape[2], grid_nchw.shape[3])
        return (fires(level, update, shape) for update in range(1, self.updates(level) + 1))


def _resized(picture_nchw: Tensor, shape: torch.Size) -> Tensor:
    """The picture at another size, the mean of what lies in each place."""
    if picture_nchw.shape[2:] == shape:
        return picture_nchw
    rows, columns = shape
    return F.adaptive_avg_pool2d(picture_nchw, (rows, columns))


def _enlarge(state_nchw: Tensor, shape: torch.Size) -> Tensor:
    return F.interpolate(state_nchw, size=tuple(shape), mode="bilinear", align_corners=False)
