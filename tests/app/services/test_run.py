"""Law: what a run is said to draw is what its network draws."""

from __future__ import annotations

from engine.networks.table import preset
from engine.types import SampleSettings
from nca_seg_app.services.run import drawn_by

ASKED = SampleSettings(steps=2, members=10)


def test_a_network_that_sees_no_noise_draws_one_member_for_each_view_in_one_step() -> None:
    spec = preset("U-Net-0.4M")
    drawn = drawn_by(spec, ASKED)
    assert (drawn.steps, drawn.members) == (1, 4)
    assert drawn_by(spec, SampleSettings(views="plain", members=0)).members == 1
    assert drawn_by(spec, SampleSettings(members=1)).members == 4


def test_any_other_network_draws_what_is_asked_for() -> None:
    assert drawn_by(preset("MultiCBAM-ours"), ASKED) == ASKED
