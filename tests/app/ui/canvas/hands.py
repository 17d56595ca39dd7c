"""What a person does at the canvas with mouse, wheel and keys, and what is seen there."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QEvent, QPoint, QPointF, Qt
from PySide6.QtGui import QColor, QImage, QKeyEvent, QMouseEvent, QWheelEvent
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from nca_seg_app.session import Session
from nca_seg_app.ui.canvas.interaction import CanvasView

SHAPE = (48, 64)
LEFT, RIGHT = Qt.MouseButton.LeftButton, Qt.MouseButton.RightButton
MIDDLE, NO_BUTTON = Qt.MouseButton.MiddleButton, Qt.MouseButton.NoButton
NO_KEY, SHIFT = Qt.KeyboardModifier.NoModifier, Qt.KeyboardModifier.ShiftModifier
CONTROL = Qt.KeyboardModifier.ControlModifier


def place_of(canvas: CanvasView, row: float, column: float) -> QPointF:
    return QPointF(*canvas.placement.to_view(column, row))


def mouse(
    canvas: CanvasView,
    kind: QEvent.Type,
    row: float,
    column: float,
    button: Qt.MouseButton = LEFT,
    keys: Qt.KeyboardModifier = NO_KEY,
) -> None:
    place = place_of(canvas, row, column)
    pressed = Qt.MouseButton.NoButton if kind == QEvent.Type.MouseButtonRelease else button
    changed = Qt.MouseButton.NoButton if kind == QEvent.Type.MouseMove else button
    event = QMouseEvent(kind, place, canvas.mapToGlobal(place), changed, pressed, keys)
    QApplication.sendEvent(canvas, event)


def press(canvas: CanvasView, row: float, column: float, **more: object) -> None:
    mouse(canvas, QEvent.Type.MouseButtonPress, row, column, **more)  # type: ignore[arg-type]


def drag(canvas: CanvasView, row: float, column: float, **more: object) -> None:
    mouse(canvas, QEvent.Type.MouseMove, row, column, **more)  # type: ignore[arg-type]


def release(canvas: CanvasView, row: float, column: float, **more: object) -> None:
    mouse(canvas, QEvent.Type.MouseButtonRelease, row, column, **more)  # type: ignore[arg-type]


def key(
    canvas: CanvasView,
    which: Qt.Key,
    keys: Qt.KeyboardModifier = NO_KEY,
    kind: QEvent.Type = QEvent.Type.KeyPress,
) -> bool:
    """Whether the canvas wants the key for itself; it is pressed then."""
    asked = QKeyEvent(QEvent.Type.ShortcutOverride, which, keys)
    asked.ignore()
    QApplication.sendEvent(canvas, asked)
    if asked.isAccepted():
        QApplication.sendEvent(canvas, QKeyEvent(kind, which, keys))
    return asked.isAccepted()


def wheel(canvas: CanvasView, place: QPointF, turned: int, keys: Qt.KeyboardModifier) -> None:
    event = QWheelEvent(
        place,
        canvas.mapToGlobal(place),
        QPoint(),
        QPoint(0, turned),
        Qt.MouseButton.NoButton,
        keys,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QApplication.sendEvent(canvas, event)


def mask_of(session: Session) -> np.ndarray:
    assert session.workspace.document is not None
    return session.workspace.document.mask_hw


def footprint(row: float, column: float, radius_px: float) -> np.ndarray:
    rows, columns = np.ogrid[: SHAPE[0], : SHAPE[1]]
    return (rows + 0.5 - row) ** 2 + (columns + 0.5 - column) ** 2 <= radius_px**2


def looks(canvas: CanvasView) -> QImage:
    return canvas.grab().toImage()


def colour_at(picture: QImage, place: QPointF) -> QColor:
    return picture.pixelColor(place.toPoint())


def run_model(session: Session, qtbot: QtBot) -> None:
    session.model_library.refresh()
    qtbot.waitUntil(lambda: session.model_library.chosen is not None)
    with qtbot.waitSignal(session.segmentation.completed):
        session.segment()
