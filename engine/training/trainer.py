"""Takes optimizer steps: draws a batch, and moves the weights and their moving average by it.

On a CPU the samples are divided among the worker threads. On a CUDA device a whole step is recorded
as a graph and replayed, and nothing is read from the device unless it is asked for.
"""

from __future__ import annotations

import math
from contextlib import AbstractContextManager, nullcontext
from threading import Lock
from typing import NamedTuple

import torch
from torch import Tensor

from engine.diffusion.noise import Purpose
from engine.diffusion.schedule import add_noise, alpha_bars, clean_from, network_input
from engine.networks.device import DeviceChoice, alone
from engine.networks.network import Chance, Network, Outputs, Steering, Target, Tensors
from engine.training import parallel, steering
from engine.training.batches import Batch, BatchSource, Choice
from engine.training.gradient import give_gradient
from engine.training.loss import LARGEST_LOSS, diffusion_loss
from engine.training.optimizer import learning_rate, memories, optimizers
from engine.training.recording import Recordings
from engine.training.undo import StepBackup
from engine.types import ModelSpec, TrainSettings

#: So many steps in a row without a finite loss and gradient mean that the training has diverged.
#: Each has other samples, other noise and the same weights: one may have met an odd sample or an
#: overflow, but where five did, the weights are at fault, and a skipped step does not change them.
MOST_SKIPPED_IN_A_ROW = 5


class News(NamedTuple):
    """How the newest steps went.

    `loss` is that of the newest step, NaN if it was skipped; `skipped` counts the skipped steps,
    `skipped_in_a_row` those since the last that was not. `diverged` says that one more was to be
    skipped than may be; that one is not counted.
    """

    loss: float
    skipped: int
    skipped_in_a_row: int
    diverged: bool


