"""The disk is full at some moment of a save, a draft, an export, a result or a training."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.errors import EngineError
from engine.masks.reading import read_mask
from engine.study.dataset import read_dataset
from engine.study.export import export_dataset
from engine.study.study import Study
from engine.training import loop
from engine.types import TrainSettings
from tests.campaigns.harness import SAMPLES
from tests.campaigns.kill_commands import draw_dataset
from tests.campaigns.stage import (
    SHAPE,
    Skipped,
    drawn_desk,
    expect,
    expect_saves,
    grain,
    images,
    refused,
    saved_mask,
    small_disk,
)
from tests.oracles import tiny_spec

NAMES = ("a.png", "b.png", "c.png")


def full_study(rng: random.Random, place: Path) -> None:
    """Masks, drafts, marks and doubts on a disk that is full: refused or whole, then it works."""
    with small_disk(place / "disk") as disk:
        folder = images(disk.place / "study")
        held = {name: grain(rng) for name in NAMES}
        study = Study.open(folder)
        for name, mask_hw in held.items():
            study.save(folder / name, mask_hw, None, reviewed=True)
        for _ in range(12):
            disk.leave(rng.choice((0, 1, 4, 8, 16, 40)))
            _one_write(rng, study, folder, held)
            for name, mask_hw in held.items():
                found_hw = saved_mask(folder, Path(name).stem)
                same = found_hw is not None and np.array_equal(found_hw, mask_hw)
                expect(same, f"the mask of {name} is not whole")
        disk.free()
        _expect_works(rng, folder)


def _one_write(
    rng: random.Random,
    study: Study,
    folder: Path,
    held: dict[str, NDArray[np.bool_]],
) -> None:
    name, mask_hw = rng.choice(NAMES), grain(rng)
    works: tuple[Callable[[], object], ...] = (
        lambda: study.save(folder / name, mask_hw, None),
        lambda: study.save_draft(folder / name, mask_hw, None),
        lambda: study.set_reviewed(folder / name, rng.random() < 0.5),
        lambda: study.set_expected_error(folder / name, 0.5),
        study.images,
    )
    place = rng.randrange(len(works))
    if not refused(works[place]) and place == 0:
        held[name] = mask_hw
    elif place == 0:
        # A save may fail after the mask is there: then it is the new one, and whole.
        found_hw = saved_mask(folder, Path(name).stem)
        if found_hw is not None and np.array_equal(found_hw, mask_hw):
            held[name] = mask_hw


def _expect_works(rng: random.Random, folder: Path) -> None:
    mask_hw = grain(rng)
    try:
        study = Study.open(folder)
        study.save(folder / "a.png", mask_hw, None)
        statuses = {image.path.name: image.status for image in study.images()}
        saved = study.load(folder / "a.png", SHAPE)
    except (EngineError, OSError) as error:
        expect(False, f"with room again: {error}")
        return
    expect(saved is not None and np.array_equal(saved.mask_hw, mask_hw), "with room again: lost")
    expect("new" not in statuses.values(), f"with room again: {statuses}")


def limited_study(rng: random.Random, place: Path) -> None:
    """No file may grow beyond some bytes: the same as a full disk, without being superuser."""
    try:
        import resource
    except ImportError:
        raise Skipped("this system has no limit for files") from None
    folder = images(place / "study")
    study, held = Study.open(folder), {name: grain(rng) for name in NAMES}
    for name, mask_hw in held.items():
        study.save(folder / name, mask_hw, None, reviewed=True)
    for _ in range(12):
        most = rng.choice((0, 100, 1000, 4096, 10_000, 20_000))
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))
        _one_write(rng, study, folder, held)
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        for name, mask_hw in held.items():
            found_hw = saved_mask(folder, Path(name).stem)
            same = found_hw is not None and np.array_equal(found_hw, mask_hw)
            expect(same, f"the mask of {name} is not whole")
    _expect_works(rng, folder)


def full_session(rng: random.Random, place: Path) -> None:
    """A person saves on a full disk: told, kept on the screen, saved when there is room."""
    with small_disk(place / "disk") as disk:
        desk, first_hw, drawn_hw = drawn_desk(rng, disk.place / "study", place)
        disk.leave(rng.choice((0, 1, 4)))
        desk.draw(drawn_hw)
        for action in rng.sample((desk.draft, desk.save), 2):
            if action() is True:
                return
            desk.expect_shown(drawn_hw, "full")
            found_hw = saved_mask(desk.folder)
            expect(found_hw is not None and np.array_equal(found_hw, first_hw), "the old is gone")
        disk.free()
        expect_saves(desk, drawn_hw)
        desk.close()


def full_export(rng: random.Random, place: Path) -> None:
    """An export to a full disk is refused, and can be repeated when there is room."""
    study = Study.open(images(place / "study"))
    for name in NAMES:
        study.save(study.folder / name, grain(rng), None)
    with small_disk(place / "disk") as disk:
        out = disk.place / "exported"
        for _ in range(3):
            disk.leave(rng.choice((0, 4, 8, 12, 24, 40)))
            refused(lambda: [*export_dataset(study.saved_samples(), out)])
        disk.free()
        try:
            for _ in export_dataset(study.saved_samples(), out):
                pass
            expect(len(read_dataset(out).samples) == len(NAMES), "the export leaves some out")
        except EngineError as error:
            expect(False, f"the export cannot be repeated: {error}", "wrong")


def full_segment(rng: random.Random, place: Path) -> None:
    """nca-seg segment with --out on a full disk: a sentence, whole files, and then it works."""
    with small_disk(place / "disk") as disk:
        out, samples = disk.place / "out", sorted(SAMPLES.glob("*.jpg"))[:2]
        flags = ["segment", *map(str, samples), "--out", str(out), "--steps", "1"]
        flags += ["--members", "2"]
        disk.leave(rng.choice((0, 4, 8, 16, 24)))
        code, told = _command(*flags)
        expect(code in (0, 3, 4), f"it ends with {code}: {told[-200:]}", "wrong")
        for path in out.glob("*_segmentation.png"):
            expect(not refused(lambda path=path: read_mask(path)), f"{path.name} is not whole")
        disk.free()
        code, told = _command(*flags)
        expect(code == 0, f"with room again it ends with {code}: {told[-200:]}", "wrong")


def full_training(rng: random.Random, place: Path) -> None:
    """A training fills its disk: it ends with a sentence, and goes on when there is room."""
    data = read_dataset(draw_dataset(place / "data"))
    settings = TrainSettings(steps=9, batch_size=2, size=16, validate_every=1)
    with small_disk(place / "disk") as disk:
        run, fills_at = disk.place / "run", rng.randrange(1, 6)

        def go(resume: bool) -> None:
            with closing(loop.train(tiny_spec(), data, settings, run, resume=resume)) as steps:  # type: ignore[type-var]
                for step in steps:
                    if not resume and step.done == fills_at:
                        disk.leave(rng.choice((0, 20, 100)))

        expect(refused(lambda: go(False)), "a full disk is not told", "wrong")
        disk.free()
        expect(not refused(lambda: go(True)), "with room again it cannot be gone on with")


def _command(*arguments: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "engine", *arguments], check=False, capture_output=True, text=True
    )
    expect("Traceback" not in done.stderr, done.stderr[-300:], "traceback")
    return done.returncode, done.stderr
