"""Draws what a network is told in training beside the image: a style, a width and strokes.

A view is told its sample's tool where that is known, but in a third of the views. In half of the
views the outline is moved inwards or outwards, and the network is told by how much. In half of them
a simulated person has painted: where the network's own guess is wrong if there is one, else
anywhere.
"""

from __future__ import annotations

import math
from typing import get_args

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own name for it
from torch import Tensor

from engine.diffusion import philox
from engine.diffusion.noise import Purpose
from engine.types import Sample, Tool

#: Share of views that are told no tool, that have the expert's own width, and with strokes.
UNTOLD, OWN_WIDTH, HINTED = 1 / 3, 0.5, 0.5
#: The most strokes in a view.
STROKES = 4
#: The shortest and the longest radius of a brush, and the longest stroke, in cells of a grid of 48.
#: A quarter of the strokes are clicks.
THIN, THICK, LONGEST = 0.7, 2.5, 6.0
#: How much chance there is in where a person paints first, beside how much is wrong around.
WHIM = 0.2
#: Share of the views without a guess whose strokes are in the lesion, not beside it.
INSIDE = 0.6
#: Uniform numbers that a stroke takes: how long, in which direction, how thick.
NUMBERS = 3


def tool_number(sample: Sample) -> int:
    """The number of a sample's tool in `Tool`, −1 where it is not known."""
    tools = get_args(Tool)
    known = sample.style is not None and sample.style.tool is not None
    return tools.index(sample.style.tool) if known and sample.style else -1


def style(seed: int, sample_n: Tensor, tool_n: Tensor, shares_4: Tensor | None = None) -> Tensor:
    """What each view is told of its style, float32 (n, 5) as in `Steering.style_n5`.

    Parameters
    ----------
    seed : seed of the run.
    sample_n : int64, the samples' places in the run.
    tool_n : int64, the number of each sample's tool in `Tool`, −1 where it is not known.
    shares_4 : if given, each view is told a tool drawn by these shares instead of its sample's.
    """
    numbers_n4 = philox.uniform(seed, sample_n, Purpose.STYLE, (0, 0), (4,))
    told_n, own_n, width_n, drawn_n = numbers_n4.unbind(1)
    if shares_4 is not None:
        # The last bound is 1 up to rounding, and is left out so that none is beyond it.
        bounds_3 = shares_4.cumsum(0)[:-1]
        tool_n = torch.bucketize(drawn_n.contiguous(), bounds_3, right=True)
    tools = torch.arange(len(get_args(Tool)), device=tool_n.device)
    known_n4 = (tool_n[:, None] == tools) & (told_n >= UNTOLD)[:, None]
    width_n = torch.where(own_n < OWN_WIDTH, torch.zeros_like(width_n), 2 * width_n - 1)
    return torch.cat([known_n4.float(), width_n[:, None]], dim=1)


def strokes(
    seed: int, sample_n: Tensor, share_n1hw: Tensor, wrong_n1hw: Tensor, guessed_n: Tensor
) -> Tensor:
    """What a simulated person painted, (n, 1, rows, columns): 1 lesion, −1 skin, 0 nothing.

    Of `STROKES` a view has at least one, if there is anything to paint. Each begins where most is
    wrong around, keeps to its own side of the true outline, and the next keeps away from it.

    Parameters
    ----------
    seed, sample_n : as for `style`.
    share_n1hw : the true share of lesion in each cell.
    wrong_n1hw : bool, where a guess is wrong.
    guessed_n : bool, whether there is a guess; if not, `wrong_n1hw` is not looked at.
    """
    rows, columns = share_n1hw.shape[2:]
    numbers_nk = philox.uniform(seed, sample_n, Purpose.STROKES, (0, 0), (3 + NUMBERS * STROKES,))
    hinted_n, inside_n = numbers_nk[:, 0] < HINTED, numbers_nk[:, 1] < INSIDE
    count_n = 1 + (numbers_nk[:, 2] * STROKES).long()
    lesion_n1hw = share_n1hw >= 0.5
    anywhere_n1hw = lesion_n1hw == inside_n[:, None, None, None]
    guessed_n111 = guessed_n[:, None, None, None]
    left_n1hw = torch.where(guessed_n111, wrong_n1hw, anywhere_n1hw).float()
    hint_n1hw = torch.zeros_like(left_n1hw)
    for number in range(STROKES):
        whim = philox.uniform(seed, sample_n, Purpose.STROKES, (1, number), (1, rows, columns))
        around = F.avg_pool2d(left_n1hw, 5, 1, 2) * guessed_n111
        # Where nothing is left the score is 0, elsewhere at least 1. Without a place that is left
        # the first of all is taken, and nothing is painted.
        score = (around + WHIM * whim + 1) * left_n1hw
        place_n = score.flatten(1).argmax(dim=1)
        paints_n = left_n1hw.flatten(1).gather(1, place_n[:, None])[:, 0] > 0
        paints_n = paints_n & hinted_n & (number < count_n)
        drawn = numbers_nk[:, 3 + NUMBERS * number : 3 + NUMBERS * (number + 1)]
        far_n1hw, radius_n = _far(place_n, drawn, rows, columns)
        sign_n = lesion_n1hw.flatten(1).gather(1, place_n[:, None])[:, 0][:, None, None, None]
        radius_n111 = radius_n[:, None, None, None]
        painted = (far_n1hw <= radius_n111) & (lesion_n1hw == sign_n)
        painted = painted & paints_n[:, None, None, None]
        hint_n1hw = torch.where(painted, 2.0 * sign_n - 1, hint_n1hw)
        left_n1hw = left_n1hw * (far_n1hw > 2 * radius_n111 + 1)
    return hint_n1hw


def _far(place_n: Tensor, drawn_n3: Tensor, rows: int, columns: int) -> tuple[Tensor, Tensor]:
    """How far each cell is from each stroke, (n, 1, rows, columns), and the brushes' radii, (n,).

    Parameters
    ----------
    place_n : number of the cell in which the middle of the stroke is.
    drawn_n3 : uniform numbers for length, direction and radius.
    rows, columns : of the grid.
    """
    scale = math.sqrt(rows * columns) / 48
    long_n, turn_n, thick_n = drawn_n3.unbind(1)
    half_n = scale * LONGEST / 2 * ((4 * long_n - 1) / 3).clamp(min=0)
    radius_n = scale * (THIN + (THICK - THIN) * thick_n)
    down_n, across_n = torch.sin(math.pi * turn_n), torch.cos(math.pi * turn_n)
    place = place_n.device
    y = torch.arange(rows, device=place)[:, None] - (place_n // columns)[:, None, None, None]
    x = torch.arange(columns, device=place) - (place_n % columns)[:, None, None, None]
    half, down, across = (each[:, None, None, None] for each in (half_n, down_n, across_n))
    along = (y * down + x * across).clamp(min=-half, max=half)
    far = ((y - along * down) ** 2 + (x - along * across) ** 2).sqrt()
    return far, radius_n
