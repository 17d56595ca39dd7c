"""Muon: momentum, then the nearest orthogonal matrix to it (Jordan 2024)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from engine.networks.network import Network
from engine.types import OptimizerName

#: Quintic that drives every singular value towards 1 in few rounds, whatever it was.
COEFFICIENTS = (3.4445, -4.7750, 2.0315)
ROUNDS = 5
#: Root mean square of AdamW's usual update, so that both take one learning rate (Liu 2025).
ADAMW_RMS = 0.2


class Muon(torch.optim.Optimizer):
    """Orthogonalised Nesterov momentum for weights of two or more dimensions.

    Filters (out, in, rows, columns) count as matrices (out, in × rows × columns). torch's own Muon
    takes no filters, and most of a cell's weights are in them.
    """

    def __init__(
        self, params: Iterable[Tensor], lr: float, weight_decay: float, momentum: float = 0.95
    ) -> None:
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Move every weight that has a gradient."""
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                state: dict[str, Any] = self.state[weight]
                if not state:
                    state["momentum"] = torch.zeros_like(weight)
                momentum = state["momentum"].mul_(group["momentum"]).add_(weight.grad)
                ahead = weight.grad + group["momentum"] * momentum
                change = orthogonal(ahead.reshape(len(weight), -1))
                scale = ADAMW_RMS * max(change.shape) ** 0.5
                weight.mul_(1 - group["lr"] * group["weight_decay"])
                weight.sub_(change.view_as(weight), alpha=group["lr"] * scale)


def orthogonal(matrix: Tensor) -> Tensor:
    """About U Vᵀ of a matrix U S Vᵀ: singular values between 0.7 and 1.2 (Newton–Schulz)."""
    wide: Tensor = matrix / (matrix.norm() + 1e-7)
    tall = len(wide) > wide.shape[1]
    wide = wide.T if tall else wide
    first, third, fifth = COEFFICIENTS
    for _ in range(ROUNDS):
        square = wide @ wide.T
        wide = first * wide + (third * square + fifth * square @ square) @ wide
    return wide.T if tall else wide


def optimizers(
    network: Network, weight_decay: float, name: OptimizerName = "muon"
) -> list[torch.optim.Optimizer]:
    """The optimizers that share a network's weights; rate 0 yet.

    "muon" is Muon for what the network says are matrices, AdamW for all else: the weight decay is
    that of the matrices, and AdamW's parameters have none. "adamw" is torch's AdamW for all
    weights, with this weight decay, and otherwise as torch has it.

    Measured on val after equal time: Muon learns more than twice as fast as AdamW alone
    (docs/decisions/0009-train-matrices-with-muon.md).
    """
    if name == "adamw":
        return [torch.optim.AdamW(network.parameters(), lr=0.0, weight_decay=weight_decay)]
    matrices: list[nn.Parameter] = []
    rest: list[nn.Parameter] = []
    for called, parameter in network.named_parameters():
        (matrices if network.is_matrix(called, parameter) else rest).append(parameter)
    made: list[torch.optim.Optimizer] = []
    if matrices:
        made.append(Muon(matrices, lr=0.0, weight_decay=weight_decay))
    if rest:
        made.append(torch.optim.AdamW(rest, lr=0.0, weight_decay=0.0))
    return made
