"""A training run on disk: weights, their average and what the optimizers remember, in one file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from engine.errors import UnreadableModel
from engine.files import write_atomic
from engine.networks import tensor_file
from engine.types import BEFORE_CHOICES

Arrays = tensor_file.Arrays
#: Six times a model's longest file.
MOST_BYTES = 6 * 256 << 20
#: Names under which the two sets of weights lie.
WEIGHTS, AVERAGE = "weights", "average"
#: The header's keys for how far a run is, and for what it may not change half-way.
FACTS, RECIPE = "run", "recipe"


def write(
    path: Path,
    network: nn.Module,
    average: nn.Module,
    optimizers: Sequence[torch.optim.Optimizer],
    facts: Mapping[str, Any],
    recipe: Mapping[str, Any],
) -> None:
    """Write all that `read` needs to go on, atomically; `facts` and `recipe` are plain JSON."""
    stored = {
        f"{name}.{key}": array
        for name, module in ((WEIGHTS, network), (AVERAGE, average))
        for key, array in arrays(module).items()
    }
    for index, parameter in enumerate(network.parameters()):
        for key, value in _moments(optimizers, parameter).items():
            stored[f"optimizer.{index}.{key}"] = value.detach().cpu().contiguous().numpy()
    told = {FACTS: json.dumps(dict(facts)), RECIPE: json.dumps(dict(recipe))}
    write_atomic(path, tensor_file.content(stored, told))


def read(
    path: Path,
    network: nn.Module,
    average: nn.Module,
    optimizers: Sequence[torch.optim.Optimizer],
    recipe: Mapping[str, Any],
) -> dict[str, Any]:
    """Fill weights, average and optimizers from a file; its facts.

    Raises UnreadableModel, also where the run was begun with another recipe: what came of both
    would be recorded as made by one. What could not be chosen when the run was begun was as
    `BEFORE_CHOICES` says; all else that its recipe lacks is taken at its word.
    """
    try:
        told, stored = tensor_file.read(path, MOST_BYTES)
        facts: dict[str, Any] = json.loads(told[FACTS])
        begun: dict[str, Any] = json.loads(told.get(RECIPE, "{}"))
        if not isinstance(facts["done"], int) or not isinstance(begun, dict):
            raise TypeError("its facts are no facts of a run")
        begun = {**BEFORE_CHOICES, **begun}
    except UnreadableModel as error:
        raise UnreadableModel(path, f"no run can go on from it ({error.reason})") from error
    except (TypeError, KeyError, ValueError, RecursionError) as error:
        raise UnreadableModel(path, f"no run can go on from it ({error})") from error
    other = [name for name in recipe if name in begun and begun[name] != recipe[name]]
    if other:
        differing = ", ".join(f"{name} {begun[name]!r}, not {recipe[name]!r}" for name in other)
        raise UnreadableModel(path, f"its run was begun with {differing}")
    fill(network, _under(WEIGHTS, stored), path)
    fill(average, _under(AVERAGE, stored), path)
    for index, parameter in enumerate(network.parameters()):
        for key, value in _under(f"optimizer.{index}", stored).items():
            if value.ndim and value.shape != tuple(parameter.shape):
                raise UnreadableModel(path, "what its optimizers remember does not fit the network")
            # Counters of zero dimensions stay on the CPU, as torch keeps them.
            place = parameter.device if value.ndim else "cpu"
            _moments(optimizers, parameter)[key] = torch.from_numpy(value).to(place)
    return facts


def arrays(module: nn.Module) -> dict[str, NDArray[Any]]:
    """A copy of the weights: events and files must not change with the next step."""
    return {
        name: tensor.detach().cpu().contiguous().numpy().copy()
        for name, tensor in module.state_dict().items()
    }


def fill(module: nn.Module, weights: Arrays, path: Path) -> None:
    """Put weights into a module. Raises UnreadableModel, naming `path`, where they do not fit."""
    try:
        module.load_state_dict({k: torch.from_numpy(v.copy()) for k, v in weights.items()})
    except RuntimeError as error:
        raise UnreadableModel(path, "its weights do not fit the network") from error


def _moments(
    optimizers: Sequence[torch.optim.Optimizer], parameter: nn.Parameter
) -> dict[str, Tensor]:
    """What its optimizer remembers of a parameter."""
    for optimizer in optimizers:
        if any(parameter is held for g in optimizer.param_groups for held in g["params"]):
            moments: dict[str, Tensor] = optimizer.state[parameter]
            return moments
    raise KeyError("a parameter without an optimizer")


def _under(name: str, stored: Arrays) -> dict[str, NDArray[Any]]:
    prefix = f"{name}."
    return {k.removeprefix(prefix): v for k, v in stored.items() if k.startswith(prefix)}
