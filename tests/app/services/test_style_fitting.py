"""Laws: a style is fitted to what a person decided, chosen where it is nearer, and kept."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from engine.study.study import Study
from engine.types import Origin, Sample, SampleSettings, StyleChoice
from nca_seg_app.services.style_fitting import PICTURE_PX, small_pair
from nca_seg_app.services.style_words import drawn_like
from nca_seg_app.session import Has
from tests.app.desks import SHAPE, Desk, is_still, leave
from tests.fakes import A_HAND, DiskModel, disk, write_image

NAMES = ("a.png", "b.png", "c.png", "d.png")


@pytest.fixture
def styled(qtbot: QtBot, tmp_path: Path) -> Iterator[Desk]:
    """Somebody with three masks drawn by hand, whose model can be told a style."""
    desk = Desk(qtbot, tmp_path, DiskModel(size=64, fits=A_HAND))
    for name in NAMES:
        write_image(tmp_path / "images" / name, SHAPE)
    study = Study.open(tmp_path / "images")
    for name in NAMES[:3]:
        study.save(tmp_path / "images" / name, disk(SHAPE), Origin(pixels_changed=700))
    desk.open(*NAMES)
    yield desk
    leave(desk)


def rest(desk: Desk) -> None:
    desk.until_still(desk.session.styling)
    desk.until(lambda: is_still(desk.session.styling))
    desk.settle()


def test_a_fit_is_told_chosen_kept_and_drawn(styled: Desk) -> None:
    session = styled.session
    assert Has.STYLES | Has.SAVED_MASKS in session.capabilities
    styled.segment()
    session.style_fitting.fit()
    assert Has.FITTING in session.capabilities
    rest(styled)
    assert Has.FITTING not in session.capabilities
    assert session.style_fitting.told == (
        "Your masks are drawn like: points by hand, a little tighter. Dice on them 0.900 → 0.920 "
        "(3 images, each judged by the others' fit)."
    )
    assert session.styling.choice == StyleChoice("T1", -0.25)
    assert Study.open(styled.folder / "images").style == StyleChoice("T1", -0.25)
    run = session.segmentation.run
    assert run is not None
    assert (run.settings.style, run.settings.width) == ("T1", -0.25)
    session.styling.choose(style="mixed", width=0.0)
    assert session.styling.choice == StyleChoice()


def test_a_fit_that_is_no_nearer_is_not_chosen(styled: Desk) -> None:
    styled.model.fits = replace(A_HAND, dice_left_out=0.9004)
    styled.session.styling.choose(style="T2")
    styled.session.style_fitting.fit()
    rest(styled)
    assert styled.session.styling.choice == StyleChoice()
    assert "as everybody draws" in styled.session.style_fitting.told


def test_too_few_masks_are_told(styled: Desk) -> None:
    # One of them is as the model drew it.
    study = Study.open(styled.folder / "images")
    origin = Origin("oracle", "abc123", SampleSettings(), 0.5, 0)
    study.save(styled.folder / "images" / "c.png", disk(SHAPE), origin)
    styled.session.style_fitting.fit()
    rest(styled)
    assert styled.session.style_fitting.told.startswith("There are 2 masks in this folder that you")
    assert styled.session.styling.choice == StyleChoice()
    assert not styled.failures


def test_a_mask_of_the_model_counts_once_it_is_changed(styled: Desk) -> None:
    study = Study.open(styled.folder / "images")
    accepted, path = Origin("m", "f", SampleSettings(), 0.5, 0), styled.folder / "images" / "c.png"
    study.save(path, disk(SHAPE), accepted, True)
    styled.session.style_fitting.fit()
    rest(styled)
    assert styled.session.style_fitting.told.startswith("There are 2 masks in this folder that you")
    study.save(path, disk(SHAPE), replace(accepted, pixels_changed=9), True)
    styled.session.style_fitting.fit()
    rest(styled)
    assert "(3 images" in styled.session.style_fitting.told


def one_mask_more(desk: Desk) -> None:
    """Save a mask for the last image, so that enough are left when the open one gets a model's."""
    folder = desk.folder / "images"
    Study.open(folder).save(folder / NAMES[-1], disk(SHAPE), Origin(pixels_changed=700))


