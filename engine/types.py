"""The frozen values that cross the engine's border; importing them never loads torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from engine.framing import Frame
from engine.metrics import expected_error
from engine.settings import bounded
from engine.settings import check_settings as check_settings
from engine.settings import setting as setting

Float = NDArray[np.float32]
Sampler = Literal["ddim", "ddpm"]
Prediction = Literal["noise", "clean", "velocity"]
ScheduleName = Literal["cosine", "linear"]
Device = Literal["auto", "cpu", "cuda"]
Split = Literal["train", "val", "test"]


def frozen_array(array: NDArray[Any]) -> None:
    """Make an array read-only: events and values are never changed after they are born."""
    array.flags.writeable = False


@dataclass(frozen=True, eq=False)
class Image:
    """A picture as every part of the program sees it.

    `pixels_hwc` is uint8 (height, width, 3), sRGB, upright: a read-only view of the array that was
    given. `spacing_mm` is the side of a pixel in millimetres where the file says so. `note` is what
    a person should know about how the file was read, for example "it has 5 pages: the first is
    read"; empty where nothing was chosen.
    """

    pixels_hwc: NDArray[np.uint8]
    path: Path | None = None
    spacing_mm: float | None = None
    note: str = ""

    def __post_init__(self) -> None:
        if self.pixels_hwc.dtype != np.uint8 or self.pixels_hwc.ndim != 3:
            raise ValueError("pixels_hwc must be uint8 (height, width, 3)")
        if self.pixels_hwc.shape[2] != 3 or 0 in self.pixels_hwc.shape:
            raise ValueError(f"pixels_hwc has shape {self.pixels_hwc.shape}")
        # The caller's array stays the caller's to write.
        view_hwc = self.pixels_hwc.view()
        frozen_array(view_hwc)
        object.__setattr__(self, "pixels_hwc", view_hwc)

    @property
    def height(self) -> int:
        return int(self.pixels_hwc.shape[0])

    @property
    def width(self) -> int:
        return int(self.pixels_hwc.shape[1])


@dataclass(frozen=True)
class NetworkConfig:
    """What an architecture leaves open: channels, widths, updates; a subclass for each family.

    Fields are plain JSON values. None has the name of a field of `ModelSpec`.
    """

    def __post_init__(self) -> None:
        check_settings(self)

    @property
    def pixels_per_cell(self) -> int:
        """Side in pixels of the part of the image that each cell of the grid is given."""
        return 1

    def joined(self, of_spec: Mapping[str, Any]) -> dict[str, Any]:
        """The config's values and then those of a spec, by name.

        A fingerprint hashes them in this order.
        """
        own = {each.name: getattr(self, each.name) for each in fields(self)}
        return own | dict(of_spec)


@dataclass(frozen=True)
class ModelSpec:
    """Everything needed to build a network and to run diffusion with it, but its weights.

    `config` is what the architecture itself leaves open. `predicts` says what the network's
    prediction means: the noise (eq. 2), the clean mask as a logit, or the velocity. The mask enters
    diffusion as ±`mask_scale`. `size` is the side in cells of the square whose area the model's
    grid has. `training` records how the weights came to be; `parent` is the fingerprint of the
    model it was fine-tuned from.
    """

    name: str
    architecture: str
    config: NetworkConfig
    predicts: Prediction = bounded("noise", choices=get_args(Prediction))
    schedule: ScheduleName = bounded("cosine", choices=get_args(ScheduleName))
    timesteps: int = bounded(100, low=2, high=10_000)
    mask_scale: float = bounded(1.0, low=0.0, high=1.0)
    size: int = bounded(256, low=8, high=4096)
    parent: str = ""
    training: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_settings(self)
        if not isinstance(self.config, NetworkConfig):
            raise ValueError(f"config is {self.config!r}, not that of a network")
        if not self.mask_scale:
            raise ValueError("mask_scale must be more than 0")
        if self.size % 4:
            raise ValueError(f"size {self.size} must be a multiple of 4")
        if not isinstance(self.training, Mapping):
            raise ValueError(f"training is {self.training!r}, not a record")
        object.__setattr__(self, "training", MappingProxyType(dict(self.training)))

    @property
    def pixels_per_cell(self) -> int:
        """Side in pixels of the part of the image that each cell of the grid is given."""
        return self.config.pixels_per_cell

    @property
    def decisive(self) -> dict[str, Any]:
        """All that decides an answer but the weights, by name, in the order of a fingerprint.

        The values of the config are among the spec's own.
        """
        diffusion = ("predicts", "schedule", "timesteps", "mask_scale", "size")
        own = {name: getattr(self, name) for name in diffusion}
        return {"architecture": self.architecture, **self.config.joined(own)}

    @property
    def flat(self) -> dict[str, Any]:
        """Every value by name, those of the config among the spec's own."""
        record = {"parent": self.parent, "training": dict(self.training)}
        return {"name": self.name, **self.decisive, **record}

    def changed(self, **values: Any) -> ModelSpec:
        """The spec with other values, each of the spec or of its config.

        Raises ValueError where neither has a field of that name, or it may not hold the value.
        """
        of_config = {each.name for each in fields(self.config)} & values.keys()
        own = {name: value for name, value in values.items() if name not in of_config}
        unknown = own.keys() - {each.name for each in fields(self)}
        if unknown:
            raise ValueError(f"{self.architecture} has no {', '.join(sorted(unknown))}")
        config = replace(self.config, **{name: values[name] for name in of_config})
        return replace(self, **{"config": config, **own})

    @property
    def samples_seen(self) -> int | None:
        """Samples that the weights learned from, those of the weights they began with among them.

        None where the file does not record it.
        """
        done, batch = self.training.get("steps_done"), self.training.get("batch_size")
        before = self.training.get("samples_before", 0)
        if isinstance(done, int) and isinstance(batch, int) and isinstance(before, int):
            return before + done * batch
        return None


