"""What every service is given: what is open, where work is done, and how to tell and ask."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, QTimer, Signal

from engine.study.study import Writer
from nca_seg_app.background.jobs import Jobs
from nca_seg_app.background.tasks import Tasks
from nca_seg_app.services.engine import Engine
from nca_seg_app.services.error_messages import explain
from nca_seg_app.services.prompts import Prompts
from nca_seg_app.state import settings as settings_files
from nca_seg_app.state.settings import Settings
from nca_seg_app.state.workspace import Workspace

#: How long settings have to rest before they are written.
SETTINGS_REST_MS = 400


class Context(QObject):
    """What services share: the engine's door, prompts, settings, workspace, jobs and queues.

    `lane` does short work on files and masks in order, `aside` what need not wait for it, and
    `jobs` long work. `writer` names this window as the one whose drafts it writes.
    """

    settings_changed = Signal()
    #: A sentence for the status bar.
    message = Signal(str)
    #: A sentence and its copyable details.
    failed = Signal(str, str)

    def __init__(
        self,
        engine: Engine,
        prompts: Prompts,
        settings: Settings | None = None,
        settings_file: Path | None = None,
        parent: QObject | None = None,
    ) -> None:
        """A context with nothing open. Without `settings_file` settings are not kept."""
        super().__init__(parent)
        self.engine = engine
        self.prompts = prompts
        self.workspace = Workspace(self)
        self.writer = Writer()
        self.lane = Tasks(self)
        # Two threads: loading torch takes seconds, and thumbnails should not wait for it.
        self.aside = Tasks(self, threads=2)
        self.jobs = Jobs(self)
        self._settings = settings or Settings()
        self._settings_file = settings_file
        self._settings_timer = QTimer(self, singleShot=True, interval=SETTINGS_REST_MS)
        self._settings_timer.timeout.connect(self._write_settings)

    @property
    def settings(self) -> Settings:
        """What a person has chosen."""
        return self._settings

    def change_settings(self, **changes: Any) -> None:
        """Change settings and keep them on disk. Raises ValueError where one is out of range."""
        changed = dataclasses.replace(self._settings, **changes)
        if changed != self._settings:
            self._settings = changed
            self._settings_timer.start()
            self.settings_changed.emit()

    def fail(self, error: BaseException) -> None:
        """Tell the person what went wrong."""
        self.failed.emit(*explain(error))

    def close(self) -> None:
        """Write what is left to write and end the queues. Jobs have ended by then."""
        if self._settings_timer.isActive():
            self._settings_timer.stop()
            self._write_settings()
        self.lane.close()
        self.aside.close()
        self.writer.close()

    def _write_settings(self) -> None:
        file, settings = self._settings_file, self._settings
        if file is not None:
            self.lane.run(lambda: settings_files.save(settings, file), None, self.fail)
