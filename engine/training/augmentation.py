"""Augments training samples: makes views of pictures and masks, batched on the device they lie on.

A view is decided by its uniform random numbers alone, and then made. Nothing here branches on a
value: a change that a view does not get has strength 0, so every batch takes the same operations.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own name for it
from torch import Tensor

from engine.diffusion import philox
from engine.diffusion.noise import Purpose
from engine.training import outline

#: The strongest geometric changes: scale and stretch by e^±x, shear and shift by ±x of half the
#: view's side; bend with standard deviation x.
SCALE, STRETCH, SHEAR, SHIFT, BEND = 0.3, 0.15, 0.15, 0.18, 0.05
#: The strongest changes of colour: gain of each channel, gain of all, gamma, saturation and
#: contrast by e^±x; grain with standard deviation x.
COLOUR, GAIN, GAMMA, SATURATION, CONTRAST, GRAIN = 0.12, 0.1, 0.2, 0.25, 0.2, 0.03
#: The strongest change of brightness from the middle of the picture to the middle of a side.
SHADE = 0.2
#: Share of views that show the picture's frame, and are only turned by right angles and flipped.
FRAMED = 0.5
#: Share of pictures that get grey light, hairs, a plaster and a round edge; and the most hairs.
GREY_LIGHT, HAIRY, COVERED, ROUND = 0.5, 0.25, 0.1, 0.2
HAIRS = 10
#: Control points of a bend along each side.
KNOTS = 4
#: Grain is a window of a fixed row of normal numbers: how many windows there are, and how far from
#: one to the next.
WINDOWS, WINDOW_STEP = 4096, 64
#: The most numbers that the place of a view, what lies over it, or its colours take.
MOST_NUMBERS = 80
#: How many numbers decide a view.
NUMBERS = 3 * MOST_NUMBERS

#: Red, green and blue of a hair, as shares of its brightness.
HAIR_COLOUR = 1.0, 0.8, 0.65


class Numbers:
    """The uniform random numbers of each view of a batch, (n, k), taken one after the other."""

    def __init__(self, uniform_nk: Tensor) -> None:
        self._left_nk = uniform_nk

    def take(self, count: int) -> Tensor:
        """The next numbers of each view, (n, count) in [0, 1)."""
        taken, self._left_nk = self._left_nk[:, :count], self._left_nk[:, count:]
        return taken

    def signed(self, count: int) -> Tensor:
        """The next numbers of each view, (n, count) in [−1, 1)."""
        return 2 * self.take(count) - 1


class Placement(NamedTuple):
    """Where views lie in their pictures, whose sides go from −1 to 1, as x before y.

    A place v of a view, its sides from −1 to 1 too, shows the picture at `matrix` v + `shift` and
    the bend there. `bend_n2kk` holds the bend's control points, by rows. Nothing before
    `least_n2` and beyond `most_n2` is shown.
    """

    matrix_n22: Tensor
    shift_n2: Tensor
    bend_n2kk: Tensor
    least_n2: Tensor
    most_n2: Tensor


class Occlusion(NamedTuple):
    """What lies over views.

    `hairs_np` are the places of hairs on a plane of half cells, by rows, its size for none;
    `density_n` says how far they hide. `rows_nh` and `columns_nw`, bool, enclose a plaster.
    `down_nh` and `across_nw` are squared distances from the middle of a round edge.
    """

    hairs_np: Tensor
    density_n: Tensor
    hair_colour_n3: Tensor
    rows_nh: Tensor
    columns_nw: Tensor
    plaster_colour_n3: Tensor
    down_nh: Tensor
    across_nw: Tensor
    radius_n: Tensor
    softness_n: Tensor


class Colours(NamedTuple):
    """What changes the colours of views.

    `grey_light_n` is the share of grey light, in [0, 1], `gamma_n` an exponent. `mixed_n33`
    multiplies the three channels, keeping 1 − `contrast_n` of their means. `blur_n` is the share
    of blur, `down_n` and `across_n` are slopes of brightness. `window_n3` are windows of grain,
    `grain_n` is its standard deviation.
    """

    grey_light_n: Tensor
    gamma_n: Tensor
    mixed_n33: Tensor
    contrast_n: Tensor
    blur_n: Tensor
    down_n: Tensor
    across_n: Tensor
    window_n3: Tensor
    grain_n: Tensor


class Changes(NamedTuple):
    """All that is decided about views."""

    placement: Placement
    occlusion: Occlusion
    colours: Colours

    def only(self, part: slice) -> Changes:
        """The changes of some of the views."""
        place, over, colour = ([each[part] for each in kind] for kind in self)
        return Changes(Placement(*place), Occlusion(*over), Colours(*colour))


class Augmentation:
    """Makes views on one grid from pictures of one shape.

    Parameters
    ----------
    picture : (rows, columns) of the pictures, in pixels.
    view : (rows, columns) of the views, in pixels.
    detail : side of a cell in pixels of a view.
    turned : whether the views lie on their side, so that a framed one is turned by a quarter; None
        if their grid is square, and each of them may be.
    device : where pictures and views are.
    finer : views are sampled at this many times their size and averaged, so that fine hair does not
        turn into noise.
    """

    def __init__(
        self,
        picture: tuple[int, int],
        view: tuple[int, int],
        detail: int,
        turned: bool | None,
        device: torch.device,
        finer: int = 1,
    ) -> None:
        self.picture, self.view, self.turned, self.finer = picture, view, turned, finer
        self._down, self._across = (_basis(finer * side).to(device) for side in view)
        self._hairs = HairPlane(view, detail, device)
        self._grain = grain_windows(view[0] * view[1], device)

    def changes(self, margins_n22: Tensor, numbers_nk: Tensor) -> Changes:
        """Decide what is done to each view.

        Parameters
        ----------
        margins_n22 : as `placement` takes them.
        numbers_nk : `NUMBERS` uniform random numbers for each view, in [0, 1).
        """
        place, over, colour = (Numbers(each) for each in torch.split(numbers_nk, MOST_NUMBERS, 1))
        return Changes(
            placement(place, margins_n22, self.picture, self.view, self.turned),
            occlusion(over, self._hairs, self.view),
            colours(colour),
        )

    def views(
        self, pictures_n4hw: Tensor, changes: Changes, outwards_n: Tensor | None = None
    ) -> Tensor:
        """The views, float32 (n, 4, rows, columns) in [0, 1].

        Parameters
        ----------
        pictures_n4hw : R, G, B and the mask, uint8.
        changes : what is done to each.
        outwards_n : by how many pixels of the picture each outline is moved outwards; the masks are
            then held as `engine.training.outline.coded` gives them.
        """
        view_n4hw = self.seen(pictures_n4hw.float().div_(255), changes.placement, outwards_n)
        image_n3hw, share_n1hw = view_n4hw[:, :3], view_n4hw[:, 3:]
        occlude(image_n3hw, share_n1hw, changes.occlusion, self._hairs)
        image_n3hw.copy_(recolour(image_n3hw, changes.colours, self._grain))
        return view_n4hw

    def seen(
        self, pictures_n4hw: Tensor, placed: Placement, outwards_n: Tensor | None = None
    ) -> Tensor:
        """What the views show of their pictures, float32 (n, 4, rows, columns).

        Beyond its border a picture is mirrored, as far as there is none of the lesion.

        Parameters
        ----------
        pictures_n4hw : R, G, B and the mask, in [0, 1].
        placed : where each view lies.
        outwards_n : as for `views`.
        """
        place_n2hw = self.places(placed)
        least_n2, most_n2 = placed.least_n2, placed.most_n2
        place_n2hw.clamp_(least_n2[:, :, None, None], most_n2[:, :, None, None])
        view_n4hw = F.grid_sample(
            pictures_n4hw,
            place_n2hw.permute(0, 2, 3, 1),
            padding_mode="reflection",
            align_corners=False,
        )
        if outwards_n is not None:
            # Before averaging: the mean of distances is no share.
            share_n1hw = view_n4hw[:, 3:]
            share_n1hw.copy_(outline.share_of(share_n1hw, self.picture, outwards_n))
        return pooled(view_n4hw, self.finer)

    def places(self, placed: Placement) -> Tensor:
        """The place in its picture of each pixel of a view, as x and y, (n, 2, rows, columns)."""
        zero_n2 = torch.zeros_like(placed.shift_n2)
        across_n2, down_n2 = placed.matrix_n22.unbind(dim=2)
        straight = torch.stack([placed.shift_n2, across_n2, down_n2, zero_n2], dim=2)
        factors = F.pad(straight.view(-1, 2, 2, 2), (0, KNOTS, 0, KNOTS))
        factors = factors + F.pad(placed.bend_n2kk, (2, 0, 2, 0))
        return self._down @ factors @ self._across.T


def _basis(cells: int) -> Tensor:
    """1, the place from −1 to 1, and the weights of a bend's control points, (cells, 2 + KNOTS)."""
    place = 2 * (torch.arange(cells) + 0.5) / cells - 1
    weights = F.interpolate(
        torch.eye(KNOTS)[:, None, :, None], size=(cells, 1), mode="bicubic", align_corners=True
    )
    return torch.cat([torch.ones(cells, 1), place[:, None], weights[:, 0, :, 0].T], dim=1)


