"""What an optimizer step learns from; every sample draws from its own address, whoever takes it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - torch's own name for it
from numpy.typing import NDArray
from torch import Tensor

from engine.diffusion.noise import Purpose, generator
from engine.framing import Frame
from engine.images.reading import read_image
from engine.masks.reading import read_mask
from engine.networks.device import share_out
from engine.training import parallel
from engine.training.augmentation import occluded, recolour, square
from engine.types import Image, ModelSpec, Sample, TrainSettings


@dataclass(frozen=True, eq=False)
class Batch:
    """This process's samples of one step, n of them, on the CPU.

    `image_n3hw`, with `spec.pixels_per_cell` pixels to a cell's side, and `share_n1hw` (the share
    of lesion in each cell) are in [0, 1], `noise_n1hw` is standard normal, `timestep_n` in 1 …
    spec.timesteps. Where `recycled_n` is true, x_t is to hold the network's own guess. `draws` are
    the samples' generators, for whatever else is drawn.
    """

    image_n3hw: Tensor
    share_n1hw: Tensor
    noise_n1hw: Tensor
    timestep_n: Tensor
    recycled_n: Tensor
    draws: tuple[torch.Generator, ...]

    def only(self, places_k: Tensor) -> Batch:
        """Some of the samples, with the same generators."""
        return Batch(
            self.image_n3hw[places_k],
            self.share_n1hw[places_k],
            self.noise_n1hw[places_k],
            self.timestep_n[places_k],
            self.recycled_n[places_k],
            tuple(self.draws[i] for i in places_k.tolist()),
        )

    def chance(self, _first: int, _second: int, shape: tuple[int, int]) -> Tensor:
        """A `Chance`: every draw is a new one, whatever its place."""
        return torch.stack([torch.rand(1, *shape, generator=draw) for draw in self.draws])


class BatchSource:
    """The samples of a split, held decoded in memory at the size that views are sampled at."""

    def __init__(self, samples: Sequence[Sample], spec: ModelSpec, settings: TrainSettings) -> None:
        """Raises UnreadableImage and UnreadableMask."""
        self.spec, self.settings = spec, settings
        # Where a cell is told its mean alone, sampled finer; details are the finer samples.
        self._finer = 2 if spec.pixels_per_cell == 1 else 1
        square_frame = spec.framing == "square"
        # Resized to a square and not augmented, it is seen as inference sees it: as it is.
        self._whole = square_frame and not settings.augment
        if self._whole:
            self._finer = 1
        side = self._finer * spec.pixels_per_cell * settings.size
        self._pictures = [picture(sample, side, square_frame) for sample in samples]

    def draw(self, step: int) -> Batch:
        """This process's share of the samples of a step, counted from 0."""
        settings, spec = self.settings, self.spec
        chosen = self._chosen(step)
        draws = tuple(generator(settings.seed, index, Purpose.START) for index, _ in chosen)
        numbers = [number for _, number in chosen]
        views = share_out(self._view, list(zip(numbers, draws, strict=True)))
        images, shares = (torch.stack(whole) for whole in zip(*views, strict=True))
        uniform = torch.stack([torch.rand(2, generator=draw) for draw in draws])
        share = uniform[:, 0]
        if settings.timesteps_drawn == "root":
            # More of the steps near pure noise, where the whole mask must come from the picture.
            share = share.sqrt()
        timestep = share.mul(spec.timesteps).ceil().long()
        shape = (1, settings.size, settings.size)
        return Batch(
            image_n3hw=images,
            share_n1hw=shares,
            noise_n1hw=torch.stack([torch.randn(shape, generator=draw) for draw in draws]),
            timestep_n=timestep.clamp(1, spec.timesteps),
            recycled_n=uniform[:, 1] < settings.recycle,
            draws=draws,
        )

    def _chosen(self, step: int) -> list[tuple[int, int]]:
        """(place in the run, number of the sample): each sample once before any comes again."""
        size, count = self.settings.batch_size, len(self._pictures)
        mine = range(step * size + parallel.rank(), (step + 1) * size, parallel.size())
        seed = self.settings.seed
        return [(index, _order(seed, index // count, count)[index % count]) for index in mine]

    def _view(self, asked: tuple[int, torch.Generator]) -> tuple[Tensor, Tensor]:
        """A picture and its mask on the training grid, float32 (3 and 1, …) in [0, 1]."""
        number, draw = asked
        whole, detail = self._pictures[number] / 255, self.spec.pixels_per_cell
        size, finer = detail * self.settings.size, self._finer
        if self.settings.augment:
            view = occluded(square(whole, size, draw, finer), draw, detail)
            image = recolour(view[:3], draw)
        else:
            view = whole if self._whole else square(whole, size, None, finer)
            image = view[:3]
        return image, F.avg_pool2d(view[3:], detail)


@lru_cache(maxsize=4)
def _order(seed: int, turn: int, count: int) -> list[int]:
    """The samples in the order of one turn through all of them."""
    order = generator(seed, turn, Purpose.ANCESTRAL)
    numbers: list[int] = torch.randperm(count, generator=order).tolist()
    return numbers


def picture(sample: Sample, size: int, square_frame: bool = False) -> Tensor:
    """Picture and mask on a grid of `size`² cells, uint8 (4, rows, columns)."""
    image, mask_hw, frame = _opened(sample, size, square_frame)
    both = np.concatenate([frame.apply(image.pixels_hwc), frame.apply_mask(mask_hw)[None]])
    return torch.from_numpy((both * 255).round().astype(np.uint8))


def reference(
    sample: Sample, size: int, detail: int, square_frame: bool = False
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Picture, float32 in [0, 1], and mask, bool (rows, columns), as a model of that size has them.

    The picture is (3, detail × rows, detail × columns).
    """
    image, mask_hw, frame = _opened(sample, size, square_frame)
    return frame.apply(image.pixels_hwc, detail), frame.apply_mask(mask_hw) >= 0.5


def _opened(
    sample: Sample, size: int, square_frame: bool
) -> tuple[Image, NDArray[np.bool_], Frame]:
    image = read_image(sample.image_path)
    shape = (image.height, image.width)
    return image, read_mask(sample.mask_path, shape), Frame(*shape, size, square_frame)
