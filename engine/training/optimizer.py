"""The optimizers of a training: Muon (Jordan 2024) for matrices, and AdamW.

Both take the learning rate as a tensor too, and neither reads a number from the device, so that
their steps can be recorded and replayed there.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from engine.networks.network import Network
from engine.types import OptimizerName, TrainSettings

#: Coefficients of a quintic polynomial that drives all singular values to about 1 in few rounds.
COEFFICIENTS = (3.4445, -4.7750, 2.0315)
ROUNDS = 5
#: Root mean square of AdamW's usual update. Muon's is scaled to it, so that both can share one
#: learning rate (Liu 2025).
ADAMW_RMS = 0.2
#: AdamW's decays of the averages of gradients and of their squares, and what is added to a root.
BETAS, EPSILON = (0.9, 0.999), 1e-8


class Muon(torch.optim.Optimizer):
    """Optimizes weights of two or more dimensions by orthogonalised Nesterov momentum.

    Filters (out, in, rows, columns) count as matrices (out, in × rows × columns). torch's own Muon
    does not accept filters, and they hold most of a cell's weights. Matrices of one shape are
    orthogonalised together.

    Parameters
    ----------
    params : the weights.
    lr : learning rate.
    weight_decay : decoupled weight decay, as AdamW's.
    momentum : decay of the moving sum of gradients.
    """

    def __init__(
        self,
        params: Iterable[Tensor],
        lr: float | Tensor,
        weight_decay: float,
        momentum: float = 0.95,
    ) -> None:
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})
        for weight in _weights(self):
            self.state[weight]["momentum"] = torch.zeros_like(weight)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Update every weight that has a gradient; `closure` is not called."""
        for group in self.param_groups:
            weights, slopes = _with_gradient(group)
            if not weights:
                continue
            momenta = [self.state[weight]["momentum"] for weight in weights]
            torch._foreach_mul_(momenta, group["momentum"])
            torch._foreach_add_(momenta, slopes)
            ahead = torch._foreach_add(slopes, momenta, alpha=group["momentum"])
            torch._foreach_mul_(weights, 1 - group["lr"] * group["weight_decay"])
            alike: dict[torch.Size, list[int]] = defaultdict(list)
            for place, weight in enumerate(weights):
                alike[weight.shape].append(place)
            for places in alike.values():
                changes = orthogonal(torch.stack([ahead[place].flatten(1) for place in places]))
                changes = changes * (group["lr"] * ADAMW_RMS * max(changes.shape[1:]) ** 0.5)
                for place, change in zip(places, changes, strict=True):
                    weights[place].sub_(change.view_as(weights[place]))


class AdamW(torch.optim.Optimizer):
    """torch's AdamW, up to rounding, whose step counters lie beside the weights on any device.

    Parameters
    ----------
    params : the weights.
    lr : learning rate.
    weight_decay : decoupled weight decay.
    """

    def __init__(self, params: Iterable[Tensor], lr: float | Tensor, weight_decay: float) -> None:
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay, "betas": BETAS})
        for weight in _weights(self):
            self.state[weight]["step"] = torch.zeros((), device=weight.device)
            for name in ("exp_avg", "exp_avg_sq"):
                self.state[weight][name] = torch.zeros_like(weight)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Update every weight that has a gradient; `closure` is not called."""
        for group in self.param_groups:
            weights, slopes = _with_gradient(group)
            if not weights:
                continue
            known = [self.state[weight] for weight in weights]
            steps, means, squares = (
                [each[name] for each in known] for name in ("step", "exp_avg", "exp_avg_sq")
            )
            first, second = group["betas"]
            torch._foreach_add_(steps, 1)
            torch._foreach_lerp_(means, slopes, 1 - first)
            torch._foreach_mul_(squares, second)
            torch._foreach_addcmul_(squares, slopes, slopes, 1 - second)
            torch._foreach_mul_(weights, 1 - group["lr"] * group["weight_decay"])
            roots = torch._foreach_sqrt(squares)
            torch._foreach_div_(roots, [(1 - second**taken).sqrt() for taken in steps])
            torch._foreach_add_(roots, EPSILON)
            changes = torch._foreach_div(means, roots)
            torch._foreach_mul_(changes, [group["lr"] / (1 - first**taken) for taken in steps])
            torch._foreach_sub_(weights, changes)


def orthogonal(matrices: Tensor) -> Tensor:
    """An approximation of U Vᵀ for each matrix U S Vᵀ, by Newton–Schulz iteration.

    Its singular values lie between 0.7 and 1.2. Takes one matrix, or several of one shape,
    (n, rows, columns).
    """
    wide = matrices / (matrices.square().sum(dim=(-2, -1), keepdim=True).sqrt() + 1e-7)
    tall = wide.shape[-2] > wide.shape[-1]
    wide = wide.mT if tall else wide
    first, third, fifth = COEFFICIENTS
    for _ in range(ROUNDS):
        square = wide @ wide.mT
        wide = first * wide + (third * square + fifth * square @ square) @ wide
    return wide.mT if tall else wide


def optimizers(
    network: Network,
    weight_decay: float,
    name: OptimizerName = "muon",
    rate: float | Tensor = 0.0,
) -> list[torch.optim.Optimizer]:
    """The optimizers of a network.

    "muon" is Muon for the network's matrices (`Network.is_matrix`) and AdamW for the rest, where
    the weight decay is Muon's and AdamW has none. "adamw" is AdamW for all weights, with this
    weight decay. On val, after equal time, Muon learns more than twice as fast as AdamW alone
    (docs/decisions/0009-train-matrices-with-muon.md).

    Parameters
    ----------
    network : on its device.
    weight_decay : of what `name` says.
    name : "muon" or "adamw".
    rate : the learning rate of all; a tensor without dimensions may be changed between the steps.
    """
    if name == "adamw":
        return [AdamW(network.parameters(), rate, weight_decay)]
    matrices: list[nn.Parameter] = []
    rest: list[nn.Parameter] = []
    for called, parameter in network.named_parameters():
        (matrices if network.is_matrix(called, parameter) else rest).append(parameter)
    made: list[torch.optim.Optimizer] = []
    if matrices:
        made.append(Muon(matrices, rate, weight_decay))
    if rest:
        made.append(AdamW(rest, rate, 0.0))
    return made


def learning_rate(settings: TrainSettings, done: int) -> float:
    """The rate of the step after `done` others: a linear rise, a plateau, then a cosine to 1 %.

    Without a warm-up there is no rise, without a cool-down no fall.
    """
    warm = min(settings.warm_up, max(1, settings.steps // 10))
    falling = max(1, round(settings.cooldown * (settings.steps - warm)))
    rise = min(1.0, (done + 1) / max(1, warm))
    share = max(0.0, (done - (settings.steps - falling)) / falling)
    fall = 0.01 + 0.99 * (1 + math.cos(math.pi * share)) / 2
    return settings.learning_rate * rise * fall


def memories(optimizers: Iterable[torch.optim.Optimizer]) -> list[Tensor]:
    """All that the optimizers remember, momenta and counters; their steps change it in place."""
    return [
        value
        for optimizer in optimizers
        for weight in _weights(optimizer)
        for value in optimizer.state[weight].values()
    ]


def _weights(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    return [weight for group in optimizer.param_groups for weight in group["params"]]


def _with_gradient(group: dict[str, Any]) -> tuple[list[Tensor], list[Tensor]]:
    """The weights of the group that have a gradient, and the gradients."""
    weights = [weight for weight in group["params"] if weight.grad is not None]
    return weights, [weight.grad for weight in weights]
