"""What is done on a GPU: the parts in their order, how long each may take, what each is given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Figure = float | int | str


@dataclass(frozen=True)
class Given:
    """What a part works with.

    Parameters
    ----------
    data : a data set folder.
    out : where files that are to stay are written.
    device : where to compute.
    quick : whether to do as little as shows that everything runs.
    train_flags : further flags of `nca-seg train`, for the training.
    end_s : when the part has to have ended, as `time.time()` tells it.
    """

    data: Path
    out: Path
    device: Literal["cpu", "cuda"]
    quick: bool
    train_flags: tuple[str, ...]
    end_s: float


@dataclass(frozen=True)
class Result:
    """Something found: figures by name, and whether they are as they must be; None: not judged."""

    what: str
    figures: Mapping[str, Figure] = field(default_factory=dict)
    passed: bool | None = None


@dataclass(frozen=True)
class Part:
    """A generator function of this package that yields results.

    Parameters
    ----------
    module : the module it is in, under the part's name.
    kind : by which several are asked for together.
    limit_s : how long it may take at most; None: as long as there is time.
    needs_gpu : why it means nothing on a CPU; "" if it runs there, too.
    """

    module: str
    kind: Literal["checks", "bench", "train"]
    limit_s: float | None
    needs_gpu: str = ""


#: The training last, and behind it as much time as its evaluation takes.
PARTS = {
    "graph": Part("checks", "checks", 90, "a processor captures no graph"),
    "repeatable": Part("checks", "checks", 60),
    "precision": Part("checks", "checks", 90),
    "batch": Part("checks", "checks", 40),
    "stale": Part("checks", "checks", 60),
    "processor": Part("checks", "checks", 60, "there is no other device to compare with"),
    "matrix": Part("rates", "bench", 30),
    "training_rate": Part("rates", "bench", 120),
    "inference_rate": Part("rates", "bench", 90),
    "protocol_rate": Part("rates", "bench", 90),
    "train": Part("training", "train", None),
    "evaluate": Part("training", "train", 90),
}
#: What the training leaves of the time, for its evaluation.
RESERVE_S = 45.0


def named(words: list[str]) -> list[str]:
    """The names of the parts that words ask for, kinds or names, in their order."""
    return [name for name, part in PARTS.items() if {name, part.kind} & {*words}]