def test_a_saved_mask_stays_where_a_fit_is_chosen(styled: Desk) -> None:
    session = styled.session
    one_mask_more(styled)
    styled.segment()
    session.proposal.replace()
    rest(styled)
    session.save()
    rest(styled)
    document = session.workspace.document
    assert document is not None
    state = document.state
    session.style_fitting.fit()
    rest(styled)
    assert session.segmentation.run is not None
    assert session.segmentation.run.settings.style == "T1"
    assert session.proposal.proposed
    assert document.state is state
    assert not document.unsaved


def test_an_accepted_mask_that_is_not_saved_follows_a_fit(styled: Desk) -> None:
    session = styled.session
    one_mask_more(styled)
    styled.segment()
    session.proposal.replace()
    rest(styled)
    session.style_fitting.fit()
    rest(styled)
    assert not session.proposal.proposed
    document = session.workspace.document
    assert document is not None
    assert document.note.origin.settings.style == "T1"


def test_a_mask_that_cannot_be_read_is_left_out(styled: Desk) -> None:
    write_image(styled.folder / "images" / "e.png", SHAPE)
    study = Study.open(styled.folder / "images")
    damaged = study.save(styled.folder / "images" / "e.png", disk(SHAPE), None)
    damaged.write_bytes(b"no picture")
    styled.session.style_fitting.fit()
    rest(styled)
    assert "(3 images" in styled.session.style_fitting.told
    assert not styled.failures


def test_a_fit_can_be_stopped_and_changes_nothing_then(styled: Desk) -> None:
    styled.model.holds_at = 2
    fitting = styled.session.style_fitting
    fitting.fit()
    styled.until(lambda: fitting.progress == (2, 6))
    fitting.stop()
    styled.model.gate.set()
    rest(styled)
    assert styled.model.closed.is_set()
    assert (fitting.told, fitting.progress) == ("", (0, 0))
    assert styled.session.styling.choice == StyleChoice()


def test_a_fit_of_one_folder_is_not_chosen_for_another(styled: Desk) -> None:
    styled.model.holds_at = 2
    fitting = styled.session.style_fitting
    fitting.fit()
    styled.until(lambda: fitting.progress == (2, 6))
    styled.open_elsewhere()
    styled.until(lambda: styled.session.workspace.images[0].path.name == "z.png")
    styled.model.gate.set()
    rest(styled)
    assert fitting.told == ""
    assert styled.session.styling.choice == StyleChoice()
    assert Study.open(styled.folder / "images").style == StyleChoice()


def test_a_fit_that_fails_is_told(styled: Desk) -> None:
    styled.model.fails_at = 1
    styled.session.style_fitting.fit()
    rest(styled)
    assert len(styled.failures) == 1
    assert styled.session.styling.choice == StyleChoice()


def test_without_a_model_that_can_be_told_a_style_nothing_is_fitted(desk: Desk) -> None:
    desk.open()
    desk.draw()
    desk.session.save()
    desk.settle()
    assert Has.STYLES not in desk.session.capabilities
    desk.session.style_fitting.fit()
    assert not desk.session.style_fitting.running
    assert desk.session.style_fitting.told == ""


def test_large_pictures_are_made_small(tmp_path: Path) -> None:
    shape = (PICTURE_PX + 1, 700)
    study = Study.open(tmp_path)
    study.save(write_image(tmp_path / "a.png", shape), disk(shape), None)
    (sample,) = study.saved_samples()
    assert isinstance(sample, Sample)
    image, mask_hw = small_pair(sample)
    assert mask_hw.shape == (image.height, image.width) == (513, 350)
    assert mask_hw.mean() == pytest.approx(disk(shape).mean(), abs=0.001)


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        (StyleChoice("T3"), "automatic fill"),
        (StyleChoice("T3", 0.05), "automatic fill"),
        (StyleChoice("mixed", 0.25), "as everybody (mixed), a little wider"),
        (StyleChoice("T2", -0.5), "flood fill, tighter"),
        (StyleChoice("several", 1.0), "several tools, much wider"),
    ],
)
def test_words_for_a_style(choice: StyleChoice, words: str) -> None:
    assert drawn_like(choice) == words
