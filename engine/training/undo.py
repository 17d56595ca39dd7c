"""Copies what an optimizer step changes, so that one interrupted half-way can be undone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn


class StepBackup:
    """Copies of the weights, their average and what the optimizers remember.

    Parameters
    ----------
    network, average : the weights and their average.
    optimizers : those that move the weights.
    facts : other values of the run, kept beside the copies as `facts`.
    """

    def __init__(
        self,
        network: nn.Module,
        average: nn.Module,
        optimizers: Sequence[torch.optim.Optimizer],
        facts: Mapping[str, Any],
    ) -> None:
        self.facts = dict(facts)
        self._weights = [weight.detach().clone() for weight in _weights(network, average)]
        self._moments: list[dict[Tensor, dict[str, Any]]] = [
            {weight: _copied(moments) for weight, moments in optimizer.state.items()}
            for optimizer in optimizers
        ]

    @torch.no_grad()
    def restore(
        self,
        network: nn.Module,
        average: nn.Module,
        optimizers: Sequence[torch.optim.Optimizer],
    ) -> None:
        """Put weights, average and moments back; may be called again if it was interrupted."""
        for weight, copy in zip(_weights(network, average), self._weights, strict=True):
            weight.copy_(copy)
        for optimizer, moments in zip(optimizers, self._moments, strict=True):
            optimizer.state.clear()
            optimizer.state.update({weight: _copied(each) for weight, each in moments.items()})


def _weights(network: nn.Module, average: nn.Module) -> list[nn.Parameter]:
    return [*network.parameters(), *average.parameters()]


def _copied(moments: Mapping[str, Any]) -> dict[str, Any]:
    """What an optimizer remembers of one weight, counters among it, as copies."""
    return {
        name: value.clone() if isinstance(value, Tensor) else value
        for name, value in moments.items()
    }
