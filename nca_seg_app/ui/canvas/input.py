"""Turns mouse, wheel and keys over the canvas into strokes, zooming, panning and picked pixels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import shiboken6
from PySide6.QtCore import QEvent, QObject, QPointF, QRectF, Qt, Signal
from PySide6.QtGui import (
    QFocusEvent,
    QKeyEvent,
    QKeySequence,
    QMouseEvent,
    QNativeGestureEvent,
    QWheelEvent,
)
from PySide6.QtWidgets import QApplication, QWidget

from nca_seg_app.actions import find_action
from nca_seg_app.session import Session
from nca_seg_app.state.tools import DrawingTool, Point, Steer
from nca_seg_app.ui.canvas.coordinates import to_rc
from nca_seg_app.ui.canvas.layers import Layers
from nca_seg_app.ui.canvas.overlay import nearest
from nca_seg_app.ui.canvas.sketch import Footprint, Sketch
from nca_seg_app.ui.canvas.tool_in_hand import ToolInHand
from nca_seg_app.ui.canvas.viewport import Viewport

#: Wheel units (eighths of a degree) that double the magnification.
WHEEL_DOUBLES = 420.0
#: One notch of a usual wheel, in the same units.
WHEEL_NOTCH = 120
#: A press that moved no further than this, in view units, is a click.
CLICK_DISTANCE = 4.0
#: An outline this near to the pointer, in view units, is pointed at.
POINTING_DISTANCE = 7.0
#: Radius in view units from which a footprint can be seen, and needs no cursor.
SEEN_FOOTPRINT = 3.0
#: How far a footprint's sign and line reach beyond it, in view units.
FOOTPRINT_MARGIN = 24

Button = Qt.MouseButton
Key = Qt.Key


class CanvasInput(QObject):
    """Handles the events of `view`, the canvas; also says what is under the pointer.

    It listens to the widget from outside, sets its cursor and focus, and has it painted where
    something moved.
    """

    #: What is under the pointer, for the status bar; empty where there is nothing.
    pointed = Signal(str)

    def __init__(self, view: QWidget, session: Session, layers: Layers, viewport: Viewport) -> None:
        super().__init__(view)
        self._view, self._session, self._layers, self._viewport = view, session, layers, viewport
        self._hand = ToolInHand(session, self)
        self._bare = False
        self._pointer: QPointF | None = None
        self._pressed_at: QPointF | None = None
        self._panned_from: QPointF | None = None
        #: The button that began a pan or a stroke; it alone ends it.
        self._held = Button.NoButton
        self._shift = False
        #: Wheel units turned with Ctrl held that make no whole notch yet.
        self._turned = 0
        #: Where the keyboard was before Space was held, if elsewhere.
        self._keyboard: QWidget | None = None
        kind = QEvent.Type
        #: Each handler returns whether the event goes no further.
        self._handlers: dict[QEvent.Type, Callable[[Any], bool]] = {
            kind.MouseButtonPress: self._press,
            kind.MouseMove: self._move,
            kind.MouseButtonRelease: self._release,
            kind.MouseButtonDblClick: self._double_click,
            kind.Wheel: self._turn_wheel,
            kind.NativeGesture: self._pinch,
            kind.Leave: self._leave,
            kind.ShortcutOverride: self._claim_key,
            kind.KeyPress: self._press_key,
            kind.KeyRelease: self._release_key,
            kind.FocusOut: self._lose_focus,
        }
        view.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        view.setMouseTracking(True)
        view.installEventFilter(self)
        self._hand.caught_up.connect(view.update)
        # Another pixel lies under a pointer that rests, and the brush may need a cursor now.
        viewport.changed.connect(self.tell_pointed)
        viewport.changed.connect(self._adopt_cursor)
        session.view_state.tool_changed.connect(self._adopt_tool)
        session.view_state.tool_changed.connect(self._tell_tool)
        session.opening.preview_changed.connect(self._adopt_tool)
        session.context.settings_changed.connect(self._adopt_cursor)

    @property
    def tool(self) -> DrawingTool | None:
        """The tool that draws on the open image, or None while there is nothing to draw."""
        return self._hand.tool

    @property
    def bare(self) -> bool:
        """Whether nothing is to be drawn over the picture, because Space is held."""
        return self._bare

    @property
    def sketch(self) -> Sketch:
        """What is being drawn and is not in the mask yet."""
        tool, pointer = self._hand.tool, self._pointer
        if tool is None:
            return Sketch()
        end = pointer if tool.follows_pointer else None
        footprint = None
        if tool.has_footprint and pointer is not None and self._panned_from is None:
            adds = tool.adds if tool.active else tool.value(self._shift)
            signed = adds if tool.has_sign else None
            footprint = Footprint(pointer, self._footprint_radius, signed)
        stroke = tool.stroke if isinstance(tool, Steer) and tool.active else None
        return Sketch(tool.sketch, end, tool.sets_corners, footprint, stroke)

    def hold_bare(self) -> None:
        """Show the bare image while Space, pressed wherever the keyboard is, is held."""
        if self._shows_image:
            self._keyboard = QApplication.focusWidget()
            self._view.setFocus(Qt.FocusReason.OtherFocusReason)
            self._set_bare(True)

    def adopt_image(self) -> None:
        """Begin anew with the session's image."""
        self._panned_from = self._pressed_at = None
        self._hand.adopt_image()
        self._adopt_cursor()
        self.tell_pointed()

    def tell_pointed(self) -> None:
        """Say what is under the pointer, as when something else is shown there."""
        pixel, size = None, self._viewport.image_size
        if self._pointer is not None:
            pixel = self._pixel(self._pointer)
        if pixel is None or size is None:
            self.pointed.emit("")
            return
        row, column = pixel
        maps = self._layers.readout((row + 0.5, column + 0.5))
        self.pointed.emit(f"({column}, {row})" + (f" · {maps}" if maps else ""))

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        handle = self._handlers.get(event.type())
        return handle is not None and handle(event)

    @property
    def _shows_image(self) -> bool:
        return self._viewport.image_size is not None

    def _adopt_tool(self) -> None:
        self._hand.adopt_tool()
        self._adopt_cursor()
        self._view.update()

    def _tell_tool(self) -> None:
        self._session.context.message.emit(self._session.view_state.tool.tip)

    # The mouse

    def _press(self, event: QMouseEvent) -> bool:
        self._view.setFocus(Qt.FocusReason.MouseFocusReason)
        self._keyboard = None
        place, button = event.position(), event.button()
        if button == self._held:
            # Its release went elsewhere, as to a dialog that a key had opened meanwhile.
            self._let_go()
        previews = self._session.opening.preview_hwc is not None
        if not self._shows_image or previews or self._held != Button.NoButton:
            return True
        self._shift = bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier)
        if button == Button.LeftButton and self._style_at(place) is not None:
            self._session.style_outlines.take()
        elif self._draws(button):
            self._session.style_outlines.hide()
            self._held = button
            erases = self._shift or button == Button.RightButton
            pixel = 1 / self._viewport.placement.scale
            self._hand.press(self._image_point(place), erases, pixel)
        elif button in (Button.LeftButton, Button.MiddleButton):
            self._held, self._panned_from = button, place
            picking = self._session.view_state.picking
            picks = button == Button.LeftButton and not self._bare and picking
            self._pressed_at = place if picks else None
        self._point_at(place)
        self._adopt_cursor()
        return True

    def _move(self, event: QMouseEvent) -> bool:
        place = event.position()
        self._shift = bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier)
        if self._held != Button.NoButton and not event.buttons() & self._held:
            self._let_go()
        if self._panned_from is not None:
            by = place - self._panned_from
            self._panned_from = place
            self._viewport.place(self._viewport.placement.moved(by.x(), by.y()))
        elif self._held != Button.NoButton:
            self._hand.drag(self._image_point(place))
        elif (pointed := self._style_at(place)) is not None:
            self._session.style_outlines.point_at(pointed)
        self._point_at(place)
        return True

    def _release(self, event: QMouseEvent) -> bool:
        if event.button() == self._held:
            place, pressed_at = event.position(), self._pressed_at
            if pressed_at is not None and (place - pressed_at).manhattanLength() <= CLICK_DISTANCE:
                self._session.view_state.pick(self._pixel(place))
            self._let_go()
        return True

    def _double_click(self, event: QMouseEvent) -> bool:
        # Two quick dabs are two dabs; only what is made of corners ends with a double click.
        tool = self._hand.tool
        sets_corners = tool is not None and tool.sets_corners
        if self._draws(event.button()) and sets_corners and self._hand.under_way:
            self._hand.finish()
            self._view.update()
            return True
        return self._press(event)

    def _turn_wheel(self, event: QWheelEvent) -> bool:
        # Some systems turn the wheel sideways while Alt or Shift is held.
        turned = event.angleDelta().y() or event.angleDelta().x()
        if event.modifiers() & Qt.KeyboardModifier.ControlModifier:
            self._turned += turned
            steps = int(self._turned / WHEEL_NOTCH)
            self._turned -= steps * WHEEL_NOTCH
            for _ in range(abs(steps)):
                find_action("tools.larger" if steps > 0 else "tools.smaller").method(self._session)
        elif turned:
            scale = self._viewport.placement.scale * 2 ** (turned / WHEEL_DOUBLES)
            self._viewport.zoom_to(scale, event.position())
        self._point_at(event.position())
        event.accept()
        return True

    def _pinch(self, event: QNativeGestureEvent) -> bool:
        zooms = event.gestureType() == Qt.NativeGestureType.ZoomNativeGesture
        if zooms:
            scale = self._viewport.placement.scale * (1 + event.value())
            self._viewport.zoom_to(scale, event.position())
        return zooms

    def _leave(self, _: QEvent) -> bool:
        self._update_around_pointer()
        self._pointer = None
        self.tell_pointed()
        return False

    def _draws(self, button: Qt.MouseButton) -> bool:
        """Whether a button draws; nobody draws on what cannot be seen."""
        drawing = button in (Button.LeftButton, Button.RightButton)
        return self._hand.tool is not None and not self._bare and drawing

    def _let_go(self) -> None:
        """End what the held button began."""
        self._held = Button.NoButton
        if self._panned_from is not None:
            self._panned_from = self._pressed_at = None
        else:
            sketched = self._hand.sketches
            self._hand.release()
            if sketched:
                self._view.update()
        self._adopt_cursor()

    # Keys

    def _claim_key(self, event: QKeyEvent) -> bool:
        # A polygon's keys, Undo among them, and Space are the canvas's while they mean something
        # here; the same keys are shortcuts of the window otherwise. During a stroke all but Undo
        # are the canvas's: what they would save or move is not yet what the person means.
        undoes = event.matches(QKeySequence.StandardKey.Undo)
        claims = self._handles(event.key()) or (self._hand.sketches if undoes else self._drags)
        if claims:
            event.accept()
        return claims

    def _press_key(self, event: QKeyEvent) -> bool:
        key, hand = event.key(), self._hand
        if key == Key.Key_Shift:
            self._set_shift(True)
        if event.matches(QKeySequence.StandardKey.Undo) and hand.sketches:
            if self._drags:
                hand.drop_sketch()
            else:
                hand.step_back()
            self._view.update()
        elif not self._handles(key):
            # During a stroke no key goes further.
            return self._drags
        elif key == Key.Key_Space:
            if not event.isAutoRepeat():
                self._set_bare(True)
        elif key == Key.Key_Escape:
            hand.cancel()
        elif key == Key.Key_Backspace:
            hand.step_back()
            self._view.update()
        elif not self._drags:
            hand.finish()
            self._view.update()
        return True

    def _release_key(self, event: QKeyEvent) -> bool:
        if event.key() == Key.Key_Shift:
            self._set_shift(False)
        if event.key() != Key.Key_Space:
            return False
        if not event.isAutoRepeat():
            self._set_bare(False)
            keyboard, self._keyboard = self._keyboard, None
            if keyboard is not None and shiboken6.isValid(keyboard):
                keyboard.setFocus(Qt.FocusReason.OtherFocusReason)
        return True

    def _lose_focus(self, _: QFocusEvent) -> bool:
        # The release of what is held goes elsewhere.
        self._keyboard = None
        self._set_bare(False)
        self._set_shift(False)
        return False

    @property
    def _drags(self) -> bool:
        """Whether a button holds the tool to something that is not finished."""
        return self._hand.under_way and self._held != Button.NoButton

    def _handles(self, key: int) -> bool:
        if key == Key.Key_Space:
            return self._shows_image
        if self._hand.waits and key == Key.Key_Escape:
            return True
        keys = (Key.Key_Escape, Key.Key_Backspace, Key.Key_Return, Key.Key_Enter)
        tool = self._hand.tool
        return tool is not None and tool.active and key in keys

    def _set_bare(self, bare: bool) -> None:
        if bare != self._bare:
            self._bare = bare
            self._adopt_cursor()
            self._view.update()

    def _set_shift(self, shift: bool) -> None:
        self._shift = shift
        self._update_around_pointer()

    # The pointer

    def _point_at(self, place: QPointF) -> None:
        self._update_around_pointer()
        self._pointer = place
        self._update_around_pointer()
        self.tell_pointed()

    def _style_at(self, place: QPointF) -> int | None:
        """Which of the outlines to choose from lies at a place in the view, or None."""
        within_px = POINTING_DISTANCE / self._viewport.placement.scale
        return nearest(self._layers.style_outlines, self._image_point(place), within_px)

    def _image_point(self, place: QPointF) -> Point:
        return to_rc(*self._viewport.placement.to_image(place.x(), place.y()))

    def _pixel(self, place: QPointF) -> tuple[int, int] | None:
        """(row, column) of the pixel at a place in the view, or None outside of the image."""
        size, (row, column) = self._viewport.image_size, self._image_point(place)
        if size is None or not (0 <= row < size[1] and 0 <= column < size[0]):
            return None
        return int(row), int(column)

    @property
    def _footprint_radius(self) -> float:
        return self._session.context.settings.brush_radius_px * self._viewport.placement.scale

    def _update_around_pointer(self) -> None:
        tool = self._hand.tool
        if self._pointer is None or tool is None:
            return
        if tool.sketch or (tool.active and not tool.draws):
            self._view.update()
        elif tool.has_footprint:
            reach = self._footprint_radius + FOOTPRINT_MARGIN
            around = QRectF(self._pointer, self._pointer).adjusted(-reach, -reach, reach, reach)
            self._view.update(around.toAlignedRect())

    def _adopt_cursor(self) -> None:
        tool, shape = self._hand.tool, Qt.CursorShape.CrossCursor
        if not self._shows_image:
            shape = Qt.CursorShape.ArrowCursor
        elif self._panned_from is not None:
            shape = Qt.CursorShape.ClosedHandCursor
        elif self._bare or tool is None:
            shape = Qt.CursorShape.OpenHandCursor
        elif tool.has_footprint and self._footprint_radius >= SEEN_FOOTPRINT:
            shape = Qt.CursorShape.BlankCursor
        self._view.setCursor(shape)
        self._update_around_pointer()
