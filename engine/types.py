"""The values that the engine exchanges with command line and window; importing loads no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import Field, dataclass, field, fields, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from engine.framing import Box, Frame
from engine.metrics import expected_error
from engine.settings import bounded, is_number
from engine.settings import check_settings as check_settings
from engine.settings import setting as setting

Float = NDArray[np.float32]
Sampler = Literal["ddim", "ddpm"]
Prediction = Literal["noise", "clean", "velocity"]
ScheduleName = Literal["cosine", "linear"]
Device = Literal["auto", "cpu", "cuda"]
Split = Literal["train", "val", "test"]
Views = Literal["mirrored", "plain"]
Framing = Literal["proportional", "square"]
OptimizerName = Literal["muon", "adamw"]
TimestepDraw = Literal["root", "uniform"]
ProtocolName = Literal["own", "paper"]
#: What made a mask of the ISIC archive: points set by hand, flood fill, automatic fill, or masks
#: by several of them, of which it is not known which the data set took.
Tool = Literal["T1", "T2", "T3", "several"]
#: The tool in whose style an outline is drawn: "mixed", where members take one each, by how often
#: they occurred in training; "unknown", where none is told; or one of them.
StyleName = Literal["mixed", "unknown", "T1", "T2", "T3", "several"]


def frozen_array(array: NDArray[Any]) -> None:
    """Make an array read-only, because events and values must not change after they are made."""
    array.flags.writeable = False


@dataclass(frozen=True, eq=False)
class Image:
    """An image as it was read.

    Parameters
    ----------
    pixels_hwc : uint8 (height, width, 3), sRGB, upright; kept as a read-only view.
    path : its file, if it has one.
    spacing_mm : side of a pixel in millimetres, if the file says so.
    note : what a person should know about how the file was read, for example "it has 5 pages: the
        first is read", or "".

    Raises
    ------
    ValueError : if the array has another dtype or shape, or no pixels.
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
        # Only this view is made read-only, not the caller's array.
        view_hwc = self.pixels_hwc.view()
        frozen_array(view_hwc)
        object.__setattr__(self, "pixels_hwc", view_hwc)

    @property
    def height(self) -> int:
        """Rows of pixels."""
        return int(self.pixels_hwc.shape[0])

    @property
    def width(self) -> int:
        """Columns of pixels."""
        return int(self.pixels_hwc.shape[1])


@dataclass(frozen=True)
class NetworkConfig:
    """The sizes of a network, such as channels and updates; each family has a subclass of its own.

    Fields are plain JSON values. None may have the name of a field of `ModelSpec`. Those with a
    `Flag` can be chosen on the command line.
    """

    def __post_init__(self) -> None:
        check_settings(self)

    @classmethod
    def flagged(cls) -> tuple[Field[Any], ...]:
        """The fields that a flag of `nca-seg train` chooses."""
        return tuple(each for each in fields(cls) if each.metadata.get("flag"))

    @property
    def pixels_per_cell(self) -> int:
        """Side in pixels of the part of the image that each cell of the grid is given."""
        return 1

    @property
    def can_be_steered(self) -> bool:
        """Whether a network of these sizes can be told a style and what a person painted."""
        return False

    def joined(self, of_spec: Mapping[str, Any]) -> dict[str, Any]:
        """The config's values and then those of a spec, by name, as a fingerprint orders them."""
        own = {each.name: getattr(self, each.name) for each in fields(self)}
        return own | dict(of_spec)


