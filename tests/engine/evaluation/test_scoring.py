"""Law: an evaluation tells the truth about a model that knows it; a kill costs whole lines only."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as PillowImage
from torch import Tensor, from_numpy

from engine.errors import MaskKept, UnreadableMask
from engine.evaluation.scoring import Examined, Unread, evaluate, examine
from engine.framing import Frame
from engine.masks.files import write_mask
from engine.masks.reading import read_mask
from engine.networks.automaton.config import AutomatonConfig
from engine.networks.device import DeviceChoice
from engine.study.records import write_record
from engine.study.results import write_result
from engine.training.curves import logged, read_curves
from engine.types import (
    DenoiseStep,
    EnsembleResult,
    Float,
    Image,
    ModelSpec,
    Sample,
    SampleSettings,
    TrainStep,
)

SETTINGS = SampleSettings(steps=2, members=2)


class DarkIsLesion:
    """A model that calls every dark cell lesion, in every member."""

    def __init__(self) -> None:
        self.spec = ModelSpec("dark", "basic", AutomatonConfig(), size=64, mask_scale=0.2)
        self.device = DeviceChoice("cpu", "float32", "a test")

    def denoiser(
        self,
        image_chw: Float,
        settings: SampleSettings,
        members: Sequence[int],
        hint_hw: Float | None = None,
    ) -> Callable[[Tensor, int], Tensor]:
        believed_hw = np.where(image_chw.mean(axis=0) < 0.5, 0.2, -0.2).astype(np.float32)
        return lambda noisy, _: from_numpy(believed_hw).expand_as(noisy).clone()


def square(side: int, first: int, last: int) -> NDArray[np.bool_]:
    mask_hw = np.zeros((side, side), dtype=np.bool_)
    mask_hw[first:last, first:last] = True
    return mask_hw


def sample_in(folder: Path, name: str, truth_hw: NDArray[np.bool_]) -> Sample:
    """A sample whose picture has a dark square from 16 to 48 of 64, whatever its mask says."""
    pixels_hwc = np.full((64, 64, 3), 220, np.uint8)
    pixels_hwc[square(64, 16, 48)] = 30
    image_path, mask_path = folder / f"{name}.png", folder / f"{name}_segmentation.png"
    PillowImage.fromarray(pixels_hwc).save(image_path)
    write_mask(mask_path, truth_hw)
    return Sample(name, image_path, mask_path, "val")


def test_the_scores_are_those_of_the_masks(tmp_path: Path) -> None:
    right = sample_in(tmp_path, "right", square(64, 16, 48))
    half_hw = square(64, 16, 48)
    half_hw[:, 32:] = False
    events = list(evaluate(DarkIsLesion(), [right, sample_in(tmp_path, "half", half_hw)], SETTINGS))

    assert [(event.done, event.total) for event in events] == [(1, 2), (2, 2)]
    assert [len(event.images) for event in events] == [1, 2]
    scores = dict(events[-1].images)
    assert (scores["right"].dice, scores["right"].threshold_jaccard) == (1.0, 1.0)
    assert scores["half"].dice == pytest.approx(2 / 3)
    assert scores["half"].iou == pytest.approx(0.5)
    assert scores["half"].threshold_jaccard == 0.0
    assert events[-1].mean.dice == pytest.approx(5 / 6)
    assert events[-1].mean.threshold_jaccard == pytest.approx(0.5)
    assert events[-1].mean.disagreement == 0.0
    assert 0 < scores["right"].seconds < 60


def unreadable_between(folder: Path) -> list[Sample]:
    """Two samples, and after each one whose mask has another size than its image."""
    shapes = [square(64, 16, 48), square(32, 8, 24)]
    return [sample_in(folder, name, shapes[n % 2]) for n, name in enumerate("abcd")]


def test_what_cannot_be_read_is_left_out_with_its_reason(tmp_path: Path) -> None:
    samples = unreadable_between(tmp_path)
    events = list(evaluate(DarkIsLesion(), samples, SETTINGS))
    assert [(event.done, len(event.images)) for event in events] == [(1, 1), (2, 1), (3, 2), (4, 2)]
    last = events[-1]
    assert [error.path for error in last.left_out] == [samples[1].mask_path, samples[3].mask_path]
    assert [name for name, _ in last.images] == ["a", "c"]
    assert last.mean.dice == 1.0
    content = last.as_json()
    assert (content["done"], content["total"], content["scored"]) == (4, 4, 2)
    assert "32×32" in content["left_out"][0]["reason"]


def test_a_report_is_told_of_a_mask_of_another_size_at_its_image(tmp_path: Path) -> None:
    first, second, third, _ = examine(DarkIsLesion(), unreadable_between(tmp_path), SETTINGS)
    assert isinstance(first, Examined)
    assert isinstance(second, Unread)
    assert isinstance(second.error, UnreadableMask)
    assert "b_segmentation" in str(second.error)
    assert isinstance(third, Examined)
    assert (third.done, third.evaluation.left_out) == (3, (second.error,))


def step(done: int, dice: float | None = None) -> TrainStep:
    return TrainStep(done, 9, 1 / done, 1e-3, 4.0, dice, dice, None)


def test_a_resumed_log_goes_on_after_the_step_it_resumed_from(tmp_path: Path) -> None:
    path = tmp_path / "curves.csv"
    first = [step(1), step(2, 0.5), step(3), step(4)]
    assert list(logged(iter(first), path)) == first
    # A kill in the middle of a line.
    path.write_bytes(path.read_bytes() + b"5,9,0.2")
    list(logged(iter([step(3), step(4, 0.75)]), path))
    rows = read_curves(path)
    assert [row["done"] for row in rows] == [1, 2, 3, 4]
    assert [row["validation_dice"] for row in rows] == [None, 0.5, None, 0.75]


def test_a_log_is_on_disk_before_its_step_is_handed_on_and_closes_its_source(
    tmp_path: Path,
) -> None:
    closed = []

    def source() -> Iterator[TrainStep]:
        try:
            for done in range(1, 10):
                yield step(done)
        finally:
            closed.append(True)

    stream = logged(source(), tmp_path / "curves.csv")
    next(stream)
    next(stream)
    assert len(read_curves(tmp_path / "curves.csv")) == 2
    stream.close()  # type: ignore[attr-defined]
    assert closed == [True]


def test_a_log_that_another_program_holds_is_written_when_it_lets_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "curves.csv"
    stream = logged(iter([step(1), step(2), step(3), step(4)]), path)
    next(stream)
    with monkeypatch.context() as patched:
        patched.setattr(Path, "open", held)
        assert [next(stream).done, next(stream).done] == [2, 3]
    assert len(read_curves(path)) == 1
    next(stream)
    assert [row["done"] for row in read_curves(path)] == [1, 2, 3, 4]


def test_a_log_that_is_never_let_go_costs_its_lines_and_no_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "curves.csv"
    list(logged(iter([step(1), step(2)]), path))
    with monkeypatch.context() as patched:
        patched.setattr(Path, "open", held)
        assert len(list(logged(iter([step(2), step(3)]), path))) == 2
    assert [row["done"] for row in read_curves(path)] == [1, 2]


def held(path: Path, *_: object, **__: object) -> None:
    raise PermissionError(13, "Permission denied", str(path))


def test_a_log_half_written_by_a_kill_is_read_to_its_last_whole_line(tmp_path: Path) -> None:
    path = tmp_path / "curves.csv"
    list(logged(iter([step(1), step(2)]), path))
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        done = [row["done"] for row in read_curves(path)]
        assert done == [1, 2][: max(0, whole[:length].count(b"\n") - 1)]


def image_and_result(grey: int = 200) -> tuple[Image, EnsembleResult]:
    """A picture of 40 × 64, and two members that agree on the left half and not on the right."""
    image = Image(np.full((40, 64, 3), grey, np.uint8), Path("lesion.jpg"))
    frame = Frame(40, 64, 16)
    members_nhw = np.ones((2, *frame.grid_shape), np.float32)
    members_nhw[1, :, frame.grid_shape[1] // 2 :] = 0
    belief = DenoiseStep(1, 1, 1, members_nhw.copy(), members_nhw.copy())
    return image, EnsembleResult(1, 1, frame, members_nhw, 2, 0, belief)


def write(folder: Path, grey: int = 200, threshold: float = 0.6, overwrite: bool = False) -> Path:
    image, result = image_and_result(grey)
    files = write_result(
        folder, "lesion", result, image, "tiny", "f00", SETTINGS, threshold, 1.5, overwrite
    )
    return files.mask


def test_a_result_has_the_images_size_and_says_how_it_came_to_be(tmp_path: Path) -> None:
    mask_path = write(tmp_path / "new")
    mask_hw = read_mask(mask_path, (40, 64))
    assert mask_hw[:, :24].all()
    assert not mask_hw[:, 40:].any()
    with PillowImage.open(tmp_path / "new" / "lesion_variance.png") as picture:
        assert picture.mode == "L"
        variance_hw = np.asarray(picture)
    assert variance_hw.shape == (40, 64)
    # Members at 0 and 1 have the variance 0.25, which is white.
    assert (variance_hw[:, 0] == 0).all()
    assert (variance_hw[:, -1] == 255).all()
    record = json.loads((tmp_path / "new" / "lesion.json").read_text())
    assert (record["format"], record["version"]) == ("nca-seg/result", 1)
    assert (record["model"], record["fingerprint"], record["threshold"]) == ("tiny", "f00", 0.6)
    assert record["settings"]["steps"] == 2
    assert record["disagreement"] == pytest.approx(1 / 3, abs=1e-6)
    assert (record["height"], record["width"]) == (40, 64)
    assert record["mask_sha256"] == hashlib.sha256(mask_path.read_bytes()).hexdigest()
    assert not list((tmp_path / "new").glob(".*"))


def test_a_result_replaces_a_result_of_the_same_picture(tmp_path: Path) -> None:
    first = write(tmp_path).read_bytes()
    assert write(tmp_path, threshold=0.4).read_bytes() != first


def test_a_kill_before_the_mask_leaves_a_result_that_can_be_replaced(tmp_path: Path) -> None:
    old = write(tmp_path).read_bytes()
    new_path = write(tmp_path, threshold=0.4)
    new_path.write_bytes(old)
    write(tmp_path, threshold=0.4)


def _paint(folder: Path) -> None:
    write_mask(folder / "lesion_segmentation.png", np.eye(40, 64, dtype=np.bool_))


def _forget(folder: Path) -> None:
    (folder / "lesion.json").unlink()


def _save_in_study(folder: Path) -> None:
    write_record(folder / "lesion_segmentation.png", "lesion.jpg", None, False)


def _put_other_json(folder: Path) -> None:
    (folder / "lesion.json").write_text('{"notes": "mine"}')


@pytest.mark.parametrize("touch", [_paint, _forget, _save_in_study, _put_other_json])
def test_what_a_person_touched_stays(tmp_path: Path, touch: Callable[[Path], None]) -> None:
    write(tmp_path)
    touch(tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(MaskKept):
        write(tmp_path, threshold=0.4)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
    write(tmp_path, threshold=0.4, overwrite=True)


def test_a_result_of_another_picture_of_that_name_stays(tmp_path: Path) -> None:
    write(tmp_path, grey=200)
    with pytest.raises(MaskKept, match="another image"):
        write(tmp_path, grey=201)
