"""The canvas gives the hand's points to the tool in hand, and the session's image to the eye."""

from __future__ import annotations

import shiboken6
from PySide6.QtCore import QEvent, QPointF, QRectF, Qt, Signal
from PySide6.QtGui import (
    QFocusEvent,
    QKeyEvent,
    QKeySequence,
    QMouseEvent,
    QNativeGestureEvent,
    QPainter,
    QPainterPath,
    QPolygonF,
    QWheelEvent,
)
from PySide6.QtWidgets import QApplication, QWidget

from nca_seg_app.actions import find_action
from nca_seg_app.session import Session
from nca_seg_app.ui.canvas import painting
from nca_seg_app.ui.canvas.coordinates import to_point, to_rc
from nca_seg_app.ui.canvas.deferred_input import DeferredInput
from nca_seg_app.ui.canvas.empty_state import Doorway
from nca_seg_app.ui.canvas.tools import DRAWING_TOOLS, DrawingTool, Point
from nca_seg_app.ui.canvas.viewport import Placement

#: Wheel units (eighths of a degree) that double the magnification.
WHEEL_DOUBLES = 420.0
#: One notch of a usual wheel, in the same units.
WHEEL_NOTCH = 120
#: A press that moved no further than this, in view units, is a click.
CLICK_DISTANCE = 4.0

Button = Qt.MouseButton
Key = Qt.Key


