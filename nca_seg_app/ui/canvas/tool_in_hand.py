"""Holds the tool that draws on the open image, and passes on to it what the hand does."""

from __future__ import annotations

from PySide6.QtCore import QObject, Signal

from nca_seg_app.session import Session
from nca_seg_app.state.tools import DrawingTool, Point
from nca_seg_app.ui.canvas.deferred_input import DeferredInput, Drag, Finish, Press, Release


class ToolInHand(QObject):
    """The chosen tool on the open document, or none where there is nothing to draw.

    What is drawn on a proposal waits until the proposal is the mask; `caught_up` tells when it has
    been drawn.
    """

    #: Nothing waits to be drawn any more.
    caught_up = Signal()

    def __init__(self, session: Session, parent: QObject) -> None:
        super().__init__(parent)
        self._session = session
        self._tool: DrawingTool | None = None
        self._deferred = DeferredInput(session, self)
        self._deferred.ended.connect(self.caught_up)

    @property
    def tool(self) -> DrawingTool | None:
        """The tool that draws on the open image, or None while there is nothing to draw."""
        return self._tool

    @property
    def waits(self) -> bool:
        """Whether what is drawn waits for a proposal to become the mask."""
        return self._deferred.holds

    @property
    def under_way(self) -> bool:
        """Whether something is drawn that is not finished."""
        return self._deferred.holds or (self._tool is not None and self._tool.active)

    @property
    def sketches(self) -> bool:
        """Whether something is drawn that is not in the mask yet."""
        return self._tool is not None and bool(self._tool.sketch)

    def adopt_tool(self) -> None:
        """Take the chosen tool for the open image; what was drawn with another is given up."""
        session = self._session
        document, image = session.workspace.document, session.workspace.image
        if self._tool is not None:
            self._tool.cancel()
        self._tool = None
        drawing = session.view_state.tool.drawing
        previews = session.opening.preview_hwc is not None
        if drawing is not None and document is not None and image is not None and not previews:
            radius_px = lambda: session.context.settings.brush_radius_px  # noqa: E731 - asked at each use
            self._tool = drawing(document, radius_px, image.pixels_hwc, session.steering)

    def adopt_image(self) -> None:
        """Begin anew with the session's image."""
        # A stroke on the old image went with its document.
        self._tool = None
        self._deferred.forget()
        self.adopt_tool()

    def press(self, point: Point, erases: bool, pixel: float) -> None:
        """Begin, or go on, at a point of the image; `pixel` as for `DrawingTool.press()`."""
        if self._tool is not None:
            if self._tool.draws:
                self._deferred.begin(self._tool.active)
            self._deferred.do(Press(self._tool, point, erases, pixel))

    def drag(self, point: Point) -> None:
        """Go on to a point of the image."""
        if self._tool is not None:
            self._deferred.do(Drag(self._tool, point))

    def release(self) -> None:
        """End what a drag draws."""
        if self._tool is not None:
            self._deferred.do(Release(self._tool))

    def finish(self) -> None:
        """End what is drawn, now or after what is held back."""
        if self._tool is not None:
            self._deferred.do(Finish(self._tool))

    def step_back(self) -> None:
        """Take back the last piece of what is drawn."""
        if self._tool is not None:
            self._tool.step_back()

    def drop_sketch(self) -> None:
        """Give up what is drawn; a proposal that was accepted for it stays."""
        if self._tool is not None:
            self._tool.cancel()

    def cancel(self) -> None:
        """Give up what is drawn, and the proposal that was accepted for it alone."""
        self.drop_sketch()
        self._deferred.cancel()
