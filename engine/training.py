"""Training and fine-tuning as one stream of TrainStep: stop by not asking for the next.

Every step draws its samples, changes and noise from (seed, step), so a resumed run goes on exactly
as if it had not stopped.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as to_bytes
from torch import Tensor, nn

from engine import checkpoint, parallel
from engine.augment import recolour, square
from engine.device import DeviceChoice, choose
from engine.diffusion import add_noise, alpha_bars, clean_from, network_input
from engine.errors import DatasetProblem, UnreadableModel
from engine.files import write_atomic
from engine.framing import Frame
from engine.images import read_image
from engine.loss import total_loss
from engine.masks import read_mask
from engine.metrics import dice
from engine.model import Model
from engine.models import build
from engine.models.nca import NOISE, Automaton
from engine.noise import Purpose, generator
from engine.optimizer import optimizers
from engine.sampling import denoise
from engine.types import (
    Dataset,
    Device,
    ModelSpec,
    Sample,
    SampleSettings,
    TrainSettings,
    TrainStep,
)

Arrays = Mapping[str, NDArray[Any]]

BEST, STATE = "best.safetensors", "state.safetensors"
WARM_UP_STEPS = 50
SECONDS_BETWEEN_STATES = 120.0
#: Validation asks little of each image, so that it takes a small share of the time.
VALIDATION = SampleSettings(steps=3, members=1, batch_size=1)


def train(
    spec: ModelSpec,
    dataset: Dataset,
    settings: TrainSettings,
    folder: Path,
    *,
    start: Arrays | None = None,
    resume: bool = False,
    device: Device = "auto",
) -> Iterator[TrainStep]:
    """Optimizer steps; the best averaged weights on `val` lie in `folder` as best.safetensors.

    Parameters
    ----------
    spec : the network and its diffusion; the result gets `settings.size` as its size.
    dataset : `train` is learnt from, `val` judges; without `val` the last weights are kept.
    folder : made if absent; also holds the state from which `resume` goes on.
    start : weights to begin from, else fresh ones by `settings.seed`.

    Raises
    ------
    DatasetProblem, UnreadableImage, UnreadableMask : before the first step.
    UnreadableModel : where `resume` finds no state that fits.
    """
    folder.mkdir(parents=True, exist_ok=True)
    learned = dataset.split("train")
    judged = _evenly(dataset.split("val"), settings.validation_images)
    if not learned:
        raise DatasetProblem(dataset.root, "it has no samples to train on")
    if settings.batch_size % parallel.size():
        raise ValueError(f"batch_size must be a multiple of the {parallel.size()} processes")
    spec = replace(spec, size=settings.size, training=_record(settings, dataset))
    pictures = [_picture(sample, 2 * settings.size) for sample in learned]
    references = [_reference(sample, settings.size) for sample in judged]
    run = _Run(spec, settings, folder, choose(device), start)
    if resume:
        run.read_state()
    try:
        if start is not None and not resume and references:
            run.start_dice = run.validate(references)
        while run.done < settings.steps:
            yield run.step(pictures, references)
    finally:
        run.write_state()


def finetune(
    model: Model, dataset: Dataset, settings: TrainSettings, folder: Path
) -> Iterator[TrainStep]:
    """Optimizer steps from a loaded model towards its child; the model itself stays as it is.

    The child keeps the parent's grid size and device, and records the parent's fingerprint. Raises
    what `train` raises.
    """
    child = replace(model.spec, parent=model.fingerprint)
    settings = replace(settings, size=model.spec.size)
    start = _arrays(model.network)
    device: Device = "cuda" if model.device.name == "cuda" else "cpu"
    yield from train(child, dataset, settings, folder, start=start, device=device)


class _Run:
    """Weights, their average, the optimizer and the best so far: what one run carries on."""

    def __init__(
        self,
        spec: ModelSpec,
        settings: TrainSettings,
        folder: Path,
        device: DeviceChoice,
        start: Arrays | None,
    ) -> None:
        self.spec, self.settings, self.folder, self.device = spec, settings, folder, device
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(settings.seed)
            self.network, self.average = build(spec), build(spec)
        if start is not None:
            _fill(self.network, start, folder)
        self.network.to(device.name)
        self.average.load_state_dict(self.network.state_dict())
        self.judge = Model(self.average, device)
        self.learner = parallel.shared(self.network, device.name)
        self.optimizers = optimizers(self.network, settings.weight_decay)
        self.done = 0
        self.start_dice: float | None = None
        self.best_dice: float | None = None
        self.best_path: Path | None = None
        self.saved_at = time.monotonic()

    def step(
        self, pictures: list[Tensor], references: list[tuple[NDArray[Any], NDArray[Any]]]
    ) -> TrainStep:
        began = time.monotonic()
        with torch.enable_grad():
            loss = self._loss(pictures)
            self.network.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        rate = self._rate()
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate
            optimizer.step()
        mean_loss = parallel.total(float(loss.detach())) / parallel.size()
        self.done += 1
        self._follow()
        elapsed = time.monotonic() - began
        validated = self._judge(references)
        if time.monotonic() - self.saved_at > SECONDS_BETWEEN_STATES:
            self.write_state()
        return TrainStep(
            done=self.done,
            total=self.settings.steps,
            loss=mean_loss,
            learning_rate=rate,
            samples_per_s=self.settings.batch_size / elapsed,
            validation_dice=validated,
            best_dice=self.best_dice,
            best_path=self.best_path,
            start_dice=self.start_dice,
        )

    def _loss(self, pictures: list[Tensor]) -> Tensor:
        """L_total of this process's share of the step's samples."""
        spec, size, place = self.spec, self.settings.size, self.device.name
        chosen = self._chosen(len(pictures))
        # Every sample draws from its own address: how they are shared out changes nothing.
        draws = [generator(self.settings.seed, index, Purpose.START) for index, _ in chosen]
        views = torch.stack(
            [self._view(pictures[i], draw) for (_, i), draw in zip(chosen, draws, strict=True)]
        )
        image, share = views[:, :3], views[:, 3:]
        # More of the steps near pure noise, where the whole mask must come from the picture.
        uniform = torch.cat([torch.rand(1, generator=draw) for draw in draws])
        timestep = uniform.sqrt().mul(spec.timesteps).ceil().long().clamp(1, spec.timesteps)
        noise = torch.stack([torch.randn(1, size, size, generator=draw) for draw in draws])
        clean = spec.mask_scale * (2 * share - 1)
        bars = torch.from_numpy(alpha_bars(spec.schedule, spec.timesteps).copy()).float()
        bar = bars[timestep][:, None, None, None]
        noisy = add_noise(self._recycled(image, clean, noise, draws), noise, bar)
        noise = (noisy - bar.sqrt() * clean) / (1 - bar).sqrt()
        state = self._state(self.learner, image, noisy, timestep, bar, draws)
        return total_loss(
            state, share.to(place), noise.to(place), bar.to(place), spec, self.settings.rgb_weight
        )

    @torch.no_grad()
    def _recycled(
        self, image: Tensor, clean: Tensor, noise: Tensor, draws: list[torch.Generator]
    ) -> Tensor:
        """The clean masks, some of them as the network itself believes from pure noise.

        From the truth alone it learns to trust its x_t, which when it is used holds its own errors
        (Fu 2023, MELBA 2023:016).
        """
        drawn = [bool(torch.rand(1, generator=draw) < self.settings.recycle) for draw in draws]
        taken = torch.tensor(drawn).nonzero().squeeze(1)
        if not len(taken):
            return clean
        spec = self.spec
        some = [draws[i] for i in taken]
        bar = float(alpha_bars(spec.schedule, spec.timesteps)[-1])
        last = torch.full((len(taken),), spec.timesteps)
        at_last = torch.full((len(taken), 1, 1, 1), bar)
        state = self._state(self.network, image[taken], noise[taken], last, at_last, some)
        output = state[:, NOISE : NOISE + 1].float().cpu()
        believed = clean_from(output, noise[taken], bar, spec.predicts, spec.mask_scale)
        return clean.index_copy(0, taken, believed)

    def _state(
        self,
        network: nn.Module,
        image: Tensor,
        noisy: Tensor,
        timestep: Tensor,
        bar: Tensor,
        draws: list[torch.Generator],
    ) -> Tensor:
        """The network's last state for x_t, computed on the device in its precision."""
        spec, place = self.spec, self.device.name
        given = network_input(noisy, bar, spec.mask_scale)

        def fires(_level: int, _update: int, shape: tuple[int, int]) -> Tensor:
            drawn = torch.stack([torch.rand(1, *shape, generator=draw) for draw in draws])
            return (drawn < spec.fire_probability).to(place)

        low = self.device.precision == "bfloat16"
        with torch.autocast(place, torch.bfloat16, enabled=low):
            state: Tensor = network(
                (2 * image - 1).to(place), given.to(place), (timestep / spec.timesteps).to(place), fires
            )
        return state

    def _view(self, picture: Tensor, draw: torch.Generator) -> Tensor:
        """A picture and its mask on the training grid, float32 (4, size, size) in [0, 1]."""
        if not self.settings.augment:
            return square(picture / 255, self.settings.size, None)
        view = square(picture / 255, self.settings.size, draw)
        return torch.cat([recolour(view[:3], draw), view[3:]])

    def _chosen(self, count: int) -> list[tuple[int, int]]:
        """(place in the run, sample) for this process: each sample once before any comes again."""
        chosen = []
        first = self.done * self.settings.batch_size
        for index in range(first, first + self.settings.batch_size):
            turn, place = divmod(index, count)
            if index % parallel.size() != parallel.rank():
                continue
            order = torch.randperm(
                count, generator=generator(self.settings.seed, turn, Purpose.ANCESTRAL)
            )
            chosen.append((index, int(order[place])))
        return chosen

    def _rate(self) -> float:
        """Learning rate: a short linear rise, a plateau, and a cosine down to a hundredth of it."""
        settings = self.settings
        warm = min(WARM_UP_STEPS, max(1, settings.steps // 10))
        falling = max(1, round(settings.cooldown * (settings.steps - warm)))
        rise = min(1.0, (self.done + 1) / warm)
        share = max(0.0, (self.done - (settings.steps - falling)) / falling)
        fall = 0.01 + 0.99 * (1 + math.cos(math.pi * share)) / 2
        return settings.learning_rate * rise * fall

    @torch.no_grad()
    def _follow(self) -> None:
        # Young averages follow faster, so that the first weights are soon forgotten.
        decay = min(self.settings.ema, (1 + self.done) / (10 + self.done))
        for mean, weight in zip(self.average.parameters(), self.network.parameters(), strict=True):
            mean.lerp_(weight.detach(), 1 - decay)

    def _judge(self, references: list[tuple[NDArray[Any], NDArray[Any]]]) -> float | None:
        last = self.done == self.settings.steps
        if not last and self.done % self.settings.validate_every:
            return None
        found = self.validate(references) if references else None
        if found is None or self.best_dice is None or found > self.best_dice:
            self.best_dice = found
            seen = {"steps_done": self.done, "validation_dice": found}
            spec = replace(self.spec, training={**self.spec.training, **seen})
            if parallel.rank() == 0:
                checkpoint.write(self.folder / BEST, _arrays(self.average), spec)
            self.best_path = self.folder / BEST
        return found

    def validate(self, references: list[tuple[NDArray[Any], NDArray[Any]]]) -> float:
        """Mean Dice on the grid of the averaged weights."""
        total = 0.0
        for image_chw, mask_hw in references[parallel.rank() :: parallel.size()]:
            *_, last = denoise(self.judge, image_chw, VALIDATION, [0])
            total += dice(last.clean_nhw[0] >= 0.5, mask_hw)
        return parallel.total(total) / len(references)

    def _moments(self, parameter: Tensor) -> dict[str, Tensor]:
        """What its optimizer remembers of a parameter."""
        for optimizer in self.optimizers:
            if any(parameter is held for g in optimizer.param_groups for held in g["params"]):
                moments: dict[str, Tensor] = optimizer.state[parameter]
                return moments
        raise KeyError("a parameter without an optimizer")

    def write_state(self) -> None:
        """Write all that `read_state` needs, atomically."""
        if parallel.rank() > 0:
            return
        arrays = {f"weights.{name}": array for name, array in _arrays(self.network).items()}
        arrays |= {f"average.{name}": array for name, array in _arrays(self.average).items()}
        for index, parameter in enumerate(self.network.parameters()):
            for key, value in self._moments(parameter).items():
                arrays[f"optimizer.{index}.{key}"] = value.detach().cpu().contiguous().numpy()
        header = {"done": self.done, "best_dice": self.best_dice, "start_dice": self.start_dice}
        write_atomic(self.folder / STATE, to_bytes(arrays, {"run": json.dumps(header)}))
        self.saved_at = time.monotonic()

    def read_state(self) -> None:
        """Go on where `write_state` left off. Raises UnreadableModel."""
        path = self.folder / STATE
        try:
            with safe_open(path, framework="numpy") as stored:
                header = json.loads(stored.metadata()["run"])
                arrays = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
        except (SafetensorError, OSError, TypeError, KeyError, ValueError) as error:
            raise UnreadableModel(path, f"no run can go on from it ({error})") from error
        _fill(self.network, _under("weights.", arrays), path)
        _fill(self.average, _under("average.", arrays), path)
        for index, parameter in enumerate(self.network.parameters()):
            moments = _under(f"optimizer.{index}.", arrays)
            if moments:
                self._moments(parameter).update(
                    {
                        key: torch.from_numpy(value).to(parameter.device if value.ndim else "cpu")
                        for key, value in moments.items()
                    }
                )
        self.done, self.best_dice = header["done"], header["best_dice"]
        self.start_dice = header["start_dice"]
        best = self.folder / BEST
        self.best_path = best if best.exists() else None


def _evenly(samples: Sequence[Sample], count: int) -> list[Sample]:
    """At most `count` samples, spread over the whole list: neighbours often resemble each other."""
    kept = min(count, len(samples))
    return [samples[i * len(samples) // kept] for i in range(kept)]


def _picture(sample: Sample, size: int) -> Tensor:
    """Picture and mask on one grid, uint8 (4, rows, columns)."""
    image = read_image(sample.image_path)
    mask_hw = read_mask(sample.mask_path, (image.height, image.width))
    frame = Frame(image.height, image.width, size)
    picture = np.concatenate([frame.apply(image.pixels_hwc), frame.apply_mask(mask_hw)[None]])
    return torch.from_numpy((picture * 255).round().astype(np.uint8))


def _reference(sample: Sample, size: int) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Picture float32 (3, rows, columns) in [0, 1] and mask bool (rows, columns) on the grid."""
    picture = _picture(sample, size).numpy()
    return picture[:3].astype(np.float32) / np.float32(255), picture[3] >= 128


def _record(settings: TrainSettings, dataset: Dataset) -> dict[str, Any]:
    described = {key: getattr(settings, key) for key in settings.__dataclass_fields__}
    return {**described, "train_images": len(dataset.split("train"))}


def _arrays(network: Automaton) -> dict[str, NDArray[Any]]:
    # Copied: events and files must not change with the next step.
    return {
        name: tensor.detach().cpu().contiguous().numpy().copy()
        for name, tensor in network.state_dict().items()
    }


def _fill(network: Automaton, arrays: Arrays, path: Path) -> None:
    try:
        network.load_state_dict({k: torch.from_numpy(v.copy()) for k, v in arrays.items()})
    except RuntimeError as error:
        raise UnreadableModel(path, "its weights do not fit the network") from error


def _under(prefix: str, arrays: Arrays) -> dict[str, NDArray[Any]]:
    return {k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)}
