"""Scenarios of disks and folders, each played in a process of its own."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.campaigns import full_disk, lost_folder
from tests.campaigns.journal import note
from tests.campaigns.stage import Skipped

SCENARIOS: Mapping[str, Callable[[random.Random, Path], None]] = {
    scenario.__name__: scenario
    for scenario in (
        full_disk.full_study, full_disk.limited_study, full_disk.full_session,
        full_disk.full_export, full_disk.full_segment, full_disk.full_training,
        lost_folder.renamed, lost_folder.renamed_above, lost_folder.deleted,
        lost_folder.file_instead, lost_folder.unmounted, lost_folder.masks_folder_deleted,
        lost_folder.image_replaced, lost_folder.opened_read_only, lost_folder.becomes_read_only,
        lost_folder.future_mask,
    )
}  # fmt: skip


def main() -> None:
    name, seed, place = sys.argv[1], sys.argv[2], Path(sys.argv[3])
    place.mkdir()
    try:
        SCENARIOS[name](random.Random(f"{name}/{seed}"), place)
    except Skipped as reason:
        note("skipped", why=str(reason))
    note("played")


if __name__ == "__main__":
    main()
