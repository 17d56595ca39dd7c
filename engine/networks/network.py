"""What sampling, training, replay and files need of a network, whatever is inside it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from torch import Tensor, nn

from engine.networks.device import DeviceChoice
from engine.types import ModelSpec, TrainSettings

#: What a network computed once, to be given to it again. Along the first dimension of each lie the
#: samples, so that the caller can take those of some members.
Tensors = tuple[Tensor, ...]

#: (place, place within it, (rows, columns)) → numbers drawn evenly from [0, 1), float32
#: (n, 1, rows, columns) on the CPU. In a step of inference the same place draws the same.
Chance = Callable[[int, int, tuple[int, int]], Tensor]


class Outputs(NamedTuple):
    """What a network made of x_t.

    `prediction_n1hw` means what `ModelSpec.predicts` says. `extras` are whatever its own losses
    need besides.
    """

    prediction_n1hw: Tensor
    extras: Tensors = ()


class Target(NamedTuple):
    """What the outputs are to be: the share of lesion in each cell, [0, 1], and their timesteps."""

    share_n1hw: Tensor
    timestep_n: Tensor


class Moment(NamedTuple):
    """The state (n, channels, rows, columns) after one update of one level, and who fired in it."""

    level: int
    update: int
    state_nchw: Tensor
    fires_n1hw: Tensor


class Network(nn.Module, ABC):
    """A network that predicts from an image, x_t and t; `predict` alone must be written.

    It keeps nothing of what it is given: one network is asked by several threads at once. All its
    parameters take part in every loss, and its state dict holds nothing but them.

    Parameters
    ----------
    spec : what it was built from.
    """

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        self.spec = spec

    def condition(self, image_n3hw: Tensor) -> Tensors:
        """What depends on the images alone, computed once for each and each of its mirrored views.

        `image_n3hw` is float32 in [−1, 1], with `spec.pixels_per_cell` pixels to a cell's side.
        """
        return (image_n3hw,)

    def time_condition(self, time_n: Tensor, grid: tuple[int, int]) -> Tensors:
        """What depends on t and the grid's (rows, columns) alone, computed once for a step.

        `time_n` is t / timesteps. In inference all members are at one t, and n is 1.
        """
        return (time_n,)

    @abstractmethod
    def predict(
        self, image_given: Tensors, time_given: Tensors, noisy_n1hw: Tensor, chance: Chance
    ) -> Outputs:
        """What the network predicts for x_t, on its grid.

        Parameters
        ----------
        image_given, time_given : what `condition` and `time_condition` returned, a row a sample.
        noisy_n1hw : x_t brought to unit variance.
        chance : where whatever the network draws comes from.
        """

    def losses(
        self, outputs: Outputs, image_given: Tensors, target: Target, settings: TrainSettings
    ) -> Sequence[Tensor]:
        """Scalars that are added, in their order, to the diffusion's loss of the prediction."""
        return ()

    def is_matrix(self, name: str, weight: Tensor) -> bool:
        """Whether Muon moves a parameter, which has two dimensions at least; AdamW moves others."""
        return weight.ndim > 1

    @property
    def channels(self) -> tuple[str, ...]:
        """What the channels of a state are called that `inspect` gives, the telling ones first."""
        return ()

    @property
    def moments(self) -> int:
        """How many moments `inspect` gives; 0 where there is nothing to look at."""
        return 0

    def inspect(
        self, image_given: Tensors, time_given: Tensors, noisy_n1hw: Tensor, chance: Chance
    ) -> Iterator[Moment]:
        """What happens inside `predict`, as something to look at."""
        return iter(())

    def inferring(self, device: DeviceChoice) -> Network:
        """The network as it predicts fastest on a device, without gradients and extras.

        It need not see what is learnt later. Within a CPU's threads it computes in
        `device.precision`; on a GPU the caller sets that.
        """
        return self
