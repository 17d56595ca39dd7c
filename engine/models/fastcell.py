"""The cell's update as inference runs it: the same change, without work for nothing.

On the CPU: half of the cells do not fire, so their perception is never read. The 3×3 neighbourhoods
of those that fire are gathered as rows, and perception becomes one more matrix product. All
products run in the processor's fastest precision, in chunks whose hidden layer stays in the cache
of one core; the state itself stays in float32. `engine.models.nca.Cell` is the definition that both
forms are held to.
"""

from __future__ import annotations

from copy import deepcopy
from functools import lru_cache, partial

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own name for it
from torch import Tensor, nn

from engine.device import DeviceChoice
from engine.models.cbam import CBAM
from engine.models.nca import Automaton, Cell

#: Cells in a chunk: 512 hidden numbers of each are 2 MB in bfloat16.
CHUNK = 2048
#: Of fewer cells the call itself costs more than oneDNN's own form saves.
ENOUGH = 512
#: Of the leaky ReLU, for negative numbers; torch's own.
SLOPE = 0.01
#: Whether torch was built with oneDNN and shows these two operations of it.
PACKS: bool = torch.backends.mkldnn.is_available() and all(  # type: ignore[no-untyped-call]
    hasattr(torch.ops.mkldnn, name) for name in ("_reorder_linear_weight", "_linear_pointwise")
)


def fast(network: Automaton, device: DeviceChoice) -> Automaton:
    """The same automaton with the cells that compute inference fastest on a device.

    On the CPU the weights are copied, in a millisecond: what is learnt later is not seen. The
    states have the layout and the float32 of the readable ones.
    """
    swift = Automaton(network.spec, levels=0, attention=False)
    kind = partial(FastCell, dtype=device.dtype) if device.name == "cpu" else DenseCell
    swift.levels = nn.ModuleList(kind(cell) for cell in network.levels)  # type: ignore[arg-type]
    return swift.eval()


class DenseCell(nn.Module):
    """A `Cell` for a GPU: all cells pass through the MLP, and those that do not fire forget it.

    Which cells fire is never asked, so the processor need not wait for the GPU after every update.
    """

    def __init__(self, cell: Cell) -> None:
        super().__init__()
        self.cell = cell

    def forward(self, state_nchw: Tensor, fires_n1hw: Tensor) -> Tensor:
        """The state after one update, as `Cell.forward`."""
        cell = self.cell
        attended = state_nchw if cell.attention is None else cell.attention(state_nchw)
        neighbours = cell.perceive(F.pad(attended, (1, 1, 1, 1), mode="reflect"))
        perceived = torch.cat([attended.to(neighbours.dtype), neighbours], dim=1)
        hidden = F.leaky_relu_(cell.think(perceived.permute(0, 2, 3, 1)))
        change: Tensor = cell.act(hidden).permute(0, 3, 1, 2)
        return torch.where(fires_n1hw, state_nchw + change, state_nchw)


