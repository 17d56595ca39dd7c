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

from engine.masks.files import write_mask
from engine.masks.reading import read_mask
from engine.networks.library import installed
from engine.study.study import Study
from tests.engine.commands import FAST, TINY, install, picture, run, write_dataset


@pytest.fixture(autouse=True)
def tiny(own_folders: Path) -> Path:
    """A tiny untrained model, installed."""
    return install(TINY)


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """Four samples to train on, two each to validate and test."""
    return write_dataset(tmp_path / "data")


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

    def test_what_a_folder_holds_that_cannot_be_read_is_named_and_counted(
        self, tmp_path: Path
    ) -> None:
        picture(tmp_path / "in" / "a.png")
        picture(tmp_path / "in" / "a_mask.png")
        for name in ("1.heic", "2.HEIC", "3.gif"):
            (tmp_path / "in" / name).touch()
        result = run("segment", tmp_path / "in", "--out", tmp_path / "out", *FAST)
        assert result.stdout.count("->") == 1
        assert f"{tmp_path / 'in'}: 2 HEIC pictures are left out, which cannot be read." in (
            result.stderr
        )
        assert "1 GIF picture is left out" in result.stderr

    def test_a_name_is_shown_on_one_line_whatever_it_holds(self, tmp_path: Path) -> None:
        picture(tmp_path / "a\x1b[31m\nb\u202ec.png")
        shown = run("segment", tmp_path, "--out", tmp_path / "out", *FAST).stdout
        assert "a?[31m b?c.png -> " in shown
        assert "a?[31m b?c_segmentation.png (" in shown
        assert shown.count("\n") == 1
        assert shown.rstrip("\n").isprintable()

    def test_how_a_file_was_read_is_said(self, tmp_path: Path) -> None:
        values = np.full((24, 32), 900, np.uint16)
        values[6:18, 8:24] = 200
        PillowImage.fromarray(values).save(tmp_path / "deep.png")
        result = run("segment", tmp_path / "deep.png", "--out", tmp_path / "out", *FAST)
        assert "deep.png: its 16-bit values end at 900: read as 10 bits." in result.stderr

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
            assert "a" * 20 in result.stderr
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
        from engine.images import reading

        real = reading.read_image

        def read(path: Path) -> Any:
            if path.name == "b.png":
                raise KeyboardInterrupt
            return real(path)

        monkeypatch.setattr(reading, "read_image", read)
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

    def test_styles_stand_beside_what_people_reach(self, tmp_path: Path, dataset: Path) -> None:
        target = tmp_path / "scores.json"
        arguments = ("evaluate", "--data", dataset, "--split", "test", "--json", target, *FAST)
        without = run(*arguments).stdout
        assert json.loads(target.read_text())["styles"] is None
        (dataset / "styles.csv").write_text(
            "id,tool,masks,agreement\ns6,T1,1,\ns7,several,3,0.875\n"
        )
        result = run(*arguments)
        content = json.loads(target.read_text())
        # Everything is lesion to the untrained model, of 24 × 32 pixels; a quarter of each is.
        alone = {"images": 1, "dice": 0.4, "interval": [0.4, 0.4], "pooled_dice": 0.4}
        people = {
            "images": 1, "dice": 0.875, "interval": [0.875, 0.875], "median": 0.875,
            "model_dice": 0.4, "model_median": 0.4,
        }  # fmt: skip
        assert content["styles"] == {"tools": {"T1": alone, "several": alone}, "people": people}
        intervals = {"dice": pytest.approx([0.4, 0.4]), "iou": pytest.approx([0.25, 0.25])}
        assert content["pooled"] == {"dice": 0.4, "iou": 0.25, "intervals": intervals}
        areas = {"shared_px": 192, "mask_px": 768, "truth_px": 192}
        assert content["pixels"] == {"s6": areas, "s7": areas}
        assert content["failed"] == 1.0
        # Two images of one error: every order is the best.
        assert set(content["excess_aurc"].values()) == {0.0}
        seconds = "Seconds"
        head = [line for line in without.splitlines() if not line.startswith(seconds)]
        shown = [line for line in result.stdout.splitlines() if not line.startswith(seconds)]
        assert shown[: len(head)] == head
        told = [line.split("  ")[0] for line in shown[len(head) :]]
        assert told[1:4] == ["Masks made by", "T1, points by hand", "several tools"]
        assert "People agree with each other to a Dice of 0.8750" in shown[-1]
        assert "on 1 of these images; the model there: 0.4000" in shown[-1]

    def test_a_wrong_style_is_named_with_its_row(self, dataset: Path) -> None:
        (dataset / "styles.csv").write_text("id,tool,masks,agreement\ns6,T9,1,\n")
        result = run("evaluate", "--data", dataset, "--split", "test", *FAST, exit_code=4)
        assert str(dataset / "styles.csv") in result.stderr
        assert "unknown tool 'T9' in row 2" in result.stderr

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

    def test_what_cannot_be_read_is_left_out_and_listed(
        self, tmp_path: Path, dataset: Path
    ) -> None:
        damaged = dataset / "masks" / "s6_segmentation.png"
        damaged.write_bytes(b"damaged")
        target = tmp_path / "scores.json"
        arguments = ("evaluate", "--data", dataset, "--split", "test", "--json", target)
        result = run(*arguments, *FAST, exit_code=3)
        content = json.loads(target.read_text())
        assert list(content["images"]) == ["s7"]
        assert [each["file"] for each in content["left_out"]] == [str(damaged)]
        assert result.stdout.splitlines()[0].split() == ["Images", "1", "of", "2"]
        assert str(damaged) in result.stderr
        last = result.stderr.splitlines()[-1]
        assert last == "nca-seg: The figures are of 1 of 2 images; left out: 1."

    def test_where_nothing_can_be_read_there_are_no_figures(
        self, tmp_path: Path, dataset: Path
    ) -> None:
        for name in ("s6", "s7"):
            (dataset / "images" / f"{name}.png").write_bytes(b"damaged")
        target = tmp_path / "scores.json"
        arguments = ("evaluate", "--data", dataset, "--split", "test", "--json", target)
        result = run(*arguments, *FAST, exit_code=4)
        assert "s6.png" in result.stderr
        assert "s7.png" in result.stderr
        assert not result.stdout
        assert not target.exists()


def test_help_and_models_never_load_torch() -> None:
    code = (
        "import sys, engine; from engine.cli import main\n"
        "sys.argv = ['nca-seg', 'models']\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