@dataclass(frozen=True)
class SampleSettings:
    """How an ensemble is drawn. Member k of seed s is the same answer whatever else is asked."""

    sampler: Sampler = setting(
        "ddim", "Sampler", "DDIM needs few steps; DDPM is the paper's.", choices=("ddim", "ddpm")
    )
    # Two: on val more are hardly better for the model in the box, and one is worse (its card).
    steps: int = setting(
        2, "Steps", "Diffusion steps from noise to mask.", low=1, high=1000, unit="steps"
    )
    members: int = setting(
        10,
        "Members",
        "Independent answers in the ensemble; auto: until more would hardly change it.",
        low=0,
        high=1000,
        unit="members",
        word="auto",
    )
    seed: int = setting(0, "Seed", "Where the random numbers come from.", low=0, high=2**31 - 1)
    batch_size: int = setting(0, "Batch", "Members drawn at a time.", low=0, high=1000, word="auto")

    def __post_init__(self) -> None:
        check_settings(self)


@dataclass(frozen=True, eq=False)
class DenoiseStep:
    """One diffusion step of the members of one batch, on the grid.

    `noisy_nhw` is x_t as the network was given it at `timestep` (mask units, ±mask_scale plus
    noise): the stored x_t from which this very step can be replayed. `clean_nhw` is the mask the
    network believed in there, as a probability in [0, 1].
    """

    done: int
    total: int
    timestep: int
    noisy_nhw: Float
    clean_nhw: Float

    def __post_init__(self) -> None:
        if self.noisy_nhw.shape != self.clean_nhw.shape or self.noisy_nhw.ndim != 3:
            raise ValueError("noisy_nhw and clean_nhw must have one (members, rows, columns) shape")
        frozen_array(self.noisy_nhw)
        frozen_array(self.clean_nhw)


