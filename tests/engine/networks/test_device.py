"""Which device is chosen, and what is said of one that cannot be used."""

from __future__ import annotations

import pytest
import torch

from engine.networks.device import PRECISION, choose


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


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_environment_forces_a_precision_where_none_was_asked_for(
    monkeypatch: pytest.MonkeyPatch, precision: str
) -> None:
    monkeypatch.setenv(PRECISION, precision)
    assert choose("cpu").precision == precision
    assert choose("cpu", "float32").precision == "float32"
    monkeypatch.setenv(PRECISION, "half")
    with pytest.raises(ValueError, match="NCA_SEG_PRECISION is 'half', not float32 or bfloat16"):
        choose("cpu")
