"""Laws: panels show what the session says, and what a person does there reaches the session."""

from __future__ import annotations

import time

import numpy as np
import pytest
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractSlider,
    QApplication,
    QComboBox,
    QLineEdit,
    QScrollBar,
    QSpinBox,
    QWidget,
)
from pytestqt.qtbot import QtBot

from nca_seg_app.ui.panels.ensemble import EnsemblePanel
from nca_seg_app.ui.panels.film import FilmPanel
from nca_seg_app.ui.panels.images import ImagesPanel
from nca_seg_app.ui.panels.segment import SegmentPanel
from nca_seg_app.ui.widgets.pixmaps import picture_of
from nca_seg_app.ui.widgets.plots import Plot
from nca_seg_app.ui.widgets.refresh import Refresh
from nca_seg_app.ui.widgets.theme import DARK, LIGHT, Colours, ThemeName, apply_theme
from tests.app.desks import PanelDesk


@pytest.mark.parametrize("panel_type", [ImagesPanel, SegmentPanel, EnsemblePanel, FilmPanel])
def test_every_control_says_what_it_does(desk: PanelDesk, panel_type: type[QWidget]) -> None:
    panel = panel_type(desk.session)
    desk.show(panel)
    controls: list[QWidget] = []
    for kind in (QAbstractButton, QAbstractSlider, QComboBox, QSpinBox, QLineEdit):
        controls += panel.findChildren(kind)
    # What Qt puts inside its own widgets is not a control of ours.
    ours = [
        control
        for control in controls
        if not isinstance(control, QScrollBar)
        and not isinstance(control.parent(), (QLineEdit, QComboBox, QSpinBox))
    ]
    assert ours
    assert [control for control in ours if not control.toolTip()] == []


@pytest.mark.parametrize("panel_type", [ImagesPanel, SegmentPanel, EnsemblePanel, FilmPanel])
def test_a_panel_made_late_or_seen_late_offers_the_same(
    desk: PanelDesk, panel_type: type[QWidget]
) -> None:
    desk.open()
    early = panel_type(desk.session)
    desk.qtbot.addWidget(early)
    desk.segment()
    late = panel_type(desk.session)
    desk.show(early)
    desk.show(late)
    desk.qtbot.waitUntil(lambda: words_of(early) == words_of(late))


def words_of(panel: QWidget) -> list[tuple[str, bool]]:
    return [(each.text(), each.isEnabled()) for each in panel.findChildren(QAbstractButton)]


def test_what_changes_in_one_turn_is_painted_once_and_what_changes_later_too(
    qtbot: QtBot,
) -> None:
    panel, painted = QWidget(), []
    qtbot.addWidget(panel)
    refresh = Refresh(panel, lambda: painted.append(1))
    panel.show()
    qtbot.waitUntil(lambda: painted == [1])
    for _ in range(5):
        refresh.ask()
    assert painted == [1]
    qtbot.waitUntil(lambda: painted == [1, 1])
    refresh.ask()
    qtbot.waitUntil(lambda: painted == [1, 1, 1])
    assert not refresh.isActive()


def test_a_picture_shows_the_map(qtbot: QtBot) -> None:
    map_hw = np.linspace(0, 1, 64 * 32, dtype=np.float32).reshape(32, 64)
    image = picture_of(map_hw, 64, 1.0).toImage()
    assert (image.width(), image.height()) == (64, 32)
    assert image.pixelColor(0, 0).red() == 0
    assert image.pixelColor(63, 31).red() == 255
    broken = np.full((8, 8), np.nan, np.float32)
    assert picture_of(broken, 16, 1.0).toImage().pixelColor(3, 3).red() == 0


def test_a_member_picture_costs_a_fraction_of_a_frame(qtbot: QtBot) -> None:
    map_hw = np.zeros((512, 512), np.float32)
    picture_of(map_hw, 60, 1.0)
    began = time.thread_time()
    for _ in range(10):
        picture_of(map_hw, 60, 1.0)
    assert (time.thread_time() - began) / 10 < 0.01


@pytest.mark.parametrize(("theme", "colours"), [("dark", DARK), ("light", LIGHT)])
def test_names_of_curves_can_be_read_after_a_change_of_theme(
    qtbot: QtBot, theme: ThemeName, colours: Colours
) -> None:
    app = QApplication.instance()
    assert isinstance(app, QApplication)
    apply_theme(app, "light" if theme == "dark" else "dark")
    plot = Plot("value", "step")
    qtbot.addWidget(plot)
    plot.show()
    qtbot.waitExposed(plot)
    plot.plot([0.86, 0.87], name="new model")
    apply_theme(app, theme)
    ((_, label),) = plot.legend.items
    qtbot.waitUntil(lambda: colours.text in label.item.toHtml())
    assert "new model" in label.item.toPlainText()
