"""The neural cellular automaton of the paper as a `Network`, with one or two levels of cells.

State channels, in this order: prediction | R G B | x_t | hidden … | t. All begin at zero except the
image, x_t and t, and some of the hidden ones: if the config's `detail` is more than 1, the first
hold how the pixels in a cell differ from their mean, and if the spec is `steerable`, the next six
hold what a person asks for: the four tools, the width, and what they painted. With a condition
network the next four hold what that tells: its guess of the mask, in [−1, 1], and three features.
After the last update the RGB channels are a first guess of the mask.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own name for it
from torch import Tensor, nn

from engine.networks.automaton.borders import enlarged
from engine.networks.automaton.cell import Cell
from engine.networks.automaton.condition import ConditionNetwork
from engine.networks.automaton.config import STEERING, TOLD, config_of
from engine.networks.automaton.fast import FastCell
from engine.networks.device import DeviceChoice, share_out, worker_count
from engine.networks.losses import mask_loss
from engine.networks.network import (
    Chance,
    Moment,
    Network,
    Outputs,
    Steering,
    Target,
    Tensors,
)
from engine.types import ModelSpec, TrainSettings

NOISE, RED, BLUE, NOISY, TIME = 0, 1, 3, 4, -1

#: Factor on the differences within a cell: they are a few hundredths, other channels nearer to 1.
DETAIL_GAIN = 2.0
#: Weight of the mask loss on the mean of the RGB channels, beside the prediction's own.
GUESS_WEIGHT = 0.5
#: Weight of the mask loss on the guess of the condition network.
ANCHOR_WEIGHT = 0.5

#: Which cells fire: (level, update, (rows, columns)) → bool (n, 1, rows, columns).
Fires = Callable[[int, int, tuple[int, int]], Tensor]


def rgb_loss(rgb_n3hw: Tensor, mask_n1hw: Tensor) -> Tensor:
    """L_RGB (eq. 4), a scalar: mean squared errors of the three channels, summed.

    Parameters
    ----------
    rgb_n3hw : the RGB channels of the last state.
    mask_n1hw : the true mask, −1 outside the lesion and +1 inside.
    """
    return 3 * F.mse_loss(rgb_n3hw, mask_n1hw.expand_as(rgb_n3hw))


class Automaton(Network):
    """Predicts from an image, x_t and t with one or two levels of cells.

    With two levels the first runs on the image reduced by `config.factor`. Its whole state is
    enlarged (bilinear), image, x_t and t are put back at full size, and the second level refines
    it. The prediction is channel 0 of the last state.

    Parameters
    ----------
    spec : what it is built from; its config is an `AutomatonConfig`.
    levels : 1 or 2.
    attention : whether its cells have CBAM.
    """

    def __init__(self, spec: ModelSpec, *, levels: int, attention: bool) -> None:
        super().__init__(spec)
        self.config = config_of(spec)
        self.levels = nn.ModuleList(
            Cell(self.config.channels, self.config.hidden, attention, exact=level < levels)
            for level in range(1, levels + 1)
        )
        if self.config.condition:
            self.condition_network = ConditionNetwork(self.config.condition, TOLD - 1)

    def condition(self, image_n3hw: Tensor) -> Tensors:
        """The image; with a condition network behind its colours what that tells, then its logit.

        All are of the image's size.
        """
        if not self.config.condition:
            return (image_n3hw,)
        logit, features = self.condition_network(image_n3hw)
        seen = [image_n3hw, torch.tanh(logit / 2).to(image_n3hw), features.to(image_n3hw)]
        return torch.cat(seen, dim=1), logit

    def predict(
        self,
        image_given: Tensors,
        time_given: Tensors,
        noisy_n1hw: Tensor,
        chance: Chance,
        steering: Steering | None = None,
    ) -> Outputs:
        """Channel 0 of the last state as prediction, with its RGB channels as extras."""
        image_nchw, (time_n,) = image_given[0], time_given
        fires = self._fires(chance, noisy_n1hw)
        state = self(image_nchw, noisy_n1hw, time_n, fires, steering)
        return Outputs(state[:, NOISE : NOISE + 1], (state[:, RED : BLUE + 1],))

    def losses(
        self, outputs: Outputs, image_given: Tensors, target: Target, settings: TrainSettings
    ) -> Sequence[Tensor]:
        """L_RGB times `settings.rgb_weight`; if the clean mask is predicted, a mask loss before it.

        The mask loss is that of the first guess, the mean of the RGB channels. A spec that predicts
        the noise, with `rgb_weight` 1, gets L_total of the paper (eq. 5). The guess of a condition
        network has a mask loss of its own, before the others.
        """
        rgb_n3hw = outputs.extras[0].float()
        share_n1hw = target.share_n1hw
        anchored = [
            ANCHOR_WEIGHT * mask_loss(_resized(logit.float(), share_n1hw.shape[2:]), share_n1hw)
            for logit in image_given[1:]
        ]
        weighted = settings.rgb_weight * rgb_loss(rgb_n3hw, 2 * share_n1hw - 1)
        if self.spec.predicts != "clean":
            return (*anchored, weighted)
        guess_n1hw = rgb_n3hw.mean(dim=1, keepdim=True)
        return *anchored, GUESS_WEIGHT * mask_loss(guess_n1hw, share_n1hw), weighted

    def is_matrix(self, name: str, weight: Tensor) -> bool:
        """True for the weights of perception and MLP, false for those of attention."""
        return super().is_matrix(name, weight) and "attention" not in name

    @property
    def channels(self) -> tuple[str, ...]:
        hidden = (f"hidden {number}" for number in range(1, self.config.channels - 5))
        return ("noise", "R", "G", "B", "x_t", *hidden, "t")

    @property
    def moments(self) -> int:
        """How many moments `inspect` gives: one for each update, and each level's first state."""
        return sum(self.updates(level) + 1 for level in range(1, len(self.levels) + 1))

    def inspect(
        self,
        image_given: Tensors,
        time_given: Tensors,
        noisy_n1hw: Tensor,
        chance: Chance,
        steering: Steering | None = None,
    ) -> Iterator[Moment]:
        """Every state of a diffusion step, as `evolve` gives them."""
        image_nchw, (time_n,) = image_given[0], time_given
        fires = self._fires(chance, noisy_n1hw)
        return self.evolve(image_nchw, noisy_n1hw, time_n, fires, steering)

    def inferring(self, device: DeviceChoice) -> Automaton:
        """The same automaton with cells that are faster at inference on the CPU; itself on a GPU.

        On the CPU the weights are copied, which takes a millisecond: later training does not reach
        the copy. Its states are float32 in the layout of `Cell`.
        """
        if device.name != "cpu":
            return self
        cells: list[Cell] = list(self.levels)  # type: ignore[arg-type]
        coarse = [FastCell(cell, torch.float32) for cell in cells[:-1]]
        return FastAutomaton(self, [*coarse, FastCell(cells[-1], device.dtype)]).eval()

    def _fires(self, chance: Chance, noisy_n1hw: Tensor) -> Fires:
        """A function that draws which cells fire, on the device of `noisy_n1hw`."""

        def fires(level: int, update: int, shape: tuple[int, int]) -> Tensor:
            drawn = chance(level, update, shape) < self.config.fire_probability
            return drawn.to(noisy_n1hw.device)

        return fires

    def updates(self, level: int) -> int:
        """Cell updates in a diffusion step of level `level`, counted from 1."""
        return self.config.updates_of(level, len(self.levels))

    def begin(
        self,
        image_nchw: Tensor,
        noisy_n1hw: Tensor,
        time_n: Tensor,
        steering: Steering | None = None,
    ) -> Tensor:
        """The first state of the first level, (n, channels, rows, columns) in channels-last memory.

        Parameters
        ----------
        image_nchw : what `condition` gave: the image in [−1, 1], with `config.detail` pixels to a
            cell's side, and behind its colours what the condition network tells, if there is one.
        noisy_n1hw : x_t at unit variance.
        time_n : t / timesteps.
        steering : what a person asks for, on a grid that is as large or larger; None if nothing.
        """
        n, _, rows, columns = noisy_n1hw.shape
        state = image_nchw.new_zeros(n, rows, columns, self.config.channels).permute(0, 3, 1, 2)
        return self._with_inputs(state, image_nchw, noisy_n1hw, time_n, steering)

    def _with_inputs(
        self, state: Tensor, image: Tensor, noisy: Tensor, time_n: Tensor, steering: Steering | None
    ) -> Tensor:
        """The state with image, x_t and t in their channels."""
        time = time_n[:, None, None, None].expand_as(noisy).to(state.dtype)
        whole = _resized(image, noisy.shape[2:])
        mean, told = whole[:, :3], whole[:, 3:]
        hidden = self._with_detail(state[:, NOISY + 1 : TIME], image[:, :3], mean)
        if steering is not None:
            hidden = self._with_steering(hidden, steering)
        if told.shape[1]:
            # Behind the rest, the last of them.
            hidden = hidden + F.pad(told, (0, 0, 0, 0, hidden.shape[1] - TOLD, 0))
        parts = [state[:, :RED], mean, noisy, hidden, time]
        return torch.cat(parts, dim=1).contiguous(memory_format=torch.channels_last)

    def _with_detail(self, hidden: Tensor, image: Tensor, mean: Tensor) -> Tensor:
        """The hidden channels, with how the pixels in a cell differ from their mean added."""
        detail = self.config.detail
        if detail == 1:
            return hidden
        pixels = _resized(image, torch.Size(detail * side for side in mean.shape[2:]))
        finer = F.pixel_unshuffle(pixels, detail) - mean.repeat_interleave(detail**2, dim=1)
        rest = hidden.shape[1] - finer.shape[1]
        return hidden + DETAIL_GAIN * F.pad(finer, (0, 0, 0, 0, 0, rest))

    def _with_steering(self, hidden: Tensor, steering: Steering) -> Tensor:
        """The hidden channels, with what a person asks for added behind those of the detail."""
        rows, columns = hidden.shape[2:]
        style = steering.style_n5[:, :, None, None].expand(-1, -1, rows, columns)
        hint = _resized(steering.hint_n1hw, hidden.shape[2:])
        told = torch.cat([style.to(hidden.dtype), hint.to(hidden.dtype)], dim=1)
        before = self.config.detailed
        return hidden + F.pad(told, (0, 0, 0, 0, before, hidden.shape[1] - before - STEERING))

    def enter(
        self,
        level: int,
        carried_nchw: Tensor | None,
        image_nchw: Tensor,
        noisy_n1hw: Tensor,
        time_n: Tensor,
        steering: Steering | None = None,
    ) -> Tensor:
        """The first state of a level.

        Parameters
        ----------
        level : counted from 1.
        carried_nchw : the last state of the level before, or None for the first level.
        image_nchw, noisy_n1hw, time_n, steering : as for `begin`, at full size.
        """
        factor = self.config.factor ** (len(self.levels) - level)
        shape = torch.Size(max(2, side // factor) for side in noisy_n1hw.shape[2:])
        noisy = _resized(noisy_n1hw, shape)
        if carried_nchw is None:
            return self.begin(image_nchw, noisy, time_n, steering)
        return self._with_inputs(_enlarge(carried_nchw, shape), image_nchw, noisy, time_n, steering)

    def evolve(
        self,
        image_nchw: Tensor,
        noisy_n1hw: Tensor,
        time_n: Tensor,
        fires: Fires,
        steering: Steering | None = None,
    ) -> Iterator[Moment]:
        """Yields each level's first state, as update 0, and the state after each of its updates.

        Parameters
        ----------
        image_nchw, noisy_n1hw, time_n, steering : as for `begin`.
        fires : decides which cells fire in each update.
        """
        state: Tensor | None = None
        for level, cell in enumerate(self.levels, start=1):
            state = self.enter(level, state, image_nchw, noisy_n1hw, time_n, steering)
            no_cell = torch.zeros_like(state[:, :1], dtype=torch.bool)
            yield Moment(level, 0, state, no_cell)
            for update in range(1, self.updates(level) + 1):
                fires_n1hw = fires(level, update, (state.shape[2], state.shape[3]))
                state = cell(state, fires_n1hw)
                yield Moment(level, update, state, fires_n1hw)

    def forward(
        self,
        image_nchw: Tensor,
        noisy_n1hw: Tensor,
        time_n: Tensor,
        fires: Fires,
        steering: Steering | None = None,
    ) -> Tensor:
        """The last state, (n, channels, rows, columns); takes what `evolve` takes."""
        for moment in self.evolve(image_nchw, noisy_n1hw, time_n, fires, steering):
            state = moment.state_nchw
        return state


class FastAutomaton(Automaton):
    """An automaton of `FastCell`s for inference on the CPU, which shares out members to workers."""

    levels: Sequence[FastCell]  # type: ignore[assignment]

    def __init__(self, network: Automaton, cells: Sequence[FastCell]) -> None:
        # Not built anew: that would draw random numbers for weights that are replaced at once.
        Network.__init__(self, network.spec)
        self.config = network.config
        self.levels = nn.ModuleList(cells)  # type: ignore[assignment]
        if self.config.condition:
            self.condition_network = network.condition_network

    def predict(
        self,
        image_given: Tensors,
        time_given: Tensors,
        noisy_n1hw: Tensor,
        chance: Chance,
        steering: Steering | None = None,
    ) -> Outputs:
        """The prediction of `Automaton.predict` for each member alone, bit for bit, no extras."""
        image_nchw, (time_n,) = image_given[0], time_given
        fires = self._fires(chance, noisy_n1hw)
        return Outputs(self.answer(image_nchw, noisy_n1hw, time_n, fires, steering))

    def answer(
        self,
        image_nchw: Tensor,
        noisy_n1hw: Tensor,
        time_n: Tensor,
        fires: Fires,
        steering: Steering | None = None,
    ) -> Tensor:
        """Channel 0 of the last state, (n, 1, rows, columns): bit for bit `forward`'s for a member.

        On a coarse grid calling an operation costs as much as its arithmetic, so all members are
        computed in one call. At full size one member's state fills the caches, so each member is a
        piece of work for the next free worker; the updates of a single member are divided. It takes
        what `evolve` takes.
        """
        inputs, last = (image_nchw, noisy_n1hw, time_n), len(self.levels)
        carried: Tensor | None = None
        for level in range(1, last):
            carried = self.enter(level, carried, *inputs, steering)
            for fires_n1hw in self._drawn(level, carried, fires):
                self.levels[level - 1].update_(carried, fires_n1hw)
        drawn = list(self._drawn(last, noisy_n1hw, fires))
        pieces = worker_count() if len(image_nchw) == 1 else 1

        def fine(member: int) -> Tensor:
            one = slice(member, member + 1)
            below = None if carried is None else carried[one]
            told = None if steering is None else Steering(*(whole[one] for whole in steering))
            image, noisy, time = (whole[one] for whole in inputs)
            state = self.enter(last, below, image, noisy, time, told)
            for update, fires_n1hw in enumerate(drawn, start=1):
                enough = update == len(drawn)
                self.levels[-1].update_(
                    state, fires_n1hw[one], first_is_enough=enough, pieces=pieces
                )
            return state[:, NOISE : NOISE + 1].contiguous()

        return torch.cat(share_out(fine, range(len(image_nchw))))

    def _drawn(self, level: int, grid_nchw: Tensor, fires: Fires) -> Iterator[Tensor]:
        """Which cells of the grid fire in each update of level `level`, in order."""
        shape = (grid_nchw.shape[2], grid_nchw.shape[3])
        return (fires(level, update, shape) for update in range(1, self.updates(level) + 1))


def _resized(picture_nchw: Tensor, shape: torch.Size) -> Tensor:
    """The image at the size (rows, columns), by the mean of the pixels in each place."""
    if picture_nchw.shape[2:] == shape:
        return picture_nchw
    rows, columns = shape
    return F.adaptive_avg_pool2d(picture_nchw, (rows, columns))


def _enlarge(state_nchw: Tensor, shape: torch.Size) -> Tensor:
    return enlarged(state_nchw, *shape)
