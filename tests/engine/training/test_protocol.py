"""Each setting of the paper's protocol does what its help says, and one flag sets them all."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as PillowImage
from safetensors import safe_open

from engine.diffusion.ensemble import replay, segment
from engine.images.reading import read_image
from engine.networks import checkpoint
from engine.networks.table import build, preset, trainable
from engine.report.commands import measured_by, trained_by
from engine.training.batches import BatchSource, reference
from engine.training.loop import LAST, STATE, train
from engine.training.optimizer import optimizers
from engine.types import BEFORE_CHOICES, PAPER, Sample, SampleSettings, TrainSettings
from tests.engine.commands import TINY, install, run, write_dataset
from tests.oracles import disk, lesion, lively_model, tiny_spec
from tests.samples import drawn_dataset

BRIEF = TrainSettings(steps=4, batch_size=4, size=16, learning_rate=3e-3, validate_every=100)
WIDE = (24, 40)


def wide_samples(folder: Path) -> tuple[Sample, ...]:
    """Samples of pictures that are no squares, every pixel of its own colour."""
    draws = np.random.default_rng(3)
    found = []
    for number in range(4):
        image_path, mask_path = folder / f"{number}.png", folder / f"{number}_mask.png"
        pixels_hwc = draws.integers(0, 256, (*WIDE, 3), dtype=np.uint8)
        PillowImage.fromarray(pixels_hwc).save(image_path)
        mask_hw = np.zeros(WIDE, np.uint8)
        mask_hw[6:18, : 8 + 3 * number] = 255
        PillowImage.fromarray(mask_hw).save(mask_path)
        found.append(Sample(str(number), image_path, mask_path, "train"))
    return tuple(found)


@pytest.mark.parametrize(("drawn", "power"), [("uniform", 1), ("root", 2)])
def test_timesteps_are_drawn_as_asked(tmp_path: Path, drawn: str, power: int) -> None:
    settings = replace(BRIEF, batch_size=1000, timesteps_drawn=drawn, augment=False, size=8)  # type: ignore[arg-type]
    batches = BatchSource(wide_samples(tmp_path)[:1], tiny_spec(size=8), settings)
    drawn_n = torch.cat([batches.draw(step).timestep_n for step in range(4)]).numpy()
    assert drawn_n.min() >= 1
    assert drawn_n.max() <= 100
    # Of t up to 25, 50 and 75: 4,000 draws leave a standard error of 0.008 at most.
    for share in (0.25, 0.5, 0.75):
        assert np.mean(drawn_n <= 100 * share) == pytest.approx(share**power, abs=0.04)
    counts = np.bincount((drawn_n - 1) // 10, minlength=10)
    expected = len(drawn_n) * np.diff(np.linspace(0, 1, 11) ** power)
    assert float((np.square(counts - expected) / expected).sum()) < 33.7  # p = 0.0001, 9 degrees


def test_adamw_moves_every_weight_as_torchs_own_does(tmp_path: Path) -> None:
    spec = tiny_spec(predicts="noise")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        ours, theirs = build(spec), build(spec)
    theirs.load_state_dict(ours.state_dict())
    mine = optimizers(ours, 0.1, "adamw", torch.tensor(1e-2))
    torchs = torch.optim.AdamW(theirs.parameters(), lr=1e-2, weight_decay=0.1)
    draws = torch.Generator().manual_seed(1)
    before = [weight.detach().clone() for weight in ours.parameters()]
    for _ in range(3):
        for weight, other in zip(ours.parameters(), theirs.parameters(), strict=True):
            weight.grad = torch.randn(weight.shape, generator=draws)
            other.grad = weight.grad.clone()
        mine[0].step()
        torchs.step()
    for old, weight, other in zip(before, ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(weight, other, rtol=1e-5, atol=1e-6)
        assert (weight.detach() != old).all()
    (group,) = mine[0].param_groups
    assert group["betas"] == (0.9, 0.999)


def test_without_a_gradient_adamw_decays_biases_too() -> None:
    network = build(tiny_spec())
    (adamw,) = optimizers(network, 0.5, "adamw")
    adamw.param_groups[0]["lr"] = 0.1
    before = [weight.detach().clone() for weight in network.parameters()]
    for weight in network.parameters():
        weight.grad = torch.zeros_like(weight)
    adamw.step()
    for old, weight in zip(before, network.parameters(), strict=True):
        torch.testing.assert_close(weight.detach(), old * (1 - 0.1 * 0.5))


@pytest.fixture
def gradients(monkeypatch: pytest.MonkeyPatch) -> list[tuple[float, float]]:
    """The length of each step's gradient before and after it was to be clipped."""
    found: list[tuple[float, float]] = []
    real = torch.nn.utils.clip_grad_norm_

    def watched(parameters: Iterator[torch.nn.Parameter], limit: float) -> torch.Tensor:
        held = list(parameters)
        old = [weight.grad.clone() for weight in held if weight.grad is not None]
        length = real(held, limit)
        new = [weight.grad for weight in held if weight.grad is not None]
        same = all(torch.equal(a, b) for a, b in zip(old, new, strict=True))
        after = float(torch.linalg.vector_norm(torch.cat([each.reshape(-1) for each in new])))
        found.append((float(length), float(length) if same else after))
        return length

    monkeypatch.setattr("torch.nn.utils.clip_grad_norm_", watched)
    return found


