"""The cell's update as inference runs it on a processor: the same change, without work for nothing.

Half of the cells do not fire, so their perception is never read. The 3×3 neighbourhoods of those
that fire are gathered as rows, and perception becomes one more matrix product. All products run in
the processor's fastest precision, in chunks whose hidden layer stays in the cache of one core; the
state itself stays in float32. `engine.models.nca.Cell` is the definition it is held to.
"""

from __future__ import annotations

from functools import lru_cache

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own name for it
from torch import Tensor, nn

from engine.models.cbam import CBAM
from engine.models.nca import Automaton, Cell

#: Cells in a chunk: 512 hidden numbers of each are 2 MB in bfloat16.
CHUNK = 2048


def fast(network: Automaton, dtype: torch.dtype) -> Automaton:
    """The same automaton with fast cells, for inference on a CPU; `dtype` is that of its products.

    The weights are copied, in microseconds: what is learnt later is not seen. Its states have the
    layout and the float32 of the readable ones.
    """
    swift = Automaton(network.spec, levels=0, attention=False)
    swift.levels = nn.ModuleList(FastCell(cell, dtype) for cell in network.levels)  # type: ignore[arg-type]
    return swift.eval()


class FastCell(nn.Module):
    """A `Cell` without gradients; same arguments, same result up to the rounding of `dtype`."""

    def __init__(self, cell: Cell, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype = dtype
        self.attention: CBAM | None = cell.attention
        filters_oikk = cell.perceive.weight.detach()
        # Rows of the gathered neighbourhoods: the channels of the first neighbour, of the second …
        rows = filters_oikk.permute(0, 2, 3, 1).reshape(len(filters_oikk), -1)
        self.perceive = _copied(dtype, rows, cell.perceive.bias)
        self.think = _copied(dtype, cell.think.weight, cell.think.bias)
        (self.act,) = _copied(dtype, cell.act.weight)

    def forward(self, state_nchw: Tensor, fires_n1hw: Tensor) -> Tensor:
        """The state after one update, as `Cell.forward`."""
        n, channels, rows, columns = state_nchw.shape
        before_nhwc = state_nchw.permute(0, 2, 3, 1).contiguous()
        seen = self._attended(before_nhwc).to(self.dtype).view(-1, channels)
        around = neighbourhoods(n, rows, columns)
        after = before_nhwc.view(-1, channels).clone()
        for firing in torch.split(fires_n1hw.reshape(-1).nonzero().squeeze(1), CHUNK):
            after.index_add_(0, firing, self._change(seen, firing, around))
        return after.view(n, rows, columns, channels).permute(0, 3, 1, 2)

    def _change(self, seen: Tensor, firing: Tensor, around: Tensor) -> Tensor:
        """What is added to those cells, float32 (cells, channels)."""
        gathered = seen.index_select(0, around.index_select(0, firing).view(-1))
        neighbours = F.linear(gathered.view(len(firing), 9 * seen.shape[1]), *self.perceive)
        perceived = torch.cat([seen.index_select(0, firing), neighbours], dim=1)
        hidden = F.leaky_relu_(F.linear(perceived, *self.think))
        return F.linear(hidden, self.act).float()

    def _attended(self, state_nhwc: Tensor) -> Tensor:
        """`CBAM.forward` with the channels last, so that every reduction runs along memory."""
        if self.attention is None:
            return state_nhwc
        n, rows, columns, channels = state_nhwc.shape
        state_npc = state_nhwc.view(n, rows * columns, channels)
        mean_nc, peak_nc = state_npc.mean(dim=1), state_npc.amax(dim=1)
        channel_nc = torch.sigmoid(
            self.attention.channel(mean_nc) + self.attention.channel(peak_nc)
        )
        weighted = state_npc * channel_nc[:, None]
        summary = torch.stack([weighted.mean(dim=2), weighted.amax(dim=2)], dim=1)
        place = torch.sigmoid(self.attention.spatial(summary.view(n, 2, rows, columns)))
        return torch.addcmul(state_npc, weighted, place.view(n, -1, 1)).view(state_nhwc.shape)


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


def _copied(dtype: torch.dtype, *weights: Tensor | None) -> tuple[Tensor, ...]:
    return tuple(one.detach().to(dtype, copy=True) for one in weights if one is not None)
