"""Without a display the same session does the same work, and the same window is painted to a file.

Nothing here takes another path than a person at the window would.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from PySide6.QtCore import (
    QBuffer,
    QByteArray,
    QEventLoop,
    QIODevice,
    QMessageLogContext,
    QPointF,
    QSize,
    Qt,
    QTimer,
    QtMsgType,
    qFormatLogMessage,
    qInstallMessageHandler,
)
from PySide6.QtGui import QColor, QImage, QImageWriter, QPainter, QPen, QPolygonF
from PySide6.QtWidgets import QApplication

from engine.errors import ChangedOutside, EngineError
from engine.files import write_atomic
from engine.masks.outlines import outline
from engine.study.results import write_result
from engine.types import EnsembleResult, Image
from nca_seg_app.services.engine import real_engine
from nca_seg_app.services.error_messages import sentence
from nca_seg_app.services.prompts import Answer, PathKind, Whose
from nca_seg_app.session import Has, Session
from nca_seg_app.state.settings import Settings
from nca_seg_app.ui.widgets.theme import apply_theme
from nca_seg_app.ui.window import Window

log = logging.getLogger(__name__)

WINDOW_SIZE = QSize(1440, 900)
POLL_MS = 20
#: Time for the window to show what it was told: some of it is painted at a pace.
SETTLE_MS = 400
#: Qt's offscreen platform says so of every window with a smallest size; nothing follows from it.
KNOWN_COMPLAINT = "This plugin does not support propagateSizeHints()"
OUTLINE_COLOUR, CASING_COLOUR = "#00d5ff", "#101010"


class Failure(Exception):
    """A sentence for the person about what kept the work from being done."""


class Nobody:
    """Answers for a person who is not there: keep nothing that was not asked for."""

    def ask_save(self, name: str) -> Answer:
        """Nothing was drawn that is worth keeping."""
        return "discard"

    def ask_whose(self, name: str, changed: ChangedOutside) -> Whose:
        """Nobody is there to say."""
        return "cancel"

    def ask_path(self, kind: PathKind, suggestion: Path) -> Path | None:
        """No path."""
        return None

    def confirm(self, question: str) -> bool:
        """Yes, since all that is asked is whether to end."""
        return True


@contextmanager
def without_known_complaint() -> Iterator[None]:
    """Keep `KNOWN_COMPLAINT` from the terminal; whatever else Qt says goes there as before."""

    def tell(kind: QtMsgType, context: QMessageLogContext, text: str) -> None:
        if text != KNOWN_COMPLAINT:
            print(qFormatLogMessage(kind, context, text), file=sys.stderr)

    before = qInstallMessageHandler(tell)
    try:
        yield
    finally:
        qInstallMessageHandler(before)


def run_headless(app: QApplication, paths: list[Path], out: Path) -> str:
    """Segment the first of `paths`, or a sample, into `out`; gives the sentence that says so.

    Raises Failure with a sentence where that did not work.
    """
    # What a window left is for somebody to decide about.
    engine = replace(real_engine(), unfinished=lambda: None)
    session = Session(engine, Nobody(), Settings(theme="dark", run_ahead=False))
    apply_theme(app, session.context.settings.theme)
    window = Window(session)
    try:
        return _work(session, window, paths, out)
    except (EngineError, OSError) as error:
        raise Failure(sentence(error)) from error
    finally:
        window.close()
        window.deleteLater()


def _work(session: Session, window: Window, paths: list[Path], out: Path) -> str:
    window.resize(WINDOW_SIZE)
    window.show()
    failures: list[str] = []
    session.context.failed.connect(lambda told, details: failures.append(told))
    session.context.failed.connect(lambda told, details: log.error("%s\n%s", told, details))

    def wait(holds: Callable[[], bool]) -> None:
        _wait(lambda: holds() or bool(failures))
        if failures:
            raise Failure(failures[0])

    listed: list[bool] = []
    session.model_library.listed.connect(lambda: listed.append(True))
    session.model_library.refresh()
    wait(lambda: bool(listed))
    if session.model_library.chosen is None:
        raise Failure("No model is installed, so nothing can be segmented; see nca-seg models.")
    if paths:
        session.opening.open_path(paths[0])
    else:
        session.opening.open_sample()
    wait(lambda: Has.IMAGE in session.capabilities)
    began = time.monotonic()
    session.segment()
    wait(lambda: not session.segmentation.running and Has.IDLE in session.capabilities)
    seconds = time.monotonic() - began
    image, path = session.workspace.image, session.workspace.path
    result, run = session.segmentation.result, session.segmentation.run
    if image is None or path is None or result is None or run is None:
        raise Failure("The model gave no result.")
    write_result(
        out, path.stem, result, image, run.model.name, run.model.fingerprint,
        run.settings, session.proposal.threshold, seconds,
    )  # fmt: skip
    overlay = overlay_picture(image, result, session.proposal.threshold)
    write_atomic(out / f"{path.stem}_overlay.png", png(overlay))
    session.view_state.fit_requested.emit()
    began = time.monotonic()
    _wait(lambda: time.monotonic() - began > SETTLE_MS / 1000)
    write_atomic(out / "window.png", png(window.grab().toImage()))
    return (
        f"{path.name} was segmented without a display in {seconds:.1f} s: mask, variance map, "
        f"overlay, record and a picture of the window are in {out}."
    )


def overlay_picture(image: Image, result: EnsembleResult, threshold: float) -> QImage:
    """The image at its own size with the result's outline over it."""
    pixels_hwc = image.pixels_hwc
    picture = QImage(
        pixels_hwc.tobytes(), image.width, image.height, 3 * image.width,
        QImage.Format.Format_RGB888,
    ).convertToFormat(QImage.Format.Format_RGB32)  # fmt: skip
    width = max(2.0, min(image.height, image.width) / 160)
    painter = QPainter(picture)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    for contour_rc in outline(result.mask(threshold)):
        line = QPolygonF([QPointF(column, row) for row, column in contour_rc.tolist()])
        for colour, share in ((CASING_COLOUR, 2.0), (OUTLINE_COLOUR, 1.0)):
            pen = QPen(QColor(colour), width * share)
            pen.setJoinStyle(Qt.PenJoinStyle.RoundJoin)
            painter.setPen(pen)
            painter.drawPolyline(line)
    painter.end()
    return picture


def png(picture: QImage) -> bytes:
    """The picture as the bytes of a PNG file."""
    buffer = QBuffer()
    buffer.open(QIODevice.OpenModeFlag.WriteOnly)
    QImageWriter(buffer, QByteArray(b"PNG")).write(picture)
    return bytes(buffer.data().data())


def _wait(holds: Callable[[], bool]) -> None:
    """Let the event loop run until something holds."""
    loop, timer = QEventLoop(), QTimer(interval=POLL_MS)
    timer.timeout.connect(lambda: loop.quit() if holds() else None)
    timer.start()
    if not holds():
        loop.exec()
    timer.stop()