def grain_windows(pixels: int, device: torch.device) -> Tensor:
    """The windows from which a view takes the grain of a channel, (WINDOWS, pixels), overlapping.

    Drawing grain anew for every view would take as long as the rest of its augmentation.
    """
    start = torch.zeros(1, dtype=torch.int64, device=device)
    count = (WINDOWS - 1) * WINDOW_STEP + pixels
    row = philox.normal(0, start, Purpose.GRAIN, (0, 0), (count,))[0]
    return row.unfold(0, pixels, WINDOW_STEP)


def placement(
    numbers: Numbers,
    margins_n22: Tensor,
    picture: tuple[int, int],
    view: tuple[int, int],
    turned: bool | None,
) -> Placement:
    """Decide where views lie: half of them show their whole picture, the others are placed freely.

    Those are turned, flipped, scaled, stretched, sheared, shifted and bent. Where such a view would
    show the lesion mirrored, beyond the picture's border, it is drawn from closer and further in.

    Parameters
    ----------
    numbers : decide all that; at most `MOST_NUMBERS` for a view.
    margins_n22 : from the lesion to the picture's borders, for x and then y, at the low and then
        the high end, in units of half the picture's side.
    picture, view : (rows, columns); only their proportions count.
    turned : as for `Augmentation`.
    """
    framed_n = numbers.take(1)[:, 0] < FRAMED
    symmetry_n22 = _symmetry(numbers, turned)
    free_n22, shift_n2 = _free(numbers)
    bend_n2kk = BEND * philox.from_uniform(numbers.take(2 * KNOTS**2)).view(-1, 2, KNOTS, KNOTS)
    turn_n22 = torch.where(framed_n[:, None, None], symmetry_n22, free_n22)
    loose_n = (~framed_n).float()
    # Measured in pixels, nothing is stretched on the way from a view to its picture.
    (rows, columns), (high, wide) = picture, view
    side, half = math.sqrt(rows * columns), math.sqrt(high * wide)
    matrix_n22 = _for_axes(turn_n22, side / columns, side / rows)
    matrix_n22 = _for_axes(matrix_n22.mT, wide / half, high / half).mT
    shift_n2 = _for_axes(loose_n[:, None] * shift_n2, side / columns, side / rows)
    reach_n2 = matrix_n22.abs().sum(dim=2)
    low_n2, high_n2 = 1 + margins_n22[:, :, 0], 1 + margins_n22[:, :, 1]
    closer_n = ((low_n2 + high_n2) / (2 * reach_n2)).amin(dim=1).clamp(max=1)
    reach_n2 = closer_n[:, None] * reach_n2
    bent_n22 = _for_axes(
        (closer_n * loose_n)[:, None, None] * turn_n22, side / columns, side / rows
    )
    return Placement(
        matrix_n22=closer_n[:, None, None] * matrix_n22,
        shift_n2=shift_n2.maximum(reach_n2 - low_n2).minimum(high_n2 - reach_n2),
        bend_n2kk=(bent_n22 @ bend_n2kk.flatten(2)).view_as(bend_n2kk),
        least_n2=-low_n2,
        most_n2=high_n2,
    )


