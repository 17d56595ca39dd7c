"""Law: the anchor alone answers as the anchor of the whole network does, in one step."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from engine.diffusion.ensemble import segment
from engine.diffusion.model import Model
from engine.networks.device import choose
from engine.networks.medsegdiff.config import MedSegDiffV2Config
from engine.networks.medsegdiff.networks import MedSegDiffV2
from engine.networks.table import build
from engine.report.comparison.anchor import anchor_alone
from engine.report.comparison.document import with_section
from engine.report.comparison.methods import method
from engine.types import Image, ModelSpec, SampleSettings
from tests.oracles import disk, lesion

SPEC = ModelSpec(
    "tiny",
    "medsegdiff-v2",
    MedSegDiffV2Config(
        base=8, multipliers=(1, 1, 1), blocks=1, condition_base=8, condition_multipliers=(1, 1, 1),
        tokens=16, depth=1,
    ),
    predicts="clean", mask_scale=0.2, size=16,
)  # fmt: skip


def test_the_anchor_alone_is_the_networks_own_anchor() -> None:
    torch.manual_seed(0)
    network = build(SPEC)
    assert isinstance(network, MedSegDiffV2)
    assert network.look is not None
    alone = anchor_alone(Model(network, choose("cpu", "float32")))
    image: Image = lesion(disk(16))
    *_, result = segment(alone, image, SampleSettings(views="plain"))
    pixels_n3hw = torch.from_numpy(image.pixels_hwc / np.float32(255)).permute(2, 0, 1)[None]
    with torch.no_grad():
        given = dict(zip(network.given, network.condition(pixels_n3hw * 2 - 1), strict=True))
    anchor_hw = given["anchor"].sigmoid()[0, 0].numpy()
    assert result.members_nhw.shape == (1, 16, 16)
    np.testing.assert_allclose(result.mean_hw, anchor_hw, atol=1e-5)
    counted = sum(weight.numel() for weight in alone.network.parameters())
    assert counted == sum(weight.numel() for weight in network.look.parameters())


def test_a_network_without_an_anchor_has_none_alone() -> None:
    with pytest.raises(ValueError, match="has no anchor"):
        method("U-Net-0.4M:anchor")
    assert method("medsegdiff-v2-small:anchor").name == "MedSegDiff-V2-small:anchor"
    none = SPEC.changed(anchor="none")
    with pytest.raises(TypeError, match="has no anchor"):
        anchor_alone(Model(build(none), choose("cpu", "float32")))


def test_only_what_is_between_the_markers_is_replaced() -> None:
    text = with_section("# Title\n\nBy hand.\n", "time", "one\n")
    text = with_section(text, "samples", "two\n") + "\nAfter.\n"
    again = with_section(text, "time", "three\n")
    assert again == text.replace("one", "three")
    assert with_section(again, "time", "three\n") == again
    with pytest.raises(ValueError, match="without"):
        with_section("<!-- begin of equal time -->\n", "time", "")
