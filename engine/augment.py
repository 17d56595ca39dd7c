"""Paired changes of picture and mask: every draw comes from the generator that is passed in."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own name for it
from torch import Tensor


def square(picture_4hw: Tensor, size: int, generator: torch.Generator | None) -> Tensor:
    """A square view, float32 (4, size, size), of a picture whose fourth channel is its mask.

    The view has the picture's area, so nothing is stretched; what lies outside is mirrored. With a
    generator the view is turned, flipped, scaled, stretched, shifted and bent at random.
    """
    _, rows, columns = picture_4hw.shape
    side = math.sqrt(rows * columns)
    turn = torch.eye(2)
    shift = torch.zeros(2)
    if generator is not None:
        turn, shift = _placement(generator)
    # Sampled at twice the size and averaged, so that fine hair does not turn into noise.
    steps = (torch.arange(2 * size) + 0.5) / size - 1
    y, x = torch.meshgrid(steps, steps, indexing="ij")
    place = torch.stack([x, y], dim=-1)
    if generator is not None:
        place = place + _bend(2 * size, generator)
    place = (place @ turn.T + shift) * torch.tensor([side / columns, side / rows])
    view = F.grid_sample(
        picture_4hw[None].float(), place[None], padding_mode="reflection", align_corners=False
    )
    return F.avg_pool2d(view, 2)[0]


def _placement(generator: torch.Generator) -> tuple[Tensor, Tensor]:
    angle, stretch, shear, scale, shift_x, shift_y, flip = _uniform(generator, 7).tolist()
    angle = math.pi * angle
    scale = math.exp(0.25 * scale)
    stretch = math.exp(0.1 * stretch)
    rotation = torch.tensor(
        [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]
    )
    shape = torch.tensor([[stretch, 0.1 * shear], [0.0, 1 / stretch]])
    mirror = torch.diag(torch.tensor([-1.0 if flip < 0 else 1.0, 1.0]))
    return scale * rotation @ shape @ mirror, 0.12 * torch.tensor([shift_x, shift_y])


def _bend(cells: int, generator: torch.Generator) -> Tensor:
    coarse = 0.04 * torch.randn(1, 2, 4, 4, generator=generator)
    bent = F.interpolate(coarse, size=(cells, cells), mode="bicubic", align_corners=True)
    return bent[0].permute(1, 2, 0)


def recolour(image_3hw: Tensor, generator: torch.Generator) -> Tensor:
    """The picture, [0, 1], under another light and camera: gain, gamma, saturation, blur, grain."""
    draw = _uniform(generator, 10).tolist()
    gain = torch.exp(0.08 * _uniform(generator, 3))[:, None, None]
    image = image_3hw.clamp(1e-4, 1) ** math.exp(0.2 * draw[0])
    image = image * gain * math.exp(0.1 * draw[1])
    grey = image.mean(dim=0, keepdim=True)
    image = grey + (image - grey) * math.exp(0.25 * draw[2])
    middle = image.mean(dim=(1, 2), keepdim=True)
    image = middle + (image - middle) * math.exp(0.2 * draw[3])
    if draw[4] > 0.5:
        soft = F.avg_pool2d(F.pad(image[None], (1, 1, 1, 1), mode="reflect"), 3, 1)[0]
        image = image + (soft - image) * (draw[5] + 1) / 2
    if draw[6] > 0.4:
        image = image * _shade(image.shape[1:], draw[7:10])
    if draw[5] > 0.5:
        image = image + 0.03 * torch.randn(image.shape, generator=generator)
    return image.clamp(0, 1)


def _shade(shape: torch.Size, draw: list[float]) -> Tensor:
    """A linear fall of light across the picture, about ±20 %."""
    y = torch.linspace(-1, 1, shape[0])[:, None]
    x = torch.linspace(-1, 1, shape[1])[None, :]
    return 1 + 0.2 * draw[0] * (x * draw[1] + y * draw[2])


def _uniform(generator: torch.Generator, count: int) -> Tensor:
    """Uniform numbers in [−1, 1)."""
    return 2 * torch.rand(count, generator=generator) - 1
