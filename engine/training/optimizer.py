"""The Muon optimizer (Jordan 2024), and which parameters it trains beside AdamW."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from engine.networks.network import Network

#: Coefficients of a quintic polynomial that drives all singular values to about 1 in few rounds.
COEFFICIENTS = (3.4445, -4.7750, 2.0315)
ROUNDS = 5
#: Root mean square of AdamW's usual update. Muon's is scaled to it, so that both can share one
#: learning rate (Liu 2025).
ADAMW_RMS = 0.2


class Muon(torch.optim.Optimizer):
    """Optimizes weights of two or more dimensions by orthogonalised Nesterov momentum.

    Filters (out, in, rows, columns) count as matrices (out, in × rows × columns). torch's own Muon
    does not accept filters, and they hold most of a cell's weights.

    Parameters
    ----------
    params : the weights.
    lr : learning rate.
    weight_decay : decoupled weight decay, as AdamW's.
    momentum : decay of the moving sum of gradients.
    """

    def __init__(
        self, params: Iterable[Tensor], lr: float, weight_decay: float, momentum: float = 0.95
    ) -> None:
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Update every weight that has a gradient; `closure` is not called."""
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
    """An approximation of U Vᵀ for a matrix U S Vᵀ, by Newton–Schulz iteration.

    Its singular values lie between 0.7 and 1.2.
    """
    wide: Tensor = matrix / (matrix.norm() + 1e-7)
    tall = len(wide) > wide.shape[1]
    wide = wide.T if tall else wide
    first, third, fifth = COEFFICIENTS
    for _ in range(ROUNDS):
        square = wide @ wide.T
        wide = first * wide + (third * square + fifth * square @ square) @ wide
    return wide.T if tall else wide


def optimizers(network: Network, weight_decay: float) -> list[torch.optim.Optimizer]:
    """The optimizers of a network: Muon for its matrices (`Network.is_matrix`), AdamW for the rest.

    Their learning rate is 0 until it is set. `weight_decay` is Muon's; AdamW has none. On val,
    after equal time, Muon learns more than twice as fast as AdamW alone
    (docs/decisions/0009-train-matrices-with-muon.md).
    """
    matrices: list[nn.Parameter] = []
    rest: list[nn.Parameter] = []
    for name, parameter in network.named_parameters():
        (matrices if network.is_matrix(name, parameter) else rest).append(parameter)
    made: list[torch.optim.Optimizer] = []
    if matrices:
        made.append(Muon(matrices, lr=0.0, weight_decay=weight_decay))
    if rest:
        made.append(torch.optim.AdamW(rest, lr=0.0, weight_decay=0.0))
    return made
