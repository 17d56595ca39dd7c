"""Describes an architecture: how its network is built, what it costs, what can be shown of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from engine.types import ModelSpec, NetworkConfig, TrainSettings

if TYPE_CHECKING:
    from engine.networks.network import Network


@dataclass(frozen=True)
class Cost:
    """An estimate of what inference takes on a CPU, right to a factor of two.

    Parameters
    ----------
    memory_bytes : memory for one member.
    multiplications : multiplications in one diffusion step of one member.
    updates : how often the network goes over its grid in one diffusion step; named in the error
        for a model that is too large.
    """

    memory_bytes: int
    multiplications: float
    updates: int = 1


#: What held up best on val over an hour and less, for networks trained by Muon.
FROM_NEW = TrainSettings(
    batch_size=16, learning_rate=2.5e-3, cooldown=0.8, weight_decay=0.05, ema=0.995
)


@dataclass(frozen=True)
class PaperProtocol:
    """How a paper trains its models, which `nca-seg train --protocol paper` begins with.

    Parameters
    ----------
    settings : those of the training.
    spec : values of the spec and its config that are the paper's, by name.
    """

    settings: TrainSettings
    spec: Mapping[str, Any]


@dataclass(frozen=True)
class Inspection:
    """What is told of the states that `Network.inspect` shows of a network, in words.

    Parameters
    ----------
    title : what the panel that shows them is called.
    states : what is shown, within a sentence, as "every channel of the automaton".
    moment : what each state follows on, as "cell update"; its last word alone may stand for it.
    place : a place of the grid of a state, as "cell".
    acted : what the places that took part in a moment did, as "fired"; "" where all take part.
    """

    title: str
    states: str
    moment: str
    place: str
    acted: str = ""


@dataclass(frozen=True)
class Architecture:
    """One architecture as a row of the table `engine.networks.table.ARCHITECTURES`.

    Only `build` and `parameters` may load torch; everything else must work without it.

    Parameters
    ----------
    label : its name within a sentence, for example "two-level automaton".
    presets : specs to train from, as `nca-seg train` begins with them unless its flags say
        otherwise; all with configs of one class. The name of the architecture alone stands for the
        first.
    build : makes an untrained network for a spec.
    parameters : gives the number of parameters of a spec's network. Both raise MissingExtra where
        packages of an extra are needed that are not installed.
    counted : the parameters of presets by name, where counting them takes long.
    cost : gives the cost of one diffusion step of a spec's network.
    training : the settings with which a training from new weights begins where a person chooses
        none; the size is that of the preset, the steps follow from the time there is.
    paper : how the paper trains that the architecture is of; None where that is of no paper.
    inspection : the words for what the network's `Network.inspect` shows; None where it shows
        nothing.
    about : by a preset's name one sentence that says what it is and how long a step takes.
    packages : modules without which `build` raises MissingExtra.
    places : what the places of the network's grid are called.
    own_loss : what a report calls the network's own loss terms (`Network.losses`), if
        `TrainSettings.rgb_weight` scales them.
    stored : gives how many numbers a file of it holds, where those are not the parameters.
    name, config : its name in files and on the command line, and the class of its specs' configs;
        those of the presets, where it has any. Without presets it cannot be trained.
    """

    label: str
    presets: tuple[ModelSpec, ...]
    build: Callable[[ModelSpec], Network]
    parameters: Callable[[ModelSpec], int]
    cost: Callable[[ModelSpec], Cost]
    training: TrainSettings = FROM_NEW
    paper: PaperProtocol | None = None
    inspection: Inspection | None = None
    about: Mapping[str, str] = field(default_factory=dict)
    packages: tuple[str, ...] = ()
    places: str = "points"
    own_loss: str = ""
    counted: Mapping[str, int] = field(default_factory=dict)
    stored: Callable[[ModelSpec], int] | None = None
    name: str = ""
    config: type[NetworkConfig] = NetworkConfig

    def __post_init__(self) -> None:
        for spec in self.presets[:1]:
            object.__setattr__(self, "name", spec.architecture)
            object.__setattr__(self, "config", type(spec.config))

    @property
    def inspectable(self) -> bool:
        """Whether it can be shown what the network does within a diffusion step."""
        return self.inspection is not None

    @property
    def is_installed(self) -> bool:
        """Whether all packages are there that its networks need."""
        return all(find_spec(package) is not None for package in self.packages)
