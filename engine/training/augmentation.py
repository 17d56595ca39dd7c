"""Augments training samples: changes picture and mask together, by a given random generator."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own name for it
from torch import Tensor

#: The strongest geometric changes: scale and stretch by e^±x, shear and shift by ±x of half the
#: view's side; bend with standard deviation x.
SCALE, STRETCH, SHEAR, SHIFT, BEND = 0.3, 0.15, 0.15, 0.18, 0.05
#: The strongest changes of colour: gain of each channel, gain of all, gamma, saturation and
#: contrast by e^±x; grain with standard deviation x.
COLOUR, GAIN, GAMMA, SATURATION, CONTRAST, GRAIN = 0.12, 0.1, 0.2, 0.25, 0.2, 0.03
#: The strongest change of brightness from the middle of the picture to the middle of a side.
SHADE = 0.2
#: Share of views that keep the picture's framing, and are only turned by right angles and flipped.
FRAMED = 0.5
#: Share of pictures that get grey light, hairs, a plaster and a round edge; and the most hairs.
GREY_LIGHT, HAIRY, COVERED, ROUND = 0.5, 0.25, 0.1, 0.2
HAIRS = 10


def square(
    picture_4hw: Tensor, size: int, generator: torch.Generator | None, finer: int = 2
) -> Tensor:
    """Resample a picture and its mask to a square view, float32 (4, size, size).

    The view has the picture's area, so nothing is stretched; what lies outside is mirrored.

    Parameters
    ----------
    picture_4hw : R, G, B and the mask.
    size : side of the view.
    generator : if given, the view is turned and flipped at random, and often scaled, stretched,
        shifted and bent.
    finer : the view is sampled at this many times its size and averaged, so that fine hair does not
        turn into noise.
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
    """One of the eight symmetries of a square as a matrix; dermoscopic images have no up side."""
    quarter, flip = torch.randint(4, (2,), generator=generator).tolist()
    turn: Tensor = torch.linalg.matrix_power(torch.tensor([[0.0, -1.0], [1.0, 0.0]]), quarter)
    return turn @ torch.diag(torch.tensor([1.0 if flip % 2 else -1.0, 1.0]))


def _placement(generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """A random matrix that turns, flips, scales, stretches and shears, and a random shift."""
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
    """A smooth random displacement of every place, (cells, cells, 2)."""
    coarse = BEND * torch.randn(1, 2, 4, 4, generator=generator)
    bent = F.interpolate(coarse, size=(cells, cells), mode="bicubic", align_corners=True)
    return bent[0].permute(1, 2, 0)


def recolour(image_3hw: Tensor, generator: torch.Generator) -> Tensor:
    """Change a picture as another light and camera would: gain, gamma, saturation, blur, grain.

    Parameters
    ----------
    image_3hw : in [0, 1], as is the result.
    generator : decides how much of each.
    """
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
    # A quarter of the pictures are blurred, three tenths shaded, a quarter grainy. The same number
    # decides on strong blur and on grain, because pictures in bad light have both.
    if draw[4] > 0.5:
        soft = F.avg_pool2d(F.pad(image[None], (1, 1, 1, 1), mode="reflect"), 3, 1)[0]
        image = image + (soft - image) * (draw[5] + 1) / 2
    if draw[6] > 0.4:
        image = image * _shade(image.shape[1:], draw[7:10])
    if draw[5] > 0.5:
        image = image + GRAIN * torch.randn(image.shape, generator=generator)
    return image.clamp(0, 1)


def _shade(shape: torch.Size, draw: list[float]) -> Tensor:
    """A linear change of brightness across the picture, at most twice SHADE in a corner."""
    y = torch.linspace(-1, 1, shape[0])[:, None]
    x = torch.linspace(-1, 1, shape[1])[None, :]
    return 1 + SHADE * draw[0] * (x * draw[1] + y * draw[2])


def under_grey_light(image_3hw: Tensor, share: float) -> Tensor:
    """Correct a picture's colours towards a colourless light (shades of grey, p = 6).

    The light is estimated as the sixth-power mean of each channel (Finlayson and Trezzi 2004).
    Lamps and cameras differ between clinics in its colour.

    Parameters
    ----------
    image_3hw : in [0, 1].
    share : from 0, which leaves the picture as it is, to 1, which makes the three means equal.
    """
    light = image_3hw.pow(6).mean(dim=(1, 2), keepdim=True).pow(1 / 6).clamp(min=1e-3)
    return image_3hw * (light.mean() / light) ** share


def occluded(view_4hw: Tensor, generator: torch.Generator, detail: int = 1) -> Tensor:
    """Draw hairs, a plaster or a dermatoscope's round edge over some views.

    Hairs and plaster leave the mask as it is, because the lesion goes on below them. Beyond the
    round edge the mask becomes empty, because nobody outlines what is black.

    Parameters
    ----------
    view_4hw : a square view, R, G, B and the mask.
    generator : decides what is drawn.
    detail : side of a cell in pixels of the view.
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
    """Draw one to `HAIRS` bent hairs of one colour, half a cell wide."""
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
    """Draw a rectangle of one colour over up to a tenth of the picture, as a plaster or ruler."""
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
    """`count` uniform random numbers in [−1, 1)."""
    return 2 * torch.rand(count, generator=generator) - 1