class CanvasView(Doorway):
    """The image with mask, proposal and maps over it, and the tools that draw on it."""

    #: What is under the pointer, for the status bar; empty where there is nothing.
    pointed = Signal(str)

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(session, parent)
        self._tool: DrawingTool | None = None
        self._pointer: QPointF | None = None
        self._pressed_at: QPointF | None = None
        self._panned_from: QPointF | None = None
        #: The button that began a pan or a stroke; it alone ends it.
        self._held = Button.NoButton
        self._shift = False
        self._notches = 0
        #: Where the keyboard was before Space was held, if elsewhere.
        self._keyboard: QWidget | None = None
        self._takeover = DeferredInput(session, self)
        self._takeover.ended.connect(self.update)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMouseTracking(True)
        self.setAccessibleName("Canvas")
        session.view_state.tool_changed.connect(self._adopt_tool)
        session.opening.preview_changed.connect(self._adopt_tool)
        session.context.settings_changed.connect(self._adopt_cursor)
        session.proposal.changed.connect(self._tell_pointed)
        session.view_state.shown_changed.connect(self._tell_pointed)
        self.adopt_image()

    def hold_bare(self) -> None:
        """Show the bare image while Space, pressed wherever the keyboard is, is held."""
        if self.layers.picture is not None:
            self._keyboard = QApplication.focusWidget()
            self.setFocus(Qt.FocusReason.OtherFocusReason)
            self._set_bare(True)

    @property
    def tool(self) -> DrawingTool | None:
        """The tool that draws on the open image, or None while there is nothing to draw."""
        return self._tool

    # What the session says

    def adopt_image(self) -> None:
        """Begin anew with the session's image."""
        # A stroke on the old image went with its document.
        self._tool, self._panned_from, self._pressed_at = None, None, None
        self._takeover.forget()
        super().adopt_image()
        self._adopt_tool()
        self._tell_pointed()

    def place(self, placement: Placement, fits: bool = False) -> None:
        super().place(placement, fits)
        # Another pixel lies under a pointer that rests, and the brush may need a cursor now.
        self._tell_pointed()
        self._adopt_cursor()

    def _adopt_tool(self) -> None:
        session, document, image = (
            self.session,
            self.session.workspace.document,
            self.session.workspace.image,
        )
        if self._tool is not None:
            self._tool.cancel()
        kind = DRAWING_TOOLS.get(session.view_state.tool)
        self._tool = None
        if kind is not None and document is not None and image is not None and not self.previews:
            radius_px = lambda: session.context.settings.brush_radius_px  # noqa: E731 - asked at each use
            self._tool = kind(document, radius_px, image.pixels_hwc)
        self._adopt_cursor()
        self.update()

    # The mouse

    def mousePressEvent(self, event: QMouseEvent) -> None:
        self.setFocus(Qt.FocusReason.MouseFocusReason)
        self._keyboard = None
        place, button = event.position(), event.button()
        if button == self._held:
            # Its release went elsewhere, as to a dialog that a key had opened meanwhile.
            self._let_go()
        if self.layers.picture is None or self.previews or self._held != Button.NoButton:
            return
        self._shift = bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier)
        if (tool := self._drawn_by(button)) is not None:
            self._held = button
            erases = self._shift or button == Button.RightButton
            point, pixel = self._image_point(place), 1 / self.placement.scale
            self._takeover.begin(tool.active)
            self._takeover.do(lambda: tool.press(point, erases, pixel))
        elif button in (Button.LeftButton, Button.MiddleButton):
            self._held, self._panned_from = button, place
            picks = (
                button == Button.LeftButton and not self.bare and self.session.view_state.picking
            )
            self._pressed_at = place if picks else None
        self._point_at(place)
        self._adopt_cursor()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        place = event.position()
        self._shift = bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier)
        if self._held != Button.NoButton and not event.buttons() & self._held:
            self._let_go()
        if self._panned_from is not None:
            by = place - self._panned_from
            self._panned_from = place
            self.place(self.placement.moved(by.x(), by.y()))
        elif (tool := self._tool) is not None and self._held != Button.NoButton:
            point = self._image_point(place)
            self._takeover.do(lambda: tool.drag(point))
        self._point_at(place)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        if event.button() != self._held:
            return
        place, pressed_at = event.position(), self._pressed_at
        if pressed_at is not None and (place - pressed_at).manhattanLength() <= CLICK_DISTANCE:
            self.session.view_state.pick(self._pixel(place))
        self._let_go()

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        # Two quick dabs are two dabs; only a polygon ends with a double click.
        tool = self._drawn_by(event.button())
        goes_on = tool is not None and (tool.active or self._takeover.holds)
        if tool is not None and tool.name == "polygon" and goes_on:
            self._takeover.do(tool.finish)
            self.update()
        else:
            self.mousePressEvent(event)

    def wheelEvent(self, event: QWheelEvent) -> None:
        # Some systems turn the wheel sideways while Alt or Shift is held.
        turned = event.angleDelta().y() or event.angleDelta().x()
        if event.modifiers() & Qt.KeyboardModifier.ControlModifier:
            self._notches += turned
            steps = int(self._notches / WHEEL_NOTCH)
            self._notches -= steps * WHEEL_NOTCH
            for _ in range(abs(steps)):
                find_action("tools.larger" if steps > 0 else "tools.smaller").method(self.session)
        elif turned:
            scale = self.placement.scale * 2 ** (turned / WHEEL_DOUBLES)
            self.zoom_to(scale, event.position())
        self._point_at(event.position())
        event.accept()

    def leaveEvent(self, event: QEvent) -> None:
        self._update_around_pointer()
        self._pointer = None
        self._tell_pointed()
        super().leaveEvent(event)

    def _drawn_by(self, button: Qt.MouseButton) -> DrawingTool | None:
        """The tool that a button draws with, or None; nobody draws on what cannot be seen."""
        draws = not self.bare and button in (Button.LeftButton, Button.RightButton)
        return self._tool if draws else None

    def _let_go(self) -> None:
        """End what the held button began."""
        self._held = Button.NoButton
        if self._panned_from is not None:
            self._panned_from = self._pressed_at = None
        elif (tool := self._tool) is not None:
            sketched = bool(tool.sketch)
            self._takeover.do(tool.release)
            if sketched:
                self.update()
        self._adopt_cursor()

    def _point_at(self, place: QPointF) -> None:
        self._update_around_pointer()
        self._pointer = place
        self._update_around_pointer()
        self._tell_pointed()

    def _tell_pointed(self) -> None:
        pixel, picture = None, self.layers.picture
        if self._pointer is not None:
            pixel = self._pixel(self._pointer)
        if pixel is None or picture is None:
            self.pointed.emit("")
            return
        row, column = pixel
        share = (row + 0.5) / picture.height, (column + 0.5) / picture.width
        maps = self.layers.readout(share)
        self.pointed.emit(f"({column}, {row})" + (f" · {maps}" if maps else ""))

    def _image_point(self, place: QPointF) -> Point:
        return to_rc(*self.placement.to_image(place.x(), place.y()))

    def _pixel(self, place: QPointF) -> tuple[int, int] | None:
        """(row, column) of the pixel at a place in the view, or None outside of the image."""
        picture = self.layers.picture
        row, column = self._image_point(place)
        if picture is None or not (0 <= row < picture.height and 0 <= column < picture.width):
            return None
        return int(row), int(column)

    # Keys

    def event(self, event: QEvent) -> bool:
        # A polygon's keys, Undo among them, and Space are the canvas's while they mean something
        # here; the same keys are shortcuts of the window otherwise. During a stroke all but Undo
        # are the canvas's: what they would save or move is not yet what the person means.
        if event.type() == QEvent.Type.ShortcutOverride and isinstance(event, QKeyEvent):
            undoes = event.matches(QKeySequence.StandardKey.Undo)
            if self._handles(event.key()) or (self._sketches if undoes else self._drags):
                event.accept()
                return True
        elif (
            isinstance(event, QNativeGestureEvent)
            and event.gestureType() == Qt.NativeGestureType.ZoomNativeGesture
        ):
            self.zoom_to(self.placement.scale * (1 + event.value()), event.position())
            return True
        return super().event(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        key, tool = event.key(), self._tool
        if key == Key.Key_Shift:
            self._set_shift(True)
        if event.matches(QKeySequence.StandardKey.Undo) and tool is not None and self._sketches:
            if self._drags:
                tool.cancel()
            else:
                tool.step_back()
            self.update()
        elif not self._handles(key):
            if not self._drags:
                super().keyPressEvent(event)
        elif key == Key.Key_Space:
            if not event.isAutoRepeat():
                self._set_bare(True)
        elif tool is not None and key == Key.Key_Escape:
            tool.cancel()
            self._takeover.cancel()
        elif tool is not None and key == Key.Key_Backspace:
            tool.step_back()
            self.update()
        elif tool is not None and not self._drags:
            tool.finish()
            self.update()

    def keyReleaseEvent(self, event: QKeyEvent) -> None:
        if event.key() == Key.Key_Shift:
            self._set_shift(False)
        if event.key() == Key.Key_Space:
            if not event.isAutoRepeat():
                self._set_bare(False)
                keyboard, self._keyboard = self._keyboard, None
                if keyboard is not None and shiboken6.isValid(keyboard):
                    keyboard.setFocus(Qt.FocusReason.OtherFocusReason)
        else:
            super().keyReleaseEvent(event)

    def focusOutEvent(self, event: QFocusEvent) -> None:
        # Its release goes elsewhere.
        self._keyboard = None
        self._set_bare(False)
        self._set_shift(False)
        super().focusOutEvent(event)

    @property
    def _drags(self) -> bool:
        """Whether a button holds the tool to something that is not finished."""
        active = self._takeover.holds or (self._tool is not None and self._tool.active)
        return active and self._held != Button.NoButton

    @property
    def _sketches(self) -> bool:
        """Whether something is drawn that is not in the mask yet."""
        return self._tool is not None and bool(self._tool.sketch)

    def _handles(self, key: int) -> bool:
        if key == Key.Key_Space:
            return self.layers.picture is not None
        keys = (Key.Key_Escape, Key.Key_Backspace, Key.Key_Return, Key.Key_Enter)
        if self._takeover.holds and key == Key.Key_Escape:
            return True
        return self._tool is not None and self._tool.active and key in keys

    def _set_bare(self, bare: bool) -> None:
        if bare != self.bare:
            self.bare = bare
            self._adopt_cursor()
            self.update()

    def _set_shift(self, shift: bool) -> None:
        self._shift = shift
        self._update_around_pointer()

    # Painting

    def paint_handling(self, painter: QPainter) -> None:
        """Paint sketch and footprint of the tool in hand."""
        tool, pointer = self._tool, self._pointer
        if tool is None:
            return
        corners = [self.transform.map(to_point(*each)) for each in tool.sketch]
        if corners:
            path = QPainterPath()
            ends = [pointer] if pointer is not None and tool.follows_pointer else []
            path.addPolygon(QPolygonF([*corners, *ends]))
            painting.stroke_sketch(painter, path, corners if tool.name == "polygon" else ())
        if tool.has_footprint and pointer is not None and self._panned_from is None:
            adds = tool.adds if tool.active else tool.value(self._shift)
            painting.draw_footprint(painter, pointer, self._footprint(), adds)

    def _footprint(self) -> float:
        return self.session.context.settings.brush_radius_px * self.placement.scale

    def _update_around_pointer(self) -> None:
        if self._pointer is None or self._tool is None:
            return
        if self._tool.sketch:
            self.update()
        elif self._tool.has_footprint:
            reach = self._footprint() + 24
            around = QRectF(self._pointer, self._pointer).adjusted(-reach, -reach, reach, reach)
            self.update(around.toAlignedRect())

    def _adopt_cursor(self) -> None:
        tool, shape = self._tool, Qt.CursorShape.CrossCursor
        if self.layers.picture is None:
            shape = Qt.CursorShape.ArrowCursor
        elif self._panned_from is not None:
            shape = Qt.CursorShape.ClosedHandCursor
        elif self.bare or tool is None:
            shape = Qt.CursorShape.OpenHandCursor
        elif tool.has_footprint and self._footprint() >= 3:
            shape = Qt.CursorShape.BlankCursor
        self.setCursor(shape)
        self._update_around_pointer()
