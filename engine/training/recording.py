"""Records what a function does on a CUDA device once, and replays it from then on."""

from __future__ import annotations

from collections.abc import Callable, Hashable

import torch

#: How often the function is called before it is recorded: libraries choose and set up meanwhile.
WARM_UPS = 2


class Recordings:
    """CUDA graphs of one function, one for each key.

    A replay launches all operations of a call at once, which takes the processor microseconds
    instead of milliseconds. The function must do all its work on the device, by operations and
    shapes that the key alone decides, and keep its inputs and results in tensors that stay where
    they are.
    """

    def __init__(self) -> None:
        self._graphs: dict[Hashable, torch.cuda.CUDAGraph] = {}
        # No tensor outlives a replay, so the graphs can use the same memory in turn.
        self._pool = torch.cuda.graph_pool_handle()

    def play(self, key: Hashable, act: Callable[[], None], undo: Callable[[], None]) -> None:
        """Do what `act` does. `undo` takes back what it did when it was called to warm up."""
        if key not in self._graphs:
            side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
            side.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(side):
                for _ in range(WARM_UPS):
                    act()
                undo()
            torch.cuda.current_stream().wait_stream(side)
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, pool=self._pool):
                act()
            self._graphs[key] = graph
        self._graphs[key].replay()
