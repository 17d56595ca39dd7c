"""Copies what an optimizer step changes, so that the step can be undone."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


class StepBackup:
    """A copy of tensors that change in place, such as weights and what optimizers remember.

    Parameters
    ----------
    tensors : what is copied; they stay the same tensors as long as the backup is used.
    """

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        self._tensors = [tensor.detach() for tensor in tensors]
        self._copies = [tensor.clone() for tensor in self._tensors]

    @torch.no_grad()
    def take(self) -> None:
        """Copy the tensors as they are now."""
        torch._foreach_copy_(self._copies, self._tensors)

    @torch.no_grad()
    def restore(self) -> None:
        """Put back what was copied last; may be called again if it was interrupted."""
        torch._foreach_copy_(self._tensors, self._copies)

    @torch.no_grad()
    def restore_unless(self, kept: Tensor) -> None:
        """Put it back if `kept`, a bool without dimensions, is false; the device decides."""
        for tensor, copy in zip(self._tensors, self._copies, strict=True):
            torch.where(kept, tensor, copy, out=tensor)
