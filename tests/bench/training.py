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
from torch import Tensor

from engine.networks.automaton.levels import Automaton
from engine.networks.device import choose
from engine.networks.table import preset
from tests.bench.plain import plain, trained_like

#: Samples in a step at each size: as many as both sides hold in a few GB.
BATCHES = {32: 16, 64: 8, 128: 2, 256: 1}


def step(
    trained: Automaton, size: int, low: bool, batch: int, device: str = "cpu"
) -> Callable[[], Tensor]:
    """One optimizer step without the optimizer; gives the last state.

    Parameters
    ----------
    trained : on the device.
    size : side of the grid in cells.
    low : whether products are in bfloat16.
    batch : how many samples it has.
    device : "cpu" or "cuda".
    """
    draws = torch.Generator(device).manual_seed(size)
    side = trained.spec.pixels_per_cell * size
    image = torch.rand(batch, 3, side, side, generator=draws, device=device)
    noisy = torch.randn(batch, 1, size, size, generator=draws, device=device)
    time_n = torch.rand(batch, generator=draws, device=device)

    def fires(_level: int, _update: int, shape: tuple[int, int]) -> Tensor:
        return torch.rand(batch, 1, *shape, generator=draws, device=device) < 0.5

    def run() -> Tensor:
        draws.manual_seed(size)
        with torch.autocast(device, torch.bfloat16, enabled=low):
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
    network = trained_like(preset("multicbam"))
    networks = plain(network), network
    print("size  batch  plain samples/s  own samples/s  ratio  difference")
    for size in given.sizes:
        batch = BATCHES[size]
        sides = [step(networks[0], size, False, batch), step(networks[1], size, low, batch)]
        best, states = [float("inf")] * 2, [torch.empty(0)] * 2
        for _ in range(given.rounds):
            for side, run in enumerate(sides):
                began = time.perf_counter()
                states[side] = run()
                best[side] = min(best[side], time.perf_counter() - began)
        naive, own = (batch / seconds for seconds in best)
        difference = float((states[0] - states[1]).norm() / states[0].norm())
        rates = f"{naive:15.2f}  {own:13.2f}  {own / naive:5.2f}"
        print(f"{size:4}  {batch:5}  {rates}  {difference:.1e}")


if __name__ == "__main__":
    main()
