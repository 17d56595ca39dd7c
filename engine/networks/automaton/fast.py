"""Computes a cell's update faster for inference on a CPU.

Only cells that fire, about half, are computed: their 3×3 neighbourhoods are gathered as rows, and
perception becomes one more matrix product. The products of the full grid run in the processor's
fastest precision, in chunks whose hidden layer stays in the cache of one core; the state itself and
the coarse grid stay in float32. Tests hold it to `engine.networks.automaton.cell.Cell`, which
defines the update.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own name for it
from torch import Tensor, nn

from engine.networks.automaton.cbam import CBAM
from engine.networks.automaton.cell import Cell, filled
from engine.networks.device import share_out

#: The most cells in a chunk: their 512 hidden numbers each are 2 MB in bfloat16.
CHUNK = 2048
#: The fewest cells in a chunk that is given to another thread.
PIECE = 128
#: How many channels are computed where only channel 0 is read.
FIRST = 16
#: How many neighbouring places attention's 7×7 filter is computed at together, as channels.
WIDE = 16
#: The leaky ReLU's slope for negative numbers, torch's default.
SLOPE = 0.01
#: Whether this torch was built with oneDNN and offers these operations of it.
PACKS: bool = torch.backends.mkldnn.is_available() and all(  # type: ignore[no-untyped-call]
    hasattr(torch.ops.mkldnn, name)
    for name in ("_reorder_linear_weight", "_linear_pointwise", "_is_mkldnn_bf16_supported")
)


class FastCell(nn.Module):
    """A `Cell` for the CPU, without gradients; the same result up to the rounding of `dtype`.

    Parameters
    ----------
    cell : its weights are copied; later changes of them are not seen.
    dtype : the precision of the products, float32 or bfloat16.
    """

    def __init__(self, cell: Cell, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype = dtype
        self.attend = None if cell.attention is None else Attention(cell.attention)
        filters_oikk = cell.perceive.weight.detach()
        # In the order of the gathered rows: all channels of the first neighbour, of the second, …
        rows = filters_oikk.permute(0, 2, 3, 1).reshape(len(filters_oikk), -1)
        self.perceive = Product(rows, cell.perceive.bias, dtype)
        self.think = Product(cell.think.weight, cell.think.bias, dtype, leaky=True)
        self.act = Product(cell.act.weight, None, dtype)
        # FIRST columns fill a register, so fewer would cost the same; a single column is summed
        # in another order and would differ from the whole product by rounding.
        self.act_first = Product(cell.act.weight[:FIRST], None, dtype)

    def forward(self, state_nchw: Tensor, fires_n1hw: Tensor) -> Tensor:
        """The state after one update, as `Cell.forward`."""
        state = state_nchw.clone(memory_format=torch.channels_last)
        self.update_(state, fires_n1hw)
        return state

    def update_(
        self,
        state_nchw: Tensor,
        fires_n1hw: Tensor,
        *,
        first_is_enough: bool = False,
        pieces: int = 1,
    ) -> None:
        """Updates a state in place.

        Parameters
        ----------
        state_nchw : float32 (n, channels, rows, columns) in channels-last memory.
        fires_n1hw : bool (n, 1, rows, columns), true for the cells that fire.
        first_is_enough : whether only channel 0 is read afterwards; others may then be wrong.
        pieces : into how many pieces the firing cells are divided for the workers; fewer if a
            piece would have less than `PIECE` cells.
        """
        n, channels, rows, columns = state_nchw.shape
        act = self.act_first if first_is_enough else self.act
        state_nhwc = state_nchw.permute(0, 2, 3, 1)
        # Always a copy: later chunks must perceive the state from before this update.
        seen_nhwc = torch.empty(state_nhwc.shape, dtype=self.dtype)
        if self.attend is None:
            seen_nhwc.copy_(state_nhwc)
        else:
            self.attend(state_nhwc, seen_nhwc)
        seen = seen_nhwc.view(-1, channels)
        changing = state_nhwc.view(-1, channels)[:, : len(act.weight)]
        around = neighbourhoods(n, rows, columns)
        firing = fires_n1hw.reshape(-1).nonzero().squeeze(1)
        size = min(CHUNK, max(PIECE, 64 * math.ceil(len(firing) / pieces / 64)))
        chunks = zip(torch.split(firing, size), torch.split(filled(firing), size), strict=True)

        def move(cells: tuple[Tensor, Tensor]) -> None:
            chunk, full = cells
            change = act(self._thought(seen, full, around)).float()
            # No cell is in two chunks, so two threads never add to the same one.
            changing.index_add_(0, chunk, change[: len(chunk)])

        if pieces == 1:
            for each in chunks:
                move(each)
        else:
            share_out(move, list(chunks))

    def _thought(self, seen: Tensor, firing: Tensor, around: Tensor) -> Tensor:
        """The MLP's hidden layer of the firing cells, (cells, hidden).

        Parameters
        ----------
        seen : attended state of all cells, (n × rows × columns, channels).
        firing : indices of the firing cells, int64 (cells,).
        around : what `neighbourhoods` gives for the grid.
        """
        gathered = seen.index_select(0, around.index_select(0, firing).view(-1))
        neighbours = self.perceive(gathered.view(len(firing), 9 * seen.shape[1]))
        return self.think(torch.cat([seen.index_select(0, firing), neighbours], dim=1))


class Attention:
    """Computes `CBAM` without gradients, for states in channels-last memory.

    Cells are rows, so that every reduction runs along memory. They are taken in chunks, so that
    only the state and the result are as large as the grid.
    """

    def __init__(self, attention: CBAM) -> None:
        weights = (weight.detach().clone() for weight in attention.channel.parameters())
        self.narrow, self.narrow_bias, self.back, bias = weights
        # `_channel` adds the hidden layers of mean and maximum before this layer, whose bias would
        # come once for each.
        self.back_bias = 2 * bias
        kernel_12kk = attention.spatial.weight.detach()
        side = kernel_12kk.shape[-1]
        self.border = side // 2
        self.spatial = kernel_12kk.new_zeros(WIDE, 2, side, side + WIDE - 1)
        for place in range(WIDE):
            self.spatial[place, :, :, place : place + side] = kernel_12kk[0]

    def __call__(self, state_nhwc: Tensor, seen_nhwc: Tensor) -> None:
        """Write the attended state into `seen_nhwc`, whose dtype may be another.

        Both are (n, rows, columns, channels); `state_nhwc` is float32.
        """
        channel_n11c = self._channel(state_nhwc.flatten(1, 2))[:, None, None]
        n, rows, columns, _ = state_nhwc.shape
        wide, border = -(-columns // WIDE) * WIDE, self.border
        summary = state_nhwc.new_zeros(n, 2, rows + 2 * border, wide + 2 * border)
        inner = summary[:, :, border : border + rows, border : border + columns]
        lines = max(1, CHUNK // columns)
        chunks = torch.split(state_nhwc, lines, dim=1)
        for chunk, part in zip(chunks, torch.split(inner, lines, dim=2), strict=True):
            weighted = chunk * channel_n11c
            part[:, 0], part[:, 1] = weighted.mean(dim=3), weighted.amax(dim=3)
        strips = F.conv2d(summary, self.spatial, stride=(1, WIDE))
        place_nhw = strips.permute(0, 2, 3, 1).reshape(n, rows, wide)[:, :, :columns]
        place_nhw1 = torch.sigmoid(place_nhw)[..., None]
        parts = (torch.split(whole, lines, dim=1) for whole in (seen_nhwc, place_nhw1))
        for chunk, part, place in zip(chunks, *parts, strict=True):
            part.copy_((chunk * channel_n11c).mul_(place).add_(chunk))

    def _channel(self, state_npc: Tensor) -> Tensor:
        """The weight of each channel, (n, channels) in 0 to 1."""
        both_2nc = torch.stack([state_npc.mean(dim=1), state_npc.amax(dim=1)])
        # Sums, not products of matrices: how those are added up depends on the number of rows.
        narrow_2nk = (both_2nc[:, :, None] * self.narrow).sum(dim=3).add_(self.narrow_bias).relu_()
        back_nc = (narrow_2nk.sum(dim=0)[:, None] * self.back).sum(dim=2)
        return back_nc.add_(self.back_bias).sigmoid_()


@lru_cache(maxsize=8)
def neighbourhoods(n: int, rows: int, columns: int) -> Tensor:
    """The indices of each cell's 3×3 neighbourhood, int64 (n × rows × columns, 9).

    The cell itself is the fifth. At the border the grid is reflected, the border not repeated.
    """
    cells = torch.arange(n * rows * columns).view(n, 1, rows, columns)
    # Reflection is defined for floating point only; float64 holds every index exactly.
    padded = F.pad(cells.double(), (1, 1, 1, 1), mode="reflect").long()
    around = padded[:, 0].unfold(1, 3, 1).unfold(2, 3, 1)
    return around.reshape(-1, 9)


class Product:
    """A linear layer of rows, (cells, in) → (cells, out), with a leaky ReLU after it if wanted.

    If oneDNN is available, its own operation is used: the weights are laid out once, and the leaky
    ReLU is applied while a result is still in a register. oneDNN refuses bfloat16 on processors
    without AVX512.

    Parameters
    ----------
    weight_oi : the layer's weight, (out, in).
    bias_o : the layer's bias, (out,), or None.
    dtype : what weight and bias are converted to; rows must have it, too.
    leaky : whether a leaky ReLU follows.
    """

    def __init__(
        self, weight_oi: Tensor, bias_o: Tensor | None, dtype: torch.dtype, leaky: bool = False
    ) -> None:
        self.weight = weight_oi.detach().to(dtype, copy=True)
        self.bias = None if bias_o is None else bias_o.detach().to(dtype, copy=True)
        self.after = ("leaky_relu", [SLOPE], "") if leaky else ("none", [], "")
        low = dtype == torch.bfloat16
        packs = PACKS and (not low or torch.ops.mkldnn._is_mkldnn_bf16_supported())
        pack = torch.ops.mkldnn._reorder_linear_weight if packs else None
        self.packed = pack and pack(self.weight, CHUNK)

    def __call__(self, rows: Tensor) -> Tensor:
        if self.packed is not None:
            product: Tensor = torch.ops.mkldnn._linear_pointwise(
                rows, self.packed, self.bias, *self.after
            )
            return product
        product = F.linear(rows, self.weight, self.bias)
        return F.leaky_relu_(product, SLOPE) if self.after[1] else product
