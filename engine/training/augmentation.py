"""Paired changes of picture and mask: every draw comes from the generator that is passed in."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own name for it
from torch import Tensor

#: How far a view goes at most: scaled and stretched by e^±x, sheared and shifted by ±x of half its
#: side; bent by x as a standard deviation.
SCALE, STRETCH, SHEAR, SHIFT, BEND = 0.3, 0.15, 0.15, 0.18, 0.05
#: How far light and camera go: gain of each colour, gain, gamma, saturation and contrast by e^±x;
#: grain of standard deviation x.
COLOUR, GAIN, GAMMA, SATURATION, CONTRAST, GRAIN = 0.12, 0.1, 0.2, 0.25, 0.2, 0.03
#: Fall of light from the middle to a side's middle, at most.
SHADE = 0.2
#: How often a view is framed as the picture is, only turned by right angles and flipped.
FRAMED = 0.5
#: How often a picture is changed in each of these ways, and the most hairs it gets.
GREY_LIGHT, HAIRY, COVERED, ROUND = 0.5, 0.25, 0.1, 0.2
HAIRS = 10


def square(
    picture_4hw: Tensor, size: int, generator: torch.Generator | None, finer: int = 2
) -> Tensor:
    """A square view, float32 (4, size, size), of a picture whose fourth channel is its mask.

    The view has the picture's area, so nothing is stretched; what lies outside is mirrored. With a
    generator the view is turned and flipped, and often scaled, stretched, shifted and bent. It is
    sampled at `finer` times the size and averaged, so that fine hair does not turn into noise.
    """
    _, rows, columns = picture_4hw.shape
    side = math.sqrt(rows * columns)
    steps = 2 * (torch.arange(finer * size) + 0.5) / (finer * size) - 1
    y, x = torch.meshgrid(steps, steps, indexing="ij")
    place = torch.stack([x, y], dim=-1)
    turn, shift = torch.eye(2), torch.zeros(2)
    if generator is not None and float(torch.rand(1, generator=generator)) < FRAMED:
        turn = _symmetry(generator)
    elif generator is not None:
        turn, shift = _placement(generator)
        place = place + _bend(finer * size, generator)
    place = (place @ turn.T + shift) * torch.tensor([side / columns, side / rows])
    view = F.grid_sample(
        picture_4hw[None].float(), place[None], padding_mode="reflection", align_corners=False
    )
    return F.avg_pool2d(view, finer)[0]


def _symmetry(generator: torch.Generator) -> Tensor:
    """One of the eight symmetries of a square: 12 o'clock is nowhere in dermoscopy."""
    quarter, flip = torch.randint(4, (2,), generator=generator).tolist()
    turn: Tensor = torch.linalg.matrix_power(torch.tensor([[0.0, -1.0], [1.0, 0.0]]), quarter)
    return turn @ torch.diag(torch.tensor([1.0 if flip % 2 else -1.0, 1.0]))


def _placement(generator: torch.Generator) -> tuple[Tensor, Tensor]:
    angle, stretch, shear, scale, shift_x, shift_y, flip = _uniform(generator, 7).tolist()
    angle = math.pi * angle
    scale = math.exp(SCALE * scale)
    stretch = math.exp(STRETCH * stretch)
    rotation = torch.tensor(
        [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]
    )
    shape = torch.tensor([[stretch, SHEAR * shear], [0.0, 1 / stretch]])
    mirror = torch.diag(torch.tensor([-1.0 if flip < 0 else 1.0, 1.0]))
    return scale * rotation @ shape @ mirror, SHIFT * torch.tensor([shift_x, shift_y])


def _bend(cells: int, generator: torch.Generator) -> Tensor:
    coarse = BEND * torch.randn(1, 2, 4, 4, generator=generator)
    bent = F.interpolate(coarse, size=(cells, cells), mode="bicubic", align_corners=True)
    return bent[0].permute(1, 2, 0)


def recolour(image_3hw: Tensor, generator: torch.Generator) -> Tensor:
    """The picture, [0, 1], under another light and camera: gain, gamma, saturation, blur, grain."""
    draw = _uniform(generator, 12).tolist()
    gain = torch.exp(COLOUR * _uniform(generator, 3))[:, None, None]
    if abs(draw[10]) < GREY_LIGHT:
        image_3hw = under_grey_light(image_3hw, (draw[11] + 1) / 2)
    image = image_3hw.clamp(1e-4, 1) ** math.exp(GAMMA * draw[0])
    image = image * gain * math.exp(GAIN * draw[1])
    grey = image.mean(dim=0, keepdim=True)
    image = grey + (image - grey) * math.exp(SATURATION * draw[2])
    middle = image.mean(dim=(1, 2), keepdim=True)
    image = middle + (image - middle) * math.exp(CONTRAST * draw[3])
    # Blurred in a quarter of the pictures, shaded in three tenths, grainy in a quarter. What blurs
    # much is grainy as well, as a picture in bad light is: one draw decides on both.
    if draw[4] > 0.5:
        soft = F.avg_pool2d(F.pad(image[None], (1, 1, 1, 1), mode="reflect"), 3, 1)[0]
        image = image + (soft - image) * (draw[5] + 1) / 2
    if draw[6] > 0.4:
        image = image * _shade(image.shape[1:], draw[7:10])
    if draw[5] > 0.5:
        image = image + GRAIN * torch.randn(image.shape, generator=generator)
    return image.clamp(0, 1)


