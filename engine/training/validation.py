"""Scores the weights of a training on its validation set."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from engine.diffusion.model import Model, mirrored
from engine.diffusion.sampling import denoise
from engine.metrics import dice
from engine.networks.device import rounds, share_out
from engine.networks.network import Network, Tensors
from engine.types import Float, SampleSettings

#: A picture (3, rows, columns) in [0, 1] and its mask (rows, columns) on the grid.
Reference = tuple[NDArray[np.float32], NDArray[np.bool_]]

#: The program's defaults, except that there is one member for each view: ten would take more than
#: twice as long. Judged by a single member, better weights were thrown away.
VALIDATION = SampleSettings(members=4, batch_size=4)


def scores(model: Model, references: Sequence[Reference]) -> list[float]:
    """The Dice of a model's mask of each picture, measured on the grid, in their order.

    A picture is drawn the members of `VALIDATION`, on a CPU by the next free worker, on a GPU
    beside other pictures with the same grid. Raises NotFinite.
    """
    if model.device.name == "cpu":
        # On a GPU only this thread computes: each thread has a current device of its own.
        return [
            score for (score,) in share_out(partial(together, model), [[r] for r in references])
        ]
    alike: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for place, (image_chw, _) in enumerate(references):
        alike[image_chw.shape].append(place)
    found: dict[int, float] = {}
    for places in alike.values():
        room, *_ = rounds(model.spec, model.device.name, len(places) * VALIDATION.members)
        size = max(1, room // VALIDATION.members)
        for first in range(0, len(places), size):
            some = places[first : first + size]
            found.update(zip(some, together(model, [references[i] for i in some]), strict=True))
    return [found[place] for place in range(len(references))]


def together(model: Model, references: Sequence[Reference]) -> list[float]:
    """The Dice of each of some pictures with the same grid, computed in one call."""
    images, count = [image_chw for image_chw, _ in references], VALIDATION.members
    asked = model if len(images) == 1 else _SeveralImages(model, images)
    members = list(range(count)) * len(images)
    *_, last = denoise(asked, images[0], VALIDATION, members)
    means = last.clean_nhw.reshape(len(images), count, *last.clean_nhw.shape[1:]).mean(axis=1)
    masks = (mask_hw for _, mask_hw in references)
    return [dice(mean_hw >= 0.5, mask_hw) for mean_hw, mask_hw in zip(means, masks, strict=True)]


class _SeveralImages(Model):
    """A model whose members see several pictures, the same number of them each, in turn."""

    def __init__(self, model: Model, images: Sequence[Float]) -> None:
        super().__init__(model.network, model.device)
        self._images = images

    def _image_given(self, network: Network, _: Float, numbers: Sequence[int]) -> Tensors:
        whole = torch.cat([self._image(image_chw) for image_chw in self._images])
        each = whole.repeat_interleave(len(numbers) // len(whole), dim=0)
        return self._computed(partial(network.condition, mirrored(each, numbers)))
