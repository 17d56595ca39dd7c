"""Changed pictures stay pictures, and a mask follows only what moves or ends the lesion."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - torch's own name for it
from torch import Tensor

from engine.diffusion import philox
from engine.diffusion.noise import Purpose
from engine.training import augmentation
from engine.training.augmentation import (
    MOST_NUMBERS,
    NUMBERS,
    Augmentation,
    HairPlane,
    Numbers,
    colours,
    grain_windows,
    light_gain,
    occlude,
    occlusion,
    placement,
    pooled,
    recolour,
)
from engine.training.batches import NO_LESION, margins

CPU = torch.device("cpu")


def lesion(size: int = 48) -> Tensor:
    """A dark square in light skin, with its mask, (1, 4, size, size)."""
    view = torch.full((1, 4, size, size), 0.8)
    view[:, 3] = 0
    inside = slice(size // 4, 3 * size // 4)
    view[:, :3, inside, inside] = 0.4
    view[:, 3, inside, inside] = 1
    return view


def only(monkeypatch: pytest.MonkeyPatch, chance: str) -> None:
    """That one thing lies over every picture, and nothing else over any."""
    for name in ("HAIRY", "COVERED", "ROUND"):
        monkeypatch.setattr(augmentation, name, float(name == chance))


def numbers(count: int, seed: int = 0, most: int = MOST_NUMBERS) -> Tensor:
    """The numbers of so many views, (count, most)."""
    return philox.uniform(seed, torch.arange(count), Purpose.VIEW, (0, 0), (most,))


def occluded(view_14hw: Tensor, count: int = 1, seed: int = 0, detail: int = 1) -> Tensor:
    """The view with what lies over it, as often as asked."""
    shape = view_14hw.shape[2], view_14hw.shape[3]
    plane = HairPlane(shape, detail, CPU)
    views = view_14hw.repeat(count, 1, 1, 1)
    over = occlusion(Numbers(numbers(count, seed)), plane, shape)
    occlude(views[:, :3], views[:, 3:], over, plane)
    return views


def anywhere(count: int) -> Tensor:
    """Margins of pictures without a lesion."""
    return torch.full((count, 2, 2), NO_LESION)


@pytest.mark.parametrize(("turned", "view"), [(False, (40, 60)), (True, (60, 40))])
def test_picture_and_mask_change_together(turned: bool, view: tuple[int, int]) -> None:
    picture = torch.zeros(6, 4, 80, 120)
    picture[:, :, 20:60, 40:90] = 1
    makes = Augmentation((80, 120), view, 1, turned, CPU, finer=2)
    changes = makes.changes(anywhere(6), numbers(6, most=NUMBERS))
    views = makes.seen(picture, changes.placement)
    assert views.shape == (6, 4, *view)
    for channel in range(3):
        torch.testing.assert_close(views[:, channel], views[:, 3])
    assert bool((views[:, 3].amax(dim=(1, 2)) == 1).all())


@pytest.mark.parametrize(
    ("shape", "turned", "quarters"),
    [((24, 24), None, 4), ((16, 24), False, 2), ((16, 24), True, 2)],
)
def test_framed_views_are_symmetries_of_the_whole_picture(
    monkeypatch: pytest.MonkeyPatch, shape: tuple[int, int], turned: bool | None, quarters: int
) -> None:
    monkeypatch.setattr(augmentation, "FRAMED", 1.0)
    picture = torch.rand(1, 4, *shape, generator=torch.Generator().manual_seed(0))
    view = shape[::-1] if turned else shape
    makes = Augmentation(shape, view, 1, turned, CPU)
    # Whatever the margins are, nothing is moved.
    for margin in (0.0, 0.5, NO_LESION):
        changes = makes.changes(torch.full((60, 2, 2), margin), numbers(60, most=NUMBERS))
        views = makes.seen(picture.expand(60, -1, -1, -1), changes.placement)
        turns = [picture[0].rot90(quarter, (1, 2)) for quarter in range(4)]
        turns = [turn for turn in turns if turn.shape[1:] == view]
        assert len(turns) == quarters
        allowed = torch.stack([*turns, *(turn.flip(2) for turn in turns)])
        distances = (allowed[None] - views[:, None]).abs().amax(dim=(2, 3, 4))
        assert float(distances.amin(dim=1).max()) < 1e-4
        assert len(set(distances.argmin(dim=1).tolist())) == 2 * quarters


#: Rows and columns of lesions in a picture of 40 × 60: at a side, in a corner, across the picture,
#: nearly all of it, and small in the middle.
LESIONS = [
    (slice(10, 30), slice(0, 20)),
    (slice(25, 40), slice(40, 60)),
    (slice(12, 30), slice(0, 60)),
    (slice(1, 39), slice(1, 60)),
    (slice(18, 22), slice(28, 32)),
]


@pytest.mark.parametrize("turned", [False, True])
def test_nothing_of_a_lesion_is_mirrored_into_a_view(
    monkeypatch: pytest.MonkeyPatch, turned: bool
) -> None:
    monkeypatch.setattr(augmentation, "FRAMED", 0.0)
    view, count = ((60, 40) if turned else (40, 60)), 200
    makes = Augmentation((40, 60), view, 1, turned, CPU)
    mirrored = 0
    for rows, columns in LESIONS:
        picture = torch.zeros(1, 4, 40, 60)
        picture[:, :, rows, columns] = 1
        kept = torch.from_numpy(margins(picture[0, 3].numpy() > 0)).expand(count, 2, 2)
        for allowed, is_safe in ((kept, True), (anywhere(count), False)):
            drawn = Numbers(numbers(count))
            placed = placement(drawn, allowed, (40, 60), view, turned)
            views = makes.seen(picture.expand(count, -1, -1, -1), placed)
            shows = views[:, 3] > 0.01
            # A view that is turned may miss the corners of its picture.
            assert float(shows.flatten(1).any(dim=1).float().mean()) > 0.7
            # Where a view shows lesion, its place is in the picture, or less than a pixel beyond;
            # but a bend may push the border outwards, which repeats its last pixel.
            places = makes.places(placed)
            low, high = placed.least_n2[:, :, None, None], placed.most_n2[:, :, None, None]
            within = ((places >= low) & (places <= high)).all(dim=1)
            beyond = (places[:, 0].abs() > 1 + 2 / 60) | (places[:, 1].abs() > 1 + 2 / 40)
            beyond &= within
            if is_safe:
                assert not bool((shows & beyond).any())
            else:
                mirrored += int((shows & beyond).flatten(1).any(dim=1).sum())
    # Without the margins many would be.
    assert mirrored > 100


@pytest.mark.parametrize(("picture", "view"), [((40, 60), (40, 60)), ((40, 60), (60, 40))])
def test_placed_views_show_the_picture_in_its_proportions(
    monkeypatch: pytest.MonkeyPatch, picture: tuple[int, int], view: tuple[int, int]
) -> None:
    for name in ("FRAMED", "STRETCH", "SHEAR", "BEND"):
        monkeypatch.setattr(augmentation, name, 0.0)
    placed = placement(Numbers(numbers(50)), anywhere(50), picture, view, None)
    # In pixels a view is turned and scaled, and nothing else.
    pixels = placed.matrix_n22 * torch.tensor([[60.0], [40.0]]) / torch.tensor(view[::-1])
    scales = pixels.det().abs().sqrt()[:, None, None]
    torch.testing.assert_close(pixels @ pixels.mT, scales**2 * torch.eye(2).expand(50, 2, 2))
    assert 0.74 < float(scales.min()) < 0.85
    assert 1.2 < float(scales.max()) < 1.35


def test_placed_views_are_turned_by_any_angle_and_moved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(augmentation, "FRAMED", 0.0)
    placed = placement(Numbers(numbers(400)), anywhere(400), (48, 48), (48, 48), None)
    sizes = placed.matrix_n22.det()
    assert 0.2 < float((sizes > 0).float().mean()) < 0.8
    # e^±0.3 twice, for an area.
    assert 0.5 < float(sizes.abs().min()) < 0.65
    assert 1.5 < float(sizes.abs().max()) < 1.9
    assert 0.15 < float(placed.shift_n2.abs().max()) <= 0.18
    angles = torch.atan2(placed.matrix_n22[:, 1, 0], placed.matrix_n22[:, 0, 0])
    counts = torch.histc(angles, 8, -3.15, 3.15)
    assert float(counts.min()) > 20
    assert float(placed.bend_n2kk.std()) == pytest.approx(0.05, rel=0.1)


def test_recolouring_stays_in_range_and_varies() -> None:
    image = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    change = colours(Numbers(numbers(2)))
    first, second = recolour(image.repeat(2, 1, 1, 1), change, grain_windows(256, CPU))
    for found in (first, second):
        assert float(found.min()) >= 0
        assert float(found.max()) <= 1
    assert not torch.allclose(first, second)


def test_recolouring_is_what_each_of_its_steps_says() -> None:
    image = 0.2 + 0.6 * torch.rand(40, 3, 16, 24, generator=torch.Generator().manual_seed(0))
    change = colours(Numbers(numbers(40)))
    grain_kp = grain_windows(16 * 24, CPU)
    found = recolour(image, change, grain_kp)
    draw = 2 * numbers(40)[:, :15, None, None, None] - 1
    plain = image * light_gain(image, change.grey_light_n)
    plain = plain.clamp(1e-4, 1) ** (0.2 * draw[:, 0]).exp()
    plain = plain * (0.12 * draw[:, 12:15, 0]).exp() * (0.1 * draw[:, 1]).exp()
    grey = plain.mean(dim=1, keepdim=True)
    plain = grey + (plain - grey) * (0.25 * draw[:, 2]).exp()
    middle = plain.mean(dim=(2, 3), keepdim=True)
    plain = middle + (plain - middle) * (0.2 * draw[:, 3]).exp()
    soft = F.avg_pool2d(F.pad(plain, (1, 1, 1, 1), mode="reflect"), 3, 1)
    plain = plain + (soft - plain) * (draw[:, 4] > 0.5) * (draw[:, 5] + 1) / 2
    y, x = torch.linspace(-1, 1, 16)[:, None], torch.linspace(-1, 1, 24)
    slope = 1 + 0.2 * draw[:, 7] * (x * draw[:, 8] + y * draw[:, 9])
    plain = torch.where(draw[:, 6] > 0.4, plain * slope, plain)
    grain = grain_kp[change.window_n3].view_as(plain)
    plain = torch.where(draw[:, 5] > 0.5, plain + 0.03 * grain, plain)
    torch.testing.assert_close(found, plain.clamp(0, 1), atol=1e-5, rtol=1e-4)
    # Each of them is met, and each is missed.
    for number, least in ((4, 0.5), (5, 0.5), (6, 0.4)):
        assert 0 < int((draw[:, number] > least).sum()) < 40


def test_grain_differs_from_picture_to_picture_and_has_its_strength() -> None:
    change = colours(Numbers(numbers(200)))
    grainy = change.grain_n > 0
    assert 0.15 < float(grainy.float().mean()) < 0.35
    assert change.grain_n.unique().tolist() == pytest.approx([0.0, 0.03])
    assert len(change.window_n3.unique()) > 500
    grain_kp = grain_windows(256, CPU)
    assert grain_kp.shape[0] > int(change.window_n3.max())
    assert float(grain_kp.std()) == pytest.approx(1, abs=0.02)


def test_hairs_are_dark_and_few_and_leave_the_mask(monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch, "HAIRY")
    for detail in (1, 3, 4):
        before = lesion()
        for after in occluded(before, 8, detail=detail):
            torch.testing.assert_close(after[3], before[0, 3])
            changed = (after[:3] != before[0, :3]).any(dim=0)
            assert 0 < int(changed.sum()) < changed.numel() / 2
            assert bool((after[:3] <= before[0, :3]).all())
            assert float(after.min()) >= 0


def test_a_plaster_hides_a_rectangle_and_leaves_the_mask(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    only(monkeypatch, "COVERED")
    before = lesion()
    for after in occluded(before, 8):
        torch.testing.assert_close(after[3], before[0, 3])
        rows, columns = (after[:3] != before[0, :3]).any(dim=0).nonzero().T
        hidden = after[:3, rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
        assert hidden[0].numel() == len(rows) <= before[0, 0].numel() / 9
        assert bool((hidden == hidden[:, :1, :1]).all())


def test_nothing_is_lesion_beyond_the_round_edge(monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch, "ROUND")
    whole = torch.full((1, 4, 48, 48), 0.8)
    whole[:, 3] = 1
    for after in occluded(whole, 8):
        black = after[0] < 0.2
        assert bool(black[0, 0] | black[0, -1] | black[-1, 0] | black[-1, -1])
        assert not bool(after[3][black].any())
        assert float(after[3, 20:28, 20:28].min()) == 1


def test_mostly_nothing_lies_over_a_picture_and_an_address_repeats_it() -> None:
    before = lesion()
    many = occluded(before, 100)
    untouched = sum(torch.equal(after, before[0]) for after in many)
    assert 30 < untouched < 75
    assert torch.equal(occluded(before, 100), many)
    assert not torch.equal(occluded(before, 100, seed=1), many)


def test_grey_light_takes_a_cast_away_by_degrees() -> None:
    grey = lesion()[:, :3]
    cast = torch.tensor([1.0, 0.8, 0.6])[:, None, None]
    shares = torch.tensor([1.0, 0.0, 0.5])
    many = (grey * cast).repeat(3, 1, 1, 1)
    white, same, between = many * light_gain(many, shares)
    torch.testing.assert_close(white[0], white[1])
    torch.testing.assert_close(white[1], white[2])
    torch.testing.assert_close(same, many[1])
    half, full = between[:, 0, 0], many[0, :, 0, 0]
    assert half.max() / half.min() < full.max() / full.min()
    black = torch.zeros(1, 3, 8, 8)
    torch.testing.assert_close(light_gain(black, torch.ones(1)), torch.ones(1, 3, 1, 1))


@pytest.mark.parametrize("factor", [1, 2, 3, 4])
def test_pooling_by_sums_is_average_pooling(factor: int) -> None:
    picture = torch.rand(2, 3, 24, 12, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(pooled(picture, factor), F.avg_pool2d(picture, factor))


def test_margins_are_measured_from_the_lesion_to_each_border() -> None:
    mask_hw = torch.zeros(20, 40, dtype=torch.bool).numpy()
    assert margins(mask_hw).min() == NO_LESION
    mask_hw[0:5, 10:36] = True
    # A pixel less than to the lesion itself: 10 and 4 of 40, 0 and 15 of 20.
    assert margins(mask_hw) == pytest.approx(torch.tensor([[0.45, 0.15], [0.0, 1.4]]).numpy())
