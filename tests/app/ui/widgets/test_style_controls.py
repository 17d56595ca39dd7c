"""Laws: style and width are shown where a model can be told them, once, and a person moves them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QComboBox, QSlider, QWidget
from pytestqt.qtbot import QtBot

from engine.study.study import Study
from engine.types import Origin, StyleChoice
from nca_seg_app.services.style_words import STYLES
from nca_seg_app.ui.panels.segment import SegmentPanel
from nca_seg_app.ui.panels.training import FITS, TrainingPanel
from nca_seg_app.ui.widgets.style_controls import StyleControls
from nca_seg_app.ui.widgets.style_fit import StyleFitLabel, StyleFitRow
from tests.app.desks import SHAPE, Desk, leave
from tests.fakes import A_HAND, DiskModel, disk, write_image


@pytest.fixture
def styled(qtbot: QtBot, tmp_path: Path) -> Iterator[Desk]:
    """Somebody with three saved masks, whose model can be told a style."""
    study_folder = tmp_path / "images"
    for name in ("a.png", "b.png", "c.png"):
        path = write_image(study_folder / name, SHAPE)
        Study.open(study_folder).save(path, disk(SHAPE), Origin(pixels_changed=700))
    desk = Desk(qtbot, tmp_path, DiskModel(size=64, fits=A_HAND))
    yield desk
    desk.settle()
    leave(desk)


def show(desk: Desk, widget: QWidget) -> None:
    desk.qtbot.addWidget(widget)
    widget.resize(330, 700)
    widget.show()
    desk.qtbot.waitExposed(widget)


def test_they_are_hidden_where_the_model_has_no_styles(desk: Desk) -> None:
    panel, training = SegmentPanel(desk.session), TrainingPanel(desk.session)
    show(desk, panel)
    show(desk, training)
    desk.open()
    assert panel.style_controls.isHidden()
    (row,) = training.findChildren(StyleFitRow)
    assert row.isHidden()


def test_they_have_one_home(styled: Desk) -> None:
    panel = SegmentPanel(styled.session)
    show(styled, panel)
    assert not panel.style_controls.isHidden()
    assert not panel.style_controls.isEnabled()
    styled.open()
    assert panel.style_controls.isEnabled()
    names = [field.accessibleName() for field in panel.findChildren(QComboBox)]
    names += [field.accessibleName() for field in panel.findChildren(QSlider)]
    assert (names.count("Style"), names.count("Width")) == (1, 1)
    assert panel.form.findChild(QWidget, "style") is None
    assert panel.form.findChild(QWidget, "width") is None


def test_only_what_the_model_knows_is_offered_in_plain_words(styled: Desk) -> None:
    controls = StyleControls(styled.session)
    show(styled, controls)
    shown = [controls.styles.itemText(place) for place in range(controls.styles.count())]
    assert shown == ["As everybody (mixed)", "Not said", "Points by hand", "Flood fill"]
    tips = [
        controls.styles.itemData(place, Qt.ItemDataRole.ToolTipRole)
        for place in range(controls.styles.count())
    ]
    assert tips == [STYLES[style].tip for style in styled.session.styling.offered]
    assert "set points" in tips[2]


def test_a_person_chooses_with_the_keyboard(styled: Desk) -> None:
    controls = StyleControls(styled.session)
    show(styled, controls)
    styled.open()
    keys = styled.qtbot.keyClick
    keys(controls.styles, Qt.Key.Key_Down)
    keys(controls.styles, Qt.Key.Key_Down)
    assert styled.session.styling.choice == StyleChoice("T1")
    for _ in range(2):
        keys(controls.width_slider, Qt.Key.Key_Left)
    assert styled.session.styling.choice == StyleChoice("T1", -0.1)
    assert controls.width_text.text() == "−0.10"
    keys(controls.width_slider, Qt.Key.Key_Right)
    keys(controls.width_slider, Qt.Key.Key_Right)
    assert styled.session.styling.choice == StyleChoice("T1")
    assert controls.width_text.text() == "0"


def test_a_double_click_gives_the_middle_back(styled: Desk) -> None:
    controls = StyleControls(styled.session)
    show(styled, controls)
    styled.open()
    for place in (controls.width_slider, controls.width_text):
        controls.width_slider.setValue(60)
        assert styled.session.styling.choice.width == 0.6
        assert controls.width_text.font().bold()
        styled.qtbot.mouseDClick(place, Qt.MouseButton.LeftButton)
        assert styled.session.styling.choice.width == 0
        assert controls.width_slider.value() == 0
        assert not controls.width_text.font().bold()


def test_near_the_middle_the_middle_is_meant(styled: Desk) -> None:
    controls = StyleControls(styled.session)
    show(styled, controls)
    styled.open()
    controls.width_slider.setValue(50)
    controls.width_slider.setValue(3)
    assert styled.session.styling.choice.width == 0
    controls.width_slider.setValue(-6)
    assert styled.session.styling.choice.width == -0.06


def test_a_study_with_a_style_shows_it(styled: Desk) -> None:
    styled.open()
    styled.session.styling.choose(style="T2", width=0.37)
    controls = StyleControls(styled.session)
    show(styled, controls)
    assert controls.styles.currentText() == "Flood fill"
    assert (controls.width_slider.value(), controls.width_text.text()) == (37, "+0.37")
    styled.open_elsewhere()
    styled.until(lambda: controls.styles.currentText() == "As everybody (mixed)")
    assert controls.width_slider.value() == 0


def test_a_fit_shows_how_far_it_is_and_what_it_found(styled: Desk) -> None:
    panel, training = SegmentPanel(styled.session), TrainingPanel(styled.session)
    show(styled, panel)
    show(styled, training)
    controls = panel.style_controls
    (row,) = controls.findChildren(StyleFitRow)
    (label,) = panel.findChildren(StyleFitLabel)
    (elsewhere,) = training.findChildren(StyleFitLabel)
    assert not row.start.isEnabled()
    styled.open()
    assert row.start.isEnabled()
    assert label.isHidden()
    assert elsewhere.text() == FITS
    styled.model.holds_at = 3
    row.start.click()
    styled.until(lambda: (row.bar.value(), row.bar.maximum()) == (3, 6))
    assert row.stop.isVisible()
    styled.model.gate.set()
    styled.until(lambda: "points by hand, a little tighter" in label.text())
    assert label.isVisible()
    assert elsewhere.text() == label.text()
    assert row.start.isVisible()
    assert controls.styles.currentText() == "Points by hand"
    assert controls.width_slider.value() == -25


def test_a_fit_can_be_stopped_from_its_row(styled: Desk) -> None:
    row = StyleFitRow(styled.session)
    show(styled, row)
    styled.open()
    styled.model.holds_at = 1
    row.start.click()
    styled.until(lambda: row.bar.value() == 1)
    row.stop.click()
    styled.model.gate.set()
    styled.until(row.start.isVisible)
    assert styled.session.style_fitting.told == ""
    assert styled.session.styling.choice == StyleChoice()