@dataclass(frozen=True)
class ModelSpec:
    """Everything needed to build a network and to run diffusion with it, except its weights.

    Parameters
    ----------
    name : the model's name.
    architecture : name of a row in `engine.networks.table.ARCHITECTURES`.
    config : the sizes of the network.
    predicts : what the network's prediction means: the noise (eq. 2), the clean mask as a logit, or
        the velocity.
    schedule : how noise grows with the timestep.
    timesteps : the number of timesteps of the diffusion; 1 for a network that predicts the mask
        from the image alone.
    mask_scale : diffusion sees the mask as −mask_scale outside the lesion and +mask_scale inside.
    size : the model's grid has an area of size² cells; a multiple of 4.
    framing : "proportional" where the grid has the image's proportions; "square" where it is size ×
        size cells and every image is resized to it.
    steerable : whether the network is told a style and what a person painted, beside the image
        (`engine.networks.network.Steering`).
    styles : how often each tool occurred in training, as shares that add up to 1, by name; empty
        where none is known. A network that is not steerable has none.
    parent : fingerprint of the model that this one was fine-tuned from, or "".
    training : a record of how the weights were trained, as plain JSON values.

    Raises
    ------
    ValueError : if a value is out of range.
    """

    name: str
    architecture: str
    config: NetworkConfig
    predicts: Prediction = bounded("noise", choices=get_args(Prediction))
    schedule: ScheduleName = bounded("cosine", choices=get_args(ScheduleName))
    timesteps: int = bounded(100, low=1, high=10_000)
    mask_scale: float = bounded(1.0, low=0.0, high=1.0)
    size: int = bounded(256, low=8, high=4096)
    framing: Framing = bounded("proportional", choices=get_args(Framing))
    steerable: bool = False
    styles: Mapping[Tool, float] = field(default_factory=dict)
    parent: str = ""
    training: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_settings(self)
        if not isinstance(self.config, NetworkConfig):
            raise ValueError(f"config is {self.config!r}, not that of a network")
        if self.steerable and not self.config.can_be_steered:
            raise ValueError("steerable is true, but a network of these sizes cannot be steered")
        if not self.mask_scale:
            raise ValueError("mask_scale must be more than 0")
        if self.size % 4:
            raise ValueError(f"size {self.size} must be a multiple of 4")
        if not isinstance(self.training, Mapping):
            raise ValueError(f"training is {self.training!r}, not a record")
        object.__setattr__(self, "training", MappingProxyType(dict(self.training)))
        object.__setattr__(self, "styles", MappingProxyType(self._shares()))

    def __deepcopy__(self, memo: Mapping[int, Any]) -> ModelSpec:
        """The spec itself, which never changes: a network is copied with it."""
        return self

    def _shares(self) -> dict[Tool, float]:
        """`styles` in the order of `Tool`. Raises ValueError if no model can have them."""
        given = self.styles
        if not isinstance(given, Mapping) or not given.keys() <= set(get_args(Tool)):
            raise ValueError(f"styles is {given!r}, not shares of tools")
        shares = {tool: given[tool] for tool in get_args(Tool) if tool in given}
        for tool, share in shares.items():
            if not is_number(share) or not 0 < share <= 1:
                raise ValueError(f"the share of {tool} is {share!r}, not between 0 and 1")
        if shares and abs(sum(shares.values()) - 1) > 1e-3:
            raise ValueError(f"styles is {dict(given)!r}, whose shares do not add up to 1")
        if shares and not self.steerable:
            raise ValueError("a network that is not steerable has no styles")
        return {tool: float(share) for tool, share in shares.items()}

    @property
    def pixels_per_cell(self) -> int:
        """Side in pixels of the part of the image that each cell of the grid is given."""
        return self.config.pixels_per_cell

    @property
    def sees_noise(self) -> bool:
        """Whether members of one view differ, for each begins from noise of its own."""
        return self.timesteps > 1

    @property
    def decisive(self) -> dict[str, Any]:
        """All values, except the weights, that decide a model's answers, by name.

        They are in the order of a fingerprint; those of the config stand among the spec's own.
        """
        diffusion = ("predicts", "schedule", "timesteps", "mask_scale", "size")
        own = {name: getattr(self, name) for name in diffusion}
        whole = {"architecture": self.architecture, **self.config.joined(own)}
        # Left out where it is as it always was: fingerprints from before there was another hold.
        if self.framing != "proportional":
            whole["framing"] = self.framing
        if self.steerable:
            whole |= {"steerable": True, "styles": dict(self.styles)}
        return whole

    def frame(self, height: int, width: int, box: Box | None = None) -> Frame:
        """The way between an image of so many pixels, or a box in it, and the model's grid."""
        return Frame(height, width, self.size, self.framing == "square", box)

    @property
    def flat(self) -> dict[str, Any]:
        """All values by name, those of the config among the spec's own, as in `decisive`."""
        record = {"parent": self.parent, "training": dict(self.training)}
        return {"name": self.name, **self.decisive, **record}

    def changed(self, **values: Any) -> ModelSpec:
        """A copy with these values, each a field of the spec or of its config.

        Without a word on `steerable` it is not where its config cannot be steered any more.
        Raises ValueError if neither has a field of that name, or the value is out of range.
        """
        of_config = {each.name for each in fields(self.config)} & values.keys()
        own = {name: value for name, value in values.items() if name not in of_config}
        unknown = own.keys() - {each.name for each in fields(self)}
        if unknown:
            raise ValueError(f"{self.architecture} has no {', '.join(sorted(unknown))}")
        config = replace(self.config, **{name: values[name] for name in of_config})
        steerable = own.get("steerable", self.steerable and config.can_be_steered)
        styles = self.styles if steerable else {}
        own = {"config": config, "steerable": steerable, "styles": styles, **own}
        return replace(self, **own)

    @property
    def samples_seen(self) -> int | None:
        """How many samples the weights were trained on, before fine-tuning included.

        None if the training record does not say.
        """
        done, batch = self.training.get("steps_done"), self.training.get("batch_size")
        before = self.training.get("samples_before", 0)
        if isinstance(done, int) and isinstance(batch, int) and isinstance(before, int):
            return before + done * batch
        return None