def _for_axes(of_n2: Tensor, x: float, y: float) -> Tensor:
    """What belongs to x and to y, along dimension 1, each times its factor."""
    return torch.stack([x * of_n2[:, 0], y * of_n2[:, 1]], dim=1)


def _symmetry(numbers: Numbers, turned: bool | None) -> Tensor:
    """One of the eight symmetries of a square, or of the four that turn by a quarter or do not.

    Dermoscopic images have no up side.
    """
    quarter, *flips = (numbers.take(3) < 0.5).float().unbind(dim=1)
    if turned is not None:
        quarter = torch.full_like(quarter, float(turned))
    x, y = (2 * flip - 1 for flip in flips)
    return _matrix((1 - quarter) * x, -quarter * y, quarter * x, (1 - quarter) * y)


def _free(numbers: Numbers) -> tuple[Tensor, Tensor]:
    """A random matrix that turns, flips, scales, stretches and shears, and a random shift."""
    angle, stretch, shear, scale, flip, *shift = numbers.signed(7).unbind(dim=1)
    angle, scale, stretch = math.pi * angle, (SCALE * scale).exp(), (STRETCH * stretch).exp()
    cosine, sine = scale * angle.cos(), scale * angle.sin()
    mirror = torch.where(flip < 0, -1.0, 1.0)
    shape = _matrix(stretch * mirror, SHEAR * shear, torch.zeros_like(shear), 1 / stretch)
    return _matrix(cosine, -sine, sine, cosine) @ shape, SHIFT * torch.stack(shift, dim=1)


