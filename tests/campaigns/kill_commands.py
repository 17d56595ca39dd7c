"""Trainings, segmentations and exports are killed, and can be repeated or gone on with."""

from __future__ import annotations

import json
import random
import signal
import time
from pathlib import Path

import numpy as np
from PIL import Image as PillowImage

from engine.errors import EngineError
from engine.masks.reading import read_mask
from engine.study.dataset import read_dataset
from engine.study.study import Study
from tests.campaigns.aftermath import Faults, age
from tests.campaigns.harness import SAMPLES, Program, Trial, program, wait_until

KINDS = ("train", "segment", "export", "finetune")
SMALL = ("--size", "16", "--batch-size", "2", "--validate-every", "1")
START_S, END_S = 90.0, 150.0


def trial(number: int, place: int, rng: random.Random, folder: Path) -> Trial:
    """Kill one command, look at what it left, give it again; some are only asked to end."""
    kind, faults = KINDS[place % len(KINDS)], Faults()
    sign = signal.SIGTERM if place // len(KINDS) % 4 == 3 else signal.SIGKILL
    {"train": _train, "segment": _segment, "export": _export, "finetune": _finetune}[kind](
        rng, folder, sign, faults
    )
    return Trial.of(number, f"nca-seg {kind}, {sign.name}", faults.found)


def _killed(
    folder: Path, sign: signal.Signals, faults: Faults, begun: str, delay_s: float, *given: object
) -> str:
    """Start a command, end it `delay_s` after there is a file like `begun`; what it has told."""
    with program("engine", *given, folder=folder, name="first") as run:

        def is_there() -> bool:
            return run.process.poll() is not None or any(folder.glob(begun))

        if not wait_until(is_there, START_S):
            faults.add("hung", f"nothing is begun within {START_S:.0f} s")
        time.sleep(delay_s)
        if run.process.poll() is None:
            run.process.send_signal(sign)
        if not run.ends(END_S):
            faults.add("hung", f"does not end after {sign.name}")
        faults.complaint(Program(run.process, run.err, run.err), "the command")
        return run.err.read_text(encoding="utf-8")


def _again(folder: Path, faults: Faults, *given: object) -> bool:
    """Whether the same, or going on, works now."""
    with program("engine", *given, folder=folder, name="again") as run:
        if not run.ends(END_S):
            faults.add("hung", "given again it does not end")
            return False
        told = run.err.read_text(encoding="utf-8").strip()
        if run.complaint():
            faults.add("traceback", run.complaint())
        if run.process.returncode:
            last = told.splitlines()[-1][:200] if told else ""
            faults.add("wrong", f"given again it ends with {run.process.returncode}: {last}")
        return run.process.returncode == 0


def _train(rng: random.Random, folder: Path, sign: signal.Signals, faults: Faults) -> None:
    data, out = draw_dataset(folder / "data"), folder / "run"
    flags = ("train", "--data", data, "--out", out, "--updates", "2", *SMALL)
    begun, delay_s = rng.choice((("first.err", 3.0), ("run", 0.0), ("run/best*", 0.0)))
    delay_s += rng.uniform(0.0, 3.0)
    told = _killed(folder, sign, faults, begun, delay_s, *flags, "--steps", "100000")
    steps = [line.split()[2].split("/")[0] for line in told.splitlines() if " step " in line]
    reached = int(steps[-1]) if steps else 0
    state = (out / "state.safetensors").exists()
    if sign == signal.SIGTERM and reached and not state:
        faults.add("lost", f"asked to end at step {reached} it wrote no state")
    if state:
        _again(folder, faults, *flags, "--steps", "100000", "--minutes", "0.02", "--resume")
    elif any((out / name).exists() for name in ("best.safetensors", "curves.csv")):
        # Killed before its first state: the model so far is whole, and a new run begins elsewhere.
        if (out / "best.safetensors").exists():
            use = ("--model", out / "best.safetensors", "--members", "1", "--out", folder / "out")
            _again(folder, faults, "segment", SAMPLES / "sample_1_plain.jpg", *use)
    else:
        _again(folder, faults, *flags, "--steps", "2")


