"""Law: before a new model is taken, it is said how it compares with its parent, and how surely."""

from __future__ import annotations

import pytest
from PySide6.QtWidgets import QProgressBar

from engine.types import TrainSettings
from nca_seg_app.session import Has
from nca_seg_app.ui.panels.training import TrainingPanel
from nca_seg_app.ui.widgets.wording import offer
from tests.app.desks import PanelDesk
from tests.fakes import write_image

QUICK = TrainSettings(steps=6, validate_every=2)


def learned(desk: PanelDesk) -> TrainingPanel:
    """A panel after a fine-tuning on four saved masks, one of which validates."""
    write_image(desk.folder / "d.png")
    desk.open()
    session = desk.session
    session.context.change_settings(learn=QUICK)
    panel = TrainingPanel(session)
    desk.show(panel)
    for place in range(4):
        session.opening.open_row(place)
        desk.qtbot.waitUntil(lambda place=place: session.workspace.index == place)
        with desk.qtbot.waitSignal(session.saving.saved):
            session.saving.mark_reviewed()
    panel.start.click()
    desk.qtbot.waitUntil(lambda: Has.CANDIDATE | Has.IDLE in session.capabilities)
    return panel


@pytest.mark.parametrize(
    ("start_dice", "verdict"),
    [(0.95, "but it is not better than its parent."), (0.5, "is ready, better than its parent.")],
)
def test_the_offer_says_whether_the_new_model_is_better(
    desk: PanelDesk, start_dice: float, verdict: str
) -> None:
    desk.model.start_dice = start_dice
    told = learned(desk).offer_text.text()
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
