"""Tells where the program keeps its own files: models, studies of read-only folders."""

from __future__ import annotations

import os
from pathlib import Path


def home_folder() -> Path:
    """Where models, and studies of read-only folders, are kept; NCA_SEG_HOME says another place."""
    if chosen := os.environ.get("NCA_SEG_HOME"):
        return Path(chosen)
    # Here alone: whoever keeps nothing there, as a training on a bare machine, needs no such place.
    import platformdirs

    return Path(platformdirs.user_data_path("nca-seg"))
