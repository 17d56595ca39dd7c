"""Which device is chosen, and what is said of one that cannot be used."""

from __future__ import annotations

import pytest
import torch

from engine.device import choose


def test_a_cuda_device_that_this_build_has_no_code_for_is_not_chosen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def no_code(*_: object, **__: object) -> None:
        raise RuntimeError("CUDA error: no kernel image is available\nand a long explanation")

    monkeypatch.setattr(torch.backends.cuda, "is_built", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch, "zeros", no_code)
    found = choose("auto")
    assert found.name == "cpu"
    assert found.reason == (
        "the CUDA device does not compute (CUDA error: no kernel image is available)"
    )
    with pytest.raises(ValueError, match="no kernel image"):
        choose("cuda")