class Trainer:
    """The weights of a training, their moving average, the optimizers, and the step that moves all.

    A step whose loss or gradient is too large or not finite is skipped: it counts, but changes
    nothing. So is every step after `MOST_SKIPPED_IN_A_ROW` in a row.

    Parameters
    ----------
    spec, settings : those of the training.
    device : where it computes, and in which precision.
    network, average : the weights and their average, on the device.
    batches : what the steps draw from.
    """

    def __init__(
        self,
        spec: ModelSpec,
        settings: TrainSettings,
        device: DeviceChoice,
        network: Network,
        average: Network,
        batches: BatchSource,
    ) -> None:
        self.spec, self.settings, self.device = spec, settings, device
        self.network, self.average, self.batches = network, average, batches
        place = device.name
        #: The learning rate, and the share of the new weights in their average.
        self._rate, self._share = torch.zeros((), device=place), torch.zeros((), device=place)
        self.optimizers = optimizers(network, settings.weight_decay, settings.optimizer, self._rate)
        self._bars = torch.from_numpy(alpha_bars(spec.schedule, spec.timesteps).copy())
        self._bars = self._bars.float().to(place)
        #: The numbers of `News`, on the device.
        self._news = torch.zeros(3, dtype=torch.float64, device=place)
        #: Steps taken, the skipped ones included.
        self.done = 0
        changing = [*network.parameters(), *average.parameters(), *memories(self.optimizers)]
        self._backup = StepBackup([*changing, self._news])
        #: The step that `_backup` is of, by the number of those before it.
        self._begun: int | None = None
        #: Held while the weights move: an interruption must not read them meanwhile.
        self._moving = Lock()
        first = batches.choose(0)
        self._number_n, self._sample_n = first.number_n.to(place), first.sample_n.to(place)
        #: The recorded steps, if steps are recorded. Several processes meet within a step.
        self.recordings = Recordings() if place == "cuda" and parallel.size() == 1 else None

    def step(self) -> None:
        """Take one optimizer step. On a CUDA device it may still be under way at the return."""
        self._rate.fill_(learning_rate(self.settings, self.done))
        # The decay is smaller at first, so that the initial weights are soon forgotten.
        decay = min(self.settings.ema, (2 + self.done) / (11 + self.done))
        self._share.fill_(1 - decay)
        if self.recordings is not None:
            self._replay(self.recordings)
        elif self.device.name == "cpu":
            loss = self._gradient(alone(self.batches.draw, self.done))
            alone(self._move, loss)
        else:
            self._move(self._gradient(self.batches.draw(self.done)))

    def read(self) -> News:
        """How the newest steps went; waits for the device."""
        loss, skipped, in_a_row = self._news.tolist()
        surplus = max(0, int(in_a_row) - MOST_SKIPPED_IN_A_ROW + 1)
        if surplus:
            self.done -= surplus
            self._begun = None
            self._news[1:] -= surplus
        return News(loss, int(skipped) - surplus, int(in_a_row) - surplus, surplus > 0)

    def remember(self, done: int, skipped: int, skipped_in_a_row: int) -> None:
        """Go on from a state whose weights and memories were read already."""
        self.done, self._begun = done, None
        self._news.copy_(torch.tensor([math.nan, skipped, skipped_in_a_row], dtype=torch.float64))

    def settle(self) -> None:
        """Restore what was before a step that was begun and not finished, if there is one."""
        with self._moving:
            if self._begun == self.done:
                self._backup.restore()

    def _move(self, loss: Tensor) -> None:
        """Move the weights by their gradients. An interruption leaves what `settle` needs."""
        with self._moving:
            self._begin()
            self._update(loss)
            # From here on the step counts as taken.
            self.done += 1

    def _replay(self, recordings: Recordings) -> None:
        """The whole step as a graph; recorded first if it is the first of its shapes."""
        choice = self._held(self.batches.choose(self.done))
        with self._moving:
            self._begin()

            def whole() -> None:
                self._update(self._gradient(self.batches.batch(choice)))

            recordings.play((choice.form, choice.recycled), whole, self._backup.restore)
            # torch does not see that a replay changes tensors.
            for network in (self.network, self.average):
                torch.autograd.graph.increment_version(network.parameters())
            self.done += 1

    def _held(self, choice: Choice) -> Choice:
        """The choice with its numbers where the recorded steps read them."""
        held = self._number_n, self._sample_n
        for place, numbers in zip(held, (choice.number_n, choice.sample_n), strict=True):
            # From memory that stays where it is the copy waits for no step before it.
            place.copy_(numbers.pin_memory(), non_blocking=True)
        return choice._replace(number_n=self._number_n, sample_n=self._sample_n)

    def _begin(self) -> None:
        self._backup.take()
        self._begun = self.done

    def _gradient(self, batch: Batch) -> Tensor:
        """Give the weights their gradients; the mean loss, over all processes."""

        def loss_of(part: slice) -> Tensor:
            return self.loss(batch.only(part))

        return give_gradient(self.network, loss_of, len(batch), self.device.name)

    @torch.no_grad()
    def _update(self, loss: Tensor) -> None:
        """Move weights and average by the gradients, unless they or the loss are of no use.

        The loss and the gradients are means over all processes, so all skip a step or none. What
        the device finds out stays there.
        """
        weights: list[Tensor] = list(self.network.parameters())
        averages: list[Tensor] = list(self.average.parameters())
        # Without clipping no gradient is too long, and its length is still known.
        longest = self.settings.clip or math.inf
        length = torch.nn.utils.clip_grad_norm_(weights, longest)
        for optimizer in self.optimizers:
            optimizer.step()
        torch._foreach_lerp_(averages, weights, [self._share] * len(weights))
        _, skipped, in_a_row = self._news.unbind()
        usable = (loss <= LARGEST_LOSS) & length.isfinite() & (in_a_row < MOST_SKIPPED_IN_A_ROW)
        self._backup.restore_unless(usable)
        told = torch.where(usable, loss.double(), math.nan)
        following = torch.where(usable, 0.0, in_a_row + 1)
        self._news.copy_(torch.stack([told, skipped + ~usable, following]))
        self.network.zero_grad()

    def loss(self, batch: Batch) -> Tensor:
        """The mean loss of these samples, a scalar: the diffusion's and the network's own terms."""
        spec = self.spec
        bar = self._bars[batch.timestep_n][:, None, None, None]
        share = batch.share_n1hw
        clean = spec.mask_scale * (2 * share - 1)
        with self._precision():
            image_given = self.network.condition(2 * batch.image_n3hw - 1)
        start = self._recycled(clean, image_given, batch)
        told = self._told(start, batch) if spec.steerable else None
        if told is not None:
            # As in inference what is painted is held.
            painted = told.hint_n1hw
            start = torch.where(painted != 0, spec.mask_scale * painted, start)
        noisy = add_noise(start, batch.noise_n1hw, bar)
        # The noise that leads from the true mask to this x_t, even if x_t was made from a guess.
        noise = (noisy - bar.sqrt() * clean) / (1 - bar).sqrt()
        chance = batch.chance_for(Purpose.CHANCE)
        outputs = self._predict(image_given, noisy, bar, batch.timestep_n, chance, told)
        total = diffusion_loss(outputs.prediction_n1hw.float(), share, noise, bar, spec)
        target = Target(share, batch.timestep_n)
        for own in self.network.losses(outputs, image_given, target, self.settings):
            total = total + own
        return total

    @torch.no_grad()
    def _told(self, start: Tensor, batch: Batch) -> Steering:
        """What the network is told: the style, and what was painted where a guess is wrong.

        `start` holds the masks that x_t is made of, of which the recycled are guesses.
        """
        share = batch.share_n1hw
        guessed_n = torch.arange(len(batch), device=share.device) < batch.recycled
        wrong = (start >= 0) != (share >= 0.5)
        return Steering(
            batch.style_n5,
            steering.strokes(batch.seed, batch.sample_n, share, wrong, guessed_n),
        )

    @torch.no_grad()
    def _recycled(self, clean: Tensor, image_given: Tensors, batch: Batch) -> Tensor:
        """The clean masks, with those to be recycled replaced by the network's own predictions.

        The predictions are made from pure noise. A network trained on x_t from the truth alone
        learns to trust x_t, which in inference holds its own errors (Fu 2023, MELBA 2023:016).
        """
        if not batch.recycled:
            return clean
        spec, some = self.spec, batch.only(slice(batch.recycled))
        noisy = some.noise_n1hw
        outputs = self._predict(
            tuple(each[: batch.recycled] for each in image_given),
            noisy,
            self._bars[-1:, None, None, None],
            torch.full_like(some.timestep_n, spec.timesteps),
            some.chance_for(Purpose.RECYCLING),
            Steering(some.style_n5, torch.zeros_like(noisy)) if spec.steerable else None,
        )
        output = outputs.prediction_n1hw.float()
        bar = float(alpha_bars(spec.schedule, spec.timesteps)[-1])
        guess = clean_from(output, noisy, bar, spec.predicts, spec.mask_scale)
        return torch.cat([guess, clean[batch.recycled :]])

    def _predict(
        self,
        image_given: Tensors,
        noisy: Tensor,
        bar: Tensor,
        timestep_n: Tensor,
        chance: Chance,
        told: Steering | None,
    ) -> Outputs:
        """The network's outputs for x_t, computed on the device in its precision."""
        scaled = network_input(noisy, bar, self.spec.mask_scale)
        grid = (scaled.shape[2], scaled.shape[3])
        with self._precision():
            time_given = self.network.time_condition(timestep_n / self.spec.timesteps, grid)
            return self.network.predict(image_given, time_given, scaled, chance, told)

    def _precision(self) -> AbstractContextManager[object]:
        if self.device.precision != "bfloat16":
            return nullcontext()
        place = self.device.name
        # On the CPU without autocast's cache, which all threads would share.
        return torch.autocast(place, torch.bfloat16, cache_enabled=place != "cpu")
