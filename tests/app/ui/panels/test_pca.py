"""Law: cells that are alike have one colour in every update, and cells that differ differ."""

from __future__ import annotations

import numpy as np
import pytest

from engine.types import CellStep
from nca_seg_app.ui.panels.cells import CellsPanel
from nca_seg_app.ui.panels.montage import channel_scales
from nca_seg_app.ui.panels.pca import PrincipalComponents
from tests.app.desks import PanelDesk


def steps_of(kinds: np.ndarray, shapes: list[tuple[int, int]]) -> list[CellStep]:
    """Moments on grids of those shapes, each cell in a state of `kinds` (kinds, channels)."""
    draws = np.random.default_rng(0)
    steps = []
    for number, shape in enumerate(shapes):
        chosen = draws.integers(0, len(kinds), shape)
        state_chw = np.moveaxis(kinds[chosen], 2, 0).astype(np.float32)
        names, fires_hw = tuple(map(str, range(len(state_chw)))), np.ones(shape, bool)
        steps.append(CellStep(number + 1, len(shapes), 1, number, state_chw, fires_hw, names))
    return steps


def test_kinds_of_cells_keep_their_colours(qapp: object) -> None:
    draws = np.random.default_rng(1)
    kinds = draws.normal(size=(4, 20)) * np.geomspace(0.01, 100, 20)
    steps = steps_of(kinds, [(12, 16), (48, 64), (48, 64)])
    scales = channel_scales(steps)
    principal = PrincipalComponents.of(steps, scales)
    seen: dict[int, np.ndarray] = {}
    for step in steps:
        colours_hwc = principal.colours(step)
        assert colours_hwc.shape == (*step.fires_hw.shape, 3)
        assert colours_hwc.min() >= 0
        assert colours_hwc.max() <= 1
        first = step.state_chw[0]
        for kind, state in enumerate(kinds.astype(np.float32)):
            mine = colours_hwc[first == state[0]]
            assert np.ptp(mine, axis=0).max() < 1e-5
            assert seen.setdefault(kind, mine[0]) == pytest.approx(mine[0], abs=1e-5)
    # Four points lie in three dimensions: nothing is lost.
    apart = [np.abs(seen[a] - seen[b]).max() for a in range(4) for b in range(a)]
    assert min(apart) > 0.15


def test_the_axes_are_those_of_the_singular_values(qapp: object) -> None:
    steps = steps_of(np.random.default_rng(2).normal(size=(200, 9)), [(20, 20)])
    principal = PrincipalComponents.of(steps, np.ones(9, np.float32))
    states = steps[0].state_chw.reshape(9, -1).T
    _, spread, axes = np.linalg.svd(states - states.mean(axis=0), full_matrices=False)
    assert np.abs((principal.axes_3c * axes[:3]).sum(axis=1)) == pytest.approx(1, abs=1e-4)
    assert principal.spread_3 == pytest.approx(spread[:3] / (len(states) - 1) ** 0.5, rel=1e-3)


def test_all_channels_are_put_on_the_canvas_as_colours(desk: PanelDesk) -> None:
    desk.open()
    desk.segment()
    panel = CellsPanel(desk.session)
    desk.show(panel, 340, 900)
    desk.qtbot.waitUntil(lambda: panel.update_slider.maximum() > 0)
    channels = len(panel._steps[0].state_chw)
    assert panel.montage.name(channels + 1) == "colours"
    panel.montage.clicked.emit(channels + 1)
    shown = desk.session.view_state.shown
    assert shown is not None
    assert shown.kind == "colours"
    step = panel._steps[panel.update_slider.value()]
    assert shown.map_hw.shape == (*step.fires_hw.shape, 3)
