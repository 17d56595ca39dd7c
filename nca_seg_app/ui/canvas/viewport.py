"""Says where the image lies in the view: a frozen `Placement`, and the `Viewport` that holds it."""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtCore import QObject, QPointF, QRectF, QSize, Signal
from PySide6.QtGui import QTransform
from PySide6.QtWidgets import QWidget

#: Device pixels that one pixel of the image covers at most.
MOST_MAGNIFIED = 64.0
#: As much of the image, in view units, stays in sight whatever is panned.
IN_SIGHT = 48.0
#: Between the fitted image and the view's border, in view units.
MARGIN = 16.0


@dataclass(frozen=True)
class Placement:
    """`scale` view units to a pixel of the image; (x, y) is the image's corner in the view."""

    scale: float = 1.0
    x: float = 0.0
    y: float = 0.0

    def to_view(self, x: float, y: float) -> tuple[float, float]:
        """The place in the view of a point of the image."""
        return self.x + x * self.scale, self.y + y * self.scale

    def to_image(self, x: float, y: float) -> tuple[float, float]:
        """The point of the image at a place in the view."""
        return (x - self.x) / self.scale, (y - self.y) / self.scale

    def zoomed(self, scale: float, at_x: float, at_y: float) -> Placement:
        """At another scale, with the same point of the image under (at_x, at_y)."""
        x, y = self.to_image(at_x, at_y)
        return Placement(scale, at_x - x * scale, at_y - y * scale)

    def moved(self, by_x: float, by_y: float) -> Placement:
        """Panned by a distance in the view."""
        return Placement(self.scale, self.x + by_x, self.y + by_y)

    def in_sight(self, image: tuple[int, int], view: tuple[int, int]) -> Placement:
        """Moved no further than keeps the image in sight; sizes are (width, height)."""

        def kept(start: float, extent: float, room: float) -> float:
            margin = min(IN_SIGHT, extent, room)
            return min(max(start, margin - extent), room - margin)

        return Placement(
            self.scale,
            kept(self.x, image[0] * self.scale, view[0]),
            kept(self.y, image[1] * self.scale, view[1]),
        )


def fitted(image: tuple[int, int], view: tuple[int, int], margin: float) -> Placement:
    """The whole image in the middle of the view, `margin` units from it; sizes (width, height)."""
    room = [max(1.0, side - 2 * margin) for side in view]
    scale = min(room[0] / image[0], room[1] / image[1])
    return centred(scale, (image[0] / 2, image[1] / 2), view)


def centred(scale: float, point: tuple[float, float], view: tuple[int, int]) -> Placement:
    """The point (x, y) of the image in the middle of the view, at `scale`."""
    return Placement(scale, view[0] / 2 - point[0] * scale, view[1] / 2 - point[1] * scale)


def limits(fit_scale: float, device_ratio: float) -> tuple[float, float]:
    """The least and the greatest scale a person may choose."""
    actual = 1 / device_ratio
    return min(fit_scale * 0.5, actual), max(MOST_MAGNIFIED * actual, fit_scale)


class Viewport(QObject):
    """Fits, zooms and pans the image in a view; nothing moves while there is no image.

    `view` is the widget that shows the image; only its size and pixel ratio are asked for.
    """

    #: Read `placement`; also when the view has another size.
    changed = Signal()

    def __init__(self, view: QWidget) -> None:
        super().__init__(view)
        self._view = view
        self._image: tuple[int, int] | None = None
        self._placement = Placement()
        self._fits = True

    @property
    def placement(self) -> Placement:
        """Where the image lies in the view."""
        return self._placement

    @property
    def transform(self) -> QTransform:
        """From the image's pixels to the view."""
        at = self._placement
        return QTransform(at.scale, 0, 0, at.scale, at.x, at.y)

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the view, at least one each."""
        return max(1, self._view.width()), max(1, self._view.height())

    @property
    def image_size(self) -> tuple[int, int] | None:
        """(width, height) of the image, or None while none is open."""
        return self._image

    def set_image(self, size: tuple[int, int] | None) -> None:
        """Show an image of another size (width, height), fitted; None: there is none any more."""
        self._image = size
        self.fit()

    def follow_resize(self, old: QSize, new: QSize) -> None:
        """The view has another size: fit the image again, or keep what was in the middle there."""
        if self._fits or not old.isValid() or self._image is None:
            self.fit()
        else:
            by = new - old
            self.place(self._placement.moved(by.width() / 2, by.height() / 2))

    def fit(self) -> None:
        """Show the whole image, and go on doing so when the view's size changes."""
        if self._image is None:
            self.changed.emit()
        else:
            self.place(fitted(self._image, self.size, MARGIN), fits=True)

    def show_actual_size(self) -> None:
        """Show one pixel of the image on one of the screen, about the middle of the view."""
        self.zoom_to(1 / self._view.devicePixelRatioF(), self._middle)

    def zoom_by(self, factor: float) -> None:
        """Magnify by a factor about the middle of the view."""
        self.zoom_to(self._placement.scale * factor, self._middle)

    def zoom_to(self, scale: float, at: QPointF) -> None:
        """Take another scale, as near as is allowed; the image's point under `at` stays there."""
        if self._image is not None:
            fit_scale = fitted(self._image, self.size, MARGIN).scale
            low, high = limits(fit_scale, self._view.devicePixelRatioF())
            scale = min(max(scale, low), high)
            self.place(self._placement.zoomed(scale, at.x(), at.y()))

    def show_around(self, point: QPointF, side: float) -> None:
        """Put a point of the image in the middle, magnified until `side` pixels fill the view."""
        if self._image is not None:
            fit_scale = fitted(self._image, self.size, MARGIN).scale
            scale = max(fit_scale, min(self.size) / side)
            self.place(centred(scale, (point.x(), point.y()), self.size))

    def place(self, placement: Placement, fits: bool = False) -> None:
        """Put the image elsewhere, but not out of sight; `fits` keeps it fitted to the view."""
        if self._image is not None:
            placement = placement.in_sight(self._image, self.size)
        self._placement, self._fits = placement, fits
        self.changed.emit()

    @property
    def _middle(self) -> QPointF:
        return QRectF(self._view.rect()).center()
