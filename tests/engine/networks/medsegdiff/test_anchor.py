"""The anchor: the Gaussian, the gate of eqs. 4 and 5, and the loss of eq. 3."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - torch's own name for it

from engine.networks.medsegdiff.anchor import AnchorGate, Gaussian, anchor_loss, anchored


def test_a_point_is_blurred_to_a_gaussian_of_each_channel_s_own_width() -> None:
    blur = Gaussian(2)
    widths = torch.tensor([0.7, 1.6])
    torch.nn.init.zeros_(blur.log_width)
    with torch.no_grad():
        blur.log_width.copy_(widths.log())
        point = torch.zeros(1, 2, 9, 9)
        point[:, :, 4, 4] = 1
        spread = blur(point)
    for channel, width in enumerate(widths.tolist()):
        line = torch.tensor([math.exp(-(x**2) / (2 * width**2)) for x in range(-3, 4)])
        line = line / line.sum()
        torch.testing.assert_close(spread[0, channel, 1:8, 1:8], line[:, None] * line)
    assert spread.sum().item() == pytest.approx(2)


def test_the_border_is_repeated() -> None:
    torch.manual_seed(0)
    blur, picture = Gaussian(3), torch.randn(2, 3, 8, 5)
    padded = F.pad(picture, (3, 3, 3, 3), mode="replicate")
    torch.testing.assert_close(blur(picture), blur(padded)[:, :, 3:-3, 3:-3])
    torch.testing.assert_close(blur(torch.ones(1, 3, 4, 4)), torch.ones(1, 3, 4, 4))


def test_the_gate_is_that_of_the_paper() -> None:
    torch.manual_seed(0)
    certain, unsure = AnchorGate(4, uncertain=False), AnchorGate(4, uncertain=True)
    unsure.load_state_dict(certain.state_dict(), strict=False)
    feature, first = torch.randn(2, 4, 8, 8), torch.randn(2, 6, 8, 8)
    weight, bias = certain.weigh.weight, certain.weigh.bias
    assert bias is not None
    assert unsure.blur is not None
    widened = torch.maximum(unsure.blur(feature), feature)
    torch.testing.assert_close(certain(feature), F.conv2d(feature, weight, bias).sigmoid())
    torch.testing.assert_close(unsure(feature), F.conv2d(widened, weight, bias).sigmoid())
    gate = unsure(feature)
    assert gate.shape == (2, 1, 8, 8)
    torch.testing.assert_close(anchored(first, gate), first * (1 + gate))


def test_only_every_fifth_timestep_trains_the_anchor() -> None:
    torch.manual_seed(0)
    logit = torch.randn(4, 1, 8, 8, requires_grad=True)
    share = (torch.rand(4, 1, 8, 8) > 0.5).float()
    anchor_loss(logit, share, torch.tensor([5, 6, 100, 99])).backward()
    assert logit.grad is not None
    assert [bool(each.any()) for each in logit.grad] == [True, False, True, False]
    whole = anchor_loss(logit, share, torch.tensor([5, 5, 5, 5]))
    probability = logit.sigmoid()
    dice = (2 * (probability * share).sum((1, 2, 3)) + 1) / (
        (probability + share).sum((1, 2, 3)) + 1
    )
    entropy = F.binary_cross_entropy(probability, share)
    torch.testing.assert_close(whole, (1 - dice).mean() + 10 * entropy)
    # The mean over the batch is the mean over its parts, as threads and processes divide it.
    times = torch.tensor([5, 6, 7, 10])
    parts = [anchor_loss(logit[some], share[some], times[some]) for some in ([0, 1], [2, 3])]
    torch.testing.assert_close(anchor_loss(logit, share, times), (parts[0] + parts[1]) / 2)
