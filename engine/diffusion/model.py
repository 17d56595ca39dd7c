"""A network ready to run: weights, spec, device and precision; from its file and into one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from itertools import repeat
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from engine.diffusion import noise
from engine.diffusion.schedule import alpha_bars, clean_from, network_input
from engine.errors import EngineError, UnreadableModel
from engine.networks import checkpoint
from engine.networks.device import DeviceChoice, alone, choose, share_out, worker_count
from engine.networks.network import Chance, Moment, Network, Tensors
from engine.networks.table import build, parameter_count
from engine.types import Device, Float, ModelSpec, Views

#: x_t (n, 1, rows, columns) and t → the clean mask believed in, in [−mask_scale, mask_scale].
Denoiser = Callable[[Tensor, int], Tensor]

_Found = TypeVar("_Found")

#: The views that members take in turn, as the axes that are mirrored.
VIEWS: tuple[tuple[int, ...], ...] = ((), (-1,), (-2,), (-2, -1))


def views_of(members: Sequence[int], views: Views = "mirrored") -> list[int]:
    """The number of the view that each member takes, its place in `VIEWS`.

    Mirrored, member k takes view k mod 4. A lesion has no up and down, but a network has habits:
    where members that see it mirrored disagree, it is to be doubted, and their mean is better than
    each. Plain, all take view 0, the image as it is.
    """
    return [member % len(VIEWS) if views == "mirrored" else 0 for member in members]


def mirrored(pictures_nchw: Tensor, numbers: Sequence[int]) -> Tensor:
    """Each picture in the view of that number (`views_of`); twice is the picture itself."""
    axes = [VIEWS[number] for number in numbers]
    if len(set(axes)) == 1:
        return pictures_nchw.flip(axes[0]) if axes[0] else pictures_nchw
    pairs = zip(pictures_nchw, axes, strict=True)
    return torch.stack([picture.flip(view) for picture, view in pairs])


class Model:
    """A trained network as the sampler and the window hold it; an opaque handle outside.

    Parameters
    ----------
    network : its parameters are moved to the device and no longer trained.
    fingerprint : as `engine.networks.checkpoint` makes it, or "" for a network not from a file.
    """

    def __init__(self, network: Network, device: DeviceChoice, fingerprint: str = "") -> None:
        self.spec: ModelSpec = network.spec
        self.device = device
        self.fingerprint = fingerprint
        self.network = network.to(device.name).eval()
        self.network.requires_grad_(False)
        #: How often each weight had been changed, and the network made of them then.
        self._fast: tuple[list[int], Network] | None = None
        #: What it made, with those weights, of the views of the newest image.
        self._seen: tuple[object, Float, dict[int, Tensors]] | None = None

    def denoiser(
        self, image_chw: Float, seed: int, members: Sequence[int], views: Views = "mirrored"
    ) -> Denoiser:
        """What the sampler asks at each step, for some members of one image.

        `image_chw` is float32 in [0, 1], (3, rows, columns) of the grid times
        `spec.pixels_per_cell`. What the network draws for a member comes from that member's own
        address, so its answer does not depend on the others.
        """
        network = self._inferring()
        numbers = views_of(members, views)
        image_given = self._image_given(network, image_chw, numbers)
        bars = alpha_bars(self.spec.schedule, self.spec.timesteps)
        predict = self._predict(network, seed, members)

        def predict_clean(noisy_n1hw: Tensor, timestep: int) -> Tensor:
            bar = float(bars[timestep])
            scaled = network_input(mirrored(noisy_n1hw, numbers), bar, self.spec.mask_scale)
            time_given = self._time_given(network, scaled, timestep)
            output = mirrored(predict(image_given, time_given, scaled, timestep), numbers)
            clean = clean_from(output, noisy_n1hw, bar, self.spec.predicts, self.spec.mask_scale)
            # What overflowed would be clipped to a mask; 0 × infinity stays to be seen.
            return clean + 0 * output

        return predict_clean

    def evolve(
        self,
        image_chw: Float,
        noisy_hw: Float,
        timestep: int,
        seed: int,
        member: int,
        views: Views = "mirrored",
    ) -> Iterator[Moment]:
        """Every moment of the network in one step of one member, replayed from its x_t."""
        network = self._inferring()
        noisy = torch.from_numpy(noisy_hw.copy())[None, None].to(self.device.name)
        bar = float(alpha_bars(self.spec.schedule, self.spec.timesteps)[timestep])
        numbers = views_of([member], views)
        scaled = network_input(mirrored(noisy, numbers), bar, self.spec.mask_scale)
        moments = network.inspect(
            self._image_given(network, image_chw, numbers),
            self._time_given(network, scaled, timestep),
            scaled,
            self._chance(seed, [member], timestep),
        )

        def following() -> Moment | None:
            return next(moments, None)

        # Around each update: between two moments the caller computes as it likes.
        while (moment := self._computed(following)) is not None:
            yield moment._replace(
                state_nchw=mirrored(moment.state_nchw, numbers),
                fires_n1hw=mirrored(moment.fires_n1hw, numbers),
            )

    def _predict(
        self, network: Network, seed: int, members: Sequence[int]
    ) -> Callable[[Tensors, Tensors, Tensor, int], Tensor]:
        """(of the images, of t, x_t, timestep) → the prediction, (n, 1, rows, columns) float32.

        On the CPU the members are shared out among threads that compute alone.
        """

        @torch.no_grad()
        def some(asked: tuple[Tensors, Tensors, Tensor, int, Sequence[int]]) -> Tensor:
            image_given, time_given, noisy, timestep, which = asked
            with self._precision():
                chance = self._chance(seed, which, timestep)
                outputs = network.predict(image_given, time_given, noisy, chance)
                return outputs.prediction_n1hw.float()

        def together(
            image_given: Tensors, time_given: Tensors, noisy: Tensor, timestep: int
        ) -> Tensor:
            return some((image_given, time_given, noisy, timestep, members))

        def shared(
            image_given: Tensors, time_given: Tensors, noisy: Tensor, timestep: int
        ) -> Tensor:
            count = min(len(members), worker_count())
            which = (list(part) for part in np.array_split(members, count))
            images, times = _parts(image_given, count), _parts(time_given, count)
            parts = noisy.tensor_split(count)
            asked = list(zip(images, times, parts, repeat(timestep, count), which, strict=True))
            return torch.cat(share_out(some, asked))

        return shared if self.device.name == "cpu" else together

    def _inferring(self) -> Network:
        """The network as the device computes it fastest; made anew after a run has trained it."""
        # Torch counts every change of a tensor in place.
        versions = [weight._version for weight in self.network.parameters()]
        if self._fast is None or self._fast[0] != versions:
            made = self._computed(lambda: self.network.inferring(self.device))
            self._fast = versions, made
        return self._fast[1]

    def _image_given(self, network: Network, image_chw: Float, numbers: Sequence[int]) -> Tensors:
        """What the network makes of the image in the views of those numbers, a row each.

        It is made once for each view of an image, however many rounds of members there are.
        """
        seen, made = self._seen, self._fast
        if seen is None or seen[0] is not made or seen[1] is not image_chw:
            seen = self._seen = made, image_chw, {}
        # Not from `self`: another thread may begin with another image.
        known = seen[2]
        for view in sorted(set(numbers) - known.keys()):
            image = mirrored(self._image(image_chw), [view])
            known[view] = self._computed(partial(network.condition, image))
        rows = zip(*(known[view] for view in numbers), strict=True)
        return tuple(torch.cat(row) for row in rows)

    def _time_given(self, network: Network, noisy_n1hw: Tensor, timestep: int) -> Tensors:
        """What the network makes of t, once for all members, a row a member."""
        time = torch.full((1,), timestep / self.spec.timesteps, device=noisy_n1hw.device)
        grid = (noisy_n1hw.shape[2], noisy_n1hw.shape[3])
        given = self._computed(partial(network.time_condition, time, grid))
        return tuple(each.expand(len(noisy_n1hw), *each.shape[1:]) for each in given)

    def _image(self, image_chw: Float) -> Tensor:
        tensor = torch.from_numpy(np.array(image_chw, dtype=np.float32))
        return (tensor * 2 - 1)[None].to(self.device.name)

    def _chance(self, seed: int, members: Sequence[int], timestep: int) -> Chance:
        def chance(first: int, second: int, shape: tuple[int, int]) -> Tensor:
            return noise.uniform(seed, members, timestep, (first, second), shape)

        return chance

    def _computed(self, act: Callable[[], _Found]) -> _Found:
        """What `act` returns, computed without gradients, in the device's precision.

        On the CPU a thread that computes alone does it.
        """

        @torch.no_grad()
        def acting() -> _Found:
            with self._precision():
                return act()

        return alone(acting) if self.device.name == "cpu" else acting()

    def _precision(self) -> AbstractContextManager[object]:
        """On a GPU the products are told their precision here; on the CPU the network knows its."""
        low = self.device.name == "cuda" and self.device.precision == "bfloat16"
        return torch.autocast("cuda", torch.bfloat16) if low else nullcontext()


def _parts(given: Tensors, count: int) -> list[Tensors]:
    """What was given for all members as so many parts of it."""
    split = [each.tensor_split(count) for each in given]
    return [tuple(each[place] for each in split) for place in range(count)]


def save(path: Path, model: Model) -> None:
    """Write a model's weights and spec as one file, atomically."""
    state = model.network.state_dict()
    arrays = {name: tensor.cpu().numpy() for name, tensor in state.items()}
    checkpoint.write(path, arrays, model.spec)


def load(path: Path, device: Device = "auto", precision: str = "auto") -> Model:
    """A model from its file, ready to run. Raises UnreadableModel; ValueError for absent CUDA."""
    chosen = choose(device, precision)
    spec, arrays = checkpoint.read(path)
    try:
        # A few bytes of a description could ask for gigabytes.
        if sum(array.size for array in arrays.values()) != parameter_count(spec):
            raise TypeError("other parameters than described")
        network = build(spec)
        network.load_state_dict({name: torch.from_numpy(a) for name, a in arrays.items()})
    except (EngineError, RuntimeError, TypeError) as error:
        raise UnreadableModel(path, "its weights do not fit its description") from error
    return Model(network, chosen, checkpoint.fingerprint(spec, arrays))