@dataclass(frozen=True)
class SampleSettings:
    """How an ensemble is drawn.

    Member k of a seed is the same answer whatever the number of members and the batch size are.
    """

    sampler: Sampler = setting(
        "ddim", "Sampler", "DDIM needs few steps; DDPM is the paper's.", choices=("ddim", "ddpm")
    )
    # For the bundled model more than two steps are hardly better on val, and one is worse (see its
    # model card).
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
    views: Views = setting(
        "mirrored",
        "Views",
        "Mirrored: members see the image mirrored in turn; plain: all as it is, as in the paper.",
        choices=get_args(Views),
    )
    style: StyleName = setting(
        "mixed",
        "Style",
        "As whose outline it is drawn. mixed: members take the tools of the training masks, by how "
        "often they occurred; unknown: none is told; T1: points by hand; T2: flood fill; T3: "
        "automatic fill; several: several tools.",
        choices=get_args(StyleName),
    )
    width: float = setting(
        0.0,
        "Width",
        "How tight (down to -1) or wide (up to 1) the outline is drawn.",
        low=-1.0,
        high=1.0,
    )
    batch_size: int = setting(0, "Batch", "Members drawn at a time.", low=0, high=1000, word="auto")

    def __post_init__(self) -> None:
        check_settings(self)


