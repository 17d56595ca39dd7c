"""make campaign: all trials, or some; a table at the end, and 1 where anything was lost."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path

from tests.campaigns.harness import FAULTS, Campaign, Tally, Trial, table

NAMES = ("kills", "mutants", "two_windows", "disk")
#: Two processes at once: what a machine has at least.
AT_ONCE = 2
#: Faults of one kind and end that are told one by one; the others are counted.
TOLD = 5


def main() -> int:
    """Run what was asked for; 0 where every trial held."""
    asked = _parser().parse_args()
    until = time.monotonic() + 60 * asked.minutes
    scratch = Path(tempfile.mkdtemp(prefix="nca-seg-campaign-"))
    try:
        tallies = [_run(name, asked, until, scratch) for name in asked.only or NAMES]
    finally:
        if not asked.keep:
            shutil.rmtree(scratch, ignore_errors=True)
    print(f"\nSeed {asked.seed}\n\n{table(tallies)}")
    faults = sum(tally.faults for tally in tallies)
    print(f"\n{faults} faults" if faults else "\nNothing was lost.")
    return 1 if faults else 0


def _run(name: str, asked: argparse.Namespace, until: float, scratch: Path) -> Tally:
    campaign: Campaign = import_module(f"tests.campaigns.{name}").campaign()
    count = campaign.count if asked.count is None else asked.count
    numbers = range(count) if asked.number is None else [asked.number]
    tally, began = Tally(name), time.monotonic()

    def one(number: int) -> Trial | None:
        if time.monotonic() > until:
            return None
        folder = scratch / f"{name}-{number}"
        folder.mkdir()
        try:
            return campaign.trial(number, asked.seed, folder)
        except Exception as error:
            # A trial that breaks must not end the others, and is as bad as a program that does.
            place = traceback.extract_tb(error.__traceback__)[-1]
            where = f"{Path(place.filename).name}:{place.lineno}"
            return Trial(number, "the trial", "traceback", f"{where}: {error!r}"[:400])
        finally:
            if not asked.keep:
                shutil.rmtree(folder, ignore_errors=True)

    print(f"{name}: {len(numbers)} trials", flush=True)
    try:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            for trial in pool.map(one, numbers):
                if trial is None:
                    tally.add(Trial(-1, "no time was left for", "skipped"))
                    continue
                tally.add(trial)
                if trial.verdict in FAULTS and tally.ends[trial.kind][trial.verdict] <= TOLD:
                    _tell(name, trial, asked.seed)
    finally:
        campaign.close()
    print(f"{name}: {tally.faults} faults, {time.monotonic() - began:.0f} s", flush=True)
    return tally


def _tell(name: str, trial: Trial, seed: int) -> None:
    again = f"make campaign ARGS='--only {name} --number {trial.number} --seed {seed}'"
    print(f"  {trial.verdict}: {trial.kind}: {trial.found}\n    {again}", flush=True)


def _parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="make campaign", description=__doc__)
    made.add_argument("--only", action="append", choices=NAMES, help="one campaign, or several")
    made.add_argument("--count", type=int, help="this many trials of each, instead of all")
    made.add_argument("--number", type=int, help="the trial of this number alone")
    made.add_argument("--seed", type=int, default=1, help="what the trials are drawn from")
    made.add_argument("--minutes", type=float, default=25.0, help="begin no trial after this time")
    made.add_argument("--keep", action="store_true", help="leave the folders of the trials")
    return made


if __name__ == "__main__":
    sys.exit(main())
