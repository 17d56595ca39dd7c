"""The disk is full, the folder goes away, becomes read-only, or the clock is wrong."""

from __future__ import annotations

from pathlib import Path

from tests.campaigns.aftermath import Faults
from tests.campaigns.disk_scenarios import SCENARIOS
from tests.campaigns.harness import Trial, program

LIMIT_S = 90.0
#: Each scenario comes so often, with other moments.
REPEATS = 4


def campaign() -> Disk:
    """The campaign."""
    return Disk()


class Disk:
    """Every scenario some times, each in a process of its own."""

    count = REPEATS * len(SCENARIOS)

    def trial(self, number: int, seed: int, folder: Path) -> Trial:
        """Play one scenario; what it finds it tells as events."""
        name, faults = list(SCENARIOS)[number % len(SCENARIOS)], Faults()
        with program(
            "tests.campaigns.disk_scenarios", name, f"{seed}/{number}", folder / "place",
            folder=folder, name=name,
        ) as run:  # fmt: skip
            if not run.ends(LIMIT_S):
                faults.add("hung", f"no end within {LIMIT_S:.0f} s")
            faults.complaint(run, name)
            told = run.lines()
        skipped = [line["why"] for line in told if line["event"] == "skipped"]
        if skipped:
            return Trial(number, name, "skipped", skipped[0])
        for line in told:
            if line["event"] == "fault":
                faults.add(line["verdict"], line["text"])
        if not faults.found and not any(line["event"] == "played" for line in told):
            faults.add("traceback", f"it ended with {run.process.returncode}")
        return Trial.of(number, name, faults.found)

    def close(self) -> None:
        """Nothing is kept between trials."""
