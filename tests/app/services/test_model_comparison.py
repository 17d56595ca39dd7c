"""Law: a new model and its parent are held to the saved masks that neither learnt from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from engine.framing import Frame
from engine.masks.files import write_mask
from engine.types import Float, Sample
from nca_seg_app.services.model_comparison import IMAGES, PICTURE_PX, compare
from tests.app.desks import Desk, leave
from tests.fakes import DiskModel, disk, fake_engine, write_image


class Larger(DiskModel):
    """A model whose disk is half as large again."""

    def truth(self, frame: Frame, member: int) -> Float:
        return disk(frame.grid_shape, 0.4).astype(np.float32)


class TwoModels(Desk):
    """A desk whose fine-tuned models differ from the installed ones."""

    def __init__(self, qtbot: QtBot, folder: Path) -> None:
        parent, child = DiskModel(), Larger()
        self.child = child
        engine = fake_engine(folder, parent, lambda path: child if path.stem == "best" else parent)
        super().__init__(qtbot, folder, parent, engine)

    def learn(self, count: int, *, to_the_end: bool = True) -> None:
        """Save what the parent says of so many images, learn from that and compare."""
        self.open(*(f"{number:02}.png" for number in range(count)))
        for _ in range(count):
            self.segment()
            self.session.review.accept_and_next()
            self.settle()
        self.session.training.finetune()
        if to_the_end:
            self.settle()
        else:
            self.until(lambda: self.child.runs > 0)


@pytest.fixture
def two(qtbot: QtBot, tmp_path: Path):  # type: ignore[no-untyped-def]
    desk = TwoModels(qtbot, tmp_path)
    yield desk
    leave(desk)


def test_the_images_that_judged_are_outlined_by_both(two: TwoModels) -> None:
    two.learn(12)
    training, comparison = two.session.training, two.session.model_comparison
    found = comparison.found
    assert 0 < len(found) == comparison.total == training.validation_images <= IMAGES
    for compared in found:
        assert compared.path.parent == two.folder / "images"
        # What was saved is what the parent says.
        assert compared.dice_before > 0.9 > compared.dice_after
        assert compared.gain == compared.dice_after - compared.dice_before
        assert np.ptp(compared.after[0], axis=0).min() > np.ptp(compared.before[0], axis=0).max()


def test_what_was_compared_goes_with_the_decision(two: TwoModels) -> None:
    two.learn(6)
    training, comparison = two.session.training, two.session.model_comparison
    assert comparison.found
    training.accept()
    two.settle()
    assert comparison.total == 0


def test_an_image_that_is_gone_meanwhile_is_told_and_left_out(two: TwoModels) -> None:
    two.child.holds_at = 0
    two.learn(12, to_the_end=False)
    training, comparison = two.session.training, two.session.model_comparison
    total = training.validation_images
    assert total > 1
    for path in (two.folder / "images").glob("*.png"):
        path.unlink()
    two.child.gate.set()
    two.settle()
    assert len(comparison.found) == comparison.total == 1
    assert len(two.failures) == total - 1
    assert ".png" in two.failures[0]
    two.failures.clear()


def test_a_candidate_dropped_meanwhile_is_not_compared(two: TwoModels) -> None:
    two.child.holds_at = 0
    two.learn(6, to_the_end=False)
    training, comparison = two.session.training, two.session.model_comparison
    training.discard()
    two.child.gate.set()
    two.settle()
    assert comparison.found == ()
    assert comparison.total == 0
    assert not two.failures


def test_outlines_lie_on_the_small_picture(tmp_path: Path) -> None:
    shape = (600, 900)
    image = write_image(tmp_path / "a.png", shape)
    mask = tmp_path / "mask.png"
    write_mask(mask, disk(shape, 0.25))
    engine, model = fake_engine(tmp_path), DiskModel()
    compared = compare(engine, (model, Larger()), Sample("a", image, mask, "val"))
    rows, columns, _ = compared.picture_hwc.shape
    assert (rows, columns) == (round(PICTURE_PX * 2 / 3), PICTURE_PX)
    (saved_rc,) = compared.saved
    middle, radius = np.array([rows, columns]) / 2, 0.25 * rows
    distance = np.hypot(*(saved_rc - middle).T)
    assert distance == pytest.approx(radius, abs=1.0)
