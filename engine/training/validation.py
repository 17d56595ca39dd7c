"""Scores the weights of a training on its validation set."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from engine.diffusion.model import Model
from engine.diffusion.sampling import denoise
from engine.metrics import dice
from engine.networks.device import rounds, share_out
from engine.networks.network import Network, Tensors
from engine.types import Float, SampleSettings

#: A picture (3, rows, columns) in [0, 1] and its mask (rows, columns) on the grid.
Reference = tuple[NDArray[np.float32], NDArray[np.bool_]]

#: Few steps and one member, so that validation takes a small share of the time.
VALIDATION = SampleSettings(steps=3, members=1, batch_size=1)


def scores(model: Model, references: Sequence[Reference]) -> list[float]:
    """The Dice of a model's mask of each picture, measured on the grid, in their order.

    Each picture is drawn the first member, on a CPU by the next free worker, on a GPU beside others
    with the same grid. Raises NotFinite.
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
        for size in rounds(model.spec, model.device.name, len(places)):
            some, places = places[:size], places[size:]
            found.update(zip(some, together(model, [references[i] for i in some]), strict=True))
    return [found[place] for place in range(len(references))]


def together(model: Model, references: Sequence[Reference]) -> list[float]:
    """The Dice of each of some pictures with the same grid, computed in one call."""
    images = [image_chw for image_chw, _ in references]
    asked = model if len(images) == 1 else _OneMemberEach(model, images)
    *_, last = denoise(asked, images[0], VALIDATION, [0] * len(images))
    masks = (mask_hw for _, mask_hw in references)
    return [dice(drawn >= 0.5, mask) for drawn, mask in zip(last.clean_nhw, masks, strict=True)]


class _OneMemberEach(Model):
    """A model whose members each see a picture of their own, and not one picture together."""

    def __init__(self, model: Model, images: Sequence[Float]) -> None:
        super().__init__(model.network, model.device)
        self._images = images

    def _image_given(self, network: Network, _: Float, _numbers: Sequence[int]) -> Tensors:
        images = torch.cat([self._image(image_chw) for image_chw in self._images])
        return self._computed(partial(network.condition, images))