@pytest.mark.parametrize("clip", [0.0, 0.01])
def test_a_gradient_is_cut_to_the_length_asked_for_or_left(
    tmp_path: Path, gradients: list[tuple[float, float]], clip: float
) -> None:
    settings = replace(BRIEF, clip=clip)
    list(train(tiny_spec(), drawn_dataset(tmp_path), settings, tmp_path / "run"))
    assert len(gradients) == BRIEF.steps
    for before, after in gradients:
        assert before > 0.01
        # Not cut, every gradient is bit by bit what it was.
        assert after == (pytest.approx(clip, rel=1e-3) if clip else before)


def test_without_warm_up_and_cool_down_the_rate_stays(tmp_path: Path) -> None:
    settings = replace(BRIEF, steps=20, warm_up=0, cooldown=0.0)
    steps = list(train(tiny_spec(), drawn_dataset(tmp_path), settings, tmp_path / "run"))
    assert {step.learning_rate for step in steps} == {BRIEF.learning_rate}
    rising = replace(BRIEF, steps=20, warm_up=1)
    first = next(train(tiny_spec(), drawn_dataset(tmp_path / "b"), rising, tmp_path / "b"))
    assert first.learning_rate == BRIEF.learning_rate


def test_without_averaging_the_weights_kept_are_the_newest(tmp_path: Path) -> None:
    list(train(tiny_spec(), drawn_dataset(tmp_path), replace(BRIEF, ema=0.0), tmp_path / "run"))
    with safe_open(tmp_path / "run" / STATE, framework="numpy") as file:
        stored = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    _, kept = checkpoint.read(tmp_path / "run" / LAST)
    for name, weights in kept.items():
        assert np.array_equal(weights, stored[f"weights.{name}"])


@pytest.mark.parametrize("detail", [1, 4])
def test_a_square_grid_holds_the_whole_picture_resized_as_pillow_does(
    tmp_path: Path, detail: int
) -> None:
    samples, side = wide_samples(tmp_path), 16
    spec = tiny_spec(framing="square", channels=64, detail=detail)
    settings = replace(BRIEF, size=side, augment=False)
    source = BatchSource(samples, spec, settings)
    order = source.choose(0).number_n.tolist()
    batch = source.draw(0)
    for place, number in enumerate(order):
        pixels_hwc = read_image(samples[number].image_path).pixels_hwc
        picture = PillowImage.fromarray(pixels_hwc)
        size = (detail * side, detail * side)
        wanted = np.asarray(picture.resize(size, PillowImage.Resampling.BILINEAR)) / np.float32(255)
        seen = batch.image_n3hw[place].permute(1, 2, 0).numpy()
        assert np.array_equal(seen, wanted)
        # Training sees what validation and inference see.
        judged, mask_hw = reference(samples[number], side, detail, square_frame=True)
        assert np.array_equal(batch.image_n3hw[place].numpy(), judged)
        frame = spec.frame(*WIDE)
        assert frame.grid_shape == mask_hw.shape == (side, side)
        assert np.array_equal(frame.apply(pixels_hwc, detail), judged)
        share = float(batch.share_n1hw[place].mean())
        truth = 12 * (8 + 3 * number) / (24 * 40)
        assert share == pytest.approx(truth, abs=0.01)


