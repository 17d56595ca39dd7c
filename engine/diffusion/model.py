"""A trained network ready to run on a device, loaded from a model file or saved as one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache, partial
from itertools import repeat
from pathlib import Path
from typing import TypeVar, get_args

import numpy as np
import torch
from torch import Tensor

from engine.diffusion import noise
from engine.diffusion.schedule import alpha_bars, clean_from, network_input
from engine.diffusion.views import VIEWS, views_of
from engine.errors import EngineError, MissingExtra, UnreadableModel
from engine.networks import checkpoint
from engine.networks.device import DeviceChoice, alone, choose, share_out, worker_count
from engine.networks.network import Chance, Moment, Network, Steering, Tensors
from engine.networks.table import build, stored_count
from engine.types import Device, Float, ModelSpec, SampleSettings, StyleName, Tool

#: x_t (n, 1, rows, columns) and t → the predicted clean mask, in [−mask_scale, mask_scale].
Denoiser = Callable[[Tensor, int], Tensor]

_Result = TypeVar("_Result")


def mirrored(pictures_nchw: Tensor, numbers: Sequence[int]) -> Tensor:
    """Each picture in the view of that number (`views_of`); twice is the picture itself."""
    axes = [VIEWS[number] for number in numbers]
    if len(set(axes)) == 1:
        return pictures_nchw.flip(axes[0]) if axes[0] else pictures_nchw
    pairs = zip(pictures_nchw, axes, strict=True)
    return torch.stack([picture.flip(view) for picture, view in pairs])


def styles_of(members: Sequence[int], spec: ModelSpec, style: StyleName) -> list[Tool | None]:
    """The tool in whose style each member draws; None where it is told none.

    "mixed", the members take the tools of `spec.styles` so that the first n of them, for every n,
    have each about as often as it occurred in training.
    """
    if style != "mixed":
        return [None if style == "unknown" or not spec.steerable else style] * len(members)
    shares = tuple(spec.styles.items())
    return [_mixed(member, shares) for member in members]


@lru_cache(maxsize=4096)
def _mixed(member: int, shares: tuple[tuple[Tool, float], ...]) -> Tool | None:
    """The tool of a member, which is furthest behind its share; None without shares."""
    if not shares:
        return None
    before = Counter(_mixed(each, shares) for each in range(member))
    tool, _ = max(shares, key=lambda each: (member + 1) * each[1] - before[each[0]])
    return tool


class Model:
    """A trained network on its device; the window passes it around without looking inside.

    Parameters
    ----------
    network : moved to the device; its parameters no longer take gradients.
    device : where it runs, and in which precision.
    fingerprint : `engine.networks.checkpoint.fingerprint` of its file, or "" without a file.
    """

    def __init__(self, network: Network, device: DeviceChoice, fingerprint: str = "") -> None:
        self.spec: ModelSpec = network.spec
        self.device = device
        self.fingerprint = fingerprint
        self.network = network.to(device.name).eval()
        self.network.requires_grad_(False)
        #: The weights' version counters, and the fast network that was made of these weights.
        self._fast: tuple[list[int], Network] | None = None
        #: The fast network, the newest image, and what the network computed for each view of it.
        self._conditions: tuple[object, Float, dict[int, Tensors]] | None = None

    def denoiser(
        self,
        image_chw: Float,
        settings: SampleSettings,
        members: Sequence[int],
        hint_hw: Float | None = None,
    ) -> Denoiser:
        """The function from x_t and t to the clean mask, for some members of one image.

        Random numbers that the network draws for a member come from that member's own address, so a
        member's answer does not depend on the others.

        Parameters
        ----------
        image_chw : float32 in [0, 1], (3, rows, columns) of the grid times `spec.pixels_per_cell`.
        settings : seed of the run, views (`views_of`), style (`styles_of`) and width.
        members : numbers of the members, one for each row of x_t.
        hint_hw : what a person painted, float32 (rows, columns) of the grid: 1 lesion, −1 skin, 0
            nothing. A network that is not steerable does not see it.
        """
        network = self._inferring()
        numbers = views_of(members, settings.views)
        steering = self._steering(settings, members, numbers, image_chw, hint_hw)
        image_given = self._image_given(network, image_chw, numbers)
        bars = alpha_bars(self.spec.schedule, self.spec.timesteps)
        predict = self._predict(network, settings.seed, members, steering)

        def predict_clean(noisy_n1hw: Tensor, timestep: int) -> Tensor:
            bar = float(bars[timestep])
            scaled = network_input(mirrored(noisy_n1hw, numbers), bar, self.spec.mask_scale)
            time_given = self._time_given(network, scaled, timestep)
            output = mirrored(predict(image_given, time_given, scaled, timestep), numbers)
            clean = clean_from(output, noisy_n1hw, bar, self.spec.predicts, self.spec.mask_scale)
            # An overflow would be clipped into a valid mask; 0 × infinity is NaN, which stays.
            return clean + 0 * output

        return predict_clean

    def evolve(
        self,
        image_chw: Float,
        noisy_hw: Float,
        timestep: int,
        settings: SampleSettings,
        member: int,
        hint_hw: Float | None = None,
    ) -> Iterator[Moment]:
        """Yields the network's states within one diffusion step of one member.

        Parameters
        ----------
        image_chw : as for `denoiser`.
        noisy_hw : the x_t that the step began from, in mask units.
        timestep : t of the step.
        settings, member, hint_hw : those of the run, as for `denoiser`.
        """
        network = self._inferring()
        noisy = torch.from_numpy(noisy_hw.copy())[None, None].to(self.device.name)
        bar = float(alpha_bars(self.spec.schedule, self.spec.timesteps)[timestep])
        numbers = views_of([member], settings.views)
        scaled = network_input(mirrored(noisy, numbers), bar, self.spec.mask_scale)
        moments = network.inspect(
            self._image_given(network, image_chw, numbers),
            self._time_given(network, scaled, timestep),
            scaled,
            self._chance(settings.seed, [member], timestep),
            self._steering(settings, [member], numbers, image_chw, hint_hw),
        )

        def following() -> Moment | None:
            return next(moments, None)

        # Gradient mode and precision are set around each update, not across the yield, where they
        # would leak into the caller.
        while (moment := self._computed(following)) is not None:
            yield moment._replace(
                state_nchw=mirrored(moment.state_nchw, numbers),
                fires_n1hw=mirrored(moment.fires_n1hw, numbers),
            )

    def _steering(
        self,
        settings: SampleSettings,
        members: Sequence[int],
        numbers: Sequence[int],
        image_chw: Float,
        hint_hw: Float | None,
    ) -> Steering | None:
        """What the members, in the views of those numbers, are told; None for other networks."""
        if not self.spec.steerable:
            return None
        place, known = self.device.name, get_args(Tool)
        styles = styles_of(members, self.spec, settings.style)
        rows = [[float(tool == each) for each in known] + [settings.width] for tool in styles]
        shape = tuple(side // self.spec.pixels_per_cell for side in image_chw.shape[1:])
        hint = torch.zeros(shape) if hint_hw is None else torch.from_numpy(hint_hw.copy())
        hint_n1hw = mirrored(hint.expand(len(members), 1, *shape), numbers)
        return Steering(torch.tensor(rows, device=place), hint_n1hw.to(place))

    def _predict(
        self,
        network: Network,
        seed: int,
        members: Sequence[int],
        steering: Steering | None,
    ) -> Callable[[Tensors, Tensors, Tensor, int], Tensor]:
        """A function (image_given, time_given, x_t, timestep) → prediction, (n, 1, rows, columns).

        The prediction is float32. On the CPU the members are divided among the worker threads.
        """

        @torch.no_grad()
        def some(
            part: tuple[Tensors, Tensors, Tensor, int, Sequence[int], Steering | None],
        ) -> Tensor:
            image_given, time_given, noisy, timestep, which, told = part
            with self._precision():
                chance = self._chance(seed, which, timestep)
                outputs = network.predict(image_given, time_given, noisy, chance, told)
                return outputs.prediction_n1hw.float()

        def together(
            image_given: Tensors, time_given: Tensors, noisy: Tensor, timestep: int
        ) -> Tensor:
            return some((image_given, time_given, noisy, timestep, members, steering))

        def shared(
            image_given: Tensors, time_given: Tensors, noisy: Tensor, timestep: int
        ) -> Tensor:
            count = min(len(members), worker_count())
            which = (list(part) for part in np.array_split(members, count))
            images, times = _parts(image_given, count), _parts(time_given, count)
            noisies = noisy.tensor_split(count)
            told: Iterable[Steering | None] = repeat(None, count)
            if steering is not None:
                told = [Steering(*part) for part in _parts(steering, count)]
            whole = zip(images, times, noisies, repeat(timestep, count), which, told, strict=True)
            return torch.cat(share_out(some, list(whole)))

        return shared if self.device.name == "cpu" else together

    def _inferring(self) -> Network:
        """The network's fastest form for the device, made again once its weights have changed."""
        # torch counts the changes of a tensor in place as its version.
        versions = [weight._version for weight in self.network.parameters()]
        if self._fast is None or self._fast[0] != versions:
            made = self._computed(lambda: self.network.inferring(self.device))
            self._fast = versions, made
        return self._fast[1]

    def _image_given(self, network: Network, image_chw: Float, numbers: Sequence[int]) -> Tensors:
        """`Network.condition` of the image in the views of those numbers, one row for each number.

        It is computed once for each view of an image, however many rounds of members there are.
        """
        cached, made = self._conditions, self._fast
        if cached is None or cached[0] is not made or cached[1] is not image_chw:
            cached = self._conditions = made, image_chw, {}
        # Not read from `self` again: another thread may begin with another image meanwhile.
        known = cached[2]
        for view in sorted(set(numbers) - known.keys()):
            image = mirrored(self._image(image_chw), [view])
            known[view] = self._computed(partial(network.condition, image))
        rows = zip(*(known[view] for view in numbers), strict=True)
        return tuple(torch.cat(row) for row in rows)

    def _time_given(self, network: Network, noisy_n1hw: Tensor, timestep: int) -> Tensors:
        """`Network.time_condition`, computed once and expanded to one row for each member."""
        time = torch.full((1,), timestep / self.spec.timesteps, device=noisy_n1hw.device)
        grid = (noisy_n1hw.shape[2], noisy_n1hw.shape[3])
        conditions = self._computed(partial(network.time_condition, time, grid))
        return tuple(each.expand(len(noisy_n1hw), *each.shape[1:]) for each in conditions)

    def _image(self, image_chw: Float) -> Tensor:
        """An image in [0, 1] as the network takes it: (1, 3, rows, columns) in [−1, 1]."""
        tensor = torch.from_numpy(np.array(image_chw, dtype=np.float32))
        return (tensor * 2 - 1)[None].to(self.device.name)

    def _chance(self, seed: int, members: Sequence[int], timestep: int) -> Chance:
        """The source of the network's random numbers in one diffusion step of these members."""

        def chance(first: int, second: int, shape: tuple[int, int]) -> Tensor:
            return noise.uniform(seed, members, timestep, (first, second), shape)

        return chance

    def _computed(self, act: Callable[[], _Result]) -> _Result:
        """Call `act` without gradients in the device's precision, on the CPU in a worker thread."""

        @torch.no_grad()
        def acting() -> _Result:
            with self._precision():
                return act()

        return alone(acting) if self.device.name == "cpu" else acting()

    def _precision(self) -> AbstractContextManager[object]:
        """Sets the precision of products on a GPU; on the CPU the network sets its own."""
        low = self.device.name == "cuda" and self.device.precision == "bfloat16"
        return torch.autocast("cuda", torch.bfloat16) if low else nullcontext()


