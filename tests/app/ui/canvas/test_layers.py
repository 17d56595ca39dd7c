"""Law: picture, outline and disagreement lie where image, mask and variance are."""

from __future__ import annotations

import numpy as np
import pytest

from engine.framing import Frame
from engine.masks.outlines import outline
from nca_seg_app.state.guidance import NO_GUIDANCE
from nca_seg_app.ui.canvas.image_pyramid import ImagePyramid, coarser_levels
from nca_seg_app.ui.canvas.overlay import (
    Tint,
    annotation_contours,
    heat_image,
    proposal_of,
)
from tests.fakes import disk


def test_the_picture_is_shown_without_a_copy_and_in_its_mean_colour() -> None:
    pixels_hwc = np.random.default_rng(0).integers(0, 256, (1200, 1600, 3), np.uint8)
    picture = ImagePyramid(pixels_hwc)
    assert np.shares_memory(picture.pixels_hwc, pixels_hwc)
    assert not picture.has_all_levels
    levels = coarser_levels(pixels_hwc)
    assert levels[0].size().toTuple() == (800, 600)
    expected = pixels_hwc[:2, :2].reshape(4, 3).mean(axis=0)
    assert levels[0].pixelColor(0, 0).getRgb()[:3] == pytest.approx(expected, abs=1)


def test_the_outline_of_a_part_is_the_part_of_the_outline() -> None:
    mask_hw = disk((300, 400))
    whole = annotation_contours(mask_hw, (slice(0, 300), slice(0, 400)))
    part = annotation_contours(mask_hw, (slice(0, 150), slice(50, 350)))
    assert len(whole) == len(part) == 1
    within_rc = part[0][part[0][:, 0] < 148]
    distance = np.abs(within_rc[:, None] - whole[0][None]).sum(axis=2).min(axis=1)
    assert distance.max() == pytest.approx(0, abs=1e-9)


def test_a_coarse_outline_stays_near_the_fine_one() -> None:
    mask_hw = disk((3000, 4000))
    (outline_rc,) = annotation_contours(mask_hw, (slice(0, 3000), slice(0, 4000)))
    radius_px = np.hypot(*(outline_rc - (1500, 2000)).T)
    assert np.abs(radius_px - 900).max() < 6


def test_the_proposal_is_the_border_of_the_accepted_mask() -> None:
    from engine.framing import Frame

    frame = Frame(300, 400, 32)
    mean_hw = np.clip(frame.apply_mask(disk((300, 400))) * 0.9, 0, 1)
    proposal = proposal_of(mean_hw, mean_hw * 0, 0.5, Frame(300, 400, 64), NO_GUIDANCE, 1.0)
    mask_hw = frame.restore(mean_hw) >= 0.5
    (exact_rc,) = outline(mask_hw)
    distance = np.hypot(*np.moveaxis(proposal.contours[0][:, None] - exact_rc[None], -1, 0))
    assert distance.min(axis=1).max() < 1.5


def test_an_empty_mask_has_nothing_to_tint() -> None:
    mask_hw, whole = np.zeros((30, 40), bool), (slice(0, 30), slice(0, 40))
    tint = Tint(mask_hw.shape)
    assert tint.blank
    mask_hw[10:20, 10:30] = True
    tint.refresh(mask_hw, whole)
    assert not tint.blank


@pytest.mark.parametrize("left", range(9))
@pytest.mark.parametrize("width", [1, 7, 8, 13])
def test_the_tint_is_the_mask_whatever_piece_of_it_changed(left: int, width: int) -> None:
    draws = np.random.default_rng(left)
    mask_hw = draws.random((20, 29)) < 0.5
    tint = Tint(mask_hw.shape)
    tint.refresh(mask_hw, np.s_[0:20, 0:29])
    mask_hw[3:9, left : left + width] ^= True
    tint.refresh(mask_hw, np.s_[3:9, left : left + width])
    shown_hw = [[tint.image.pixelIndex(x, y) for x in range(29)] for y in range(20)]
    assert np.array_equal(np.array(shown_hw, bool), mask_hw)


def test_doubtful_places_lie_where_the_variance_is() -> None:
    mean_hw = disk((64, 64)).astype(np.float32)
    variance_hw = np.zeros((64, 64), np.float32)
    variance_hw[:, 44:] = 0.2
    proposal = proposal_of(mean_hw, variance_hw, 0.5, Frame(640, 640, 64), NO_GUIDANCE, 1.0)
    places = proposal.doubtful_places(50.0)
    assert places
    assert all(column > 420 for _, column in places)


def test_no_doubt_is_transparent_and_doubt_is_not() -> None:
    variance_hw = np.zeros((32, 32), np.float32)
    variance_hw[:, 16:] = 0.25
    heat = heat_image(variance_hw, "variance")
    row = heat.height() // 2
    assert heat.pixelColor(2, row).alpha() == 0
    assert heat.pixelColor(heat.width() - 3, row).alpha() > 150


def test_the_edge_of_the_image_is_never_doubtful() -> None:
    mean_hw = np.zeros((32, 32), np.float32)
    mean_hw[16:] = 1
    proposal = proposal_of(
        mean_hw, np.full((32, 32), 0.25, np.float32), 0.5, Frame(320, 320, 64), NO_GUIDANCE, 1.0
    )
    rows = np.concatenate([part[:, 0] for part in proposal.doubtful_stretches()[0]])
    assert rows.size
    assert rows.max() < 200


def test_colours_are_shown_as_they_are() -> None:
    map_hwc = np.zeros((12, 16, 3), np.float32)
    map_hwc[:, :8, 0] = map_hwc[:, 8:, 2] = 1
    image = heat_image(map_hwc, "colours")
    left, right = (image.pixelColor(x, image.height() // 2) for x in (10, image.width() - 10))
    assert (left.red(), left.green(), left.blue()) == (255, 0, 0)
    assert (right.red(), right.green(), right.blue()) == (0, 0, 255)
    assert left.alphaF() == pytest.approx(0.88, abs=0.01)