def test_a_square_model_answers_at_the_images_own_size() -> None:
    model = lively_model(framing="square")
    *_, result = segment(model, lesion(disk(24)[:, 4:20]), SampleSettings(members=2))
    assert result.members_nhw.shape == (2, 16, 16)
    assert result.mask().shape == (24, 16)


def test_a_square_frame_is_recorded_and_decides_the_fingerprint(tmp_path: Path) -> None:
    spec = tiny_spec()
    square = spec.changed(framing="square")
    network = {name: tensor.numpy() for name, tensor in build(spec).state_dict().items()}
    checkpoint.write(tmp_path / "a.safetensors", network, spec)
    checkpoint.write(tmp_path / "b.safetensors", network, square)
    assert checkpoint.read_spec(tmp_path / "a.safetensors").framing == "proportional"
    assert checkpoint.read_spec(tmp_path / "b.safetensors").framing == "square"
    # Files in the image's proportions are what they were before there was a choice.
    assert b"framing" not in (tmp_path / "a.safetensors").read_bytes()
    assert checkpoint.fingerprint(spec, network) != checkpoint.fingerprint(square, network)


def test_plain_members_see_the_image_as_it_is() -> None:
    model, image = lively_model(), lesion(disk(24))
    both = SampleSettings(members=6, steps=2, seed=3)
    *_, mirrored = segment(model, image, both)
    *_, plain = segment(model, image, replace(both, views="plain"))
    for member in range(6):
        same = np.array_equal(plain.members_nhw[member], mirrored.members_nhw[member])
        assert same == (member % 4 == 0)
    *_, alone = segment(model, image, replace(both, views="plain", batch_size=1))
    np.testing.assert_allclose(alone.members_nhw, plain.members_nhw, atol=1e-5)


def test_a_step_of_a_plain_member_is_replayed() -> None:
    model, image = lively_model(), lesion(disk(24))
    settings = SampleSettings(members=2, steps=2, seed=3, views="plain", batch_size=2)
    for result in segment(model, image, settings):
        step = result.step
        noisy_hw = step.noisy_nhw[1]
        *_, cell = replay(model, image, noisy_hw, step.timestep, settings, 1)
        predicted = 0.5 + np.tanh(cell.state_chw[0] / 2) / 2
        np.testing.assert_allclose(predicted, step.clean_nhw[1], atol=1e-5)
        mirrored = replace(settings, views="mirrored")
        *_, other = replay(model, image, noisy_hw, step.timestep, mirrored, 1)
        assert not np.allclose(0.5 + np.tanh(other.state_chw[0] / 2) / 2, predicted, atol=1e-3)


def paper_settings() -> TrainSettings:
    return replace(PAPER, steps=6, size=16, batch_size=4, validate_every=3)


def test_a_run_by_the_papers_protocol_goes_on_as_if_it_had_not_stopped(tmp_path: Path) -> None:
    dataset, settings = drawn_dataset(tmp_path), paper_settings()
    spec = tiny_spec(predicts="noise", framing="square")
    whole = list(train(spec, dataset, settings, tmp_path / "whole"))
    list(train(spec, dataset, settings, tmp_path / "parts", stop_at=3))
    rest = list(train(spec, dataset, settings, tmp_path / "parts", resume=True))
    assert [step.done for step in rest] == [4, 5, 6]
    np.testing.assert_allclose(
        [step.loss for step in rest], [step.loss for step in whole[3:]], rtol=1e-4
    )


def test_what_was_done_before_there_were_choices_is_the_default() -> None:
    usual = {**asdict(TrainSettings()), "framing": tiny_spec().framing}
    usual["steerable"] = tiny_spec().steerable
    assert {name: usual[name] for name in BEFORE_CHOICES} == BEFORE_CHOICES