@dataclass(frozen=True, eq=False)
class EnsembleResult:
    """What the members say so far; the last one is the answer.

    `members_nhw` are probabilities in [0, 1] on the grid: the first `finished` are final, the rest
    are what members still being drawn believe now. `first_member` is the number of the first member
    of the batch that `step` shows. `done` counts diffusion steps over all batches.
    """

    done: int
    total: int
    frame: Frame
    members_nhw: Float
    finished: int
    first_member: int
    step: DenoiseStep

    def __post_init__(self) -> None:
        if self.members_nhw.ndim != 3 or self.members_nhw.shape[1:] != self.frame.grid_shape:
            raise ValueError(f"members_nhw has shape {self.members_nhw.shape}")
        frozen_array(self.members_nhw)

    @property
    def mean_hw(self) -> Float:
        """Mean probability on the grid, [0, 1]."""
        mean: Float = self.members_nhw.mean(axis=0, dtype=np.float32)
        return mean

    @property
    def variance_hw(self) -> Float:
        """Population variance of the members on the grid, [0, 0.25]."""
        variance: Float = self.members_nhw.var(axis=0, dtype=np.float32)
        return variance

    def mask(self, threshold: float = 0.5) -> NDArray[np.bool_]:
        """Mean probability at or above `threshold`, at the image's own size."""
        return self.frame.restore(self.mean_hw) >= threshold

    @property
    def expected_error(self) -> float:
        """*The* uncertainty of the program, in [0, 1]: the error to be expected, as 1 − Dice.

        `metrics.expected_error` of the members; of four measures the best at ranking images by
        their true error on val (docs/decisions/0013-report-uncertainty-as-expected-error.md).
        """
        return expected_error(self.members_nhw)


@dataclass(frozen=True, eq=False)
class CellStep:
    """The automaton after one cell update: state (channels, rows, columns) and who fired.

    `update` 0 is the state before any update (nobody fired). Level 1 is the reduced grid.
    """

    done: int
    total: int
    level: int
    update: int
    state_chw: Float
    fires_hw: NDArray[np.bool_]

    def __post_init__(self) -> None:
        frozen_array(self.state_chw)
        frozen_array(self.fires_hw)


@dataclass(frozen=True, eq=False)
class Patch:
    """A rectangle of a mask before and after an edit; bool, both of one shape."""

    top: int
    left: int
    before_hw: NDArray[np.bool_]
    after_hw: NDArray[np.bool_]

    def __post_init__(self) -> None:
        if self.before_hw.shape != self.after_hw.shape or self.before_hw.ndim != 2:
            raise ValueError("before_hw and after_hw must have one (rows, columns) shape")
        frozen_array(self.before_hw)
        frozen_array(self.after_hw)


@dataclass(frozen=True)
class Base:
    """What a mask was drawn over: the versions of the image's file and of the saved mask.

    The version of an image is the hash of its file. That of a mask is the hash of its file and
    whether it was reviewed, or empty where there was none.
    """

    image: str
    mask: str

    @property
    def reviewed(self) -> bool:
        """Whether there was a mask, and it was reviewed."""
        return self.mask.endswith(" reviewed")


@dataclass(frozen=True)
class Origin:
    """Where a mask came from: a model's result, a person's hand, or both.

    `model` and `fingerprint` are empty for a mask drawn by hand alone. `pixels_changed` counts
    pixels that differ from the accepted result.
    """

    model: str = ""
    fingerprint: str = ""
    settings: SampleSettings | None = None
    threshold: float = 0.5
    pixels_changed: int = 0


#: What made a mask of the ISIC archive: points set by hand, flood fill, automatic fill, or masks
#: by several of them, of which it is not known which the data set took.
Tool = Literal["T1", "T2", "T3", "several"]


@dataclass(frozen=True)
class Style:
    """How an image was annotated, where its data set has a `styles.csv`.

    `tool` is None where it is not known. `masks` counts the masks that the archive holds, and
    `agreement` is the mean Dice of every two of their authors, in [0, 1]; None below two masks.
    """

    tool: Tool | None
    masks: int
    agreement: float | None = None