@dataclass(frozen=True, eq=False)
class Prompt:
    """What a person shows a model in one image, so that it finds the outline they mean.

    All arrays have the image's size and become read-only. An empty prompt asks for nothing.

    Parameters
    ----------
    hint_hw : what was painted, int8 (height, width): 1 lesion, −1 skin, 0 nothing. A model that
        knows hints hears them, and every member holds to them.
    box : the part of the image that holds the lesion. It is segmented alone, finer than the whole
        image would be; the result has nothing outside it (`engine.framing.Frame`).
    start_hw : a mask, bool (height, width), from which the members begin, instead of pure noise.
    noise : how much of it is forgotten, in (0, 1]: it is noised to this share of the timesteps.
        Near 0 the result stays near the mask; 1 is as good as pure noise. Without a mask it means
        nothing.
    resamplings : how often each diffusion step is taken, each time but the first from its result
        noised again, so that what is not painted comes to agree with what is (the jumps of RePaint,
        Lugmayr 2022, one step long). Without a hint each step is taken once.

    Raises
    ------
    ValueError : if an array has another dtype, shape or value, or a number is out of range.
    """

    hint_hw: NDArray[np.int8] | None = None
    box: Box | None = None
    start_hw: NDArray[np.bool_] | None = None
    noise: float = bounded(0.5, low=0.0, high=1.0)
    resamplings: int = bounded(1, low=1, high=100)

    def __post_init__(self) -> None:
        check_settings(self)
        if not self.noise:
            raise ValueError("noise must be more than 0")
        given = {"hint_hw": (self.hint_hw, np.int8), "start_hw": (self.start_hw, np.bool_)}
        for name, (array, kind) in given.items():
            if array is None:
                continue
            if array.dtype != kind or array.ndim != 2:
                raise ValueError(f"{name} is {array.dtype} {array.shape}, not {kind.__name__} 2-d")
            view_hw = array.view()
            frozen_array(view_hw)
            object.__setattr__(self, name, view_hw)
        if self.hint_hw is not None and np.abs(self.hint_hw).max(initial=0) > 1:
            raise ValueError("hint_hw has values other than -1, 0 and 1")
        if self.box is not None:
            object.__setattr__(self, "box", Box(*self.box))
        shapes = {each.shape for each in (self.hint_hw, self.start_hw) if each is not None}
        if len(shapes) > 1:
            raise ValueError(f"hint_hw and start_hw have the shapes {sorted(shapes)}")
        if self.box and not all(self.box.lies_in(shape) for shape in shapes):
            raise ValueError(f"{self.box} is not within the image")

    def painted(self, mask_hw: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """A mask of the image's size with each painted pixel as it was painted, as a copy.

        Cells of the grid that were painted in part are the model's choice; this keeps their pixels.
        """
        if self.hint_hw is None:
            return mask_hw.copy()
        kept: NDArray[np.bool_] = (mask_hw & (self.hint_hw >= 0)) | (self.hint_hw > 0)
        return kept


@dataclass(frozen=True)
class StyleChoice:
    """In which style and how wide a person has outlines drawn, as in `SampleSettings`."""

    style: StyleName = bounded("mixed", choices=get_args(StyleName))
    width: float = bounded(0.0, low=-1.0, high=1.0)

    def __post_init__(self) -> None:
        check_settings(self)

    def applied(self, settings: SampleSettings) -> SampleSettings:
        """The settings with this style and width."""
        return replace(settings, style=self.style, width=self.width)


#: On fewer masks no style is fitted: one odd one would decide.
FEWEST_FITTED = 3


@dataclass(frozen=True)
class StyleFit:
    """The style and width that fit a person's masks best, and what they bring.

    Parameters
    ----------
    choice : mixed and 0 where there are too few images or nothing is likelier.
    images : the number of masks.
    likelihood_before, likelihood : the mean log-likelihood of the masks per cell, mixed and with
        `choice`.
    dice_before, dice : their mean Dice, mixed and with `choice`, which was chosen by them.
    dice_left_out : the mean Dice where each image was judged by the choice that the others make:
        what to expect on new images.
    """

    choice: StyleChoice
    images: int
    likelihood_before: float
    likelihood: float
    dice_before: float
    dice: float
    dice_left_out: float

    @property
    def is_nearer(self) -> bool:
        """Whether the choice is expected to be nearer on new images, as Dice is printed."""
        return round(self.dice_left_out, 3) > round(self.dice_before, 3)


@dataclass(frozen=True)
class Fitting:
    """One more ensemble of a fit: `done` of at most `total`. The last event has the `fit`."""

    done: int
    total: int
    fit: StyleFit | None = None


@dataclass(frozen=True, eq=False)
class DenoiseStep:
    """One diffusion step of the members of one batch, on the grid.

    Parameters
    ----------
    done, total : the number of this step, from 1, and of all steps.
    timestep : t.
    noisy_nhw : the x_t that the step began from, in mask units (±mask_scale plus noise). The step
        can be replayed from it.
    clean_nhw : the clean mask that the network predicted, as a probability in [0, 1].
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
    """The ensemble so far; the last one of a run is the answer.

    Parameters
    ----------
    done, total : diffusion steps taken and to be taken over all batches.
    frame : how the grid lies over the image.
    members_nhw : the members' probabilities in [0, 1] on the grid. The first `finished` are final;
        the others are the clean predictions of members still being drawn.
    finished : how many members are final.
    first_member : the number of the first member in the batch of `step`.
    step : the newest diffusion step.
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
        """The mean probability on the grid, in [0, 1]."""
        mean: Float = self.members_nhw.mean(axis=0, dtype=np.float32)
        return mean

    @property
    def variance_hw(self) -> Float:
        """The population variance of the members on the grid, in [0, 0.25]."""
        variance: Float = self.members_nhw.var(axis=0, dtype=np.float32)
        return variance

    def mask(self, threshold: float = 0.5) -> NDArray[np.bool_]:
        """The mask at the image's size: where the mean probability is at least `threshold`.

        Outside the box of a prompt there is nothing, whatever the threshold is.
        """
        found_hw: NDArray[np.bool_] = self.frame.restore(self.mean_hw) >= threshold
        if self.frame.box is not None:
            inside_hw = np.zeros_like(found_hw)
            inside_hw[self.frame.box.window] = found_hw[self.frame.box.window]
            return inside_hw
        return found_hw

    @property
    def expected_error(self) -> float:
        """The error to be expected of the whole result, as 1 − Dice, in [0, 1].

        This is `metrics.expected_error` of the members. Of four measures it ranks images best by
        their true error on val (docs/decisions/0013-report-uncertainty-as-expected-error.md).
        """
        return expected_error(self.members_nhw)


@dataclass(frozen=True, eq=False)
class Outline:
    """The outline of an image in one style: the mean of the ensemble `result`."""

    choice: StyleChoice
    result: EnsembleResult

    @property
    def area(self) -> float:
        """The area of the mask, as a share of the grid."""
        return float((self.result.mean_hw >= 0.5).mean())


@dataclass(frozen=True, eq=False)
class Outlines:
    """The outlines so far, after `done` of `total` styles: all differ, the tightest is first."""

    done: int
    total: int
    found: tuple[Outline, ...]


@dataclass(frozen=True, eq=False)
class CellStep:
    """The state of a network, such as the automaton, after one cell update.

    Parameters
    ----------
    done, total : the number of this event, from 1, and of all events.
    level : counted from 1, which with two levels is the reduced grid.
    update : counted from 1; 0 is the level's first state, before any cell fired.
    state_chw : float32 (channels, rows, columns).
    fires_hw : which cells fired in the update.
    channels : their names, in their order in the state, the telling ones first.
    """

    done: int
    total: int
    level: int
    update: int
    state_chw: Float
    fires_hw: NDArray[np.bool_]
    channels: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(self.channels) != len(self.state_chw):
            raise ValueError(f"{len(self.state_chw)} channels have {len(self.channels)} names")
        frozen_array(self.state_chw)
        frozen_array(self.fires_hw)


@dataclass(frozen=True, eq=False)
class Patch:
    """A rectangle of a mask before and after an edit.

    `top` and `left` are its first row and column in the mask; the two arrays are bool and of one
    shape.
    """

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
    """The versions of an image's file and of its saved mask when a mask was drawn.

    The version of an image is the hash of its file. That of a mask is the hash of its file and
    whether it was reviewed, or "" if there was none.
    """

    image: str
    mask: str

    @property
    def reviewed(self) -> bool:
        """Whether there was a saved mask that was reviewed."""
        return self.mask.endswith(" reviewed")


@dataclass(frozen=True)
class Origin:
    """Where a mask came from: a model's result, a person's hand, or both.

    Parameters
    ----------
    model, fingerprint : those of the model; empty for a mask drawn by hand alone.
    settings : how the ensemble was drawn, if there was one.
    threshold : mean probability from which a pixel was accepted as lesion.
    pixels_changed : how many pixels differ from the accepted result.
    """

    model: str = ""
    fingerprint: str = ""
    settings: SampleSettings | None = None
    threshold: float = 0.5
    pixels_changed: int = 0


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
    """An image with its annotation in a data set.

    `kin` holds keys of its patient and its lesion, where they are known: images that share a key
    belong into one split.
    """

    id: str
    image_path: Path
    mask_path: Path
    split: Split
    origin: Origin | None = None
    style: Style | None = None
    kin: tuple[str, ...] = ()

    @property
    def is_by_a_person(self) -> bool:
        """Whether the mask shows how a person draws: not one accepted of a model as it was."""
        return self.origin is None or not self.origin.model or self.origin.pixels_changed > 0


def evenly(samples: Sequence[Sample], count: int | None) -> tuple[Sample, ...]:
    """At most `count` samples (None: all), spread evenly over the list.

    Neighbours in a data set are often alike, so the first `count` would not represent it.
    """
    kept = len(samples) if count is None else min(count, len(samples))
    return tuple(samples[i * len(samples) // kept] for i in range(kept))


@dataclass(frozen=True)
class Dataset:
    """A folder of samples: `images/`, `masks/` and a split for each.

    `left_out` names files in the folder that its index does not list.
    """

    root: Path
    samples: tuple[Sample, ...]
    left_out: tuple[str, ...] = ()

    def split(self, name: str) -> tuple[Sample, ...]:
        """The samples of the split `name`, in order of id."""
        return tuple(sample for sample in self.samples if sample.split == name)


@dataclass(frozen=True)
class TrainSettings:
    """How a network is trained, from new weights or from those of another model.

    `protocol` records which values it began with; it decides nothing itself.
    """

    protocol: ProtocolName = setting(
        "own",
        "Protocol",
        "Whose settings hold where no other flag is given: the program's own, or the paper's.",
        choices=get_args(ProtocolName),
    )
    steps: int = setting(300, "Steps", "Optimizer steps.", low=1, high=10_000_000, unit="steps")
    batch_size: int = setting(8, "Batch", "Samples in a step.", low=1, high=1024)
    size: int = setting(64, "Size", "Side of the training grid.", low=8, high=1024, unit="cells")
    optimizer: OptimizerName = setting(
        "muon",
        "Optimizer",
        "muon: Muon for matrices, AdamW for all else; adamw: AdamW for all, as in the paper.",
        choices=get_args(OptimizerName),
    )
    learning_rate: float = setting(3e-4, "Learning rate", "The highest it gets.", low=0.0, high=1.0)
    warm_up: int = setting(
        50,
        "Warm-up",
        "Steps over which the rate rises, at most a tenth of all; 0: none.",
        low=0,
        high=1_000_000,
        unit="steps",
    )
    cooldown: float = setting(
        1.0,
        "Cool-down",
        "Share of the steps over which the rate falls; 0: none.",
        low=0.0,
        high=1.0,
    )
    weight_decay: float = setting(
        0.01,
        "Weight decay",
        "With muon of the matrices, and of nothing else; with adamw of all weights.",
        low=0.0,
        high=10.0,
    )
    clip: float = setting(
        1.0,
        "Clipping",
        "Length to which a longer gradient is cut; 0: never.",
        low=0.0,
        high=1e6,
    )
    ema: float = setting(
        0.995,
        "Averaging",
        "Decay of the weights' moving average; 0: no average.",
        low=0.0,
        high=0.99999,
    )
    rgb_weight: float = setting(
        0.3, "RGB loss", "Weight of L_RGB (eq. 5 has 1).", low=0.0, high=10.0
    )
    timesteps_drawn: TimestepDraw = setting(
        "root",
        "Timesteps drawn",
        "root: as the root of a uniform number, more near pure noise; uniform: as in the paper.",
        choices=get_args(TimestepDraw),
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


#: The defaults of fine-tuning, which take less than a minute on two cores for a model of 48 cells.
#: With ten annotations a learning rate of 5e-4 or more made a model worse on all other images;
#: 1e-4 did not.
FINE_TUNING = TrainSettings(steps=40, batch_size=4, learning_rate=1e-4, validate_every=10)

#: As the paper trains, where it says how (docs/REPRODUCTION.md lists what it leaves open).
PAPER = TrainSettings(
    protocol="paper",
    batch_size=8,
    size=256,
    optimizer="adamw",
    learning_rate=1e-4,
    warm_up=0,
    cooldown=0.0,
    weight_decay=0.01,
    clip=0.0,
    ema=0.0,
    rgb_weight=1.0,
    timesteps_drawn="uniform",
    recycle=0.0,
    augment=False,
)

#: What every training did before these could be chosen, by name of the setting.
BEFORE_CHOICES: Mapping[str, Any] = MappingProxyType(
    {
        "protocol": "own",
        "optimizer": "muon",
        "warm_up": 50,
        "clip": 1.0,
        "timesteps_drawn": "root",
        "framing": "proportional",
        "steerable": False,
    }
)


@dataclass(frozen=True)
class TrainStep:
    """One optimizer step of a training.

    Parameters
    ----------
    done, total : the number of this step, from 1, and of all steps.
    loss : the mean loss of its batch; NaN if the step was skipped, because its loss or gradient was
        too large or not finite.
    learning_rate : that of this step.
    samples_per_s : samples trained on per second in this step.
    validation_dice : validation Dice after this step, or None if it did not validate.
    best_dice : the best validation Dice so far, or None before the first validation.
    best_path : the file of the best weights so far, which is complete, or None.
    start_dice : validation Dice of the weights that the run began from, if they were a model's.
    skipped : the number of steps skipped so far.
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
    skipped: int = 0
