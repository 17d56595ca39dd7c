"""The update of a cell as the paper defines it, in the form that is trained.

The steps: attend (if the model has attention), perceive, think, act, and add the change in the
cells that fire.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own name for it
from torch import Tensor, nn

from engine.networks.automaton.borders import reflected
from engine.networks.automaton.cbam import CBAM
from engine.networks.device import without_autocast


class Cell(nn.Module):
    """The rule that every cell applies: from its 3×3 neighbourhood to a change of its own state.

    Perception is the state itself beside two 3×3 convolutions of it (here one convolution with
    twice the outputs; reflect padding), so 3 × channels numbers. An MLP with leaky ReLU turns them
    into a change. Its last layer begins at zero, so an untrained cell changes nothing.

    Parameters
    ----------
    channels : channels of the state.
    hidden : width of the MLP's hidden layer.
    attention : whether CBAM comes before perception.
    exact : whether the dense form computes in float32, whatever autocast says.
    """

    def __init__(self, channels: int, hidden: int, attention: bool, exact: bool = False) -> None:
        super().__init__()
        self.exact = exact
        self.attention = CBAM(channels) if attention else None
        self.perceive = nn.Conv2d(channels, 2 * channels, 3)
        self.think = nn.Linear(3 * channels, hidden)
        self.act = nn.Linear(hidden, channels, bias=False)
        nn.init.zeros_(self.act.weight)

    def forward(self, state_nchw: Tensor, fires_n1hw: Tensor) -> Tensor:
        """The state after one update; only firing cells change.

        On the CPU it is computed as `gathered`, elsewhere as `dense`; the two differ by rounding.

        Parameters
        ----------
        state_nchw : float32 (n, channels, rows, columns).
        fires_n1hw : bool (n, 1, rows, columns), true for the cells that fire.
        """
        update = self.gathered if state_nchw.device.type == "cpu" else self.dense
        return update(state_nchw, fires_n1hw)

    def gathered(self, state_nchw: Tensor, fires_n1hw: Tensor) -> Tensor:
        """The update, computed for the firing cells alone: half the work, but a list of them."""
        n, channels, rows, columns = state_nchw.shape
        attended = self._attended(state_nchw)
        neighbours = self.perceive(reflected(attended))
        firing = fires_n1hw.reshape(-1).nonzero().squeeze(1)
        full = filled(firing)
        # The gradient of index_select is many times cheaper on the CPU than that of indexing.
        perceived = torch.cat(
            [
                _cells(attended).index_select(0, full).to(neighbours.dtype),
                _cells(neighbours).index_select(0, full),
            ],
            dim=1,
        )
        change = self._change(perceived)[: len(firing)]
        cells = _cells(state_nchw).index_add(0, firing, change.to(state_nchw.dtype))
        return cells.view(n, rows, columns, channels).permute(0, 3, 1, 2)

    def dense(self, state_nchw: Tensor, fires_n1hw: Tensor) -> Tensor:
        """The update, computed for all cells; the change of those that do not fire is dropped.

        The list of firing cells is never made, so the CPU need not wait for a GPU, and the same
        operations follow each other in every update. Attention sums over the whole grid, so it is
        computed in float32 in any case.
        """
        with without_autocast(state_nchw.device.type):
            attended = self._attended(state_nchw)
            if self.exact:
                return self._dense(state_nchw, attended, fires_n1hw)
        return self._dense(state_nchw, attended, fires_n1hw)

    def _dense(self, state_nchw: Tensor, attended: Tensor, fires_n1hw: Tensor) -> Tensor:
        neighbours = self.perceive(reflected(attended))
        perceived = torch.cat([attended.to(neighbours.dtype), neighbours], dim=1)
        change = self._change(perceived.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return torch.where(fires_n1hw, state_nchw + change, state_nchw)

    def _attended(self, state_nchw: Tensor) -> Tensor:
        return state_nchw if self.attention is None else self.attention(state_nchw)

    def _change(self, perceived: Tensor) -> Tensor:
        """The change that cells, whose numbers lie in the last dimension, make of themselves."""
        change: Tensor = self.act(F.leaky_relu_(self.think(perceived)))
        return change


def filled(firing: Tensor) -> Tensor:
    """The indices `firing`, int64 (cells,), padded with 0 to a multiple of 16 or 64 cells.

    The number of firing cells differs from update to update, and for every new number of rows
    oneDNN generates machine code, which takes as long as the product of hundreds of rows.
    """
    return F.pad(firing, (0, -len(firing) % (16 if len(firing) <= 512 else 64)))


def _cells(state_nchw: Tensor) -> Tensor:
    """The cells of a grid as rows, (n × rows × columns, channels); free in channels-last memory."""
    return state_nchw.permute(0, 2, 3, 1).reshape(-1, state_nchw.shape[1])
