"""A sound file of every kind that is read, how it may be damaged, and what reading it must give."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engine.diffusion.model import load
from engine.errors import EngineError
from engine.images.preview import read_preview
from engine.images.reading import read_image
from engine.masks.reading import read_mask
from engine.networks import checkpoint, library, tensor_file
from engine.study import results
from engine.study.dataset import read_dataset
from engine.study.export import export_dataset
from engine.study.mask_files import INDEX, MASKS
from engine.study.study import Study
from engine.training import curves
from engine.training.loop import STATE, train
from engine.types import Image
from nca_seg_app.state import settings as settings_files
from tests.campaigns.harness import Verdict
from tests.campaigns.mutations import (
    Change,
    csv_cell,
    flip_few,
    flip_one,
    json_key,
    json_value,
    more_rows,
    not_utf8,
    tensor_header,
)
from tests.campaigns.pictures import SHAPE, masks, pictures
from tests.campaigns.templates import FEW, ORIGIN, STATUSES, mask_of, step
from tests.oracles import tiny_spec

Json, Csv = (json_value, json_key, not_utf8), (csv_cell, csv_cell, not_utf8)
Bits, Tensors = (flip_one, flip_few), (tensor_header, flip_one)


class Fault(Exception):
    """What a reader gave, or did, is not what it must."""

    def __init__(self, verdict: Verdict, text: str) -> None:
        self.verdict = verdict
        super().__init__(text)


@dataclass(frozen=True)
class Specimen:
    """A kind of file: `target`, below a template folder, is damaged, then `read` is called.

    `read` is given the folder and the name of the damage; it raises what the engine raises, or
    Fault. `more` are changes beside those that any file may suffer. `template` names the folder.
    """

    template: str
    target: str
    read: Callable[[Path, str], None]
    more: tuple[Change, ...] = ()
    #: Whether the reader is documented to let OSError pass.
    os_errors: bool = False


def _expect(fact: bool, verdict: Verdict, text: str) -> None:
    if not fact:
        raise Fault(verdict, text)


# Pictures


def _read_picture(name: str, sound: bytes) -> Callable[[Path, str], None]:
    def read(folder: Path, damage: str) -> None:
        path = folder / name
        preview = read_preview(path)
        shown = preview is None or (preview.dtype == np.uint8 and preview.shape[2:] == (3,))
        _expect(shown, "wrong", "the preview has another shape")
        image = read_image(path)
        pixels_hwc = image.pixels_hwc
        _expect(pixels_hwc.dtype == np.uint8 and pixels_hwc.ndim == 3, "wrong", "no such array")
        _expect(pixels_hwc.shape[2] == 3 and pixels_hwc.size > 0, "wrong", "another shape")
        if damage in ("cut", "more_rows"):
            path.write_bytes(sound)
            same = np.array_equal(read_image(path).pixels_hwc, pixels_hwc)
            _expect(same, "wrong", "what is missing is read as if it were there")

    return read


def _read_mask(name: str, sound: bytes) -> Callable[[Path, str], None]:
    def read(folder: Path, damage: str) -> None:
        path = folder / name
        mask_hw = read_mask(path, SHAPE)
        _expect(mask_hw.dtype == bool and mask_hw.shape == SHAPE, "wrong", "another shape")
        if damage in ("cut", "more_rows"):
            path.write_bytes(sound)
            same = np.array_equal(read_mask(path, SHAPE), mask_hw)
            _expect(same, "wrong", "what is missing is read as if it were there")

    return read


# Studies


def _expect_others(folder: Path, but: str) -> dict[str, str]:
    """All images are listed, and all but one are as they were; the statuses found."""
    study = Study.open(folder)
    found = {image.path.name: image.status for image in study.images()}
    for name, status in STATUSES.items():
        _expect(name in found, "lost", f"{name} is not listed")
        if name == but:
            continue
        _expect(found[name] == status, "lost", f"{name} was {status}, is {found[name]}")
        if status in ("saved", "reviewed"):
            saved = study.load(folder / name, SHAPE)
            same = saved is not None and np.array_equal(saved.mask_hw, mask_of(name))
            _expect(same, "lost", f"the mask of {name} is not there")
    return found


def _whole(read: Callable[[Path], object]) -> Callable[[Path, str], None]:
    """For what must work whatever the damage: a refusal is a loss."""

    def checked(folder: Path, damage: str) -> None:
        try:
            read(folder)
        except EngineError as error:
            raise Fault("lost", f"refused: {error}"[:300]) from error

    return checked


def _read_index(folder: Path) -> None:
    _expect_others(folder, "")
    study = Study.open(folder)
    study.save(folder / "d.png", mask_of("d.png"), ORIGIN)
    found = {image.path.name: image.status for image in study.images()}
    _expect(found == {**STATUSES, "d.png": "saved"}, "lost", f"after a save: {found}")


def _read_record(folder: Path, damage: str) -> None:
    found = _whole_others(folder, "b.png")
    _expect(found["b.png"] != "new", "lost", "the mask of b.png counts as none")
    saved = Study.open(folder).load(folder / "b.png", SHAPE)
    same = saved is not None and np.array_equal(saved.mask_hw, mask_of("b.png"))
    _expect(same, "lost", "the mask of b.png is another")


def _read_study_mask(folder: Path, damage: str) -> None:
    _whole_others(folder, "b.png")
    saved = Study.open(folder).load(folder / "b.png", SHAPE)
    _expect(saved is None or saved.mask_hw.shape == SHAPE, "wrong", "another shape")


def _read_draft(folder: Path, damage: str) -> None:
    _whole_others(folder, "c.png")
    draft = Study.open(folder).load_draft(folder / "c.png", SHAPE)
    _expect(draft is None or draft.mask_hw.shape == SHAPE, "wrong", "another shape")


def _read_draft_record(folder: Path, damage: str) -> None:
    _read_draft(folder, damage)
    draft = Study.open(folder).load_draft(folder / "c.png", SHAPE)
    same = draft is not None and np.array_equal(draft.mask_hw, mask_of("c.png"))
    _expect(same, "lost", "the draft of c.png is not there")


def _whole_others(folder: Path, but: str) -> dict[str, str]:
    try:
        return _expect_others(folder, but)
    except EngineError as error:
        raise Fault("lost", f"the whole study is refused: {error}"[:300]) from error


# Data sets, models, runs


def _read_dataset(folder: Path, damage: str) -> None:
    samples = read_dataset(folder).samples
    _expect(bool(samples), "wrong", "no sample, and no word")
    splits = {sample.split for sample in samples}
    _expect(splits <= {"train", "val", "test"}, "wrong", f"the splits are {splits}")


def _read_model(folder: Path, damage: str) -> None:
    path = folder / "model.safetensors"
    spec, arrays = checkpoint.read(path)
    sound_spec, sound = checkpoint.read(folder / "sound.safetensors")
    same = checkpoint.fingerprint(spec, arrays) == checkpoint.fingerprint(sound_spec, sound)
    _expect(same, "wrong", "another model is read without a word")
    load(path, "cpu")


def _read_old_model(folder: Path, damage: str) -> None:
    # Without a checksum it is taken at its word.
    load(folder / "old.safetensors", "cpu")


def _read_installed(folder: Path, damage: str) -> None:
    with _home(folder):
        names = {entry.name for entry in library.installed()}
        _expect({"MultiCBAM", "other"} <= names, "lost", f"the models are {names}")
        broken = {problem.path.name for problem in library.broken()}
        _expect("model" in names or "model.safetensors" in broken, "wrong", "a model is not told")
        for problem in library.broken():
            raise problem


@contextmanager
def _home(folder: Path) -> Iterator[None]:
    before = os.environ["NCA_SEG_HOME"]
    os.environ["NCA_SEG_HOME"] = str(folder)
    try:
        yield
    finally:
        os.environ["NCA_SEG_HOME"] = before


def _read_export(folder: Path, damage: str) -> None:
    """Of a study with a damaged image or mask all else is exported, and what is left out told."""
    try:
        samples = Study.open(folder).saved_samples()
        out = folder.with_name("exported")
        *_, last = export_dataset(samples, out)
        found = {sample.id for sample in read_dataset(out).samples}
    except EngineError as error:
        raise Fault("lost", f"the whole export is refused: {error}"[:300]) from error
    _expect("a" in found, "lost", "a.png is not exported")
    # What is no file is no image, and no mask.
    files = (folder / "b.png", folder / MASKS / "b_segmentation.png")
    told = "b" in found or bool(last.left_out) or not all(path.is_file() for path in files)
    _expect(told, "lost", "b.png is left out without a word")
    for name in found:
        mask_hw = read_mask(out / "masks" / f"{name}_segmentation.png", SHAPE)
        same = np.array_equal(mask_hw, mask_of(f"{name}.png"))
        _expect(same or name == "b", "wrong", f"another mask of {name} is exported")
    for problem in last.left_out:
        raise problem


def _read_state(folder: Path, damage: str) -> None:
    held = tensor_file.read(folder / "run" / STATE, 2**30)
    sound = tensor_file.read(folder / "run" / "sound.safetensors", 2**30)
    same = tensor_file.checksum(held[1], held[0]) == tensor_file.checksum(sound[1], sound[0])
    _expect(same, "wrong", "another state is read without a word")
    dataset = read_dataset(folder / "data")
    steps = train(tiny_spec(), dataset, FEW, folder / "run", resume=True)
    with closing(steps):  # type: ignore[type-var]
        step = next(steps)
    _expect(2 <= step.done <= 1000, "wrong", f"the run goes on at step {step.done}")


def _read_curves(folder: Path, damage: str) -> None:
    path = folder / curves.LOG
    rows = curves.read_curves(path)
    kinds = {type(value) for row in rows for value in row.values()}
    _expect(kinds <= {float, type(None)}, "wrong", f"values of {kinds}")
    for _ in curves.logged(iter([step(3)]), path):
        pass


def _read_result(folder: Path, damage: str) -> None:
    # The whole record names another image, too: whatever the damage, the mask stays.
    results.expect_replaceable(folder, "spot", Image(np.zeros((8, 8, 3), np.uint8)))
    raise Fault("lost", "a mask with a damaged record may be replaced")


def _read_settings(folder: Path, damage: str) -> None:
    path = folder / "settings.json"
    try:
        found = settings_files.load(path)
    except settings_files.UnreadableSettings:
        # Moved aside: the next start finds none.
        _expect(settings_files.load(path) == settings_files.Settings(), "wrong", "other settings")
        raise
    _expect(isinstance(found, settings_files.Settings), "wrong", "no settings")


def _specimens() -> Iterator[tuple[str, Specimen]]:
    for name, content in pictures().items():
        yield (
            f"image {name}",
            Specimen("pictures", name, _read_picture(name, content), (more_rows,)),
        )
    for name, content in masks().items():
        yield f"mask {name}", Specimen("masks", name, _read_mask(name, content), (more_rows,))
    b, c = f"{MASKS}/b_segmentation", f"{MASKS}/drafts/c.png_segmentation"
    for number in range(3):
        # Of weight: what lies in a study is a person's.
        more = f" ({number + 1})"
        yield f"index{more}", Specimen("study", f"{MASKS}/{INDEX}", _whole(_read_index), Bits)
        yield f"index log{more}", Specimen("open", f"{MASKS}/{INDEX}-wal", _whole(_read_index))
        yield f"record{more}", Specimen("study", f"{b}.json", _read_record, Json)
        yield f"draft record{more}", Specimen("study", f"{c}.json", _read_draft_record, Json)
        yield (
            f"model{more}",
            Specimen("models", "model.safetensors", _read_model, (tensor_header, tensor_header)),
        )
    yield "index with a log", Specimen("open", f"{MASKS}/{INDEX}", _whole(_read_index))
    yield "study mask", Specimen("study", f"{b}.png", _read_study_mask, (more_rows,))
    yield "draft", Specimen("study", f"{c}.png", _read_draft, (more_rows,))
    yield "exported image", Specimen("study", "b.png", _read_export, (more_rows,))
    yield "exported mask", Specimen("study", f"{b}.png", _read_export, (more_rows,))
    yield "exported record", Specimen("study", f"{b}.json", _read_export, Json)
    yield "model without checksum", Specimen("models", "old.safetensors", _read_old_model, Tensors)
    installed = "models/model.safetensors"
    yield "installed model", Specimen("installed", installed, _read_installed, Tensors)
    yield "splits.csv", Specimen("table", "splits.csv", _read_dataset, Csv)
    yield "splits.csv;", Specimen("spreadsheet", "splits.csv", _read_dataset, Csv)
    yield "dataset.json", Specimen("index", "dataset.json", _read_dataset, Json)
    yield "settings", Specimen("settings", "settings.json", _read_settings, Json)
    yield "state", Specimen("training", f"run/{STATE}", _read_state, Tensors)
    yield "curves", Specimen("runs", curves.LOG, _read_curves, Csv, os_errors=True)
    yield "result", Specimen("results", "spot.json", _read_result, Json)


SPECIMENS: Mapping[str, Specimen] = dict(_specimens())