class FastCell(nn.Module):
    """A `Cell` without gradients; same arguments, same result up to the rounding of `dtype`."""

    def __init__(self, cell: Cell, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype = dtype
        self.attention: CBAM | None = deepcopy(cell.attention)
        filters_oikk = cell.perceive.weight.detach()
        # Rows of the gathered neighbourhoods: the channels of the first neighbour, of the second …
        rows = filters_oikk.permute(0, 2, 3, 1).reshape(len(filters_oikk), -1)
        self.perceive = Product(rows, cell.perceive.bias, dtype)
        self.think = Product(cell.think.weight, cell.think.bias, dtype, leaky=True)
        self.act = Product(cell.act.weight, None, dtype)

    def forward(self, state_nchw: Tensor, fires_n1hw: Tensor) -> Tensor:
        """The state after one update, as `Cell.forward`."""
        n, channels, rows, columns = state_nchw.shape
        before_npc = state_nchw.permute(0, 2, 3, 1).reshape(n, rows * columns, channels)
        seen = self._attended(before_npc, (rows, columns)).reshape(-1, channels)
        around = neighbourhoods(n, rows, columns)
        after = before_npc.reshape(-1, channels).clone()
        for firing in torch.split(fires_n1hw.reshape(-1).nonzero().squeeze(1), CHUNK):
            after.index_add_(0, firing, self._change(seen, firing, around))
        return after.view(n, rows, columns, channels).permute(0, 3, 1, 2)

    def _change(self, seen: Tensor, firing: Tensor, around: Tensor) -> Tensor:
        """What is added to those cells, float32 (cells, channels)."""
        gathered = seen.index_select(0, around.index_select(0, firing).view(-1))
        neighbours = self.perceive(gathered.view(len(firing), 9 * seen.shape[1]))
        perceived = torch.cat([seen.index_select(0, firing), neighbours], dim=1)
        return self.act(self.think(perceived)).float()

    def _attended(self, state_npc: Tensor, grid: tuple[int, int]) -> Tensor:
        """What a cell perceives of each: `CBAM.forward`, else the state, in the products' dtype.

        Cells come as rows, so that every reduction runs along memory, and in chunks, so that
        nothing but the state and the result is ever as large as the grid.
        """
        if self.attention is None:
            return state_npc.to(self.dtype)
        mean_nc, peak_nc = state_npc.mean(dim=1), state_npc.amax(dim=1)
        channel_nc = torch.sigmoid(
            self.attention.channel(mean_nc) + self.attention.channel(peak_nc)
        )
        channel_n1c = channel_nc[:, None]
        chunks = torch.split(state_npc, CHUNK, dim=1)
        summaries = []
        for chunk in chunks:
            weighted = chunk * channel_n1c
            summaries.append(torch.stack([weighted.mean(dim=2), weighted.amax(dim=2)], dim=1))
        summary = torch.cat(summaries, dim=2).view(-1, 2, *grid)
        place_np1 = torch.sigmoid(self.attention.spatial(summary)).view(len(state_npc), -1, 1)
        seen = torch.empty_like(state_npc, dtype=self.dtype)
        parts = (torch.split(whole, CHUNK, dim=1) for whole in (seen, state_npc, place_np1))
        for part, chunk, place in zip(*parts, strict=True):
            part.copy_(torch.addcmul(chunk, chunk * channel_n1c, place))
        return seen


@lru_cache(maxsize=8)
def neighbourhoods(n: int, rows: int, columns: int) -> Tensor:
    """The nine cells around each, the cell itself fifth, int64 (n × rows × columns, 9).

    Beyond the border the grid is reflected, without the border itself repeated.
    """
    cells = torch.arange(n * rows * columns).view(n, 1, rows, columns)
    # Reflection is defined for floating point only; float64 holds every index exactly.
    padded = F.pad(cells.double(), (1, 1, 1, 1), mode="reflect").long()
    around = padded[:, 0].unfold(1, 3, 1).unfold(2, 3, 1)
    return around.reshape(-1, 9)


class Product:
    """A linear layer of rows, (cells, in) → (cells, out), with the leaky ReLU after it.

    Where oneDNN is there its own form is used: weights laid out once, and the leaky ReLU taken on
    while a result is still in a register.
    """

    def __init__(
        self, weight_oi: Tensor, bias_o: Tensor | None, dtype: torch.dtype, leaky: bool = False
    ) -> None:
        self.weight = weight_oi.detach().to(dtype, copy=True)
        self.bias = None if bias_o is None else bias_o.detach().to(dtype, copy=True)
        self.leaky = leaky
        self.packed = PACKS and torch.ops.mkldnn._reorder_linear_weight(self.weight, CHUNK)

    def __call__(self, rows: Tensor) -> Tensor:
        if PACKS and len(rows) >= ENOUGH:
            after = ("leaky_relu", [SLOPE], "") if self.leaky else ("none", [], "")
            product: Tensor = torch.ops.mkldnn._linear_pointwise(
                rows, self.packed, self.bias, *after
            )
            return product
        product = F.linear(rows, self.weight, self.bias)
        return F.leaky_relu_(product, SLOPE) if self.leaky else product
