"""Law: every command ends with the exit code of its help, one clear sentence, and whole files."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as PillowImage

import engine
from engine.curves import read_curves
from engine.library import installed
from engine.masks import read_mask, write_mask
from engine.study import Study
from engine.types import FINE_TUNING, TrainStep
from tests.engine.commands import TINY, install, run

FAST = ("--model", "tiny", "--steps", "2", "--members", "2", "--device", "cpu")
TRAIN = ("--size", "16", "--batch-size", "2", "--validate-every", "2", "--device", "cpu")


@pytest.fixture(autouse=True)
def tiny(own_folders: Path) -> Path:
    """A tiny untrained model, installed."""
    return install(TINY)


def picture(path: Path, shape: tuple[int, int] = (24, 32), grey: int = 200) -> Path:
    pixels_hwc = np.full((*shape, 3), grey, np.uint8)
    pixels_hwc[shape[0] // 4 : -shape[0] // 4, shape[1] // 4 : -shape[1] // 4] = 40
    path.parent.mkdir(parents=True, exist_ok=True)
    PillowImage.fromarray(pixels_hwc).save(path)
    return path


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """Four samples to train on, two each to validate and test."""
    root = tmp_path / "data"
    lines = ["id,split"]
    (root / "masks").mkdir(parents=True)
    for number, split in enumerate(("train",) * 4 + ("val",) * 2 + ("test",) * 2):
        picture(root / "images" / f"s{number}.png", grey=180 + number)
        mask_hw = np.zeros((24, 32), dtype=np.bool_)
        mask_hw[6:18, 8:24] = True
        write_mask(root / "masks" / f"s{number}_segmentation.png", mask_hw)
        lines.append(f"s{number},{split}")
    (root / "splits.csv").write_text("\n".join(lines) + "\n")
    return root


class TestSegment:
    def test_three_files_of_the_images_size_and_a_line_each(self, tmp_path: Path) -> None:
        paths = [picture(tmp_path / "a.png", (24, 32)), picture(tmp_path / "b.jpg", (40, 20))]
        out = tmp_path / "out"
        result = run("segment", *paths, "--out", out, *FAST)
        assert {path.name for path in out.iterdir()} == {
            f"{stem}{ending}"
            for stem in "ab"
            for ending in ("_segmentation.png", "_variance.png", ".json")
        }
        assert read_mask(out / "b_segmentation.png").shape == (40, 20)
        assert [line.split(" -> ")[0] for line in result.stdout.splitlines()] == [*map(str, paths)]
        record = json.loads((out / "a.json").read_text())
        assert record["settings"]["members"] == 2
        assert record["fingerprint"] == installed()[-1].fingerprint

    def test_json_is_all_there_is_on_stdout(self, tmp_path: Path) -> None:
        good, bad = picture(tmp_path / "good.png"), tmp_path / "bad.png"
        bad.write_bytes(b"not a picture")
        arguments = ("segment", good, bad, "--out", tmp_path / "out", *FAST, "--json")
        result = run(*arguments, exit_code=3)
        content = json.loads(result.stdout)
        assert [entry["image"] for entry in content["results"]] == [str(good)]
        assert [entry["image"] for entry in content["problems"]] == [str(bad)]
        assert str(bad) in result.stderr

    def test_a_folder_stands_for_its_images(self, tmp_path: Path) -> None:
        folder = tmp_path / "pictures"
        picture(folder / "a.png")
        picture(folder / "b.png")
        run("segment", folder, folder / "a.png", "--out", tmp_path / "out", *FAST)
        assert len(list((tmp_path / "out").glob("*_segmentation.png"))) == 2

    def test_the_same_seed_gives_the_same_files(self, tmp_path: Path) -> None:
        path = picture(tmp_path / "a.png")
        for name in ("one", "two"):
            run("segment", path, "--out", tmp_path / name, *FAST, "--seed", "5")
        one, two = ((tmp_path / name / "a_segmentation.png") for name in ("one", "two"))
        assert one.read_bytes() == two.read_bytes()

    def test_nothing_readable_is_exit_code_4(self, tmp_path: Path) -> None:
        result = run("segment", tmp_path / "gone.jpg", "--out", tmp_path, *FAST, exit_code=4)
        assert "gone.jpg" in result.stderr
        assert not list(tmp_path.iterdir())

    def test_inputs_of_one_stem_are_refused_before_any_work(self, tmp_path: Path) -> None:
        paths = [picture(tmp_path / "x" / "a.png"), picture(tmp_path / "y" / "A.jpg")]
        result = run("segment", *paths, "--out", tmp_path / "out", *FAST, exit_code=2)
        assert "same result files" in result.stderr.replace("\n", " ")
        assert not (tmp_path / "out").exists()

    def test_a_persons_mask_stays_unless_told_otherwise(self, tmp_path: Path) -> None:
        path, mask_path = picture(tmp_path / "a.png"), tmp_path / "a_segmentation.png"
        write_mask(mask_path, np.eye(24, 32, dtype=np.bool_))
        before = mask_path.read_bytes()
        result = run("segment", path, "--out", tmp_path, *FAST, exit_code=4)
        assert "--overwrite" in result.stderr
        assert mask_path.read_bytes() == before
        run("segment", path, "--out", tmp_path, *FAST, "--overwrite")
        assert mask_path.read_bytes() != before

    def test_where_a_study_keeps_masks_no_result_is_written(self, tmp_path: Path) -> None:
        path = picture(tmp_path / "pictures" / "a.png")
        masks = path.parent / "segmentations"
        for flags in ((), ("--overwrite",)):
            result = run("segment", path, "--out", masks, *FAST, *flags, exit_code=4)
            assert "study keeps a person's masks" in result.stderr
            assert not masks.exists()
        assert not Study.open(path.parent).saved_samples()
        # A study of pictures that may not be written to keeps them elsewhere.
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        (elsewhere / "study.sqlite").write_bytes(b"")
        run("segment", path, "--out", elsewhere, *FAST, exit_code=4)
        run("segment", path, "--out", tmp_path / "segmentations", *FAST)

    def test_a_name_that_is_too_long_fails_its_image_only(self, tmp_path: Path) -> None:
        paths = [picture(tmp_path / "in" / f"{name}.png") for name in ("a" * 245, "b")]
        out = tmp_path / "out"
        for flags in ((), ("--overwrite",)):
            result = run("segment", *paths, "--out", out, *FAST, *flags, exit_code=3)
            assert "1 of 2 images are done" in result.stderr
            assert "a" * 245 in result.stderr
            assert {file.name[:1] for file in out.iterdir()} == {"b"}

    def test_a_result_without_an_outline_says_so(self, tmp_path: Path) -> None:
        path = picture(tmp_path / "a.png")
        arguments = ("segment", path, "--out", tmp_path / "out", *FAST)
        assert "lesion 100.0 % of the picture" in run(*arguments).stdout
        said = run(*arguments, "--threshold", "1").stdout
        assert "nothing is outlined" in said
        assert "%" not in said

    def test_an_interrupt_keeps_what_is_done(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from engine import images

        real = images.read_image

        def read(path: Path) -> Any:
            if path.name == "b.png":
                raise KeyboardInterrupt
            return real(path)

        monkeypatch.setattr(images, "read_image", read)
        paths = [picture(tmp_path / name) for name in ("a.png", "b.png")]
        out = tmp_path / "out"
        result = run("segment", *paths, "--out", out, *FAST, "--json", exit_code=130)
        assert len(json.loads(result.stdout)["results"]) == 1
        assert (out / "a_segmentation.png").exists()
        assert "1 of 2" in result.stderr

    @pytest.mark.parametrize(
        "flags",
        [("--steps", "0"), ("--sampler", "euler"), ("--threshold", "2"), ("--members", "many")],
    )
    def test_wrong_flags_are_exit_code_2(self, tmp_path: Path, flags: tuple[str, str]) -> None:
        path = picture(tmp_path / "a.png")
        result = run("segment", path, "--out", tmp_path / "out", *FAST, *flags, exit_code=2)
        assert flags[0] in result.stderr

    def test_an_unknown_model_is_named_with_those_that_are_known(self, tmp_path: Path) -> None:
        path = picture(tmp_path / "a.png")
        result = run("segment", path, "--out", tmp_path, "--model", "nobody", exit_code=4)
        assert "'nobody'" in result.stderr
        assert "tiny" in result.stderr


class TestEvaluate:
    def test_means_and_images_by_id(self, tmp_path: Path, dataset: Path) -> None:
        target = tmp_path / "scores.json"
        arguments = ("evaluate", "--data", dataset, "--split", "test", "--json", target)
        result = run(*arguments, *FAST)
        content = json.loads(target.read_text())
        assert set(content["images"]) == {"s6", "s7"}
        for scores in (content["mean"], *content["images"].values()):
            assert {"dice", "iou", "threshold_jaccard", "seconds"} <= set(scores)
        dices = [scores["dice"] for scores in content["images"].values()]
        assert content["mean"]["dice"] == pytest.approx(sum(dices) / 2)
        # The untrained model calls everything lesion; a quarter of each picture is.
        assert content["mean"]["dice"] == pytest.approx(2 / 5)
        assert content["model"]["name"] == "tiny"
        assert content["settings"]["steps"] == 2
        assert f"{content['mean']['dice']:.4f}" in result.stdout

    def test_limit_takes_so_many(self, tmp_path: Path, dataset: Path) -> None:
        target = tmp_path / "scores.json"
        arguments = ("evaluate", "--data", dataset, "--split", "train", "--json", target)
        run(*arguments, *FAST, "--limit", "2")
        assert list(json.loads(target.read_text())["images"]) == ["s0", "s2"]

    def test_a_missing_mask_is_named(self, dataset: Path) -> None:
        gone = dataset / "masks" / "s6_segmentation.png"
        gone.unlink()
        result = run("evaluate", "--data", dataset, "--split", "test", *FAST, exit_code=4)
        assert str(gone) in result.stderr

    def test_a_damaged_mask_keeps_the_scores_before_it(self, tmp_path: Path, dataset: Path) -> None:
        (dataset / "masks" / "s7_segmentation.png").write_bytes(b"damaged")
        target = tmp_path / "scores.json"
        arguments = ("evaluate", "--data", dataset, "--split", "test", "--json", target)
        result = run(*arguments, *FAST, exit_code=3)
        content = json.loads(target.read_text())
        assert (content["done"], content["total"]) == (1, 2)
        assert "s7_segmentation.png" in result.stderr


class TestLearning:
    def test_train_then_resume_then_segment(
        self, tmp_path: Path, dataset: Path, tiny: Path
    ) -> None:
        out = tmp_path / "run"
        common = ("train", "--data", dataset, "--out", out, "--from", tiny, *TRAIN)
        run(*common, "--steps", "4", "--minutes", "0")
        assert [row["done"] for row in read_curves(out / "curves.csv")] == [1]
        result = run(*common, "--steps", "4", "--resume")
        assert [row["done"] for row in read_curves(out / "curves.csv")] == [1, 2, 3, 4]
        assert str(out / "best.safetensors") in result.stdout
        path = picture(tmp_path / "a.png")
        best = ("--model", out / "best.safetensors", *FAST[2:])
        run("segment", path, "--out", tmp_path / "out", *best)
        refused = run(*common, "--steps", "4", exit_code=2)
        assert "--resume" in refused.stderr

    def test_a_run_that_is_done_names_its_model(
        self, tmp_path: Path, dataset: Path, tiny: Path
    ) -> None:
        out = tmp_path / "run"
        common = ("train", "--data", dataset, "--out", out, "--from", tiny, *TRAIN, "--steps", "2")
        run(*common)
        assert [row["done"] for row in read_curves(out / "curves.csv")] == [1, 2]
        assert str(out / "best.safetensors") in run(*common, "--resume").stdout

    def test_a_picture_of_the_curves_that_cannot_be_written_ends_no_training(
        self, tmp_path: Path, dataset: Path, tiny: Path
    ) -> None:
        pytest.importorskip("matplotlib")
        out = tmp_path / "run"
        (out / "curves.png").mkdir(parents=True)
        arguments = ("train", "--data", dataset, "--out", out, "--from", tiny, *TRAIN)
        result = run(*arguments, "--steps", "2")
        assert str(out / "best.safetensors") in result.stdout
        assert "curves.png cannot be written" in result.stderr

    def test_a_batch_that_the_processes_cannot_share_is_a_usage_error(
        self, tmp_path: Path, dataset: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("engine.parallel.size", lambda: 3)
        arguments = ("train", "--data", dataset, "--out", tmp_path / "run", "--from", tiny, *TRAIN)
        assert "multiple of the 3" in run(*arguments, exit_code=2).stderr

    def test_curves_are_drawn(self, tmp_path: Path, dataset: Path, tiny: Path) -> None:
        pytest.importorskip("matplotlib")
        out = tmp_path / "run"
        run("train", "--data", dataset, "--out", out, "--from", tiny, *TRAIN, "--steps", "2")
        with PillowImage.open(out / "curves.png") as drawn:
            assert np.asarray(drawn).std() > 0

    def test_finetune_installs_a_child_and_names_it(self, dataset: Path, tiny: Path) -> None:
        before = tiny.read_bytes()
        arguments = ("finetune", "--data", dataset, "--model", "tiny", *TRAIN[2:], "--steps", "2")
        result = run(*arguments)
        assert result.stdout.strip() == "tiny+1"
        entries = {entry.name: entry for entry in installed()}
        assert entries["tiny+1"].spec.parent == entries["tiny"].fingerprint
        assert entries["tiny+1"].spec.size == 16
        assert entries["tiny+1"].spec.training["learning_rate"] == FINE_TUNING.learning_rate
        assert tiny.read_bytes() == before

    def test_a_folder_that_holds_a_run_is_not_fine_tuned_into(
        self, tmp_path: Path, dataset: Path
    ) -> None:
        out = tmp_path / "run"
        arguments = ("finetune", "--data", dataset, "--model", "tiny", *TRAIN[2:], "--steps", "1")
        run(*arguments, "--out", out)
        assert "holds a run" in run(*arguments, "--out", out, exit_code=2).stderr

    def test_without_val_the_sentence_about_a_new_model_ends_well(
        self, tmp_path: Path, dataset: Path
    ) -> None:
        splits = dataset / "splits.csv"
        splits.write_text(splits.read_text().replace("val", "train"))
        arguments = ("finetune", "--data", dataset, "--model", "tiny", *TRAIN[2:], "--steps", "1")
        assert run(*arguments).stderr.splitlines()[-1].endswith("the new model is beside it.")

    def test_finetune_stopped_before_any_validation_makes_no_model(self, dataset: Path) -> None:
        flags = ("--steps", "9", "--validate-every", "9", "--batch-size", "1", "--device", "cpu")
        arguments = ("finetune", "--data", dataset, "--model", "tiny", *flags, "--minutes", "0")
        result = run(*arguments, exit_code=4)
        assert "--minutes" in result.stderr
        assert [entry.name for entry in installed() if not entry.shipped] == ["tiny"]

    def test_interrupted_finetune_keeps_the_best(
        self, dataset: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from engine import training

        real = training.finetune

        def steps(*given: Any) -> Any:
            for step in real(*given):
                assert isinstance(step, TrainStep)
                yield step
                if step.done == 2:
                    raise KeyboardInterrupt

        monkeypatch.setattr(training, "finetune", steps)
        arguments = ("finetune", "--data", dataset, "--model", "tiny", *TRAIN[2:], "--steps", "9")
        assert run(*arguments, exit_code=130).stdout.strip() == "tiny+1"

    def test_saved_masks_are_exported_and_teach(self, tmp_path: Path) -> None:
        folder = tmp_path / "pictures"
        for number in range(5):
            path = picture(folder / f"p{number}.png", grey=180 + number)
            mask_hw = np.zeros((24, 32), dtype=np.bool_)
            mask_hw[6:18, 8:24] = True
            Study.open(folder).save(path, mask_hw, None)
        assert "5 samples" in run("export", folder, "--out", tmp_path / "set").stdout
        for data in (tmp_path / "set", folder):
            arguments = ("finetune", "--data", data, "--model", "tiny", *TRAIN[2:], "--steps", "1")
            assert run(*arguments).stdout.startswith("tiny+")

    def test_a_folder_without_masks_cannot_teach(self, tmp_path: Path) -> None:
        picture(tmp_path / "pictures" / "a.png")
        arguments = ("finetune", "--data", tmp_path / "pictures", "--model", "tiny")
        assert "saved masks" in run(*arguments, exit_code=4).stderr

    @pytest.mark.parametrize(
        ("flags", "told"),
        [("--architecture unet", "multicbam"), ("--from tiny --detail 4", "too much for")],
    )
    def test_a_network_that_cannot_be_is_a_usage_error(
        self, flags: str, told: str, tmp_path: Path, dataset: Path
    ) -> None:
        out = tmp_path / "run"
        result = run("train", "--data", dataset, "--out", out, *flags.split(), exit_code=2)
        assert told in result.stderr
        assert not out.exists()


def test_help_and_models_never_load_torch() -> None:
    code = (
        "import sys, engine; from engine.cli import main\n"
        "sys.argv = ['nca-seg', 'models']\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_every_public_name_is_there() -> None:
    for name in dir(engine):
        assert getattr(engine, name) is not None
    with pytest.raises(AttributeError):
        _ = engine.nothing_of_this_name
