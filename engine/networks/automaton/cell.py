"""The update of a cell as the paper defines it, in the form that is trained.

The steps: attend (if the model has attention), perceive, think, act, and add the change in the
cells that fire.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own name for it
from torch import Tensor, nn

from engine.networks.automaton.cbam import CBAM


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
    """

    def __init__(self, channels: int, hidden: int, attention: bool) -> None:
        super().__init__()
        self.attention = CBAM(channels) if attention else None
        self.perceive = nn.Conv2d(channels, 2 * channels, 3)
        self.think = nn.Linear(3 * channels, hidden)
        self.act = nn.Linear(hidden, channels, bias=False)
        nn.init.zeros_(self.act.weight)

    def forward(self, state_nchw: Tensor, fires_n1hw: Tensor) -> Tensor:
        """The state after one update; only firing cells pass through the MLP and change.

        Parameters
        ----------
        state_nchw : float32 (n, channels, rows, columns).
        fires_n1hw : bool (n, 1, rows, columns), true for the cells that fire.
        """
        n, channels, rows, columns = state_nchw.shape
        attended = state_nchw if self.attention is None else self.attention(state_nchw)
        neighbours = self.perceive(F.pad(attended, (1, 1, 1, 1), mode="reflect"))
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
        change = self.act(F.leaky_relu(self.think(perceived)))[: len(firing)]
        cells = _cells(state_nchw).index_add(0, firing, change.to(state_nchw.dtype))
        return cells.view(n, rows, columns, channels).permute(0, 3, 1, 2)


def filled(firing: Tensor) -> Tensor:
    """The indices `firing`, int64 (cells,), padded with 0 to a multiple of 16 or 64 cells.

    The number of firing cells differs from update to update, and for every new number of rows
    oneDNN generates machine code, which takes as long as the product of hundreds of rows.
    """
    return F.pad(firing, (0, -len(firing) % (16 if len(firing) <= 512 else 64)))


def _cells(state_nchw: Tensor) -> Tensor:
    """The cells of a grid as rows, (n × rows × columns, channels); free in channels-last memory."""
    return state_nchw.permute(0, 2, 3, 1).reshape(-1, state_nchw.shape[1])