def _parts(tensors: Tensors, count: int) -> list[Tensors]:
    """The tensors, whose rows are members, divided into `count` parts of members."""
    split = [each.tensor_split(count) for each in tensors]
    return [tuple(each[place] for each in split) for place in range(count)]


def save(path: Path, model: Model) -> None:
    """Write a model's weights and spec to `path` as one file, atomically."""
    state = model.network.state_dict()
    arrays = {name: tensor.cpu().numpy() for name, tensor in state.items()}
    checkpoint.write(path, arrays, model.spec)


def load(path: Path, device: Device = "auto", precision: str = "auto") -> Model:
    """Load a model from its file, ready to run.

    Parameters
    ----------
    path : a model file.
    device, precision : as for `engine.networks.device.choose`.

    Raises
    ------
    UnreadableModel : if the file cannot be used.
    MissingExtra : if the network needs packages that are not installed.
    ValueError : if "cuda" is asked for and cannot be used.
    """
    chosen = choose(device, precision)
    spec, arrays = checkpoint.read(path)
    try:
        # Checked before the network is built: a false description could ask for gigabytes.
        if sum(array.size for array in arrays.values()) != stored_count(spec):
            raise TypeError("other parameters than described")
        network = build(spec)
        network.load_state_dict({name: torch.from_numpy(a) for name, a in arrays.items()})
    except MissingExtra:
        raise
    except ValueError as error:
        # Of a network that another program runs.
        raise UnreadableModel(path, str(error)) from error
    except (EngineError, RuntimeError, TypeError) as error:
        raise UnreadableModel(path, "its weights do not fit its description") from error
    return Model(network, chosen, checkpoint.fingerprint(spec, arrays))