def _shade(shape: torch.Size, draw: list[float]) -> Tensor:
    """A linear fall of light across the picture, at most twice SHADE in a corner."""
    y = torch.linspace(-1, 1, shape[0])[:, None]
    x = torch.linspace(-1, 1, shape[1])[None, :]
    return 1 + SHADE * draw[0] * (x * draw[1] + y * draw[2])


def under_grey_light(image_3hw: Tensor, share: float) -> Tensor:
    """The picture moved towards a colourless light by `share` in [0, 1] (shades of grey, p = 6).

    The light is the sixth-power mean of each channel (Finlayson and Trezzi 2004); at 1 the three
    are made equal, at 0 the picture stays. Every clinic's lamp and camera has its own.
    """
    light = image_3hw.pow(6).mean(dim=(1, 2), keepdim=True).pow(1 / 6).clamp(min=1e-3)
    return image_3hw * (light.mean() / light) ** share


def occluded(view_4hw: Tensor, generator: torch.Generator, detail: int = 1) -> Tensor:
    """A square view, picture and mask, with what lies between a lesion and the camera, sometimes.

    Hairs and a plaster hide the picture and leave its mask as it is: the lesion goes on below. The
    round edge of a dermatoscope ends both: nobody outlines what is black. The view has
    detail × detail pixels to a cell.
    """
    chance = torch.rand(3, generator=generator).tolist()
    image, share = view_4hw[:3], view_4hw[3:]
    if chance[0] < HAIRY:
        image = _hairs(image, generator, detail)
    if chance[1] < COVERED:
        image = _plaster(image, generator)
    if chance[2] < ROUND:
        seen = _round_edge(image.shape[1:], generator)
        image, share = image * seen.clamp(min=0.05), share * (seen > 0.5)
    return torch.cat([image, share])


def _hairs(image: Tensor, generator: torch.Generator, detail: int) -> Tensor:
    """One to `HAIRS` bent hairs of one colour, half a cell wide, drawn as half cells."""
    size = 2 * image.shape[1] // detail
    count = 1 + int(torch.randint(HAIRS, (1,), generator=generator))
    ends = 2.4 * torch.rand(3, count, 1, 2, generator=generator) - 1.2
    ends[1] = (ends[0] + ends[2]) / 2 + 0.3 * ends[1]
    along = torch.linspace(0, 1, 4 * size)[None, :, None]
    path = (1 - along) ** 2 * ends[0] + 2 * along * (1 - along) * ends[1] + along**2 * ends[2]
    place = ((path + 1) * size / 2).long().reshape(-1, 2)
    inside = ((place >= 0) & (place < size)).all(dim=1)
    drawn = torch.zeros(size, size)
    drawn[place[inside, 0], place[inside, 1]] = 1
    draw = torch.rand(3, generator=generator)
    colour = 0.35 * draw[0] * torch.tensor([1.0, 0.8, 0.65])[:, None, None]
    hides = (0.4 + 0.6 * draw[1]) * F.adaptive_avg_pool2d(drawn[None], image.shape[1])
    return image + (colour - image) * hides


def _plaster(image: Tensor, generator: torch.Generator) -> Tensor:
    """A rectangle of one colour over up to a tenth of the picture: plaster, ruler, colour card."""
    size = image.shape[1]
    draw = torch.rand(4, generator=generator).tolist()
    height, width = (max(2, round(size * (0.08 + 0.24 * each))) for each in draw[:2])
    top, left = round((size - height) * draw[2]), round((size - width) * draw[3])
    image = image.clone()
    image[:, top : top + height, left : left + width] = torch.rand(3, 1, 1, generator=generator)
    return image


def _round_edge(shape: torch.Size, generator: torch.Generator) -> Tensor:
    """1 inside a circle about the middle, 0 beyond its soft edge, (1, rows, columns)."""
    draw = _uniform(generator, 4).tolist()
    y = torch.linspace(-1, 1, shape[0])[:, None] - 0.2 * draw[0]
    x = torch.linspace(-1, 1, shape[1])[None, :] - 0.2 * draw[1]
    radius = 1.05 + 0.3 * draw[2]
    softness = 0.03 + 0.02 * (draw[3] + 1)
    return torch.sigmoid((radius - (x**2 + y**2).sqrt()) / softness)[None]


def _uniform(generator: torch.Generator, count: int) -> Tensor:
    """Uniform numbers in [−1, 1)."""
    return 2 * torch.rand(count, generator=generator) - 1
