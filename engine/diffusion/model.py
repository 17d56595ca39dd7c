"""A network ready to run: weights, spec, device and precision behind one small door."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import repeat

import numpy as np
import torch
from torch import Tensor

from engine.diffusion import noise
from engine.diffusion.schedule import alpha_bars, clean_from, network_input
from engine.networks.automaton.cell import Automaton, Fires, Moment
from engine.networks.automaton.fast import fast
from engine.networks.device import DeviceChoice, alone, share_out, worker_count
from engine.types import Float, ModelSpec

#: x_t (n, 1, rows, columns) and t → the clean mask believed in, in [−mask_scale, mask_scale].
Denoiser = Callable[[Tensor, int], Tensor]

#: The views that members take in turn, as the axes that are mirrored.
VIEWS: tuple[tuple[int, ...], ...] = ((), (-1,), (-2,), (-2, -1))


def mirrored(pictures_nchw: Tensor, members: Sequence[int]) -> Tensor:
    """Each member's picture as that member sees it; twice is the picture itself.

    Member k takes view k mod 4. A lesion has no up and down, but a network has habits: where
    members that see it mirrored disagree, it is to be doubted, and their mean is better than each.
    """
    views = [VIEWS[member % len(VIEWS)] for member in members]
    if len(set(views)) == 1:
        return pictures_nchw.flip(views[0]) if views[0] else pictures_nchw
    pairs = zip(pictures_nchw, views, strict=True)
    return torch.stack([picture.flip(view) for picture, view in pairs])


class Model:
    """A trained network as the sampler and the window hold it; an opaque handle outside.

    Parameters
    ----------
    network : its parameters are moved to the device and no longer trained.
    fingerprint : as `engine.networks.checkpoint` makes it, or "" for a network not from a file.
    """

    def __init__(self, network: Automaton, device: DeviceChoice, fingerprint: str = "") -> None:
        self.spec: ModelSpec = network.spec
        self.device = device
        self.fingerprint = fingerprint
        self.network = network.to(device.name).eval()
        self.network.requires_grad_(False)
        #: How often each weight had been changed, and the network made of them then.
        self._fast: tuple[list[int], Automaton] | None = None

    def denoiser(self, image_chw: Float, seed: int, members: Sequence[int]) -> Denoiser:
        """What the sampler asks at each step, for some members of one image.

        `image_chw` is float32 in [0, 1], (3, rows, columns) of the grid times `spec.detail`. The
        firing of every member's cells comes from its own address, so a member's answer does not
        depend on the others.
        """
        image = mirrored(self._image(image_chw).expand(len(members), -1, -1, -1), members)
        bars = alpha_bars(self.spec.schedule, self.spec.timesteps)
        answer = self._answer(seed, members)

        def predict_clean(noisy_n1hw: Tensor, timestep: int) -> Tensor:
            bar = float(bars[timestep])
            given, time = self._given(mirrored(noisy_n1hw, members), timestep)
            output = mirrored(answer(image, given, time, timestep), members)
            clean = clean_from(output, noisy_n1hw, bar, self.spec.predicts, self.spec.mask_scale)
            # What overflowed would be clipped to a mask; 0 × infinity stays to be seen.
            return clean + 0 * output

        return predict_clean

    def evolve(
        self, image_chw: Float, noisy_hw: Float, timestep: int, seed: int, member: int
    ) -> Iterator[Moment]:
        """Every moment of the automaton in one step of one member, replayed from its x_t."""
        noisy = torch.from_numpy(noisy_hw.copy())[None, None].to(self.device.name)
        given, time = self._given(mirrored(noisy, [member]), timestep)
        image = mirrored(self._image(image_chw), [member])
        fires = self._fires(seed, [member], timestep)
        moments = self._inferring().evolve(image, given, time, fires)

        @torch.no_grad()
        def following() -> Moment | None:
            # Around each update: between two moments the caller computes as it likes.
            with self._precision():
                return next(moments, None)

        while True:
            moment = alone(following) if self.device.name == "cpu" else following()
            if moment is None:
                return
            yield moment._replace(
                state_nchw=mirrored(moment.state_nchw, [member]),
                fires_n1hw=mirrored(moment.fires_n1hw, [member]),
            )

    def _answer(self, seed: int, members: Sequence[int]) -> Callable[..., Tensor]:
        """(image, x_t, t, timestep) → channel 0 of the last state, (n, 1, rows, columns) float32.

        On the CPU the members are shared out among threads that compute alone.
        """
        network = self._inferring()

        @torch.no_grad()
        def some(asked: tuple[tuple[Tensor, ...], int, Sequence[int]]) -> Tensor:
            (image, noisy, time), timestep, which = asked
            with self._precision():
                fires = self._fires(seed, which, timestep)
                return network.answer(image, noisy, time, fires).float()

        def together(image: Tensor, noisy: Tensor, time: Tensor, timestep: int) -> Tensor:
            return some(((image, noisy, time), timestep, members))

        def shared(image: Tensor, noisy: Tensor, time: Tensor, timestep: int) -> Tensor:
            count = min(len(members), worker_count())
            given = zip(*(whole.tensor_split(count) for whole in (image, noisy, time)), strict=True)
            which = (list(part) for part in np.array_split(members, count))
            asked = list(zip(given, repeat(timestep, count), which, strict=True))
            return torch.cat(share_out(some, asked))

        return shared if self.device.name == "cpu" else together

    def _inferring(self) -> Automaton:
        """The network as the device computes it fastest; made anew after a run has trained it."""
        if self.device.name != "cpu":
            return fast(self.network, self.device)
        # Torch counts every change of a tensor in place.
        versions = [weight._version for weight in self.network.parameters()]
        if self._fast is None or self._fast[0] != versions:
            self._fast = versions, alone(fast, self.network, self.device)
        return self._fast[1]

    def _image(self, image_chw: Float) -> Tensor:
        tensor = torch.from_numpy(np.array(image_chw, dtype=np.float32))
        return (tensor * 2 - 1)[None].to(self.device.name)

    def _given(self, noisy_n1hw: Tensor, timestep: int) -> tuple[Tensor, Tensor]:
        spec = self.spec
        bar = float(alpha_bars(spec.schedule, spec.timesteps)[timestep])
        time = torch.full((len(noisy_n1hw),), timestep / spec.timesteps, device=noisy_n1hw.device)
        return network_input(noisy_n1hw, bar, spec.mask_scale), time

    def _fires(self, seed: int, members: Sequence[int], timestep: int) -> Fires:
        probability = self.spec.fire_probability

        def fires(level: int, update: int, shape: tuple[int, int]) -> Tensor:
            drawn = noise.fires(seed, members, timestep, level, update, shape, probability)
            return drawn.to(self.device.name)

        return fires

    def _precision(self) -> AbstractContextManager[object]:
        """On a GPU the products are told their precision here; fast cells know theirs."""
        low = self.device.name == "cuda" and self.device.precision == "bfloat16"
        return torch.autocast("cuda", torch.bfloat16) if low else nullcontext()
