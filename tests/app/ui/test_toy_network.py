"""The window works with a network without cells as it is; the Cells tab is not there for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from pytestqt.qtbot import QtBot

from engine.networks.table import preset
from nca_seg_app.services.engine import real_engine
from nca_seg_app.session import Has, Session
from nca_seg_app.ui.panels.cells import NOTHING, CellsPanel
from nca_seg_app.ui.panels.tabs import PanelTabs
from nca_seg_app.ui.window import Window
from tests.app.desks import SMALL, opened, trigger
from tests.engine.commands import install
from tests.fakes import Person, write_image
from tests.toy import register

SHIPPED = "MultiCBAM"


@pytest.fixture
def both(qtbot: QtBot, own_folders: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Window]:
    """A window over the engine itself, with an untrained toy beside the bundled model."""
    register(monkeypatch)
    torch.manual_seed(0)
    install(preset("toy").changed(name="convolution"))
    made = Window(Session(real_engine(), Person(save="discard"), SMALL))
    qtbot.addWidget(made)
    made.show()
    qtbot.waitExposed(made)
    made.session.model_library.refresh()
    qtbot.waitUntil(lambda: made.session.model_library.chosen is not None)
    yield made
    made.close()


def cells(window: Window) -> tuple[PanelTabs, int, CellsPanel]:
    """The tabs, the place of the Cells tab among them, and its panel."""
    tabs, panel = window.findChild(PanelTabs), window.findChild(CellsPanel)
    place = next(i for i in range(tabs.count()) if tabs.tabText(i) == "Cells")
    return tabs, place, panel


def test_the_window_segments_with_it_and_has_no_cells_to_show(
    both: Window, qtbot: QtBot, tmp_path: Path
) -> None:
    session = opened(both, qtbot, write_image(tmp_path / "images" / "a.png"))
    tabs, place, panel = cells(both)
    assert tabs.isTabVisible(place)
    tabs.setCurrentIndex(place)
    with qtbot.waitSignal(session.model_library.chosen_changed):
        session.model_library.choose("convolution")
    assert not tabs.isTabVisible(place)
    assert tabs.currentIndex() != place
    with qtbot.waitSignal(session.segmentation.completed, timeout=60_000):
        trigger(both, "run.segment")
    qtbot.waitUntil(lambda: Has.RESULT | Has.IDLE in session.capabilities)
    assert len(session.segmentation.film.steps(0)) == SMALL.sample.steps
    # The tab is back with an automaton, but what was drawn was drawn without cells.
    with qtbot.waitSignal(session.model_library.chosen_changed):
        session.model_library.choose(SHIPPED)
    assert tabs.isTabVisible(place)
    tabs.setCurrentIndex(place)
    qtbot.waitUntil(panel.isVisible)
    assert panel._hint.text() == NOTHING
    assert panel._hint.isVisible()
    assert not panel._body.isVisible()
    panel._ask()
    assert not session.context.aside.pending