def _matrix(first: Tensor, second: Tensor, third: Tensor, fourth: Tensor) -> Tensor:
    """Matrices (n, 2, 2) of their elements, row by row, each (n,)."""
    return torch.stack([first, second, third, fourth], dim=1).view(-1, 2, 2)


def pooled(picture_nchw: Tensor, factor: int) -> Tensor:
    """The means of squares of factor × factor pixels: in sums, which are faster than pooling."""
    if factor == 1:
        return picture_nchw
    rows = picture_nchw[..., ::factor, :] + picture_nchw[..., 1::factor, :]
    for more in range(2, factor):
        rows.add_(picture_nchw[..., more::factor, :])
    whole = rows[..., ::factor] + rows[..., 1::factor]
    for more in range(2, factor):
        whole.add_(rows[..., more::factor])
    return whole.div_(factor**2)


class HairPlane:
    """What hairs are drawn with: a plane of half cells, and the points along a curve.

    Parameters
    ----------
    view : (rows, columns) of the views, in pixels.
    detail : side of a cell in pixels of a view.
    device : where it is drawn.
    """

    def __init__(self, view: tuple[int, int], detail: int, device: torch.device) -> None:
        self.detail = detail
        self.shape = 2 * view[0] // detail, 2 * view[1] // detail
        self.colour_3 = torch.tensor(HAIR_COLOUR, device=device)
        along = torch.linspace(0, 1, 4 * max(self.shape))
        # A quadratic Bézier curve, whose middle point lies near the middle between its ends.
        bow = 2 * along * (1 - along)
        weights = torch.stack([(1 - along) ** 2 + bow / 2, 0.3 * bow, along**2 + bow / 2])
        self._weights_3p = weights.to(device)

    def places(self, points_n2k3: Tensor, there_nk: Tensor) -> Tensor:
        """The places on the plane of the hairs that are there, int64 (n, k × points).

        Parameters
        ----------
        points_n2k3 : for y and x each hair's begin, how far it is bent, and its end; from −1 to 1
            across the plane.
        there_nk : bool.
        """
        path_n2kp = points_n2k3 @ self._weights_3p + 1
        rows, columns = self.shape
        row, column = (path_n2kp[:, i].mul(self.shape[i] / 2).floor().long() for i in (0, 1))
        inside = (row >= 0) & (row < rows) & (column >= 0) & (column < columns)
        seen = inside & there_nk[:, :, None]
        return torch.where(seen, row * columns + column, rows * columns).flatten(1)

    def drawn(self, place_np: Tensor) -> Tensor:
        """1 where there is a hair, 0 elsewhere, (n, 1, rows, columns) of a view."""
        n, (rows, columns) = len(place_np), self.shape
        # Places outside are drawn into one place more, which is cut off.
        plane = torch.zeros(n, rows * columns + 1, device=place_np.device)
        plane = plane.scatter_(1, place_np, 1.0)[:, :-1].view(n, 1, rows, 1, columns, 1)
        times, halved = (self.detail // 2, 1) if self.detail % 2 == 0 else (self.detail, 2)
        wide = plane.expand(n, 1, rows, times, columns, times)
        return pooled(wide.reshape(n, 1, rows * times, columns * times), halved)


def occlusion(numbers: Numbers, hairs: HairPlane, view: tuple[int, int]) -> Occlusion:
    """Decide what lies over views: hairs, a plaster or ruler, a dermatoscope's round edge.

    Parameters
    ----------
    numbers : decide all that; at most `MOST_NUMBERS` for a view.
    hairs : the plane of the views.
    view : (rows, columns) of the views, in pixels.
    """
    hairy_n, covered_n, round_n, count_n, dark_n, dense_n = numbers.take(6).unbind(dim=1)
    device = hairy_n.device
    there_nk = torch.arange(HAIRS, device=device) < 1 + HAIRS * count_n[:, None]
    there_nk = there_nk & (hairy_n < HAIRY)[:, None]
    points_n2k3 = 1.2 * numbers.signed(6 * HAIRS).view(-1, 2, HAIRS, 3)
    rows_nh, columns_nw = (_span(numbers, side, device) for side in view)
    draw_4n1 = numbers.signed(4).T[:, :, None]
    side = math.sqrt(view[0] * view[1])
    down_h, across_w = (_across(length, length / side, device) for length in view)
    return Occlusion(
        hairs_np=hairs.places(points_n2k3, there_nk),
        density_n=0.4 + 0.6 * dense_n,
        hair_colour_n3=0.35 * dark_n[:, None] * hairs.colour_3,
        rows_nh=rows_nh & (covered_n < COVERED)[:, None],
        columns_nw=columns_nw,
        plaster_colour_n3=numbers.take(3),
        down_nh=(down_h - 0.2 * draw_4n1[0]).square(),
        across_nw=(across_w - 0.2 * draw_4n1[1]).square(),
        # Where there is none, its radius is beyond every corner.
        radius_n=torch.where(round_n < ROUND, 1.05 + 0.3 * draw_4n1[2, :, 0], 9.0),
        softness_n=0.03 + 0.02 * (draw_4n1[3, :, 0] + 1),
    )


def _span(numbers: Numbers, side: int, device: torch.device) -> Tensor:
    """A random piece of a side, 8 to 32 % of it: bool (n, side)."""
    length_n1, place_n1 = numbers.take(2)[:, :, None].unbind(dim=1)
    length_n1 = (side * (0.08 + 0.24 * length_n1)).round().clamp(min=2)
    begin_n1 = ((side - length_n1) * place_n1).round()
    cells = torch.arange(side, device=device)
    return (cells >= begin_n1) & (cells < begin_n1 + length_n1)


def _across(cells: int, half: float, device: torch.device) -> Tensor:
    """Places from −half to half across a side, (cells,)."""
    return torch.linspace(-half, half, cells, device=device)


def occlude(image_n3hw: Tensor, share_n1hw: Tensor, over: Occlusion, hairs: HairPlane) -> None:
    """Draw over views and their masks, in place.

    Hairs and plaster leave the mask as it is, because the lesion goes on below them. Beyond the
    round edge the mask becomes empty, because nobody outlines what is black.

    Parameters
    ----------
    image_n3hw, share_n1hw : the views and their masks.
    over : what lies over each.
    hairs : the plane of the views.
    """
    hides_n1hw = hairs.drawn(over.hairs_np).mul_(over.density_n[:, None, None, None])
    image_n3hw.lerp_(over.hair_colour_n3[:, :, None, None], hides_n1hw)
    hidden_n1hw = over.rows_nh[:, None, :, None] & over.columns_nw[:, None, None, :]
    colour_n311 = over.plaster_colour_n3[:, :, None, None]
    image_n3hw.copy_(torch.where(hidden_n1hw, colour_n311, image_n3hw))
    distance = (over.down_nh[:, None, :, None] + over.across_nw[:, None, None, :]).sqrt_()
    radius, softness = over.radius_n[:, None, None, None], over.softness_n[:, None, None, None]
    seen_n1hw = distance.neg_().add_(radius).div_(softness).sigmoid_()
    share_n1hw.mul_(seen_n1hw > 0.5)
    image_n3hw.mul_(seen_n1hw.clamp_(min=0.05))


def colours(numbers: Numbers) -> Colours:
    """Decide how colours change, as by another light and camera.

    `numbers` decide it, at most `MOST_NUMBERS` for a view.
    """
    draw, gains_n3 = numbers.signed(12).unbind(dim=1), numbers.signed(3)
    gains_n13 = (COLOUR * gains_n3 + GAIN * draw[1][:, None]).exp()[:, None]
    saturation = (SATURATION * draw[2]).exp()[:, None, None]
    contrast = (CONTRAST * draw[3]).exp()[:, None, None]
    # First each channel's gain, then its distance from grey, then the distance from the mean.
    own = torch.eye(3, device=gains_n13.device)
    mixed_n33 = contrast * (saturation * own + (1 - saturation) / 3) * gains_n13
    shade = torch.where(draw[6] > 0.4, SHADE * draw[7], 0.0)
    # A quarter of the pictures are blurred, three tenths shaded, a quarter grainy. The same number
    # decides on strong blur and on grain, because pictures in bad light have both.
    return Colours(
        grey_light_n=torch.where(draw[10].abs() < GREY_LIGHT, (draw[11] + 1) / 2, 0.0),
        gamma_n=(GAMMA * draw[0]).exp(),
        mixed_n33=mixed_n33,
        contrast_n=contrast[:, 0, 0],
        blur_n=torch.where(draw[4] > 0.5, (draw[5] + 1) / 2, 0.0),
        down_n=shade * draw[9],
        across_n=shade * draw[8],
        # Rarely two channels get the same grain, or one that is shifted by a few rows.
        window_n3=(WINDOWS * numbers.take(3)).long(),
        grain_n=torch.where(draw[5] > 0.5, GRAIN, 0.0),
    )


def recolour(image_n3hw: Tensor, change: Colours, grain_kp: Tensor) -> Tensor:
    """Change the colours of pictures.

    Parameters
    ----------
    image_n3hw : in [0, 1], as is the result.
    change : how much of each.
    grain_kp : from `grain_windows`, for pictures of so many pixels.
    """
    n, _, rows, columns = image_n3hw.shape
    image = image_n3hw * light_gain(image_n3hw, change.grey_light_n)
    # A power by logarithm, which is several times faster than `pow`.
    image.clamp_(1e-4, 1).log_().mul_(change.gamma_n[:, None, None, None]).exp_()
    mean_n31 = image.mean(dim=(2, 3))[:, :, None]
    kept_n31 = (1 / change.contrast_n - 1)[:, None, None] * (change.mixed_n33 @ mean_n31)
    image = torch.baddbmm(kept_n31, change.mixed_n33, image.flatten(2)).view_as(image)
    image.lerp_(_soft(image), change.blur_n[:, None, None, None])
    x, y = (_across(side, 1.0, image.device) for side in (columns, rows))
    down_nh, across_nw = 1 + change.down_n[:, None] * y, change.across_n[:, None] * x
    image.mul_(down_nh[:, None, :, None] + across_nw[:, None, None, :])
    grain_n3hw = grain_kp[change.window_n3].view(n, 3, rows, columns)
    return image.addcmul_(grain_n3hw, change.grain_n[:, None, None, None]).clamp_(0, 1)


def light_gain(image_n3hw: Tensor, share_n: Tensor) -> Tensor:
    """Factors that correct pictures' colours towards a colourless light (shades of grey, p = 6).

    The light is estimated as the sixth-power mean of each channel (Finlayson and Trezzi 2004).
    Lamps and cameras differ between clinics in its colour.

    Parameters
    ----------
    image_n3hw : in [0, 1].
    share_n : from 0, which leaves a picture as it is, to 1, which makes the three means equal.

    Returns
    -------
    float32 (n, 3, 1, 1), with which the channels are to be multiplied.
    """
    cubes = image_n3hw.square().mul_(image_n3hw)
    light_n3 = cubes.square_().mean(dim=(2, 3)).pow(1 / 6).clamp(min=1e-3)
    gain_n3 = (light_n3.mean(dim=1, keepdim=True) / light_n3).pow(share_n[:, None])
    return gain_n3[:, :, None, None]


def _soft(image_n3hw: Tensor) -> Tensor:
    """The mean of each pixel's 3×3 neighbourhood: in sums, which are faster than pooling."""
    wide = F.pad(image_n3hw, (1, 1, 1, 1), mode="reflect")
    three = (wide[..., :-2] + wide[..., 1:-1]).add_(wide[..., 2:])
    return (three[..., :-2, :] + three[..., 1:-1, :]).add_(three[..., 2:, :]).div_(9)
