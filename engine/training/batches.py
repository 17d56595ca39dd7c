"""Draws the batches of optimizer steps: samples, their augmentation, noise and timesteps."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from typing import Any, NamedTuple, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.diffusion import philox
from engine.diffusion.noise import Purpose
from engine.framing import Frame
from engine.images.reading import read_image
from engine.masks.reading import read_mask
from engine.networks.device import share_out, worker_count
from engine.networks.network import Chance
from engine.study.styles import style_shares
from engine.training import outline, parallel, steering
from engine.training.augmentation import NUMBERS, Augmentation, pooled
from engine.types import Image, ModelSpec, Sample, Tool, TrainSettings

#: The chance of at least so many updates, and of about so many cells, is drawn in one call: on a
#: small grid a call costs more than its numbers.
UPDATES_TOGETHER, CELLS_TOGETHER = 8, 4096
#: The most pixels of views that a thread makes at a time: more of them leave its cache.
PIXELS_IN_PART = 280**2
#: Margins of a picture without a lesion: wider than any view.
NO_LESION = 8.0


@dataclass(frozen=True, eq=False)
class Batch:
    """This process's samples of one optimizer step, on the device of the training.

    Parameters
    ----------
    image_n3hw : pictures in [0, 1], with `spec.pixels_per_cell` pixels to a cell's side.
    share_n1hw : true share of lesion in each cell, [0, 1].
    noise_n1hw : standard normal.
    timestep_n : t, in 1 … spec.timesteps.
    style_n5 : what the network is told of the style, as in `engine.networks.network.Steering`.
    sample_n : int64, the place of each sample in the run: the address of whatever else is drawn.
    recycled : of so many samples, the first ones, x_t is made from the network's own guess instead
        of the truth.
    seed : that of the run.
    """

    image_n3hw: Tensor
    share_n1hw: Tensor
    noise_n1hw: Tensor
    timestep_n: Tensor
    style_n5: Tensor
    sample_n: Tensor
    recycled: int
    seed: int

    def __len__(self) -> int:
        return len(self.sample_n)

    def only(self, part: slice) -> Batch:
        """The samples of a part, in the order of the batch."""
        taken: dict[str, Any] = {
            each.name: value[part]
            for each in fields(self)
            if isinstance(value := getattr(self, each.name), Tensor)
        }
        recycled = sum(place < self.recycled for place in range(len(self))[part])
        return replace(self, recycled=recycled, **taken)

    def chance_for(self, purpose: Purpose) -> Chance:
        """A `Chance` for one run of the network, on the device of the batch.

        The numbers of a place are always the same. A second run in the same step needs another
        purpose.
        """

        @lru_cache(maxsize=1)
        def together(first: int, block: int, several: int, shape: tuple[int, int]) -> Tensor:
            place, whole = (first, block), (several, 1, *shape)
            return philox.uniform(self.seed, self.sample_n, purpose, place, whole)

        def chance(first: int, second: int, shape: tuple[int, int]) -> Tensor:
            several = max(UPDATES_TOGETHER, CELLS_TOGETHER // (shape[0] * shape[1]))
            block, within = divmod(second, several)
            return together(first, block, several, shape)[:, within]

        return chance


class Form(NamedTuple):
    """What steps have in common that take the same operations, with the same shapes.

    `group` is the number of the group that all samples of the step belong to, `turned` whether the
    views lie on their side.
    """

    group: int
    turned: bool


class Choice(NamedTuple):
    """Which samples a step has, before anything of them is drawn.

    Parameters
    ----------
    form : the group and how its views lie.
    number_n : the numbers of the samples within their group, int64.
    sample_n : their places in the run, int64.
    recycled : as in `Batch`.
    """

    form: Form
    number_n: Tensor
    sample_n: Tensor
    recycled: int


class BatchSource:
    """Draws batches from samples, which it holds decoded on the device at the size of the views.

    All samples of a step have one grid shape, that of inference, so nothing of a picture is cut or
    stretched. Groups of samples with one shape take their turns, spread evenly, in proportion to
    their numbers. In every second step of a group that is not square the grid lies on its side.

    Whatever is drawn for a sample has an address of its own, so that neither the number of
    processes nor that of threads, nor the device, changes it.

    Parameters
    ----------
    samples : what is trained on.
    spec : the network's.
    settings : those of the training.
    device : where batches are drawn.

    Raises
    ------
    UnreadableImage, UnreadableMask : if a file of a sample cannot be read.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        spec: ModelSpec,
        settings: TrainSettings,
        device: str | torch.device = "cpu",
    ) -> None:
        self.spec, self.settings, self.device = spec, settings, torch.device(device)
        found = defaultdict[tuple[int, int], list[_Held]](list)
        for sample in samples:
            shape, picture_4hw = self._picture(sample)
            found[shape].append(_Held(picture_4hw, steering.tool_number(sample)))
        self._groups = [
            _Group(shape, held, spec.steerable, self.device) for shape, held in found.items()
        ]
        #: By what shares tools are told; None where they are those of the samples.
        self._shares_4: Tensor | None = None
        if spec.styles and not style_shares(samples):
            # Masks of which no tool is known are a person's own: they hold in every style, or the
            # members of an ensemble, who take all of them, would not have learned from these.
            shares = [spec.styles.get(tool, 0.0) for tool in get_args(Tool)]
            self._shares_4 = torch.tensor(shares, device=self.device)
        self._slots = _slots([group.count for group in self._groups])
        #: By form; none if nothing is augmented.
        self._augmentations = {
            Form(number, turned): self._augmentation(group, turned)
            for number, group in enumerate(self._groups)
            for turned in (False, True)
            if settings.augment and (group.oblong or not turned)
        }

    def _picture(self, sample: Sample) -> tuple[tuple[int, int], NDArray[np.uint8]]:
        """The shape of a sample's group, and its picture and mask, uint8 (4, rows, columns)."""
        settings = self.settings
        image, mask_hw, frame = _opened(sample, settings.size, self.spec.framing == "square")
        detail = self._finer * self.spec.pixels_per_cell
        pixels_3hw, share_hw = (
            frame.apply(image.pixels_hwc, detail),
            frame.apply_mask(mask_hw, detail),
        )
        held_hw = outline.coded(share_hw) if self.spec.steerable else _bytes(share_hw)
        picture_4hw = np.concatenate([_bytes(pixels_3hw), held_hw[None]])
        rows, columns = frame.grid_shape
        if rows <= columns or not settings.augment:
            return (rows, columns), picture_4hw
        return (columns, rows), np.rot90(picture_4hw, axes=(1, 2))

    @property
    def _finer(self) -> int:
        """How many times finer views are sampled than they are seen.

        A cell that is given several pixels sees fine enough without; what is not augmented is seen
        as inference sees it, as it is.
        """
        return 2 if self.settings.augment and self.spec.pixels_per_cell == 1 else 1

    def _augmentation(self, group: _Group, turned: bool) -> Augmentation:
        detail = self.spec.pixels_per_cell
        rows, columns = (detail * side for side in group.shape)
        return Augmentation(
            picture=(self._finer * rows, self._finer * columns),
            view=(columns, rows) if turned else (rows, columns),
            detail=detail,
            turned=turned if group.oblong else None,
            device=self.device,
            finer=self._finer,
        )

    def draw(self, step: int) -> Batch:
        """This process's samples of a step, counted from 0."""
        return self.batch(self.choose(step))

    def choose(self, step: int) -> Choice:
        """Choose the samples of a step for this process; the numbers are on the CPU.

        Every sample of a group comes once before any comes again.
        """
        size, seed = self.settings.batch_size, self.settings.seed
        cycle, slot = divmod(step, len(self._slots))
        number, turn = self._slots[slot]
        group = self._groups[number]
        turn += cycle * group.count
        mine = range(parallel.rank(), size, parallel.size())
        places = [turn * size + place for place in mine]
        orders = [_order(seed, number, place // group.count, group.count) for place in places]
        chosen = [order[at % group.count] for order, at in zip(orders, places, strict=True)]
        return Choice(
            Form(number, turn % 2 == 1 and Form(number, True) in self._augmentations),
            number_n=torch.tensor(chosen),
            sample_n=step * size + torch.tensor(mine),
            # The same samples for every number of processes.
            recycled=sum(place < self._recycled for place in mine),
        )

    @property
    def _recycled(self) -> int:
        """How many samples of a step are recycled; none where the network sees no noise."""
        share = self.settings.recycle if self.spec.sees_noise else 0.0
        return int(share * self.settings.batch_size + 0.5)

    def batch(self, choice: Choice) -> Batch:
        """Draw the batch of a choice, whose numbers may be on the device already.

        Choices of one form take the same operations, none of which waits for the device.
        """
        settings, spec = self.settings, self.spec
        number_n, sample_n = (each.to(self.device) for each in (choice.number_n, choice.sample_n))
        augmented = choice.form in self._augmentations
        # The first number is the timestep's.
        place, count = (0, 0), (1 + NUMBERS * augmented,)
        numbers_nk = philox.uniform(settings.seed, sample_n, Purpose.VIEW, place, count)
        tool_n = self._groups[choice.form.group].tool_n[number_n]
        style_n5 = steering.style(settings.seed, sample_n, tool_n, self._shares_4)
        views_n4hw = self._views(choice.form, number_n, numbers_nk[:, 1:], style_n5[:, -1])
        share_n1hw = pooled(views_n4hw[:, 3:], spec.pixels_per_cell)
        timed_n = numbers_nk[:, 0]
        if settings.timesteps_drawn == "root":
            # The square root favours timesteps near pure noise, where the mask must come from the
            # picture alone.
            timed_n = timed_n.sqrt()
        timestep_n = timed_n.mul(spec.timesteps).ceil().long().clamp(1, spec.timesteps)
        shape = share_n1hw.shape[1:]
        return Batch(
            image_n3hw=views_n4hw[:, :3],
            share_n1hw=share_n1hw,
            noise_n1hw=philox.normal(settings.seed, sample_n, Purpose.START, place, shape),
            timestep_n=timestep_n,
            style_n5=style_n5,
            sample_n=sample_n,
            recycled=choice.recycled,
            seed=settings.seed,
        )

    def _views(self, form: Form, number_n: Tensor, numbers_nk: Tensor, width_n: Tensor) -> Tensor:
        """The views of samples of a group, float32 (n, 4, rows, columns) in [0, 1].

        On a CPU the worker threads make parts of them.
        """
        group, augmentation = self._groups[form.group], self._augmentations.get(form)

        changes = None
        if augmentation is not None:
            changes = augmentation.changes(group.margins_n22[number_n], numbers_nk)

        outwards_n = outline.REACH * width_n * group.radius_n[number_n]
        coded = self.spec.steerable

        def seen(part: slice) -> Tensor:
            pictures_k4hw, moved_k = group.pictures_n4hw[number_n[part]], outwards_n[part]
            if augmentation is not None and changes is not None:
                moved = moved_k if coded else None
                return augmentation.views(pictures_k4hw, changes.only(part), moved)
            view_k4hw = pictures_k4hw.float().div_(255)
            if coded:
                shape = (pictures_k4hw.shape[2], pictures_k4hw.shape[3])
                share_k1hw = outline.share_of(view_k4hw[:, 3:], shape, moved_k)
                view_k4hw[:, 3:] = share_k1hw
            return view_k4hw

        if self.device.type != "cpu":
            return seen(slice(None))
        n, pixels = len(number_n), group.pictures_n4hw[0, 0].numel()
        most = max(1, min(-(-n // worker_count()), PIXELS_IN_PART // pixels))
        parts = [slice(begin, begin + most) for begin in range(0, n, most)]
        return torch.cat(share_out(seen, parts))


class _Held(NamedTuple):
    """A sample as it is held: its picture and mask, uint8 (4, rows, columns), and its tool."""

    picture_4hw: NDArray[np.uint8]
    tool: int


class _Group:
    """Samples with one grid shape, lying on its longer side if they may be turned.

    Parameters
    ----------
    shape : (rows, columns) of the grid, in cells.
    held : the samples.
    coded : whether their masks are held as distances (`engine.training.outline`).
    device : where they are held.
    """

    def __init__(
        self, shape: tuple[int, int], held: Sequence[_Held], coded: bool, device: torch.device
    ) -> None:
        self.shape, self.count = shape, len(held)
        masks = [each.picture_4hw[3] for each in held]
        widest = [outline.widest(mask) if coded else mask > 0 for mask in masks]
        self.pictures_n4hw = torch.from_numpy(np.stack([e.picture_4hw for e in held])).to(device)
        self.margins_n22 = torch.from_numpy(np.stack([margins(each) for each in widest])).to(device)
        self.tool_n = torch.tensor([each.tool for each in held], device=device)
        self.radius_n = torch.tensor(
            [outline.radius(mask) if coded else 0.0 for mask in masks], device=device
        )

    @property
    def oblong(self) -> bool:
        """Whether the grid is no square."""
        return self.shape[0] != self.shape[1]


def margins(mask_hw: NDArray[np.bool_]) -> NDArray[np.float32]:
    """How far a lesion is from the picture's borders, float32 (2, 2), as `placement` takes it.

    A pixel less, because views are interpolated between pixels.
    """
    found = []
    for axis in (0, 1):
        places = np.flatnonzero(mask_hw.any(axis=axis))
        cells = mask_hw.shape[1 - axis]
        if len(places):
            ends = np.array([places[0], cells - 1 - places[-1]])
            found.append(2 * np.maximum(ends - 1, 0) / cells)
        else:
            found.append(np.full(2, NO_LESION))
    return np.stack(found).astype(np.float32)


def _bytes(numbers: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Numbers in [0, 1] as shares of 255."""
    whole: NDArray[np.uint8] = (numbers * 255).round().astype(np.uint8)
    return whole


def _slots(counts: Sequence[int]) -> list[tuple[int, int]]:
    """A cycle of steps, each as (number of its group, how many of the group come before it).

    Each group has as many steps as samples, spread evenly over the cycle.
    """
    spread = [
        ((turn + 0.5) / count, group, turn)
        for group, count in enumerate(counts)
        for turn in range(count)
    ]
    return [(group, turn) for _, group, turn in sorted(spread)]


@lru_cache(maxsize=64)
def _order(seed: int, group: int, epoch: int, count: int) -> list[int]:
    """The order of a group's samples in one of its epochs."""
    epoch_1 = torch.tensor([epoch])
    drawn_n = philox.uniform(seed, epoch_1, Purpose.ORDER, (group, 0), (count,))[0]
    numbers: list[int] = drawn_n.argsort(stable=True).tolist()
    return numbers


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
