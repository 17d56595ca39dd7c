"""Builds the application: opens the window first, then loads models and torch in the background."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from contextlib import nullcontext
from pathlib import Path

from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QApplication

from nca_seg_app.crash_log import catch_everything
from nca_seg_app.headless import Failure, run_headless, without_known_complaint
from nca_seg_app.services.engine import real_engine, warm_up
from nca_seg_app.session import Session
from nca_seg_app.shutdown import Endings
from nca_seg_app.state import settings as settings_files
from nca_seg_app.state.settings import Settings, UnreadableSettings
from nca_seg_app.ui.dialogs import Dialogs
from nca_seg_app.ui.widgets.theme import apply_theme
from nca_seg_app.ui.window import Window

log = logging.getLogger("nca_seg_app")


def run(chosen: argparse.Namespace, out: Path | None) -> int:
    """Run the application, and return the exit status.

    Parameters
    ----------
    chosen : the parsed command line.
    out : the folder to write to without a window, or None to open the window.
    """
    if out is not None:
        os.environ["QT_QPA_PLATFORM"] = "offscreen"
    app = QApplication(sys.argv[:1])
    app.setApplicationName("nca-seg-app")
    app.setDesktopFileName("nca-seg-app")
    with without_known_complaint() if app.platformName() == "offscreen" else nullcontext():
        if out is None:
            return _show(app, chosen)
        try:
            print(run_headless(app, chosen.paths, out))
        except Failure as failure:
            print(failure, file=sys.stderr)
            return 1
        return 0


def _show(app: QApplication, chosen: argparse.Namespace) -> int:
    """Show the window until it is closed, and return the exit status."""
    endings = Endings(app)
    window = open_window(app)
    endings.guard(window.session.saving.write_at_end, lambda: window.is_closed)
    if chosen.paths:
        window.session.opening.open_path(chosen.paths)
    elif chosen.sample:
        window.session.opening.open_sample()
    status = app.exec()
    endings.leave(status)
    return status


def open_window(app: QApplication) -> Window:
    """Show the window; the models are listed and loaded once it has been painted."""
    trouble: Exception | None = None
    try:
        settings = settings_files.load(settings_files.settings_path())
    except UnreadableSettings as error:
        settings, trouble = Settings(), error
    apply_theme(app, settings.theme)
    dialogs = Dialogs()
    session = Session(real_engine(), dialogs, settings, settings_files.settings_path())
    window = Window(session)
    dialogs.parent = window
    session.context.failed.connect(lambda text, details: log.error("%s\n%s", text, details))
    catch_everything(window.commands.broke.emit)
    if trouble is not None:
        session.context.fail(trouble)
    session.model_library.listed.connect(session.model_library.warm_up)
    window.show()
    # Queued after what show() queues, so that the window is painted before torch is loaded.
    QTimer.singleShot(0, lambda: session.context.aside.run(warm_up))
    QTimer.singleShot(0, session.model_library.refresh)
    return window
