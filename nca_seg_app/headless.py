"""Segments one image without a display, by the same session and window that a person would use."""

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
#: How long to wait before the window is painted to a file: some of it is updated with a delay.
SETTLE_MS = 400
#: A harmless warning of Qt's offscreen platform about every window with a minimum size.
KNOWN_COMPLAINT = "This plugin does not support propagateSizeHints()"
OUTLINE_COLOUR, CASING_COLOUR = "#00d5ff", "#101010"


class Failure(Exception):
    """The work could not be done; its text is a sentence for the person."""


class Nobody:
    """Answers the questions of a session when nobody is there to ask."""

    def ask_save(self, name: str) -> Answer:
        """Discard, because nothing was drawn."""
        return "discard"

    def ask_whose(self, name: str, changed: ChangedOutside) -> Whose:
        """Cancel, because only a person can decide."""
        return "cancel"

    def ask_path(self, kind: PathKind, suggestion: Path) -> Path | None:
        """None, as if the dialog was closed."""
        return None

    def confirm(self, question: str) -> bool:
        """Yes, because the only question is whether to end."""
        return True


@contextmanager
def without_known_complaint() -> Iterator[None]:
    """Suppress `KNOWN_COMPLAINT`; other messages of Qt are printed to stderr as before."""

    def tell(kind: QtMsgType, context: QMessageLogContext, text: str) -> None:
        if text != KNOWN_COMPLAINT:
            print(qFormatLogMessage(kind, context, text), file=sys.stderr)

    before = qInstallMessageHandler(tell)
    try:
        yield
    finally:
        qInstallMessageHandler(before)


def run_headless(app: QApplication, paths: list[Path], out: Path) -> str:
    """Segment an image, and write the result and a picture of the window.

    Parameters
    ----------
    app : the running application.
    paths : the first one is segmented; without any, a sample image.
    out : the folder to write to.

    Returns
    -------
    A sentence for the person about what was written.

    Raises
    ------
    Failure : if it did not work.
    """
    # Only a person can decide about what an interrupted fine-tuning left.
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
    """Does the work of `run_headless` in a session."""
    window.resize(WINDOW_SIZE)
    window.show()
    failures: list[str] = []
    session.context.failed.connect(lambda text, details: failures.append(text))
    session.context.failed.connect(lambda text, details: log.error("%s\n%s", text, details))

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
    """The image at its own size, with the outline of the result's mask at `threshold` over it."""
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
    """Run the event loop until `holds()` is true."""
    loop, timer = QEventLoop(), QTimer(interval=POLL_MS)
    timer.timeout.connect(lambda: loop.quit() if holds() else None)
    timer.start()
    if not holds():
        loop.exec()
    timer.stop()
