"""Training samples per second: the plain cell in float32 beside the program's own, in one run.

    python -m tests.bench.training [--sizes 64 128 256] [--rounds 3]

Both sides train MultiCBAM (412,236 parameters) on the same drawn numbers: forward pass, loss,
gradient. They take turns, and each figure is the best round, so that a busy machine wrongs neither.
"""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own name for it
from torch import Tensor

from engine.device import choose
from engine.models import build
from engine.models.nca import Automaton, Cell
from engine.presets import preset

#: Samples in a step at each size: as many as both sides hold in a few GB.
BATCHES = {32: 16, 64: 8, 128: 2, 256: 1}


class PlainCell(Cell):
    """The same update as the automaton papers write it: every cell through the MLP, float32."""

    def forward(self, state_nchw: Tensor, fires_n1hw: Tensor) -> Tensor:
        attended = state_nchw if self.attention is None else self.attention(state_nchw)
        neighbours = self.perceive(F.pad(attended, (1, 1, 1, 1), mode="reflect"))
        perceived = torch.cat([attended, neighbours], dim=1).permute(0, 2, 3, 1)
        change = self.act(F.leaky_relu(self.think(perceived))).permute(0, 3, 1, 2)
        return state_nchw + change * fires_n1hw


def network(plain: bool) -> Automaton:
    """An automaton with weights as if it were trained; both sides get the same."""
    torch.manual_seed(0)
    built = build(preset("multicbam"))
    for cell in built.levels:
        torch.nn.init.normal_(cell.act.weight, std=0.01)  # type: ignore[union-attr,arg-type]
        if plain:
            cell.__class__ = PlainCell
    return built


def step(trained: Automaton, size: int, low: bool) -> Callable[[], Tensor]:
    """One optimizer step without the optimizer; gives the sum of the last state."""
    n = BATCHES[size]
    draws = torch.Generator().manual_seed(size)
    image = torch.rand(n, 3, size, size, generator=draws)
    noisy = torch.randn(n, 1, size, size, generator=draws)
    time_n = torch.rand(n, generator=draws)

    def fires(_level: int, _update: int, shape: tuple[int, int]) -> Tensor:
        return torch.rand(n, 1, *shape, generator=draws) < 0.5

    def run() -> Tensor:
        draws.manual_seed(size)
        with torch.autocast("cpu", torch.bfloat16, enabled=low):
            state = trained(image, noisy, time_n, fires)
        trained.zero_grad(set_to_none=True)
        loss = state[:, :4].float().square().mean()
        loss.backward()  # type: ignore[no-untyped-call]
        return state.detach()

    return run


def main() -> None:
    """Print a table of both sides and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 128, 256])
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    low = choose("cpu").precision == "bfloat16"
    print(f"{platform.machine()}, {torch.get_num_threads()} threads, own side in {choose('cpu')}")
    print("size  batch  plain samples/s  own samples/s  ratio  difference")
    for size in given.sizes:
        sides = [step(network(True), size, False), step(network(False), size, low)]
        best, states = [float("inf")] * 2, [torch.empty(0)] * 2
        for _ in range(given.rounds):
            for side, run in enumerate(sides):
                began = time.perf_counter()
                states[side] = run()
                best[side] = min(best[side], time.perf_counter() - began)
        plain, own = (BATCHES[size] / seconds for seconds in best)
        difference = float((states[0] - states[1]).norm() / states[0].norm())
        rates = f"{plain:15.2f}  {own:13.2f}  {own / plain:5.2f}"
        print(f"{size:4}  {BATCHES[size]:5}  {rates}  {difference:.1e}")


if __name__ == "__main__":
    main()