@dataclass(frozen=True)
class Sample:
    """An annotation in a data set."""

    id: str
    image_path: Path
    mask_path: Path
    split: Split
    origin: Origin | None = None
    style: Style | None = None


def evenly(samples: Sequence[Sample], count: int | None) -> tuple[Sample, ...]:
    """At most `count` samples (None: all), spread over the whole list: neighbours are alike."""
    kept = len(samples) if count is None else min(count, len(samples))
    return tuple(samples[i * len(samples) // kept] for i in range(kept))


@dataclass(frozen=True)
class Dataset:
    """A folder of samples: `images/`, `masks/` and a split for each.

    `left_out` names what lies in the folder and is no sample, as its index does not list it.
    """

    root: Path
    samples: tuple[Sample, ...]
    left_out: tuple[str, ...] = ()

    def split(self, name: str) -> tuple[Sample, ...]:
        """The samples of one split, in order of id."""
        return tuple(sample for sample in self.samples if sample.split == name)


@dataclass(frozen=True)
class TrainSettings:
    """How a network is trained, from the start or from another model."""

    steps: int = setting(300, "Steps", "Optimizer steps.", low=1, high=10_000_000, unit="steps")
    batch_size: int = setting(8, "Batch", "Samples in a step.", low=1, high=1024)
    size: int = setting(64, "Size", "Side of the training grid.", low=8, high=1024, unit="cells")
    learning_rate: float = setting(3e-4, "Learning rate", "The highest it gets.", low=0.0, high=1.0)
    cooldown: float = setting(
        1.0, "Cool-down", "Share of the steps over which the rate falls.", low=0.0, high=1.0
    )
    weight_decay: float = setting(
        0.01,
        "Weight decay",
        "Of the matrices, which Muon moves; what AdamW moves has none.",
        low=0.0,
        high=10.0,
    )
    ema: float = setting(
        0.995, "Averaging", "Decay of the weights' moving average.", low=0.0, high=0.99999
    )
    rgb_weight: float = setting(
        0.3, "RGB loss", "Weight of L_RGB (eq. 5 has 1).", low=0.0, high=10.0
    )
    recycle: float = setting(
        0.5,
        "Recycling",
        "Share of samples whose x_t holds the model's own guess, not the truth.",
        low=0.0,
        high=1.0,
    )
    validate_every: int = setting(
        50, "Validate every", "Steps between validations.", low=1, high=1_000_000, unit="steps"
    )
    validation_images: int = setting(
        64, "Validation images", "At most this many per validation.", low=1, high=100_000
    )
    augment: bool = setting(True, "Augment", "Vary position, shape and colour; draw hairs.")
    seed: int = setting(0, "Seed", "Where the random numbers come from.", low=0, high=2**31 - 1)

    def __post_init__(self) -> None:
        check_settings(self)
        if self.size % 4:
            raise ValueError(f"size {self.size} must be a multiple of 4")


#: Within a minute on two cores for a model of 48 cells. From a rate of 5e-4 on, ten annotations
#: made a model worse at all other images; 1e-4 left those as they were.
FINE_TUNING = TrainSettings(steps=40, batch_size=4, learning_rate=1e-4, validate_every=10)


@dataclass(frozen=True)
class TrainStep:
    """One optimizer step: its loss, and where the best weights so far lie.

    `validation_dice` is set on the steps that validated; `best_dice` and `best_path` once one has.
    The best file is complete whenever its path is seen. `start_dice` is the validation Dice of the
    weights the run began from, where it began from a model's.
    """

    done: int
    total: int
    loss: float
    learning_rate: float
    samples_per_s: float
    validation_dice: float | None
    best_dice: float | None
    best_path: Path | None
    start_dice: float | None = None
