"""Tells where the program keeps its own files: models, studies of read-only folders."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs


def home_folder() -> Path:
    """Where models, and studies of read-only folders, are kept; NCA_SEG_HOME says another place."""
    return Path(os.environ.get("NCA_SEG_HOME") or platformdirs.user_data_path("nca-seg"))
