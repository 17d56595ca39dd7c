"""Law: the panel's buttons, fields and words are the session's."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QComboBox, QSpinBox
from pytestqt.qtbot import QtBot

from engine.types import SampleSettings
from nca_seg_app.session import Session
from nca_seg_app.ui.panels.segment import SegmentPanel
from nca_seg_app.ui.widgets.agreement import agreement_of
from nca_seg_app.ui.widgets.wording import progress_text, scores
from tests.app.desks import SETTINGS, PanelDesk
from tests.fakes import DiskModel, Person, fake_engine, write_image


def test_buttons_do_what_the_table_says(desk: PanelDesk) -> None:
    panel = SegmentPanel(desk.session)
    desk.show(panel)
    assert not panel.button("run.segment").isEnabled()
    desk.open()
    desk.qtbot.waitUntil(panel.button("run.segment").isEnabled)
    assert not panel.button("run.accept").isEnabled()
    with desk.qtbot.waitSignal(desk.session.segmentation.completed):
        panel.button("run.segment").click()
    document = desk.session.workspace.document
    assert document is not None
    assert document.is_empty
    with desk.qtbot.waitSignal(document.changed):
        panel.button("run.accept").click()
    assert not document.is_empty


def test_pause_goes_on_and_stop_keeps_what_there_is(desk: PanelDesk) -> None:
    desk.model.holds_at = 3
    desk.open()
    panel = SegmentPanel(desk.session)
    desk.show(panel)
    panel.button("run.segment").click()
    run = desk.session.segmentation
    desk.qtbot.waitUntil(lambda: run.progress[0] == 3)
    panel.button("run.pause").click()
    assert panel.button("run.pause").text() == "Go On"
    desk.qtbot.waitUntil(lambda: "paused" in panel.progress.format())
    assert panel.progress.format().startswith("0 of 5 members · step")
    panel.button("run.cancel").click()
    desk.model.gate.set()
    desk.qtbot.waitUntil(lambda: not run.running)
    assert run.result is not None
    assert not panel.button("run.cancel").isEnabled()
    desk.qtbot.waitUntil(lambda: "paused" not in panel.progress.format())


def test_settings_go_both_ways(desk: PanelDesk) -> None:
    panel = SegmentPanel(desk.session)
    desk.show(panel)
    panel.form.findChild(QSpinBox, "members").setValue(7)
    assert desk.session.context.settings.sample.members == 7
    desk.session.context.change_settings(sample=SampleSettings(steps=33), fill_opacity=0.4)
    assert panel.form.findChild(QSpinBox, "steps").value() == 33
    panel.form.findChild(QComboBox, "views").setCurrentText("Plain")
    assert desk.session.context.settings.sample.views == "plain"
    assert panel.opacity.value() == 40
    panel.opacity.setValue(10)
    assert desk.session.context.settings.fill_opacity == pytest.approx(0.1)


def test_the_threshold_is_live_and_scores_follow(desk: PanelDesk) -> None:
    desk.model.size = 64
    desk.open()
    panel = SegmentPanel(desk.session)
    desk.show(panel)
    desk.segment()
    desk.qtbot.waitUntil(lambda: "Members agree" in panel.summary.text())
    before = panel.summary.text()
    with desk.qtbot.waitSignal(desk.session.proposal.threshold_changed):
        panel.threshold.setValue(95)
    assert desk.session.context.settings.threshold == pytest.approx(0.95)
    desk.qtbot.waitUntil(lambda: panel.summary.text() != before)


def test_the_model_and_its_figures_are_named(desk: PanelDesk) -> None:
    panel = SegmentPanel(desk.session)
    desk.show(panel)
    desk.open()
    desk.qtbot.waitUntil(lambda: panel.models.currentText() == "oracle · 16 cells")
    assert "16 × 16 cells" in panel.figures.text()


def test_the_model_is_said_to_be_loading_only_while_it_is(qtbot: QtBot, tmp_path: Path) -> None:
    loads = threading.Event()

    def load(_: Path) -> DiskModel:
        assert loads.wait(20)
        return model

    model = DiskModel(holds_at=0)
    session = Session(fake_engine(tmp_path, model, load), Person(save="discard"), SETTINGS)
    panel = SegmentPanel(session)
    qtbot.addWidget(panel)
    panel.show()
    with qtbot.waitSignal(session.workspace.image_changed):
        session.opening.open_path(write_image(tmp_path / "images" / "a.png"))
    session.model_library.refresh()
    qtbot.waitUntil(lambda: session.model_library.chosen is not None)
    session.segment()
    qtbot.waitUntil(lambda: panel.summary.text().startswith("Loading"))
    loads.set()
    model.gate.set()
    qtbot.waitUntil(lambda: not session.segmentation.running)
    model.gate.clear()
    session.segment()
    qtbot.waitUntil(lambda: panel.progress.value() == 0)
    assert session.segmentation.running
    qtbot.waitUntil(lambda: (panel.summary.text(), panel.progress.maximum()) == ("", 1))
    model.gate.set()
    qtbot.waitUntil(lambda: not session.segmentation.running)
    session.close()


def test_words_for_progress(desk: PanelDesk) -> None:
    desk.open()
    desk.segment()
    whole = desk.session.segmentation.result
    assert whole is not None
    half = replace(whole, done=whole.done - 2, finished=2, step=replace(whole.step, done=3))
    step = "step 3 of 4"
    assert progress_text(None, 5, None, False) == ""
    assert progress_text(half, 5, 1.84, False) == f"2 of 5 members · {step} · 2 s left"
    assert progress_text(half, 0, 240.0, False) == f"2 members · {step} · 4 min left"
    assert progress_text(half, 5, 9.0, True) == f"2 of 5 members · {step} · paused"
    assert progress_text(whole, 5, 0.0, False) == "5 of 5 members"


def test_a_threshold_of_ones_own_is_told_and_given_up_by_a_double_click(desk: PanelDesk) -> None:
    desk.open()
    panel = SegmentPanel(desk.session)
    desk.show(panel)
    usual = panel.threshold_text.text()
    panel.threshold.setValue(30)
    assert panel.threshold_text.text() != usual
    assert panel.threshold_text.font().bold()
    desk.qtbot.mouseDClick(panel.threshold_text, Qt.MouseButton.LeftButton)
    assert desk.session.context.settings.threshold == 0.5
    assert panel.threshold.value() == 50
    assert not panel.threshold_text.font().bold()


def test_scores_are_right(desk: PanelDesk) -> None:
    desk.model.size = 64
    desk.open()
    desk.segment()
    result = desk.session.segmentation.result
    assert result is not None
    agreement = agreement_of(result)
    assert agreement.expected_error == pytest.approx(result.expected_error, abs=1e-6)
    whole, any_of_them = (
        each >= 0.5 for each in (result.members_nhw.min(0), result.members_nhw.max(0))
    )
    outlined = result.mean_hw >= 0.5
    expected = whole.sum() / any_of_them.sum()
    assert 0 < expected < 1
    assert agreement.agreed == pytest.approx(expected)
    text = scores(agreement, 0.5, 0.1)
    assert text.startswith(f"Members agree on {100 * expected:.0f} % of their area")
    assert f"{outlined.mean() * 48 * 64 * 0.01:.1f} mm²" in text
    assert scores(agreement, 1.01, None).startswith("Nothing is outlined")
