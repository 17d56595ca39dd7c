"""The folder goes away while it is open, or cannot be written; files change; clocks are wrong."""

from __future__ import annotations

import os
import random
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image as PillowImage

from engine.images.reading import read_image
from engine.masks.edits import read_mask
from engine.study.mask_files import MASKS
from engine.study.records import record_path
from engine.study.study import Study
from tests.campaigns.stage import (
    SHAPE,
    Desk,
    drawn_desk,
    expect,
    expect_exports,
    expect_saves,
    grain,
    images,
    saved_mask,
    small_disk,
)
from tests.fakes import write_image

YEAR_S = 365 * 24 * 3600.0


def _gone(
    rng: random.Random, place: Path, take: Callable[[Path], object], back: Callable[[Path], object]
) -> None:
    """The folder is taken away with work in the window, and comes back."""
    folder = place / "above" / "study"
    desk, _, drawn_hw = drawn_desk(rng, folder, place)
    if rng.random() < 0.5:
        desk.draw(drawn_hw)
        take(folder)
    else:
        take(folder)
        desk.draw(drawn_hw)
    before = _listing(folder.parent)
    for action in rng.sample((desk.draft, desk.save), 2):
        expect(action() is not True, "it says that it saved into a folder that is gone", "wrong")
        expect(
            _listing(folder.parent) == before,
            f"{action.__name__} makes a ghost folder",
            "wrong",
        )
        desk.expect_shown(drawn_hw, f"gone, {action.__name__}")
    expect_exports(desk, drawn_hw, place)
    _remove_ghosts(folder.parent, before)
    back(folder)
    expect_saves(desk, drawn_hw)
    desk.close()


def _listing(above: Path) -> list[Path]:
    """A folder and all that lies in it; nothing where it is not there."""
    return sorted([above, *above.rglob("*")]) if above.exists() else []


def _remove_ghosts(above: Path, before: list[Path]) -> None:
    """Remove what has come into being; it has been told."""
    for path in reversed(_listing(above)):
        if path not in before:
            path.rmdir() if path.is_dir() else path.unlink()


def renamed(rng: random.Random, place: Path) -> None:
    """The folder has another name for a while."""
    other = place / "renamed"
    _gone(rng, place, lambda folder: folder.rename(other), lambda folder: other.rename(folder))


def renamed_above(rng: random.Random, place: Path) -> None:
    """The folder above has another name for a while."""
    other = place / "renamed"

    def back(folder: Path) -> None:
        other.rename(folder.parent)

    def take(folder: Path) -> None:
        folder.parent.rename(other)
        # So that what is made anew is seen.
        expect(not folder.parent.exists(), "not renamed")

    _gone(rng, place, take, back)


def deleted(rng: random.Random, place: Path) -> None:
    """The folder is deleted, and brought back from a backup."""
    backup = place / "backup"

    def take(folder: Path) -> None:
        shutil.copytree(folder, backup)
        shutil.rmtree(folder)

    _gone(rng, place, take, lambda folder: backup.rename(folder))


def file_instead(rng: random.Random, place: Path) -> None:
    """A file lies where the folder was."""
    other = place / "renamed"

    def take(folder: Path) -> None:
        folder.rename(other)
        folder.write_bytes(b"not a folder")

    def back(folder: Path) -> None:
        folder.unlink()
        other.rename(folder)

    _gone(rng, place, take, back)


def unmounted(rng: random.Random, place: Path) -> None:
    """The folder's disk is taken out: an empty folder stays in its place."""
    folder = place / "above" / "study"
    with small_disk(folder) as disk:
        _gone(rng, place, lambda _: disk.move(place / "moved"), lambda _: disk.move(folder))


def masks_folder_deleted(rng: random.Random, place: Path) -> None:
    """Only the folder of the masks is deleted: it is made again."""
    desk, _, drawn_hw = drawn_desk(rng, place / "study", place)
    shutil.rmtree(desk.folder / MASKS)
    desk.draw(drawn_hw)
    desk.draft()
    expect_saves(desk, drawn_hw)
    desk.close()


