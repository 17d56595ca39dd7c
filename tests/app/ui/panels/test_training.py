"""Law: before a new model is taken, it is said how it compares with its parent, and how surely."""

from __future__ import annotations

import dataclasses

import pytest
from PySide6.QtWidgets import QProgressBar

from engine.networks.table import ARCHITECTURES
from engine.types import TrainSettings
from nca_seg_app.services.training import FEWEST_FOR_NEW
from nca_seg_app.session import Has
from nca_seg_app.state.settings import NewModel
from nca_seg_app.ui.panels.training import TrainingPanel
from nca_seg_app.ui.widgets.wording import offer
from tests.app.desks import PanelDesk
from tests.fakes import write_image

QUICK = TrainSettings(steps=6, validate_every=2)


def shown_over(desk: PanelDesk, masks: int) -> TrainingPanel:
    """A panel over a folder with so many images, all of which have a saved mask."""
    for number in range(3, masks):
        write_image(desk.folder / f"{number}.png")
    desk.open()
    session = desk.session
    session.context.change_settings(learn=QUICK)
    panel = TrainingPanel(session)
    desk.show(panel)
    for place in range(masks):
        session.opening.open_row(place)
        desk.qtbot.waitUntil(lambda place=place: session.workspace.index == place)
        with desk.qtbot.waitSignal(session.saving.saved):
            session.saving.mark_reviewed()
    return panel


def until_learned(desk: PanelDesk, panel: TrainingPanel) -> None:
    """Start a training, and wait for its end."""
    panel.start.click()
    desk.qtbot.waitUntil(lambda: Has.CANDIDATE | Has.IDLE in desk.session.capabilities)


def learned(desk: PanelDesk) -> TrainingPanel:
    """A panel after a fine-tuning on four saved masks, one of which validates."""
    panel = shown_over(desk, 4)
    until_learned(desk, panel)
    return panel


def choose(panel: TrainingPanel, preset: str) -> None:
    """Choose what a training starts from, as a person does."""
    panel.origin.setCurrentIndex(panel.origin.findData(preset))
    panel.origin.activated.emit(panel.origin.currentIndex())


def test_a_new_model_is_trained_compared_and_added(desk: PanelDesk) -> None:
    panel = shown_over(desk, FEWEST_FOR_NEW)
    session = desk.session
    assert panel.start.text() == "Fine-tune"
    choose(panel, "MultiCBAM-ours")
    assert panel.start.text() == "Train new model"
    assert panel.start.isEnabled()
    assert "0.4 million parameters" in panel.about.text()
    session.context.change_settings(new_model=NewModel("MultiCBAM-ours", minutes=3))
    until_learned(desk, panel)
    training = session.training
    assert [spec.name for spec in desk.model.trained] == ["MultiCBAM-ours"]
    assert [step.done for step in training.curve] == [1, 2, 3, 4, 5, 6]
    assert training.parent_model is None
    assert "A new model is ready. Validation Dice: 0.857." in panel.offer_text.text()
    desk.qtbot.waitUntil(lambda: len(session.model_comparison.found) == training.validation_images)
    desk.qtbot.waitUntil(lambda: "dashed: oracle" in panel.comparison.summary.text())
    with desk.qtbot.waitSignal(session.model_library.chosen_changed):
        panel.accept.click()
    assert not panel.offer.isVisible()
    assert session.model_library.chosen is not None
    assert session.model_library.chosen.name != "oracle"


def test_too_few_masks_for_a_new_model_are_said_to_be_too_few(desk: PanelDesk) -> None:
    panel = shown_over(desk, 3)
    choose(panel, "MultiCBAM-ours")
    assert not panel.start.isEnabled()
    assert f"at least {FEWEST_FOR_NEW} saved masks; there are 3" in panel._source.text()
    desk.session.training.train_new()
    assert desk.model.trained == []
    choose(panel, "")
    assert panel.start.isEnabled()


def test_what_is_not_installed_is_not_offered(
    desk: PanelDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs = dataclasses.replace(ARCHITECTURES["unet"], packages=("no_such_package",))
    monkeypatch.setitem(ARCHITECTURES, "unet", needs)
    panel = TrainingPanel(desk.session)
    names = [panel.origin.itemData(place) for place in range(panel.origin.count())]
    assert names[0] == ""
    assert "MultiCBAM-ours" in names
    assert "U-Net-0.4M" not in names


@pytest.mark.parametrize(
    ("start_dice", "verdict"),
    [(0.95, "but it is not better than its parent."), (0.5, "is ready, better than its parent.")],
)
def test_the_offer_says_whether_the_new_model_is_better(
    desk: PanelDesk, start_dice: float, verdict: str
) -> None:
    desk.model.start_dice = start_dice
    panel = learned(desk)
    told = panel.offer_text.text()
    assert verdict in told
    assert f"Validation Dice: new 0.857, oracle {start_dice:.3f}." in told
    assert "The comparison is rough: only 1 image was there to measure on." in told
    desk.session.training.discard()


def test_a_training_that_begins_shows_nothing_of_the_one_before(desk: PanelDesk) -> None:
    panel = learned(desk)
    bar = panel.findChild(QProgressBar)
    assert bar.text() == "6 of 6"
    desk.session.training.discard()
    desk.model.holds_at = 0
    panel.start.click()
    assert bar.isVisible()
    assert (bar.value(), bar.text()) == (-1, "")
    desk.model.gate.set()
    desk.qtbot.waitUntil(lambda: Has.CANDIDATE | Has.IDLE in desk.session.capabilities)
    desk.session.training.discard()


def test_words_and_figures_of_an_offer_agree() -> None:
    assert "not better" in offer("parent", 0.8704, 0.8701, 64)
    assert "not better" in offer("parent", 0.87, 0.87, 64)
    assert "not better" not in offer("parent", 0.871, 0.87, 64)
    assert "rough" in offer("parent", 0.871, 0.87, 9)
    assert "rough" not in offer("parent", 0.871, 0.87, 10)
    assert offer("parent", 0.871, None, 64).startswith("A new model is ready. Validation Dice: 0.8")
