"""Which device is chosen, and what is said of one that cannot be used."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch

from engine.networks.device import PRECISION, DeviceChoice, choose


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


@pytest.mark.parametrize("name", ["cuda:0", "mps", "CPU", "gpu", ""])
def test_a_device_that_is_none_is_refused_by_its_name(name: str) -> None:
    with pytest.raises(ValueError, match=f"^device is '{name}', not auto, cpu or cuda$"):
        choose(name)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=f"^device is '{name}', not cpu or cuda$"):
        DeviceChoice(name, "float32", "a test")


@pytest.mark.parametrize("precision", ["bf16", "fp16", "Float32", ""])
def test_a_precision_that_is_none_is_refused_by_its_name(
    monkeypatch: pytest.MonkeyPatch, precision: str
) -> None:
    # What was asked for is named, not what the environment says.
    monkeypatch.setenv(PRECISION, "float32")
    told = f"^precision is '{precision}', not auto, float32 or bfloat16$"
    with pytest.raises(ValueError, match=told):
        choose("cpu", precision)
    with pytest.raises(ValueError, match=f"^precision is '{precision}', not float32 or bfloat16$"):
        DeviceChoice("cpu", precision, "a test")


FORKS = """
import os
import signal

from engine import SampleSettings, segment
from tests.oracles import disk, lesion, lively_model

model, picture = lively_model(), lesion(disk(16))


def answer():
    *_, last = segment(model, picture, SampleSettings(members=4))
    return last.members_nhw


before = answer()
child = os.fork()
if not child:
    # What hangs is ended by the system.
    signal.alarm(30)
    os._exit(7 if (answer() == before).all() else 1)
_, status = os.waitpid(child, 0)
assert (answer() == before).all()
print(os.waitstatus_to_exitcode(status))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_the_child_of_a_fork_computes_with_workers_of_its_own() -> None:
    done = subprocess.run(
        [sys.executable, "-c", FORKS], capture_output=True, text=True, timeout=100
    )
    assert done.stdout.split() == ["7"], done.stderr


def test_float32_on_a_gpu_is_not_rounded_to_tf32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.networks.device._why_not_cuda", lambda: "")
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: True)
    places = torch.backends.cuda.matmul, torch.backends.cudnn.conv
    before = [place.fp32_precision for place in places]
    try:
        for place in places:
            place.fp32_precision = "tf32"
        assert str(choose("auto")) == "CUDA bf16"
        assert [place.fp32_precision for place in places] == ["ieee", "ieee"]
    finally:
        for place, precision in zip(places, before, strict=True):
            place.fp32_precision = precision
