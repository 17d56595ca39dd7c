"""Laws: a form shows every described setting, and its value is always one that holds."""

from __future__ import annotations

import dataclasses

import pytest
from PySide6.QtCore import QEvent, Qt
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import (
    QAbstractSpinBox,
    QApplication,
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QSpinBox,
    QWidget,
)
from pytestqt.qtbot import QtBot

from engine.settings import setting
from engine.types import SampleSettings, TrainSettings
from nca_seg_app.state.settings import Settings
from nca_seg_app.ui.widgets.form import Form

NO_KEY = Qt.KeyboardModifier.NoModifier


@pytest.mark.parametrize("settings", [SampleSettings(), TrainSettings(), Settings()])
def test_every_described_setting_has_an_editor_with_its_value(
    qtbot: QtBot, settings: object
) -> None:
    form = Form(settings)
    qtbot.addWidget(form)
    for each in dataclasses.fields(settings):  # type: ignore[arg-type]
        editor = form.findChild(QWidget, each.name)
        assert (editor is not None) == bool(each.metadata.get("label")), each.name
        if isinstance(editor, (QSpinBox, QDoubleSpinBox)):
            assert editor.value() == getattr(settings, each.name), each.name
    assert form.value() == settings


def test_a_change_is_told_and_setting_a_value_is_not(qtbot: QtBot) -> None:
    form = Form(SampleSettings())
    qtbot.addWidget(form)
    heard: list[SampleSettings] = []
    form.changed.connect(heard.append)
    form.findChild(QSpinBox, "steps").setValue(33)
    form.findChild(QComboBox, "sampler").setCurrentText("DDPM")
    assert heard[-1] == form.value() == SampleSettings(steps=33, sampler="ddpm")
    assert len(heard) == 2
    form.set_value(SampleSettings(seed=4))
    assert len(heard) == 2
    assert form.findChild(QSpinBox, "seed").value() == 4
    assert form.value() == SampleSettings(seed=4)


def test_a_value_that_does_not_hold_is_explained_and_not_taken(qtbot: QtBot) -> None:
    form = Form(TrainSettings())
    qtbot.addWidget(form)
    heard: list[TrainSettings] = []
    form.changed.connect(heard.append)
    form.findChild(QSpinBox, "size").setValue(63)
    assert "multiple of 4" in form.problem()
    assert not heard
    assert form.value() == TrainSettings()
    form.findChild(QSpinBox, "size").setValue(32)
    assert form.problem() == ""
    form.findChild(QCheckBox, "augment").setChecked(False)
    assert form.value() == TrainSettings(size=32, augment=False)


def test_what_does_not_hold_is_told_until_it_does(qtbot: QtBot) -> None:
    form = Form(TrainSettings())
    qtbot.addWidget(form)
    size, augment = form.findChild(QSpinBox, "size"), form.findChild(QCheckBox, "augment")
    size.setValue(63)
    augment.setChecked(False)
    assert "multiple of 4" in form.problem()
    assert form.value() == TrainSettings()
    size.setValue(32)
    assert form.problem() == ""
    assert form.value() == TrainSettings(size=32, augment=False)
    size.setValue(63)
    form.set_value(TrainSettings())
    augment.setChecked(False)
    assert form.value() == TrainSettings(augment=False)


def test_escape_gives_up_what_is_typed_and_else_is_not_the_fields(qtbot: QtBot) -> None:
    form = Form(TrainSettings())
    qtbot.addWidget(form)
    form.show()
    for name, held in (("steps", 300), ("learning_rate", 3e-4)):
        box = form.findChild(QAbstractSpinBox, name)
        shown = box.text()
        box.selectAll()
        qtbot.keyClicks(box, "1")
        assert box.text() != shown
        for taken in (True, False):
            press = QKeyEvent(QEvent.Type.KeyPress, Qt.Key.Key_Escape, NO_KEY)
            QApplication.sendEvent(box, press)
            assert press.isAccepted() == taken
            assert box.text() == shown
        box.interpretText()
        assert getattr(form.value(), name) == held


def test_only_the_named_settings_have_rows(qtbot: QtBot) -> None:
    form = Form(SampleSettings(seed=9), only=("steps", "members"))
    qtbot.addWidget(form)
    assert form.findChild(QWidget, "seed") is None
    form.findChild(QSpinBox, "members").setValue(2)
    assert form.value() == SampleSettings(members=2, seed=9)


@pytest.mark.parametrize(
    ("value", "shown"), [(500.0, "500 MB"), (0.5, "0.5 MB"), (0.0, "0 MB"), (1e-4, "0.0001 MB")]
)
def test_a_number_has_no_zeros_at_its_end(qtbot: QtBot, value: float, shown: str) -> None:
    @dataclasses.dataclass(frozen=True)
    class One:
        memory: float = setting(value, "Memory", "How much.", low=0.0, high=1e5, unit="MB")

    form = Form(One())
    qtbot.addWidget(form)
    assert form.findChild(QDoubleSpinBox, "memory").text() == shown
