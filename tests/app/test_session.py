"""Laws: every verb ends in a fact on screen or on disk, and no failure costs the person's work."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from engine import masks
from engine.dataset import read_dataset
from engine.errors import OutOfMemory, UnreadableModel
from engine.study import Study
from engine.types import CellStep, SampleSettings, TrainSettings
from nca_seg_app.session import Has, Session
from nca_seg_app.settings import Settings, load
from tests.fakes import DiskModel, Person, fake_engine, write_image

SHAPE = (48, 64)
QUICK = Settings(
    sample=SampleSettings(steps=4, members=3, batch_size=2),
    learn=TrainSettings(steps=6, validate_every=2),
    autosave_s=0.5,
)


class Desk:
    """A session with a person before it, and everything it told them."""

    def __init__(self, qtbot: QtBot, folder: Path, model: DiskModel | None = None) -> None:
        self.qtbot = qtbot
        self.folder = folder
        self.model = model or DiskModel()
        self.person = Person()
        self.settings_file = folder / "settings.json"
        self.session = Session(
            fake_engine(folder, self.model), self.person, QUICK, self.settings_file
        )
        self.failures: list[str] = []
        self.messages: list[str] = []
        self.session.failed.connect(lambda sentence, _: self.failures.append(sentence))
        self.session.message.connect(self.messages.append)
        self.session.refresh_models()
        self.settle()

    @property
    def mask_hw(self) -> masks.Mask:
        assert self.session.document is not None
        return self.session.document.mask_hw

    @property
    def mask_path(self) -> Path:
        assert self.session.path is not None
        return (
            self.folder / "images" / "segmentations" / f"{self.session.path.stem}_segmentation.png"
        )

    def until(self, fact: Callable[[], bool]) -> None:
        self.qtbot.waitUntil(fact, timeout=20_000)

    def settle(self) -> None:
        """Wait until nothing is under way."""
        session = self.session
        self.until(
            lambda: (
                not session.lane.pending
                and not session.aside.pending
                and session.jobs.current is None
            )
        )

    def open(self, *names: str) -> None:
        """Open the folder with pictures of these names."""
        for name in names or ("a.png", "b.png", "c.png"):
            write_image(self.folder / "images" / name, SHAPE)
        self.session.open_path(self.folder / "images")
        self.settle()

    def segment(self) -> None:
        self.session.segmentation.segment()
        self.settle()

    def draw(self, row: float = 20, column: float = 20, radius_px: float = 5) -> None:
        document = self.session.document
        assert document is not None
        document.begin("brush")
        document.draw(lambda hw: masks.stroke(hw, np.array([[row, column]]), radius_px, True))
        document.commit("Brush stroke")


@pytest.fixture
def desk(qtbot: QtBot, tmp_path: Path) -> Iterator[Desk]:
    made = Desk(qtbot, tmp_path)
    yield made
    leave(made)


def leave(desk: Desk) -> None:
    """Let the session go, whatever is unsaved."""
    desk.model.gate.set()
    desk.person.save, desk.person.agrees = "discard", True
    assert desk.session.close()


# The whole way


def test_open_segment_accept_paint_undo_save(desk: Desk) -> None:
    desk.open()
    assert desk.session.index == 0
    desk.segment()
    result = desk.session.segmentation.result
    assert result is not None
    assert (result.done, result.finished) == (result.total, 3)
    desk.session.segmentation.accept()
    desk.settle()
    accepted_hw = result.mask(0.5)
    assert np.array_equal(desk.mask_hw, accepted_hw)
    desk.draw(2, 2)
    desk.draw(40, 60)
    desk.session.undo()
    expected_hw = desk.mask_hw.copy()
    desk.session.save()
    desk.settle()
    assert np.array_equal(masks.read_mask(desk.mask_path), expected_hw)
    assert Has.UNSAVED not in desk.session.state
    record = json.loads(desk.mask_path.with_suffix(".json").read_text("utf-8"))
    origin = record["origin"]
    assert (origin["model"], origin["fingerprint"]) == ("oracle", "abc123")
    assert origin["settings"]["steps"] == 4
    assert origin["pixels_changed"] == np.count_nonzero(accepted_hw ^ expected_hw) > 0
    assert not desk.failures


def test_accepting_is_one_undoable_edit_over_a_persons_mask(desk: Desk) -> None:
    desk.open()
    desk.draw()
    drawn_hw = desk.mask_hw.copy()
    desk.segment()
    assert np.array_equal(desk.mask_hw, drawn_hw)
    desk.session.segmentation.accept()
    desk.settle()
    assert not np.array_equal(desk.mask_hw, drawn_hw)
    desk.session.undo()
    assert np.array_equal(desk.mask_hw, drawn_hw)
    desk.session.save()
    desk.settle()
    record = json.loads(desk.mask_path.with_suffix(".json").read_text("utf-8"))
    assert record["origin"]["model"] == ""


def test_a_stroke_drawn_while_the_result_is_taken_over_is_not_lost(desk: Desk) -> None:
    desk.open()
    desk.segment()
    desk.session.segmentation.accept()
    desk.draw(2, 2, radius_px=1)
    desk.settle()
    assert desk.session.document is not None
    assert desk.session.document.undo_text == "Accept result"
    desk.session.undo()
    assert desk.mask_hw[2, 2]


def test_accept_and_next_saves_as_reviewed_and_moves_on(desk: Desk) -> None:
    desk.open()
    desk.segment()
    first = desk.mask_path
    desk.session.accept_and_next()
    desk.settle()
    assert first.exists()
    assert [row.status for row in desk.session.images] == ["reviewed", "new", "new"]
    assert desk.session.index == 1
    assert desk.session.segmentation.result is None
    desk.session.accept_and_next()
    desk.settle()
    assert desk.session.index == 1
    assert "nothing to accept" in desk.messages[-1]


# The run


def test_the_film_holds_every_step_of_every_member(desk: Desk) -> None:
    desk.open()
    desk.segment()
    film = desk.session.segmentation.film
    assert film.members == 3
    for member in range(3):
        assert [step.timestep for step in film.steps(member)] == [30, 20, 10, 0]
        assert {step.member for step in film.steps(member)} == {member}
    result = desk.session.segmentation.result
    assert result is not None
    assert np.array_equal(film.steps(2)[-1].clean_hw, result.members_nhw[2])


def test_the_model_runs_in_another_thread_and_its_device_is_known(desk: Desk) -> None:
    desk.open()
    assert desk.session.device_text == ""
    desk.segment()
    assert desk.session.device_text == "CPU · fake"
    assert threading.get_ident() not in desk.model.threads


def test_pause_step_and_cancel_keep_what_there_is(qtbot: QtBot, tmp_path: Path) -> None:
    desk = Desk(qtbot, tmp_path, DiskModel(holds_at=3))
    desk.open()
    segmentation = desk.session.segmentation
    segmentation.segment()
    desk.until(lambda: segmentation.progress[0] == 3)
    segmentation.pause()
    assert Has.PAUSED | Has.RUNNING in desk.session.state
    desk.model.gate.set()
    desk.until(lambda: segmentation.progress[0] == 4)
    segmentation.step()
    desk.until(lambda: segmentation.progress[0] == 5)
    segmentation.cancel()
    desk.settle()
    assert segmentation.progress == (5, 8)
    assert desk.model.closed.is_set()
    assert Has.RESULT | Has.IDLE in desk.session.state
    assert Has.RUNNING not in desk.session.state
    segmentation.accept()
    desk.settle()
    assert desk.mask_hw.any()
    leave(desk)


def test_discarding_a_run_leaves_the_mask_and_forgets_the_result(
    qtbot: QtBot, tmp_path: Path
) -> None:
    desk = Desk(qtbot, tmp_path, DiskModel(holds_at=2))
    desk.open()
    desk.session.segmentation.segment()
    desk.until(lambda: desk.session.segmentation.result is not None)
    desk.session.segmentation.discard()
    desk.model.gate.set()
    desk.settle()
    assert desk.session.segmentation.result is None
    assert not desk.mask_hw.any()
    leave(desk)


def test_another_image_ends_the_run_of_the_last(qtbot: QtBot, tmp_path: Path) -> None:
    desk = Desk(qtbot, tmp_path, DiskModel(holds_at=2))
    desk.open()
    desk.session.segmentation.segment()
    desk.until(lambda: desk.session.segmentation.result is not None)
    desk.session.open_next()
    desk.until(lambda: desk.session.index == 1)
    desk.model.gate.set()
    desk.settle()
    assert desk.session.segmentation.result is None
    assert desk.session.segmentation.film.members == 0


def test_a_failing_run_says_so_and_keeps_the_mask(qtbot: QtBot, tmp_path: Path) -> None:
    desk = Desk(qtbot, tmp_path, DiskModel(fails_at=3, error=OutOfMemory(3, 256, 1)))
    desk.open()
    desk.draw()
    drawn_hw = desk.mask_hw.copy()
    desk.segment()
    (sentence,) = desk.failures
    assert "Batch to 1" in sentence
    assert np.array_equal(desk.mask_hw, drawn_hw)
    assert Has.IDLE in desk.session.state
    leave(desk)


def test_a_model_that_cannot_be_loaded_says_so(qtbot: QtBot, tmp_path: Path) -> None:
    def broken(path: Path) -> object:
        raise UnreadableModel(path, "Damaged header.")

    person = Person(save="discard")
    session = Session(fake_engine(tmp_path, load=broken), person, QUICK)
    failures: list[str] = []
    session.failed.connect(lambda sentence, _: failures.append(sentence))
    session.refresh_models()
    session.open_path(write_image(tmp_path / "images" / "a.png"))
    qtbot.waitUntil(lambda: Has.IMAGE | Has.MODEL in session.state, timeout=20_000)
    session.segmentation.segment()
    qtbot.waitUntil(lambda: bool(failures), timeout=20_000)
    assert "oracle.safetensors cannot be loaded: damaged header" in failures[0]
    qtbot.waitUntil(lambda: session.jobs.current is None, timeout=20_000)
    session.close()


def test_the_threshold_moves_the_proposal_and_a_member_can_be_used(desk: Desk) -> None:
    desk.open()
    desk.segment()
    segmentation = desk.session.segmentation
    heard: list[float] = []
    segmentation.threshold_changed.connect(heard.append)
    segmentation.set_threshold(0.9)
    segmentation.accept()
    desk.settle()
    result = segmentation.result
    assert result is not None
    assert heard == [0.9]
    assert np.array_equal(desk.mask_hw, result.mask(0.9))
    assert not segmentation.proposed
    segmentation.set_threshold(0.2)
    assert segmentation.proposed
    segmentation.use_member(2)
    desk.settle()
    expected_hw = result.frame.restore(result.members_nhw[2]) >= 0.2
    assert np.array_equal(desk.mask_hw, expected_hw)


def test_replay_gives_the_cells_of_the_stored_step(desk: Desk) -> None:
    desk.open()
    desk.segment()
    heard: list[list[CellStep]] = []
    desk.session.segmentation.replay(0, 30, heard.append)
    desk.session.segmentation.replay(1, 10, heard.append)
    desk.settle()
    (cells,) = heard
    step = desk.session.segmentation.film.find(1, 10)
    assert step is not None
    assert np.array_equal(cells[-1].state_chw[4], step.noisy_hw)
    assert cells[-1].done == cells[-1].total == len(cells)


def test_the_doubt_of_a_result_is_kept_in_the_study(desk: Desk) -> None:
    desk.open()
    desk.segment()
    result, row = desk.session.segmentation.result, desk.session.row
    assert result is not None
    assert row is not None
    assert row.doubt == pytest.approx(result.disagreement)
    stored = Study.open(desk.folder / "images").images()[0]
    assert stored.disagreement == pytest.approx(result.disagreement)


# Opening


def test_a_bad_file_gives_a_message_and_changes_nothing(desk: Desk) -> None:
    desk.open()
    image, document = desk.session.image, desk.session.document
    bad = desk.folder / "bad" / "x.png"
    bad.parent.mkdir()
    bad.write_bytes(b"not a picture")
    for path in (bad, desk.folder / "missing.png", bad.parent / "nothing", desk.folder / "models"):
        desk.session.open_path(path)
        desk.settle()
    assert len(desk.failures) == 4
    assert "x.png cannot be opened" in desk.failures[0]
    assert (desk.session.image, desk.session.document) == (image, document)
    assert desk.session.index == 0
    assert [each.name for each in bad.parent.iterdir()] == ["x.png"]


def test_several_images_open_as_a_list_without_the_bad_ones(desk: Desk) -> None:
    good = [write_image(desk.folder / "images" / f"{name}.png", SHAPE) for name in "ab"]
    bad = desk.folder / "images" / "0.png"
    bad.write_bytes(b"")
    elsewhere = write_image(desk.folder / "other" / "z.png")
    desk.session.open_path([bad, *good, elsewhere])
    desk.settle()
    assert [row.path.name for row in desk.session.images] == ["a.png", "b.png"]
    assert len(desk.failures) == 1
    desk.session.open_next()
    desk.settle()
    assert desk.session.path == good[1]


def test_an_unreadable_image_is_stepped_over_the_second_time(desk: Desk) -> None:
    desk.open()
    (desk.folder / "images" / "b.png").write_bytes(b"broken meanwhile")
    desk.session.open_next()
    desk.settle()
    assert desk.session.index == 0
    assert len(desk.failures) == 1
    desk.session.open_next()
    desk.settle()
    assert desk.session.index == 2


def test_a_folder_opens_at_its_first_image_that_is_not_reviewed(desk: Desk) -> None:
    desk.open()
    desk.draw()
    desk.session.mark_reviewed()
    desk.settle()
    desk.session.open_path(desk.folder / "images")
    desk.settle()
    assert desk.session.index == 1
    assert desk.session.images[0].status == "reviewed"


def test_the_samples_open(desk: Desk) -> None:
    desk.session.open_sample()
    desk.settle()
    assert desk.session.path is not None
    assert desk.session.path.name == "sample.png"


def test_recent_files_and_settings_are_kept(desk: Desk) -> None:
    desk.open()
    desk.session.change_settings(theme="dark")
    leave(desk)
    stored = load(desk.settings_file)
    assert stored.theme == "dark"
    assert stored.recent == (str(desk.folder / "images"),)
    with pytest.raises(ValueError, match="theme"):
        desk.session.change_settings(theme="pink")


# Unsaved work


@pytest.mark.parametrize("answer", ["save", "discard", "cancel"])
def test_unsaved_changes_are_asked_about_before_another_image(desk: Desk, answer: str) -> None:
    desk.open()
    desk.draw()
    drawn_hw = desk.mask_hw.copy()
    first = desk.mask_path
    desk.person.save = answer  # type: ignore[assignment]
    desk.session.open_next()
    desk.settle()
    assert desk.person.asked == ["save a.png"]
    assert desk.session.index == (0 if answer == "cancel" else 1)
    assert first.exists() == (answer == "save")
    if answer == "save":
        assert np.array_equal(masks.read_mask(first), drawn_hw)
    if answer == "discard":
        desk.session.open_previous()
        desk.settle()
        assert not desk.mask_hw.any()


def test_a_save_that_fails_keeps_the_person_where_the_work_is(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", "/study/a_segmentation.png")

    desk.open()
    desk.draw()
    drawn_hw = desk.mask_hw.copy()
    monkeypatch.setattr("engine.study.write_mask", full)
    desk.person.save = "save"
    desk.session.open_next()
    desk.settle()
    assert desk.session.index == 0
    assert "no space left" in desk.failures[0]
    assert np.array_equal(desk.mask_hw, drawn_hw)
    assert Has.UNSAVED in desk.session.state
    assert not desk.session.close()
    monkeypatch.undo()
    assert desk.session.close()
    assert np.array_equal(masks.read_mask(desk.mask_path), drawn_hw)


def test_a_stroke_after_saving_began_leaves_the_mask_unsaved(desk: Desk) -> None:
    desk.open()
    desk.draw()
    desk.session.save()
    desk.draw(40, 40)
    desk.settle()
    assert Has.UNSAVED in desk.session.state


def test_closing_can_be_cancelled(desk: Desk) -> None:
    desk.open()
    desk.draw()
    desk.person.save = "cancel"
    assert not desk.session.close()
    desk.session.save()
    desk.settle()
    assert desk.mask_path.exists()


def test_a_draft_is_written_while_drawing_and_recovered_after_a_kill(
    desk: Desk, qtbot: QtBot
) -> None:
    desk.open()
    desk.draw()
    desk.session.save()
    desk.settle()
    saved_hw = desk.mask_hw.copy()
    document = desk.session.document
    assert document is not None
    document.begin("brush")
    document.draw(lambda hw: masks.stroke(hw, np.array([[40.0, 50.0]]), 4, True))
    drafts = desk.folder / "images" / "segmentations" / "drafts"
    desk.until(lambda: any(drafts.glob("*.png")))
    desk.settle()
    drawn_hw = desk.mask_hw.copy()
    assert np.array_equal(masks.read_mask(desk.mask_path), saved_hw)

    # As after a kill: nobody closed the first session.
    other = Desk(qtbot, desk.folder)
    other.open("a.png", "b.png", "c.png")
    assert np.array_equal(other.mask_hw, drawn_hw)
    assert Has.UNSAVED in other.session.state
    assert any("Recovered" in message for message in other.messages)
    other.session.undo()
    assert np.array_equal(other.mask_hw, saved_hw)
    leave(other)


def test_undoing_to_the_saved_mask_drops_the_draft(desk: Desk) -> None:
    desk.open()
    desk.draw()
    drafts = desk.folder / "images" / "segmentations" / "drafts"
    desk.until(lambda: any(drafts.glob("*.png")))
    desk.session.undo()
    desk.until(lambda: not any(drafts.glob("*.png")))


# Edits and exports


def test_fill_keep_smooth_and_clear_are_undo_steps(desk: Desk) -> None:
    desk.open()
    desk.draw(10, 10, radius_px=3)
    desk.draw(30, 40, radius_px=9)
    document = desk.session.document
    assert document is not None
    document.edit("Hole", lambda hw: masks.stroke(hw, np.array([[30.0, 40.0]]), 3, False))
    desk.session.fill_holes()
    desk.settle()
    assert desk.mask_hw[30, 40]
    desk.session.keep_largest()
    desk.settle()
    assert not desk.mask_hw[10, 10]
    desk.session.clear()
    desk.settle()
    assert Has.MASK not in desk.session.state
    assert document.undo_text == "Clear"
    for _ in range(3):
        desk.session.undo()
    assert desk.mask_hw[10, 10]
    assert not desk.mask_hw[30, 40]


def test_export_writes_a_mask_where_asked_and_a_data_set(desk: Desk) -> None:
    desk.open()
    desk.draw()
    desk.person.path = desk.folder / "out.jpg"
    desk.session.save_as()
    desk.settle()
    assert np.array_equal(masks.read_mask(desk.folder / "out.png"), desk.mask_hw)
    assert Has.UNSAVED in desk.session.state
    desk.session.mark_reviewed()
    desk.settle()
    desk.person.path = desk.folder / "dataset"
    desk.session.export_dataset()
    desk.settle()
    (sample,) = read_dataset(desk.folder / "dataset").samples
    assert np.array_equal(masks.read_mask(sample.mask_path), desk.mask_hw)
    assert not desk.failures


# Learning


def saved(desk: Desk) -> None:
    desk.open()
    for _ in range(2):
        desk.draw()
        desk.person.save = "save"
        desk.session.open_next()
        desk.settle()


def test_learning_leads_to_a_new_model_beside_its_parent(desk: Desk) -> None:
    saved(desk)
    assert Has.SAVED_MASKS in desk.session.state
    learning = desk.session.learning
    learning.finetune()
    assert Has.LEARNING in desk.session.state
    desk.settle()
    assert [step.done for step in learning.curve] == [1, 2, 3, 4, 5, 6]
    assert learning.candidate is not None
    assert [entry.name for entry in desk.session.models] == ["oracle"]
    learning.accept()
    desk.settle()
    assert [entry.name for entry in desk.session.models] == ["oracle", "oracle+1"]
    assert desk.session.model is not None
    assert desk.session.model.path.read_bytes() == b"2 samples, 6"
    assert (desk.folder / "models" / "oracle.safetensors").read_bytes() == b"weights of oracle"
    assert learning.candidate is None


@pytest.mark.parametrize("keeps", [True, False])
def test_learning_can_be_stopped_with_the_best_or_without(
    qtbot: QtBot, tmp_path: Path, keeps: bool
) -> None:
    desk = Desk(qtbot, tmp_path, DiskModel(holds_at=3))
    saved(desk)
    learning = desk.session.learning
    learning.finetune()
    desk.until(lambda: len(learning.curve) == 3)
    if keeps:
        learning.stop_and_keep()
    else:
        learning.cancel()
    desk.model.gate.set()
    desk.settle()
    assert desk.model.closed.is_set()
    assert (learning.candidate is not None) == keeps
    assert (tmp_path / "training" / "oracle").exists() == keeps
    if keeps:
        learning.discard()
        desk.settle()
    assert not (tmp_path / "training" / "oracle").exists()
    assert [entry.name for entry in desk.session.models] == ["oracle"]
    leave(desk)


def test_stopping_before_the_first_validation_says_that_nothing_is_kept(
    qtbot: QtBot, tmp_path: Path
) -> None:
    desk = Desk(qtbot, tmp_path, DiskModel(holds_at=0))
    saved(desk)
    desk.session.learning.finetune()
    desk.session.learning.stop_and_keep()
    desk.model.gate.set()
    desk.settle()
    assert desk.session.learning.candidate is None
    assert "no new model" in desk.messages[-1]
    leave(desk)


def test_a_training_that_fails_keeps_its_best(qtbot: QtBot, tmp_path: Path) -> None:
    desk = Desk(qtbot, tmp_path, DiskModel(fails_at=5))
    saved(desk)
    desk.session.learning.finetune()
    desk.settle()
    assert desk.session.learning.candidate is not None
    assert len(desk.failures) == 1
    leave(desk)


def test_closing_asks_before_it_stops_a_training(qtbot: QtBot, tmp_path: Path) -> None:
    desk = Desk(qtbot, tmp_path, DiskModel(holds_at=2))
    saved(desk)
    desk.session.learning.finetune()
    desk.until(lambda: len(desk.session.learning.curve) == 2)
    desk.person.agrees = False
    assert not desk.session.close()
    assert desk.session.learning.running
    leave(desk)
    assert desk.model.closed.is_set()
