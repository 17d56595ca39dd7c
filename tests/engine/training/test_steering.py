"""Drawing styles, widths and strokes for training; masks held as distances from outlines."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from engine.training import outline, steering

SIDE = 48
SAMPLES = torch.arange(400)


def disc(size: int, radius: float) -> np.ndarray:
    """A disc in the middle of a square, bool (size, size); the radius is in pixels."""
    place = np.arange(size) - size / 2 + 0.5
    inside: np.ndarray = np.hypot(place[:, None], place) <= radius
    return inside


def lesion(radius: float = 14.0) -> Tensor:
    """The share of a disc in the middle, one row for each sample."""
    return torch.from_numpy(disc(SIDE, radius)).float().expand(len(SAMPLES), 1, SIDE, SIDE)


def painted(wrong: Tensor, guessed: bool) -> Tensor:
    guessed_n = torch.full((len(SAMPLES),), guessed)
    return steering.strokes(7, SAMPLES, lesion(), wrong, guessed_n)


@pytest.fixture
def wrong() -> Tensor:
    """A guess that lies four cells to the right of the lesion."""
    return lesion().roll(4, dims=3).bool() != lesion().bool()


@pytest.mark.parametrize("guessed", [True, False])
def test_paints_on_its_own_side_of_the_true_outline(wrong: Tensor, guessed: bool) -> None:
    hint = painted(wrong, guessed)
    assert set(hint.unique().tolist()) == {-1.0, 0.0, 1.0}
    assert not ((hint > 0) & (lesion() < 0.5)).any()
    assert not ((hint < 0) & (lesion() >= 0.5)).any()


def test_half_of_the_views_have_strokes(wrong: Tensor) -> None:
    share = float((painted(wrong, True) != 0).flatten(1).any(dim=1).float().mean())
    assert 0.4 < share < 0.6


def test_the_first_strokes_are_where_the_guess_is_wrong(wrong: Tensor) -> None:
    hint = painted(wrong, True)
    touched = ((hint != 0) & wrong).flatten(1).any(dim=1)
    assert torch.equal(touched, (hint != 0).flatten(1).any(dim=1))


def test_nothing_is_painted_where_the_guess_is_right() -> None:
    assert not painted(torch.zeros(len(SAMPLES), 1, SIDE, SIDE, dtype=torch.bool), True).any()


def test_without_a_guess_both_lesion_and_skin_are_painted(wrong: Tensor) -> None:
    hint = painted(wrong, False)
    assert (hint > 0).any()
    assert (hint < 0).any()


def test_strokes_and_styles_do_not_depend_on_the_batch(wrong: Tensor) -> None:
    part = slice(100, 103)
    one = steering.strokes(
        7, SAMPLES[part], lesion()[part], wrong[part], torch.ones(3, dtype=torch.bool)
    )
    assert torch.equal(one, painted(wrong, True)[part])
    tools = SAMPLES % 5 - 1
    whole = steering.style(7, SAMPLES, tools)
    assert torch.equal(steering.style(7, SAMPLES[part], tools[part]), whole[part])


def test_a_tool_is_told_in_two_thirds_of_the_views_and_never_a_wrong_one() -> None:
    tools = SAMPLES % 5 - 1
    told = steering.style(7, SAMPLES, tools)[:, :4]
    assert not told[tools < 0].any()
    known = told[tools >= 0]
    assert torch.equal(known.argmax(dim=1)[known.any(dim=1)], tools[tools >= 0][known.any(dim=1)])
    assert 0.55 < float(known.sum(dim=1).mean()) < 0.78


def test_half_of_the_widths_are_0_and_the_others_between_minus_1_and_1() -> None:
    width = steering.style(7, SAMPLES, SAMPLES % 4)[:, 4]
    assert 0.4 < float((width == 0).float().mean()) < 0.6
    assert -1 <= float(width.min()) < -0.8
    assert 0.8 < float(width.max()) <= 1


def test_tools_are_told_by_the_shares_that_are_given() -> None:
    shares = torch.tensor([0.5, 0.0, 0.3, 0.2])
    many = torch.arange(3000)
    told = steering.style(7, many, torch.full_like(many, -1), shares)[:, :4]
    assert not told[:, 1].any()
    known = told[told.any(dim=1)]
    assert 0.6 < len(known) / len(many) < 0.73
    torch.testing.assert_close(known.mean(dim=0), shares, atol=0.04, rtol=0)


def moved(mask: np.ndarray, width: float) -> np.ndarray:
    """The mask with its outline moved by a width, as a share."""
    code = outline.coded(mask.astype(np.float32))
    outwards = torch.tensor([outline.REACH * width * outline.radius(code)])
    held = torch.from_numpy(code)[None, None].float() / 255
    return outline.share_of(held, mask.shape, outwards)[0, 0].numpy()


@pytest.mark.parametrize("width", [-1.0, -0.4, 0.0, 0.4, 1.0])
def test_a_disc_moved_by_a_width_has_the_radius_it_says(width: float) -> None:
    mask = disc(192, 50)
    expected = 1 + outline.REACH * width
    assert float(np.sqrt(moved(mask, width).sum() / mask.sum())) == pytest.approx(
        expected, abs=0.02
    )


def test_of_width_0_a_mask_is_what_it_was() -> None:
    share = np.zeros((40, 40), np.float32)
    share[10:30, 10:30] = 1
    share[10, 10:30] = 0.5
    assert np.abs(moved(share, 0.0) - share).max() < 0.1


def test_the_border_of_a_picture_is_no_outline() -> None:
    mask = np.zeros((60, 60), bool)
    mask[:, :30] = True
    tight = moved(mask, -1.0)
    assert tight[:, :20].all()
    assert tight[0, :25].tolist() == tight[30, :25].tolist()
    assert not tight[:, 30:].any()


@pytest.mark.parametrize("full", [True, False])
def test_a_mask_without_an_outline_stays_as_it_is(full: bool) -> None:
    mask = np.full((20, 20), full)
    for width in (-1.0, 1.0):
        assert (moved(mask, width) == full).all()


def test_the_widest_mask_encloses_all_that_widths_can_give() -> None:
    mask = disc(96, 20)
    widest = outline.widest(outline.coded(mask.astype(np.float32)))
    assert not (moved(mask, 1.0)[~widest] >= 0.5).any()
    assert widest.sum() > mask.sum()
