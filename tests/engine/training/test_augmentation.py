"""Changed pictures stay pictures, and a mask follows only what moves or ends the lesion."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from engine.training import augmentation
from engine.training.augmentation import occluded, recolour, square, under_grey_light


def lesion(size: int = 48) -> Tensor:
    """A dark square in light skin, with its mask, (4, size, size)."""
    view = torch.full((4, size, size), 0.8)
    view[3] = 0
    inside = slice(size // 4, 3 * size // 4)
    view[:3, inside, inside] = 0.4
    view[3, inside, inside] = 1
    return view


def only(monkeypatch: pytest.MonkeyPatch, chance: str) -> None:
    """That one thing lies over every picture, and nothing else over any."""
    for name in ("HAIRY", "COVERED", "ROUND"):
        monkeypatch.setattr(augmentation, name, float(name == chance))


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_picture_and_mask_change_together() -> None:
    picture = torch.zeros(4, 40, 60)
    picture[:, 10:30, 20:45] = 1
    for seed in range(5):
        view = square(picture, 24, torch.Generator().manual_seed(seed))
        assert view.shape == (4, 24, 24)
        for channel in range(3):
            torch.testing.assert_close(view[channel], view[3])
    plain = square(picture, 24, None)
    assert float(plain[3].mean()) == pytest.approx(20 * 25 / 2400, abs=0.03)


def test_framed_views_are_the_eight_symmetries_of_the_picture(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(augmentation, "FRAMED", 1.0)
    picture = torch.rand(4, 40, 60, generator=seeded(0))
    plain = square(picture, 12, None)
    turned = [plain.rot90(quarter, (1, 2)) for quarter in range(4)]
    allowed = torch.stack([*turned, *(view.flip(2) for view in turned)])
    met = set()
    for seed in range(60):
        view = square(picture, 12, seeded(seed))
        distances = (allowed - view).abs().amax(dim=(1, 2, 3))
        assert float(distances.min()) < 1e-4
        met.add(int(distances.argmin()))
    assert len(met) == 8


def test_recolouring_stays_in_range_and_varies() -> None:
    image = torch.rand(3, 16, 16, generator=torch.Generator().manual_seed(0))
    first = recolour(image, torch.Generator().manual_seed(1))
    second = recolour(image, torch.Generator().manual_seed(2))
    assert float(first.min()) >= 0
    assert float(first.max()) <= 1
    assert not torch.allclose(first, second)


def test_hairs_are_dark_and_few_and_leave_the_mask(monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch, "HAIRY")
    before = lesion()
    for seed in range(8):
        after = occluded(before, seeded(seed))
        torch.testing.assert_close(after[3], before[3])
        changed = (after[:3] != before[:3]).any(dim=0)
        assert 0 < int(changed.sum()) < changed.numel() / 2
        assert bool((after[:3] <= before[:3]).all())
        assert float(after.min()) >= 0


def test_a_plaster_hides_a_rectangle_and_leaves_the_mask(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    only(monkeypatch, "COVERED")
    before = lesion()
    for seed in range(8):
        after = occluded(before, seeded(seed))
        torch.testing.assert_close(after[3], before[3])
        rows, columns = (after[:3] != before[:3]).any(dim=0).nonzero().T
        hidden = after[:3, rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
        assert hidden[0].numel() == len(rows) <= before[0].numel() / 9
        assert bool((hidden == hidden[:, :1, :1]).all())


def test_nothing_is_lesion_beyond_the_round_edge(monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch, "ROUND")
    whole = torch.full((4, 48, 48), 0.8)
    whole[3] = 1
    for seed in range(8):
        after = occluded(whole, seeded(seed))
        black = after[0] < 0.2
        assert bool(black[0, 0] | black[0, -1] | black[-1, 0] | black[-1, -1])
        assert not bool(after[3][black].any())
        assert float(after[3, 20:28, 20:28].min()) == 1


def test_mostly_nothing_lies_over_a_picture_and_a_seed_repeats_it() -> None:
    before = lesion()
    untouched = sum(torch.equal(occluded(before, seeded(seed)), before) for seed in range(100))
    assert 20 < untouched < 70
    torch.testing.assert_close(occluded(before, seeded(5)), occluded(before, seeded(5)))


def test_grey_light_takes_a_cast_away_by_degrees() -> None:
    grey = lesion()[:3]
    cast = torch.tensor([1.0, 0.8, 0.6])[:, None, None]
    white = under_grey_light(grey * cast, 1.0)
    torch.testing.assert_close(white[0], white[1])
    torch.testing.assert_close(white[1], white[2])
    torch.testing.assert_close(under_grey_light(grey * cast, 0.0), grey * cast)
    half = under_grey_light(grey * cast, 0.5)[:, 0, 0]
    full = (grey * cast)[:, 0, 0]
    assert half.max() / half.min() < full.max() / full.min()
    black = torch.zeros(3, 8, 8)
    torch.testing.assert_close(under_grey_light(black, 1.0), black)