def image_replaced(rng: random.Random, place: Path) -> None:
    """The open image is replaced by another: nothing that was drawn is saved on it, nor lost."""
    desk, _, drawn_hw = drawn_desk(rng, place / "study", place)
    shape = rng.choice(((200, 150), SHAPE))
    write_image(desk.folder / "a.png", shape)
    if shape == SHAPE:
        # Another picture of the same size.
        PillowImage.new("RGB", SHAPE[::-1], "white").save(desk.folder / "a.png")
    desk.person.whose = rng.choice(("theirs", "cancel"))
    desk.draw(drawn_hw)
    for action in rng.sample((desk.draft, desk.save), 2):
        action()
    asked = [each for each in desk.person.asked if each.startswith("whose image")]
    expect(asked, "a mask is saved onto another image unasked")
    found_hw, image = saved_mask(desk.folder), read_image(desk.folder / "a.png")
    expect((image.height, image.width) == shape, "the new image is another")
    expect(found_hw is None or not np.array_equal(found_hw, drawn_hw), "it is saved on it")
    if desk.person.whose == "cancel":
        expect_exports(desk, drawn_hw, place)
    else:
        copies = (desk.folder / MASKS / "copies").glob("*.png")
        expect(any(np.array_equal(read_mask(path), drawn_hw) for path in copies), "no copy is kept")
    desk.close()


# Read-only, and the clock


def opened_read_only(rng: random.Random, place: Path) -> None:
    """Masks that are kept elsewhere, since the folder was read-only, are found when it is not."""
    with small_disk(place / "disk") as disk:
        folder = images(disk.place / "study")
        disk.set_writable(False)
        study, mask_hw, draft_hw = Study.open(folder), grain(rng), grain(rng)
        study.save(folder / "a.png", mask_hw, None, reviewed=True)
        study.save_draft(folder / "b.png", draft_hw, None)
        disk.set_writable(True)
        study = Study.open(folder)
        statuses = {image.path.name: image.status for image in study.images()}
        expect(statuses["a.png"] == "reviewed", f"writable again, a mask is {statuses['a.png']}")
        expect(statuses["b.png"] == "draft", f"writable again, a draft is {statuses['b.png']}")
        saved = study.load(folder / "a.png", SHAPE)
        expect(saved is not None and np.array_equal(saved.mask_hw, mask_hw), "the mask is hidden")


def becomes_read_only(rng: random.Random, place: Path) -> None:
    """The folder becomes read-only while it is open: told, and the work is kept."""
    with small_disk(place / "disk") as disk:
        desk, _, drawn_hw = drawn_desk(rng, disk.place / "study", place)
        disk.set_writable(False)
        desk.draw(drawn_hw)
        for action in rng.sample((desk.draft, desk.save), 2):
            if action() is not True:
                desk.expect_shown(drawn_hw, "read-only")
        disk.set_writable(True)
        if desk.session.workspace.document is not None and desk.session.workspace.document.unsaved:
            expect_saves(desk, drawn_hw)
        desk.close()


def future_mask(rng: random.Random, place: Path) -> None:
    """A mask's time lies ahead of the clock: what is drawn over it is found again."""
    desk, first_hw, drawn_hw = drawn_desk(rng, place / "study", place)
    mask_path = desk.folder / MASKS / "a_segmentation.png"
    lookahead = time.time() + rng.choice((3.0, 3600.0, YEAR_S))
    for path in (mask_path, record_path(mask_path)):
        os.utime(path, (lookahead, lookahead))
    if rng.random() < 0.5:
        # Opened anew, so that nothing is known but what lies on disk.
        desk.close()
        desk = Desk(desk.folder, place / "again")
    desk.draw(drawn_hw)
    desk.draft()
    if rng.random() < 0.5:
        for path in (desk.folder / MASKS / "drafts").glob("*"):
            os.utime(path, (0, 0))
    again = Study.open(desk.folder)
    draft = again.load_draft(desk.folder / "a.png", SHAPE)
    found = draft is not None and draft.newer and np.array_equal(draft.mask_hw, drawn_hw)
    expect(found, "the draft is not found again")
    status = {image.path.name: image.status for image in again.images()}["a.png"]
    expect(status == "draft", f"an image with a draft is {status}")
    found_hw = saved_mask(desk.folder)
    expect(found_hw is not None and np.array_equal(found_hw, first_hw), "the mask is another")
    desk.close()
