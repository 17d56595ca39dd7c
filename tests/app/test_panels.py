"""Laws: panels show what the session says, and what a person does there reaches the session."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from fakes import DiskModel, Person, fake_engine, write_image
from PySide6.QtCore import QPoint, Qt
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractSlider,
    QComboBox,
    QLineEdit,
    QScrollBar,
    QSpinBox,
    QWidget,
)
from pytestqt.qtbot import QtBot

from engine.types import SampleSettings
from nca_seg_app.panels.agreement import agreement_of
from nca_seg_app.panels.ensemble import EnsemblePanel
from nca_seg_app.panels.film import FilmPanel
from nca_seg_app.panels.imagelist import ordered
from nca_seg_app.panels.images import ImagesPanel
from nca_seg_app.panels.maps import MAPS
from nca_seg_app.panels.pictures import picture_of
from nca_seg_app.panels.segment import SegmentPanel
from nca_seg_app.panels.thumbnails import thumbnail_of
from nca_seg_app.panels.words import progress_text, scores
from nca_seg_app.ports import ImageRow
from nca_seg_app.session import Session
from nca_seg_app.settings import Settings

SETTINGS = Settings(sample=SampleSettings(steps=4, members=5, batch_size=2))


class Desk:
    """A session over a folder of three images, with a model that knows the answer."""

    def __init__(self, qtbot: QtBot, folder: Path) -> None:
        self.qtbot, self.folder = qtbot, folder / "study"
        self.model, self.person = DiskModel(), Person(save="discard")
        self.session = Session(fake_engine(folder, self.model), self.person, SETTINGS)
        self.failures: list[str] = []
        self.session.failed.connect(lambda sentence, _: self.failures.append(sentence))
        for name in ("a.png", "b.png", "c.png"):
            write_image(self.folder / name)

    def open(self) -> None:
        with self.qtbot.waitSignal(self.session.image_changed):
            self.session.open_path(self.folder)
        self.session.refresh_models()
        self.qtbot.waitUntil(lambda: self.session.model is not None)

    def segment(self) -> None:
        with self.qtbot.waitSignal(self.session.segmentation.completed):
            self.session.segmentation.segment()

    def show(self, panel: QWidget, width: int = 320, height: int = 480) -> None:
        self.qtbot.addWidget(panel)
        panel.resize(width, height)
        panel.show()
        self.qtbot.waitExposed(panel)


@pytest.fixture
def desk(qtbot: QtBot, tmp_path: Path) -> Iterator[Desk]:
    made = Desk(qtbot, tmp_path)
    yield made
    made.model.gate.set()
    assert made.session.close()
    assert not made.failures


def click(desk: Desk, view: QWidget, point: QPoint) -> None:
    desk.qtbot.mouseClick(view, Qt.MouseButton.LeftButton, pos=point)


# All of them


@pytest.mark.parametrize("panel_type", [ImagesPanel, SegmentPanel, EnsemblePanel, FilmPanel])
def test_every_control_says_what_it_does(desk: Desk, panel_type: type[QWidget]) -> None:
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
def test_a_panel_made_late_or_seen_late_shows_the_same(
    desk: Desk, panel_type: type[QWidget]
) -> None:
    desk.open()
    early = panel_type(desk.session)
    desk.qtbot.addWidget(early)
    desk.segment()
    late = panel_type(desk.session)
    desk.show(early)
    desk.show(late)
    desk.qtbot.wait(600)
    assert words_of(early) == words_of(late)


def words_of(panel: QWidget) -> list[tuple[str, bool]]:
    return [(each.text(), each.isEnabled()) for each in panel.findChildren(QAbstractButton)]


# Images


def test_a_click_opens_an_image(desk: Desk) -> None:
    desk.open()
    panel = ImagesPanel(desk.session)
    desk.show(panel)
    line = panel.list.visualRect(panel.model.index(2)).center()
    with desk.qtbot.waitSignal(desk.session.image_changed):
        click(desk, panel.list.viewport(), line)
    assert desk.session.index == 2
    desk.qtbot.waitUntil(lambda: panel.model.is_open(2))


def test_status_and_count_follow_the_session(desk: Desk) -> None:
    desk.open()
    panel = ImagesPanel(desk.session)
    desk.show(panel)
    assert panel.reviewed.text() == "0 of 3 reviewed"
    desk.session.set_row(desk.folder / "b.png", status="reviewed", doubt=0.25)
    desk.qtbot.waitUntil(lambda: panel.reviewed.text() == "1 of 3 reviewed")
    said = panel.model.index(1).data(Qt.ItemDataRole.AccessibleTextRole)
    assert said == "b, reviewed · doubt 0.25"


def test_order_and_search() -> None:
    rows = (
        ImageRow(Path("a.png"), "reviewed", 0.1),
        ImageRow(Path("b.png"), "saved", None),
        ImageRow(Path("c.png"), "new", 0.3),
        ImageRow(Path("ab.png"), "draft", 0.2),
    )
    assert ordered(rows, "name", "") == [0, 1, 2, 3]
    assert ordered(rows, "doubt", "") == [2, 3, 0, 1]
    assert ordered(rows, "status", "") == [2, 3, 1, 0]
    assert ordered(rows, "name", "A.PN") == [0]
    assert ordered(rows, "doubt", "b") == [3, 1]


def test_most_doubt_first_opens_what_was_clicked(desk: Desk) -> None:
    desk.open()
    panel = ImagesPanel(desk.session)
    desk.show(panel)
    desk.session.set_row(desk.folder / "c.png", doubt=0.9)
    panel.order.setCurrentIndex(1)
    assert [panel.model.place(line) for line in range(3)] == [2, 0, 1]
    with desk.qtbot.waitSignal(desk.session.image_changed):
        click(desk, panel.list.viewport(), panel.list.visualRect(panel.model.index(0)).center())
    assert desk.session.path == desk.folder / "c.png"


def test_thumbnails_come_by_themselves_and_only_for_what_is_seen(desk: Desk) -> None:
    for number in range(60):
        write_image(desk.folder / f"d{number:03}.png")
    desk.open()
    panel = ImagesPanel(desk.session)
    desk.show(panel)
    first = panel.model.index(0)
    thumbnails = panel.model.thumbnails
    desk.qtbot.waitUntil(lambda: first.data(Qt.ItemDataRole.DecorationRole) is not None)
    desk.qtbot.waitUntil(lambda: desk.session.aside.pending == 0)
    assert desk.folder / "d059.png" not in thumbnails._kept
    assert len(thumbnails._kept) < 20


def test_thirteen_thousand_images_cost_little(desk: Desk) -> None:
    desk.open()
    panel = ImagesPanel(desk.session)
    desk.show(panel)
    many = tuple(ImageRow(desk.folder / f"{number:05}.png") for number in range(13_000))
    # As if such a folder were open; making one would take longer than the test.
    desk.session._rows = many
    began = time.perf_counter()
    desk.session.images_changed.emit()
    panel._show()
    panel.grab()
    assert time.perf_counter() - began < 1.0
    assert panel.model.rowCount() == 13_000
    began = time.perf_counter()
    desk.session._rows = (*many[:5], dataclasses.replace(many[5], status="saved"), *many[6:])
    panel._show()
    assert time.perf_counter() - began < 0.2


def test_an_unreadable_file_gets_no_thumbnail_and_stops_nothing(desk: Desk) -> None:
    (desk.folder / "aa.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    desk.open()
    panel = ImagesPanel(desk.session)
    desk.show(panel)
    last = panel.model.index(3)
    desk.qtbot.waitUntil(lambda: last.data(Qt.ItemDataRole.DecorationRole) is not None)
    assert not last.data(Qt.ItemDataRole.DecorationRole).isNull()


def test_a_thumbnail_keeps_the_shape(tmp_path: Path) -> None:
    wide = thumbnail_of(write_image(tmp_path / "wide.png", (100, 400)), 40)
    assert (wide.width(), wide.height()) == (40, 10)
    thin = thumbnail_of(write_image(tmp_path / "thin.tif", (400, 2)), 40)
    assert (thin.width(), thin.height()) == (1, 40)


# Segment


def test_buttons_do_what_the_table_says(desk: Desk) -> None:
    panel = SegmentPanel(desk.session)
    desk.show(panel)
    assert not panel.button("run.segment").isEnabled()
    desk.open()
    desk.qtbot.waitUntil(panel.button("run.segment").isEnabled)
    assert not panel.button("run.accept").isEnabled()
    with desk.qtbot.waitSignal(desk.session.segmentation.completed):
        panel.button("run.segment").click()
    document = desk.session.document
    assert document is not None
    assert document.is_empty
    with desk.qtbot.waitSignal(document.changed):
        panel.button("run.accept").click()
    assert not document.is_empty


def test_pause_goes_on_and_stop_keeps_what_there_is(desk: Desk) -> None:
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
    assert panel.progress.format().startswith("3 of 12 steps")
    panel.button("run.cancel").click()
    desk.model.gate.set()
    desk.qtbot.waitUntil(lambda: not run.running)
    assert run.result is not None
    assert not panel.button("run.cancel").isEnabled()
    desk.qtbot.waitUntil(lambda: "paused" not in panel.progress.format())


def test_settings_go_both_ways(desk: Desk) -> None:
    panel = SegmentPanel(desk.session)
    desk.show(panel)
    panel.form.findChild(QSpinBox, "members").setValue(7)
    assert desk.session.settings.sample.members == 7
    desk.session.change_settings(sample=SampleSettings(steps=33), fill_opacity=0.4)
    assert panel.form.findChild(QSpinBox, "steps").value() == 33
    assert panel.opacity.value() == 40
    panel.opacity.setValue(10)
    assert desk.session.settings.fill_opacity == pytest.approx(0.1)


def test_the_threshold_is_live_and_scores_follow(desk: Desk) -> None:
    desk.model.size = 64
    desk.open()
    panel = SegmentPanel(desk.session)
    desk.show(panel)
    desk.segment()
    desk.qtbot.waitUntil(lambda: "Members agree" in panel.scores.text())
    before = panel.scores.text()
    with desk.qtbot.waitSignal(desk.session.segmentation.threshold_changed):
        panel.threshold.setValue(95)
    assert desk.session.settings.threshold == pytest.approx(0.95)
    desk.qtbot.waitUntil(lambda: panel.scores.text() != before)


def test_the_model_and_its_figures_are_named(desk: Desk) -> None:
    panel = SegmentPanel(desk.session)
    desk.show(panel)
    desk.open()
    desk.qtbot.waitUntil(lambda: panel.models.currentText() == "oracle · 16 px")
    assert "16 px grid" in panel.figures.text()


def test_words_for_progress() -> None:
    assert progress_text(3, 12, 1.84, paused=False) == "3 of 12 steps · 1.8 s left"
    assert progress_text(3, 12, 240.0, paused=False) == "3 of 12 steps · 4 min left"
    assert progress_text(12, 12, 0.0, paused=False) == "12 of 12 steps"
    assert progress_text(3, 12, 9.0, paused=True) == "3 of 12 steps · paused"


def test_scores_are_right(desk: Desk) -> None:
    desk.open()
    desk.segment()
    result = desk.session.segmentation.result
    assert result is not None
    agreement = agreement_of(result)
    assert agreement.doubt == pytest.approx(result.disagreement, abs=1e-6)
    whole = result.members_nhw.min(axis=0) >= 0.5
    outlined = result.mean_hw >= 0.5
    expected = (whole & outlined).sum() / outlined.sum()
    assert agreement.agreed(0.5) == pytest.approx(expected)
    text = scores(agreement, 0.5, 0.1)
    assert text.startswith(f"Members agree on {100 * expected:.0f} % of the outlined area")
    assert f"{outlined.mean() * 48 * 64 * 0.01:.1f} mm²" in text
    assert scores(agreement, 1.01, None).startswith("Nothing is outlined")


# Ensemble


def test_members_and_maps_appear(desk: Desk) -> None:
    desk.open()
    panel = EnsemblePanel(desk.session)
    desk.show(panel)
    assert panel.members.pictures.rowCount() == 0
    desk.segment()
    desk.qtbot.waitUntil(lambda: panel.members.pictures.rowCount() == 5)
    desk.qtbot.waitUntil(lambda: panel.maps.pictures.rowCount() == len(MAPS))
    desk.qtbot.waitUntil(lambda: panel.doubt.text().startswith("Doubt 0."))


def test_members_being_drawn_are_marked(desk: Desk) -> None:
    desk.model.holds_at = 6
    desk.open()
    panel = EnsemblePanel(desk.session)
    desk.show(panel)
    desk.session.segmentation.segment()
    desk.qtbot.waitUntil(lambda: panel.members.pictures.rowCount() == 4)
    texts = [panel.members.pictures.index(row).data() for row in range(4)]
    assert texts == ["1", "2", "3 …", "4 …"]


def test_a_click_puts_a_member_on_the_canvas_and_a_new_run_takes_it_away(desk: Desk) -> None:
    desk.open()
    panel = EnsemblePanel(desk.session)
    desk.show(panel)
    desk.segment()
    desk.qtbot.waitUntil(lambda: panel.members.pictures.rowCount() == 5)
    viewing, result = desk.session.viewing, desk.session.segmentation.result
    assert result is not None
    index = panel.members.pictures.index(3)
    click(desk, panel.members.viewport(), panel.members.visualRect(index).center())
    assert viewing.shown is not None
    assert viewing.shown.title == "Member 4"
    assert np.array_equal(viewing.shown.map_hw, result.members_nhw[3])
    desk.session.segmentation.discard()
    assert viewing.shown is None


def test_a_member_becomes_the_mask(desk: Desk) -> None:
    desk.open()
    panel = EnsemblePanel(desk.session)
    desk.show(panel)
    desk.segment()
    result, document = desk.session.segmentation.result, desk.session.document
    assert result is not None
    assert document is not None
    menu = panel.menu_for(2)
    with desk.qtbot.waitSignal(document.changed):
        menu.actions()[1].trigger()
    menu.close()
    expected = result.frame.restore(result.members_nhw[2]) >= 0.5
    assert np.array_equal(document.mask_hw, expected)
    desk.session.undo()
    assert document.is_empty


def test_the_agreement_map_follows_its_slider(desk: Desk) -> None:
    desk.open()
    panel = EnsemblePanel(desk.session)
    desk.show(panel)
    desk.segment()
    desk.qtbot.waitUntil(lambda: panel.maps.pictures.rowCount() == len(MAPS))
    desk.qtbot.waitUntil(
        lambda: (
            panel.watch.newest is not None
            and panel.watch.newest.result is desk.session.segmentation.result
        )
    )
    viewing = desk.session.viewing
    areas = []
    panel.maps.chosen.emit(MAPS.index("Agreement"), False)
    for percent in (100, 1):
        panel.level.setValue(percent)
        assert viewing.shown is not None
        areas.append(float(viewing.shown.map_hw.sum()))
    members = desk.session.segmentation.result.members_nhw >= 0.5
    assert areas == [members.all(axis=0).sum(), members.any(axis=0).sum()]


# Film


def test_the_film_fills_and_a_frame_goes_to_the_canvas(desk: Desk) -> None:
    desk.open()
    panel = FilmPanel(desk.session)
    desk.show(panel, 800, 190)
    desk.segment()
    desk.qtbot.waitUntil(lambda: panel.frames.pictures.rowCount() == 4)
    steps = desk.session.segmentation.film.steps(panel.member.value() - 1)
    frame = panel.frames.visualRect(panel.frames.pictures.index(1))
    for point, expected in (
        (frame.center() + QPoint(0, 20), steps[1].clean_hw),
        (frame.center() - QPoint(0, 20), steps[1].noisy_hw),
    ):
        click(desk, panel.frames.viewport(), point)
        assert desk.session.viewing.shown is not None
        assert desk.session.viewing.shown.map_hw is expected
    assert desk.session.viewing.shown.kind == "noisy"
    desk.qtbot.keyClick(panel.frames, Qt.Key.Key_Right)
    assert panel.frames.currentIndex().row() == 2
    assert desk.session.viewing.shown.map_hw is steps[2].noisy_hw
    panel.back.click()
    assert desk.session.viewing.shown is None
    desk.qtbot.waitUntil(lambda: panel.frames.currentIndex().row() == -1)


def test_another_member_keeps_the_moment(desk: Desk) -> None:
    desk.open()
    panel = FilmPanel(desk.session)
    desk.show(panel, 800, 190)
    desk.segment()
    desk.qtbot.waitUntil(lambda: panel.member.maximum() == 5)
    panel.member.setValue(1)
    panel.after.click()
    panel.after.click()
    panel.member.setValue(4)
    step = desk.session.segmentation.film.steps(3)[1]
    assert desk.session.viewing.shown is not None
    assert desk.session.viewing.shown.map_hw is step.clean_hw


def test_playing_ends_at_the_last_frame(desk: Desk) -> None:
    desk.open()
    panel = FilmPanel(desk.session)
    desk.show(panel, 800, 190)
    desk.segment()
    desk.qtbot.waitUntil(lambda: panel.frames.pictures.rowCount() == 4)
    panel.play.click()
    desk.qtbot.waitUntil(lambda: not panel.play.isChecked())
    assert panel.frames.currentIndex().row() == 3


def test_a_new_film_takes_the_old_frame_off_the_canvas(desk: Desk) -> None:
    desk.open()
    panel = FilmPanel(desk.session)
    desk.show(panel, 800, 190)
    desk.segment()
    desk.qtbot.waitUntil(lambda: panel.frames.pictures.rowCount() == 4)
    panel.before.click()
    assert desk.session.viewing.shown is not None
    desk.segment()
    assert desk.session.viewing.shown is None


# Pictures


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
    began = time.perf_counter()
    for _ in range(10):
        picture_of(map_hw, 60, 1.0)
    assert (time.perf_counter() - began) / 10 < 0.01
