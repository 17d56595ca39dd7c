"""Sound files of every kind that is read, drawn into template folders."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as PillowImage
from safetensors.numpy import save as to_bytes

from engine.diffusion.model import save
from engine.networks import tensor_file
from engine.study import results
from engine.study.dataset import read_dataset
from engine.study.export import export_dataset
from engine.study.mask_files import INDEX, MASKS
from engine.study.study import Study
from engine.training import curves
from engine.training.loop import STATE, train
from engine.types import Origin, SampleSettings, Split, TrainSettings, TrainStep
from nca_seg_app.state import settings as settings_files
from tests.campaigns.kill_commands import draw_dataset
from tests.campaigns.pictures import SHAPE, masks, pictures
from tests.oracles import lively_model, tiny_spec

ORIGIN = Origin("lesion", "abc123", SampleSettings(seed=7, steps=5), 0.4, 12)
FEW = TrainSettings(steps=1000, batch_size=2, size=16, validate_every=1000)
#: The images of the drawn study and their statuses.
STATUSES = {"a.png": "saved", "b.png": "reviewed", "c.png": "draft", "d.png": "new"}


def mask_of(name: str) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """The mask that was saved, or drafted, for an image of the drawn study."""
    mask_hw = np.zeros(SHAPE, bool)
    mask_hw[5 : 10 + ord(name[0]) % 20, 5:20] = True
    return mask_hw


def _draw_study(folder: Path) -> None:
    folder.mkdir()
    for name in STATUSES:
        PillowImage.new("RGB", (SHAPE[1], SHAPE[0]), (200, 150, ord(name[0]))).save(folder / name)
    study = Study.open(folder)
    study.save(folder / "a.png", mask_of("a.png"), ORIGIN)
    study.save(folder / "b.png", mask_of("b.png"), ORIGIN, reviewed=True)
    study.save_draft(folder / "c.png", mask_of("c.png"), ORIGIN)
    study.set_expected_error(folder / "d.png", 0.25)
    study.images()


def _draw_open_study(folder: Path) -> None:
    """A study as a killed program leaves it: its index has a log that was not merged."""
    source = folder.with_name("open-source")
    _draw_study(source)
    with closing(sqlite3.connect(source / MASKS / INDEX)) as held:
        held.execute("SELECT count(*) FROM images").fetchone()
        Study.open(source).set_expected_error(source / "a.png", 0.5)
        shutil.copytree(source, folder)
    shutil.rmtree(source)


def step(done: int) -> TrainStep:
    return TrainStep(done, 10, 0.5, 1e-3, 10.0, 0.8, 0.8, None, None)


def _draw_runs(folder: Path) -> None:
    save(folder / "models" / "sound.safetensors", lively_model())
    shutil.copy(folder / "models" / "sound.safetensors", folder / "models" / "model.safetensors")
    draw_dataset(folder / "training" / "data")
    data = read_dataset(folder / "training" / "data")
    with closing(train(tiny_spec(), data, FEW, folder / "training" / "run")) as steps:  # type: ignore[type-var]
        next(steps)
    run = folder / "training" / "run"
    shutil.copy(run / STATE, run / "sound.safetensors")
    told, arrays = tensor_file.read(folder / "models" / "sound.safetensors", 2**30)
    (folder / "models" / "old.safetensors").write_bytes(to_bytes(arrays, told))
    (folder / "installed" / "models").mkdir(parents=True)
    for name in ("model", "other"):
        shutil.copy(
            folder / "models" / "sound.safetensors",
            folder / "installed" / "models" / f"{name}.safetensors",
        )
    draw_dataset(folder / "table")
    draw_dataset(folder / "spreadsheet")
    table = folder / "spreadsheet" / "splits.csv"
    rows = table.read_text(encoding="utf-8").replace(",", ";").splitlines()
    table.write_bytes("\ufeff".encode() + "\r\n".join((*rows, ";", "")).encode())
    splits: tuple[Split, ...] = ("train", "val")
    samples = [
        replace(sample, split=splits[place % 2], origin=ORIGIN)
        for place, sample in enumerate(data.samples)
    ]
    for _ in export_dataset(samples, folder / "index"):
        pass
    for _ in curves.logged(map(step, range(1, 9)), folder / "runs" / curves.LOG):
        pass


def _draw_rest(folder: Path) -> None:
    chosen = settings_files.Settings(
        threshold=0.4, sample=SampleSettings(steps=9, members=3), recent=("/a/b.jpg", "/c")
    )
    settings_files.save(chosen, folder / "settings" / "settings.json")
    content = {**results.FORMAT, "model": "m", "threshold": 0.5, "image_sha256": "0" * 64,
               "mask_sha256": "1" * 64, "replaced_sha256": ""}  # fmt: skip
    (folder / "results" / "spot.json").write_text(json.dumps(content), encoding="utf-8")
    (folder / "results" / "spot_segmentation.png").write_bytes(masks()["mask.png"])


def draw(folder: Path) -> None:
    """Draw all templates, each a folder in `folder`."""
    for name in ("pictures", "masks", "models", "runs", "settings", "results"):
        (folder / name).mkdir(parents=True)
    for name, content in pictures().items():
        (folder / "pictures" / name).write_bytes(content)
    for name, content in masks().items():
        (folder / "masks" / name).write_bytes(content)
    _draw_study(folder / "study")
    _draw_open_study(folder / "open")
    _draw_runs(folder)
    _draw_rest(folder)
