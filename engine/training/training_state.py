"""Reads and writes the state of a training run: weights, their average, optimizers, progress."""

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

Arrays = tensor_file.Arrays
#: The longest file that is read, in bytes: six times a model's longest.
MOST_BYTES = 6 * 512 << 20
#: Prefixes of the array names of the two sets of weights.
WEIGHTS, AVERAGE = "weights", "average"
#: The header's keys for the progress of the run, and for what a resumed run may not change.
FACTS, RECIPE = "run", "recipe"
#: How the numbers of a run are drawn, as its state tells. Drawn otherwise, the rest of a run would
#: not be the rest of the run that was begun.
DRAWS, COUNTED = "draws", "by counter"


def write(
    path: Path,
    network: nn.Module,
    average: nn.Module,
    optimizers: Sequence[torch.optim.Optimizer],
    facts: Mapping[str, Any],
    recipe: Mapping[str, Any],
) -> None:
    """Write the state of a run as one file, atomically.

    Parameters
    ----------
    path : where the file is written.
    network : the weights.
    average : their moving average.
    optimizers : those of the network's parameters.
    facts : how far the run is, as plain JSON values.
    recipe : what a resumed run may not change, as plain JSON values.
    """
    stored = {
        f"{name}.{key}": array
        for name, module in ((WEIGHTS, network), (AVERAGE, average))
        for key, array in arrays(module).items()
    }
    for index, parameter in enumerate(network.parameters()):
        for key, value in _moments(optimizers, parameter).items():
            stored[f"optimizer.{index}.{key}"] = value.detach().cpu().contiguous().numpy()
    metadata = {FACTS: json.dumps(dict(facts)), RECIPE: json.dumps(dict(recipe)), DRAWS: COUNTED}
    write_atomic(path, tensor_file.content(stored, metadata))


def read(
    path: Path,
    network: nn.Module,
    average: nn.Module,
    optimizers: Sequence[torch.optim.Optimizer],
    recipe: Mapping[str, Any],
) -> dict[str, Any]:
    """Fill weights, average and optimizers from a file that `write` wrote.

    Parameters
    ----------
    path : the file.
    network, average, optimizers : what is filled.
    recipe : what the resumed run is to have in common with the file's.

    Returns
    -------
    The file's `facts`.

    Raises
    ------
    UnreadableModel : if the file cannot be used, was written by a version that drew other views
        and numbers, or its recipe differs. The model of such a run would be recorded as if it had
        been trained with the new recipe all along.
    """
    try:
        metadata, stored = tensor_file.read(path, MOST_BYTES)
        facts: dict[str, Any] = json.loads(metadata[FACTS])
        if not isinstance(facts["done"], int):
            raise TypeError("its facts are no facts of a run")
        if metadata.get(DRAWS) != COUNTED:
            raise ValueError("an earlier version drew other views and random numbers for it")
        begun: dict[str, Any] = json.loads(metadata[RECIPE])
    except UnreadableModel as error:
        raise UnreadableModel(path, f"no run can go on from it ({error.reason})") from error
    except (TypeError, KeyError, ValueError, RecursionError) as error:
        raise UnreadableModel(path, f"no run can go on from it ({error})") from error
    other = [name for name in recipe if begun.get(name) != recipe[name]]
    if other:
        differing = ", ".join(f"{name} {begun[name]!r}, not {recipe[name]!r}" for name in other)
        raise UnreadableModel(path, f"its run was begun with {differing}")
    fill(network, _under(WEIGHTS, stored), path)
    fill(average, _under(AVERAGE, stored), path)
    for index, parameter in enumerate(network.parameters()):
        held = _under(f"optimizer.{index}", stored)
        for key, moment in _moments(optimizers, parameter).items():
            if key not in held or held[key].shape != tuple(moment.shape):
                raise UnreadableModel(path, "what its optimizers remember does not fit the network")
            moment.copy_(torch.from_numpy(held[key]))
    return facts


def arrays(module: nn.Module) -> dict[str, NDArray[Any]]:
    """A copy of a module's weights as numpy arrays, which later steps do not change."""
    return {
        name: tensor.detach().cpu().contiguous().numpy().copy()
        for name, tensor in module.state_dict().items()
    }


def fill(module: nn.Module, weights: Arrays, path: Path) -> None:
    """Load weights into a module. Raises UnreadableModel, naming `path`, if they do not fit."""
    try:
        module.load_state_dict({k: torch.from_numpy(v.copy()) for k, v in weights.items()})
    except RuntimeError as error:
        raise UnreadableModel(path, "its weights do not fit the network") from error


def _moments(
    optimizers: Sequence[torch.optim.Optimizer], parameter: nn.Parameter
) -> dict[str, Tensor]:
    """The state that its optimizer keeps for a parameter, such as its momentum."""
    for optimizer in optimizers:
        if any(parameter is held for g in optimizer.param_groups for held in g["params"]):
            moments: dict[str, Tensor] = optimizer.state[parameter]
            return moments
    raise KeyError("a parameter without an optimizer")


def _under(name: str, stored: Arrays) -> dict[str, NDArray[Any]]:
    """The arrays whose names begin with `name` and a dot, by the rest of their names."""
    prefix = f"{name}."
    return {k.removeprefix(prefix): v for k, v in stored.items() if k.startswith(prefix)}
