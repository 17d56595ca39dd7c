"""Draws the batches of optimizer steps: samples, their augmentation, noise and timesteps."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

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
from engine.networks.network import Chance
from engine.training import parallel
from engine.training.augmentation import occluded, recolour, square
from engine.types import Image, ModelSpec, Sample, TrainSettings


@dataclass(frozen=True, eq=False)
class Batch:
    """This process's samples of one optimizer step, on the CPU.

    Parameters
    ----------
    image_n3hw : pictures in [0, 1], with `spec.pixels_per_cell` pixels to a cell's side.
    share_n1hw : true share of lesion in each cell, [0, 1].
    noise_n1hw : standard normal.
    timestep_n : t, in 1 … spec.timesteps.
    recycled : of the first so many x_t is made from the network's own guess instead of the truth.
    draws : the random generators of the samples, for whatever else is drawn.
    """

    image_n3hw: Tensor
    share_n1hw: Tensor
    noise_n1hw: Tensor
    timestep_n: Tensor
    recycled: int
    draws: tuple[torch.Generator, ...]

    def only(self, part: slice) -> Batch:
        """The samples of a slice with a positive step, with their generators."""
        places = range(len(self.draws))[part]
        return Batch(
            self.image_n3hw[part],
            self.share_n1hw[part],
            self.noise_n1hw[part],
            self.timestep_n[part],
            sum(place < self.recycled for place in places),
            self.draws[part],
        )

    def chance_for(self, _purpose: int) -> Chance:
        """Draws uniform random numbers as a `Chance` does, but new ones at every call."""

        def chance(_first: int, _second: int, shape: tuple[int, int]) -> Tensor:
            return torch.stack([torch.rand(1, *shape, generator=draw) for draw in self.draws])

        return chance


class Chosen(NamedTuple):
    """What decides a batch; batches of the same `shapes` are drawn by the same operations."""

    shapes: Hashable
    samples: list[tuple[int, int]]


class BatchSource:
    """Draws batches from samples, which it holds decoded in memory at the size of the views.

    Each sample draws from a random generator with an address of its own, so neither the number of
    processes nor that of threads changes what is drawn.

    Parameters
    ----------
    samples : what is trained on.
    spec : the network's.
    settings : those of the training.

    Raises
    ------
    UnreadableImage, UnreadableMask : if a file of a sample cannot be read.
    """

    def __init__(self, samples: Sequence[Sample], spec: ModelSpec, settings: TrainSettings) -> None:
        self.spec, self.settings = spec, settings
        # Views are sampled at twice their size and averaged, unless a cell is given several pixels
        # anyway.
        self._finer = 2 if spec.pixels_per_cell == 1 else 1
        square_frame = spec.framing == "square"
        # Resized to a square and not augmented, it is seen as inference sees it: as it is.
        self._whole = square_frame and not settings.augment
        if self._whole:
            self._finer = 1
        side = self._finer * spec.pixels_per_cell * settings.size
        self._pictures = [picture(sample, side, square_frame) for sample in samples]

    def draw(self, step: int) -> Batch:
        """This process's samples of a step, counted from 0."""
        return self.drawn(self.choose(step))

    def choose(self, step: int) -> Chosen:
        """What decides the batch of a step."""
        return Chosen((), self._chosen(step))

    def drawn(self, chosen_: Chosen) -> Batch:
        """The batch that was chosen."""
        settings, spec, chosen = self.settings, self.spec, chosen_.samples
        draws = tuple(generator(settings.seed, index, Purpose.START) for index, _ in chosen)
        numbers = [number for _, number in chosen]
        views = share_out(self._view, list(zip(numbers, draws, strict=True)))
        images, shares = (torch.stack(whole) for whole in zip(*views, strict=True))
        share = torch.stack([torch.rand(2, generator=draw) for draw in draws])[:, 0]
        if settings.timesteps_drawn == "root":
            # The square root favours timesteps near pure noise, where the mask must come from the
            # picture alone.
            share = share.sqrt()
        timestep = share.mul(spec.timesteps).ceil().long()
        shape = (1, settings.size, settings.size)
        return Batch(
            image_n3hw=images,
            share_n1hw=shares,
            noise_n1hw=torch.stack([torch.randn(shape, generator=draw) for draw in draws]),
            timestep_n=timestep.clamp(1, spec.timesteps),
            recycled=round(settings.recycle * len(draws)),
            draws=draws,
        )

    def _chosen(self, step: int) -> list[tuple[int, int]]:
        """The samples of a step as (place in the run, number of the sample).

        Every sample comes once before any comes again.
        """
        size, count = self.settings.batch_size, len(self._pictures)
        mine = range(step * size + parallel.rank(), (step + 1) * size, parallel.size())
        seed = self.settings.seed
        return [(index, _order(seed, index // count, count)[index % count]) for index in mine]

    def _view(self, drawn: tuple[int, torch.Generator]) -> tuple[Tensor, Tensor]:
        """The augmented picture and mask of (number of the sample, its generator).

        Both are float32 in [0, 1], the picture (3, …) in pixels, the mask (1, …) in cells.
        """
        number, draw = drawn
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
    """The order of the samples in one epoch, the `turn`-th."""
    order = generator(seed, turn, Purpose.ANCESTRAL)
    numbers: list[int] = torch.randperm(count, generator=order).tolist()
    return numbers


def picture(sample: Sample, size: int, square_frame: bool = False) -> Tensor:
    """Picture and mask of a sample on a grid with an area of size² cells, uint8 (4, rows, columns).

    Raises UnreadableImage and UnreadableMask.
    """
    image, mask_hw, frame = _opened(sample, size, square_frame)
    both = np.concatenate([frame.apply(image.pixels_hwc), frame.apply_mask(mask_hw)[None]])
    return torch.from_numpy((both * 255).round().astype(np.uint8))


def reference(
    sample: Sample, size: int, detail: int, square_frame: bool = False
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Picture and mask of a sample on a model's grid, for validation.

    Parameters
    ----------
    sample : whose files are read.
    size : the model's size in cells.
    detail : side of a cell in pixels of the picture.

    Returns
    -------
    The picture, float32 (3, detail × rows, detail × columns) in [0, 1], and the mask, bool
    (rows, columns).
    """
    image, mask_hw, frame = _opened(sample, size, square_frame)
    return frame.apply(image.pixels_hwc, detail), frame.apply_mask(mask_hw) >= 0.5


def _opened(
    sample: Sample, size: int, square_frame: bool
) -> tuple[Image, NDArray[np.bool_], Frame]:
    """A sample's image and mask as read from its files, and the frame to a grid of that size."""
    image = read_image(sample.image_path)
    shape = (image.height, image.width)
    return image, read_mask(sample.mask_path, shape), Frame(*shape, size, square_frame)
