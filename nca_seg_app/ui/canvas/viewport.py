"""Where the image lies in the view: one frozen value, and every zoom or pan gives another."""

from __future__ import annotations

from dataclasses import dataclass

#: Device pixels that one pixel of the image covers at most.
MOST_MAGNIFIED = 64.0
#: As much of the image, in view units, stays in sight whatever is panned.
IN_SIGHT = 48.0


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