def _segment(rng: random.Random, folder: Path, sign: signal.Signals, faults: Faults) -> None:
    out = folder / "out"
    flags = ("segment", SAMPLES, "--out", out, "--steps", "1", "--members", "2")
    _killed(folder, sign, faults, rng.choice(("out", "out/*.json")), rng.uniform(0, 0.3), *flags)
    for path in out.glob("*.png"):
        if path.name.endswith("_segmentation.png"):
            with PillowImage.open(
                SAMPLES / path.name.replace("_segmentation.png", ".jpg")
            ) as picture:
                shape = picture.height, picture.width
            try:
                read_mask(path, shape)
            except EngineError as error:
                faults.add("lost", str(error))
    for path in out.glob("*.json"):
        json.loads(path.read_bytes())
    if _again(folder, faults, *flags) and len([*out.glob("*_segmentation.png")]) != len(
        [*SAMPLES.glob("*.jpg")]
    ):
        faults.add("lost", "given again it leaves images out")


def _export(rng: random.Random, folder: Path, sign: signal.Signals, faults: Faults) -> None:
    study, out = draw_study(folder / "study", 40), folder / "exported"
    begun = rng.choice(("exported", "exported/images/*", "exported/masks/*"))
    _killed(folder, sign, faults, begun, rng.uniform(0, 0.1), "export", study, "--out", out)
    age(folder)
    if not _again(folder, faults, "export", study, "--out", out):
        return
    try:
        samples = read_dataset(out).samples
    except EngineError as error:
        faults.add("wrong", f"what was exported is no data set: {error}")
        return
    if len(samples) != 40:
        faults.add("lost", f"{len(samples)} of 40 samples are exported")
    faults.leftovers(folder)


def _finetune(rng: random.Random, folder: Path, sign: signal.Signals, faults: Faults) -> None:
    data = draw_dataset(folder / "data")
    home = "home/nca-seg/training"
    flags = ("finetune", "--data", data, "--batch-size", "2", "--validate-every", "1")
    begun = rng.choice((home, f"{home}/*/best*"))
    _killed(folder, sign, faults, begun, rng.uniform(0.0, 2.0), *flags, "--steps", "1000")
    left = [*folder.glob(f"{home}/*")]
    age(folder)
    _again(folder, faults, *flags, "--steps", "1")
    faults.leftovers(folder)
    told = (folder / "again.err").read_text(encoding="utf-8")
    # A new run may have got the name of one that was removed; what a kill left looks months old.
    month_ago = time.time() - 30 * 24 * 3600.0
    old = [each for each in left if each.exists() and each.stat().st_mtime < month_ago]
    if any(each.name not in told for each in old):
        faults.add("wrong", "what the killed one left stays for good, and nobody is told")


def draw_dataset(root: Path, count: int = 8, side: int = 32) -> Path:
    """Dark disks on skin, a quarter of them for validation."""
    rng = np.random.default_rng(0)
    rows = ["id,split"]
    for name in ("images", "masks"):
        (root / name).mkdir(parents=True)
    for number in range(count):
        pixels_hwc, mask_hw = _disk(rng, side)
        PillowImage.fromarray(pixels_hwc).save(root / "images" / f"drawn_{number}.png")
        grey = PillowImage.fromarray(mask_hw.astype(np.uint8) * 255)
        grey.save(root / "masks" / f"drawn_{number}_segmentation.png")
        rows.append(f"drawn_{number},{'val' if number % 4 == 3 else 'train'}")
    (root / "splits.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return root


def draw_study(folder: Path, count: int, side: int = 64) -> Path:
    """A folder of images with saved masks, every other one reviewed."""
    folder.mkdir(parents=True)
    rng, study = np.random.default_rng(0), Study.open(folder)
    for number in range(count):
        pixels_hwc, mask_hw = _disk(rng, side)
        path = folder / f"drawn_{number}.png"
        PillowImage.fromarray(pixels_hwc).save(path)
        study.save(path, mask_hw, None, reviewed=number % 2 == 0)
    return folder


def _disk(rng: np.random.Generator, side: int) -> tuple[np.ndarray, np.ndarray]:  # type: ignore[type-arg]
    """A picture (side, side, 3) of a disk, and the disk, bool (side, side)."""
    row, column, radius = rng.uniform([0.35, 0.35, 0.15], [0.65, 0.65, 0.3]) * side
    y, x = np.mgrid[:side, :side]
    mask_hw = (y - row) ** 2 + (x - column) ** 2 < radius**2
    grain = rng.normal(0, 8, (side, side, 1))
    colours = np.where(mask_hw[..., None], [110, 70, 50], [225, 180, 160]) + grain
    return colours.clip(0, 255).astype(np.uint8), mask_hw