def test_the_papers_protocol_is_the_papers() -> None:
    spec = trainable("multicbam", "paper")
    assert spec == preset("multicbam").changed(
        predicts="noise", mask_scale=1.0, framing="square", steerable=False
    )
    assert (spec.predicts, spec.mask_scale, spec.timesteps) == ("noise", 1.0, 100)
    config = asdict(spec.config)
    paper = {"channels": 64, "hidden": 512, "updates": 10, "fire_probability": 0.5, "factor": 4}
    assert {name: config[name] for name in paper} == paper
    assert (config["coarse_updates"], config["detail"]) == (0, 1)
    # Validation and how far it goes are the reader's.
    assert (PAPER.size, PAPER.batch_size, PAPER.learning_rate) == (256, 8, 1e-4)
    assert (PAPER.optimizer, PAPER.timesteps_drawn, PAPER.rgb_weight) == ("adamw", "uniform", 1.0)


@pytest.fixture
def dataset(tmp_path: Path, own_folders: Path) -> Path:
    return write_dataset(tmp_path / "data")


SHORT = (
    "--channels", "16", "--hidden", "24", "--updates", "2", "--fire-probability", "0.75",
    "--size", "16", "--batch-size", "2", "--steps", "2", "--device", "cpu",
)  # fmt: skip


def test_one_flag_sets_the_papers_protocol_and_others_override_it(
    tmp_path: Path, dataset: Path
) -> None:
    out = tmp_path / "run"
    run(
        "train", "--data", dataset, "--out", out, "--protocol", "paper", *SHORT,
        "--warm-up", "50", "--schedule", "linear",
    )  # fmt: skip
    spec = checkpoint.read_spec(out / LAST)
    given = {"size": 16, "batch_size": 2, "steps": 2, "warm_up": 50}
    expected = {**asdict(PAPER), **given}
    assert {name: spec.training[name] for name in expected} == expected
    assert spec.training["protocol"] == "paper"
    assert (spec.predicts, spec.mask_scale, spec.framing) == ("noise", 1.0, "square")
    config = asdict(spec.config)
    assert (config["channels"], config["hidden"], config["updates"]) == (16, 24, 2)
    assert (config["fire_probability"], spec.schedule) == (0.75, "linear")
    told = trained_by(spec)
    for flag in ("--protocol paper", "--size 16", "--warm-up 50", "--schedule linear"):
        assert flag in told
    # What the protocol itself says needs no flag; what is the usual value without it does.
    for flag in ("--optimizer", "--framing", "--predicts", "--clip", "--no-augment"):
        assert flag not in told
    run("train", "--data", dataset, "--out", out, *told.split()[6:], "--device", "cpu", "--resume")


def test_without_the_flag_nothing_is_the_papers(tmp_path: Path, dataset: Path) -> None:
    run("train", "--data", dataset, "--out", tmp_path / "run", *SHORT)
    spec = checkpoint.read_spec(tmp_path / "run" / LAST)
    usual = asdict(TrainSettings(size=16, batch_size=2, steps=2))
    assert {name: spec.training[name] for name in usual} == usual
    assert (spec.predicts, spec.mask_scale, spec.framing) == ("clean", 0.2, "proportional")
    assert "--protocol" not in trained_by(spec)


def test_the_papers_protocol_begins_with_no_models_weights(tmp_path: Path, dataset: Path) -> None:
    path = install(TINY)
    asked = ("train", "--data", dataset, "--out", tmp_path / "run", "--protocol", "paper")
    told = run(*asked, "--from", path, exit_code=2)
    assert "leave --from out" in " ".join(told.output.split())


def test_plain_views_are_chosen_by_flag_and_recorded(tmp_path: Path, dataset: Path) -> None:
    install(TINY)
    chosen = ("--model", "tiny", "--members", "2", "--views", "plain", "--device", "cpu")
    run("segment", dataset / "images" / "s0.png", "--out", tmp_path / "out", *chosen)
    result = json.loads((tmp_path / "out" / "s0.json").read_text(encoding="utf-8"))
    assert result["settings"]["views"] == "plain"
    scores = tmp_path / "scores.json"
    run("evaluate", "--data", dataset, "--split", "test", "--json", scores, *chosen)
    assert json.loads(scores.read_text(encoding="utf-8"))["settings"]["views"] == "plain"
    asked = SampleSettings(views="plain")
    assert "--views plain" in measured_by("tiny", dataset, asked, None)
    assert "--views" not in measured_by("tiny", dataset, SampleSettings(), None)
