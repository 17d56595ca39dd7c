"""The base class of all networks: what sampling, training, replay and files need of one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from torch import Tensor, nn

from engine.networks.device import DeviceChoice
from engine.types import ModelSpec, TrainSettings

#: What a network computed once and is given again. The first dimension of each tensor is the
#: samples, so that the caller can select those of some members.
Tensors = tuple[Tensor, ...]

#: Draws uniform random numbers: (place, place within it, (rows, columns)) → float32
#: (n, 1, rows, columns) in [0, 1), on the CPU in inference and on the network's device in training.
#: The same place always draws the same numbers.
Chance = Callable[[int, int, tuple[int, int]], Tensor]


class Steering(NamedTuple):
    """What a person asks for beside the image, for each sample.

    `style_n5` holds 1 at the tool in whose style the outline is drawn (in the order of
    `engine.types.Tool`) and 0 at the others, 0 at all four if it is unknown, and last how tight
    (−1) or wide (1) it is drawn. `hint_n1hw` on the grid is 1 where a person painted lesion, −1
    where they painted skin and 0 elsewhere, in a cell that is painted in part its share.
    """

    style_n5: Tensor
    hint_n1hw: Tensor


class Outputs(NamedTuple):
    """A network's outputs for x_t.

    `prediction_n1hw` means what `ModelSpec.predicts` says. `extras` are what the network's own
    losses need besides.
    """

    prediction_n1hw: Tensor
    extras: Tensors = ()


class Target(NamedTuple):
    """What a network should have predicted.

    `share_n1hw` is the true share of lesion in each cell, [0, 1]; `timestep_n` is t.
    """

    share_n1hw: Tensor
    timestep_n: Tensor


class Moment(NamedTuple):
    """The state after one update of one level.

    `state_nchw` is (n, channels, rows, columns), `fires_n1hw` is bool, true for the cells that
    fired in the update.
    """

    level: int
    update: int
    state_nchw: Tensor
    fires_n1hw: Tensor


class Network(nn.Module, ABC):
    """Predicts from an image, x_t and t. A subclass must override `predict`; the rest is optional.

    Several threads call one network at the same time, so a method must not store anything in it.
    All parameters must take part in every loss, and the state dict must hold parameters only.

    Parameters
    ----------
    spec : what the network is built from.
    """

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        self.spec = spec

    def condition(self, image_n3hw: Tensor) -> Tensors:
        """What depends on the image alone, computed once for each view (mirrored or not) of it.

        `image_n3hw` is float32 in [−1, 1], with `spec.pixels_per_cell` pixels to a cell's side.
        The result is passed to `predict` as `image_given`.
        """
        return (image_n3hw,)

    def time_condition(self, time_n: Tensor, grid: tuple[int, int]) -> Tensors:
        """What depends on t and the grid alone, computed once for a diffusion step.

        The result is passed to `predict` as `time_given`.

        Parameters
        ----------
        time_n : t / timesteps. In inference all members are at one t, and n is 1.
        grid : rows and columns of the grid.
        """
        return (time_n,)

    @abstractmethod
    def predict(
        self,
        image_given: Tensors,
        time_given: Tensors,
        noisy_n1hw: Tensor,
        chance: Chance,
        steering: Steering | None = None,
    ) -> Outputs:
        """The network's outputs for x_t, on its grid.

        Parameters
        ----------
        image_given, time_given : what `condition` and `time_condition` returned, one row for each
            sample.
        noisy_n1hw : x_t scaled to unit variance.
        chance : the source of all random numbers that the network draws.
        steering : what a person asks for, if the spec is `steerable`, else None.
        """

    def losses(
        self, outputs: Outputs, image_given: Tensors, target: Target, settings: TrainSettings
    ) -> Sequence[Tensor]:
        """The network's own loss terms: scalars that are added to the diffusion's loss, in order.

        Parameters
        ----------
        outputs : what `predict` gave.
        image_given : what `condition` gave.
        target : what the network should have predicted.
        settings : those of the training.
        """
        return ()

    def is_matrix(self, name: str, weight: Tensor) -> bool:
        """Whether a parameter is trained by Muon, else by AdamW.

        Muon needs two dimensions at least. `name` is the parameter's name in the network.
        """
        return weight.ndim > 1

    @property
    def channels(self) -> tuple[str, ...]:
        """What the channels of a state are called that `inspect` gives, the telling ones first."""
        return ()

    @property
    def moments(self) -> int:
        """How many moments `inspect` gives; 0 if the network has nothing to show."""
        return 0

    def inspect(
        self,
        image_given: Tensors,
        time_given: Tensors,
        noisy_n1hw: Tensor,
        chance: Chance,
        steering: Steering | None = None,
    ) -> Iterator[Moment]:
        """Yields what happens inside `predict`, which takes the same arguments, to be looked at."""
        return iter(())

    def inferring(self, device: DeviceChoice) -> Network:
        """The fastest form of the network for inference on a device, without gradients and extras.

        It may be a copy, which later training does not reach. On a CPU it computes in
        `device.precision` itself; on a GPU the caller sets the precision.
        """
        return self
