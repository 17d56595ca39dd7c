"""Paints what the session has to show, where the viewport puts it; changes nothing."""

from __future__ import annotations

import shiboken6
from PySide6.QtCore import QObject, QRect, QRectF, QTimer, Signal
from PySide6.QtGui import QColor, QImage, QPainter, QPainterPath, QPixmap, QPolygonF
from PySide6.QtWidgets import QWidget

from nca_seg_app.session import Session
from nca_seg_app.state.document import MaskDocument
from nca_seg_app.state.guidance import Stroke
from nca_seg_app.ui.canvas import painting
from nca_seg_app.ui.canvas.contour_index import ContourIndex
from nca_seg_app.ui.canvas.coordinates import to_path, to_point, to_window
from nca_seg_app.ui.canvas.image_pyramid import ImagePyramid, coarser_levels
from nca_seg_app.ui.canvas.layers import Layers
from nca_seg_app.ui.canvas.overlay import Contour
from nca_seg_app.ui.canvas.sketch import Sketch
from nca_seg_app.ui.canvas.viewport import MARGIN, Viewport, fitted

#: The outline follows a stroke at this pace.
OUTLINE_MS = 60
#: Larger than any image: all of the outline is to be painted anew.
WHOLE = QRect(0, 0, 1 << 24, 1 << 24)


class CanvasPainter(QObject):
    """Paints picture, tint, heat map and outlines; has the view painted where they change.

    The picture is painted once into a backdrop, and of the annotation's outline only the pieces
    near what is painted anew, so that a stroke costs the same on an image of any size.
    """

    #: The result, the shown map or the threshold is another one; the layers have taken it over.
    maps_changed = Signal()

    def __init__(self, view: QWidget, session: Session, layers: Layers, viewport: Viewport) -> None:
        super().__init__(view)
        self._view, self._session, self._layers, self._viewport = view, session, layers, viewport
        self._document: MaskDocument | None = None
        self._backdrop: QPixmap | None = None
        self._annotation = ContourIndex()
        #: The image that is being opened, in small, until it has been read.
        self._preview: ImagePyramid | None = None
        self._proposal = QPainterPath()
        self._borders: tuple[tuple[Contour, ...], QPainterPath] = (), QPainterPath()
        self._glow: list[ContourIndex] = []
        self._proposal_is_stale = True
        #: What of the outline, in pixels of the image, has changed since it was found.
        self._outline_rect = QRect()
        self._outline_timer = QTimer(self, singleShot=True, interval=OUTLINE_MS)
        self._outline_timer.timeout.connect(self._refresh_outline)
        segmentation, view_state = session.segmentation, session.view_state
        viewport.changed.connect(self._adopt_placement)
        session.opening.preview_changed.connect(self._adopt_preview)
        session.context.settings_changed.connect(self._adopt_settings)
        session.proposal.changed.connect(self._adopt_result)
        session.proposal.threshold_changed.connect(self._adopt_maps)
        segmentation.running_changed.connect(self._adopt_maps)
        session.steering.changed.connect(view.update)
        session.style_outlines.changed.connect(view.update)
        view_state.shown_changed.connect(self._adopt_maps)
        view_state.picked_changed.connect(view.update)

    # What the session says

    def adopt_image(self) -> None:
        """Begin anew with the session's image, which the viewport has taken over already."""
        self._layers.adopt_image()
        self._annotation = ContourIndex()
        if self._document is not None:
            self._document.changed.disconnect(self._adopt_change)
        self._document = self._session.workspace.document
        if self._document is not None:
            self._document.changed.connect(self._adopt_change)
        self._adopt_maps()
        self.forget_backdrop()
        self._refresh_outline()
        if self._layers.picture is not None and not self._layers.picture.has_all_levels:
            self._ask_levels(self._layers.picture)

    def forget_backdrop(self) -> None:
        """Paint picture and surround anew."""
        self._backdrop = None
        self._view.update()

    def _ask_levels(self, picture: ImagePyramid) -> None:
        """Have the picture's coarser levels made in the background."""

        def adopt(levels: list[QImage]) -> None:
            if shiboken6.isValid(self):
                picture.adopt(levels)
                self.forget_backdrop()

        self._session.context.aside.run(lambda: coarser_levels(picture.pixels_hwc), adopt)

    def _adopt_placement(self) -> None:
        self._outline_rect = WHOLE
        if not self._outline_timer.isActive():
            self._outline_timer.start()
        self.forget_backdrop()

    def _adopt_preview(self) -> None:
        pixels_hwc = self._session.opening.preview_hwc
        self._preview = None if pixels_hwc is None else ImagePyramid(pixels_hwc)
        self._view.update()

    def _adopt_settings(self) -> None:
        self._layers.adopt_settings()
        self._view.update()

    def _adopt_result(self) -> None:
        self._layers.adopt_result()
        self._adopt_maps()

    def _adopt_maps(self) -> None:
        self._layers.forget_maps()
        self._proposal_is_stale = True
        self._view.update()
        self.maps_changed.emit()

    def _adopt_change(self, rect: QRect) -> None:
        self._layers.refresh_tint(to_window(rect))
        self._outline_rect = self._outline_rect.united(rect)
        self._view.update(self._view_rect(rect))
        if not self._outline_timer.isActive():
            # Not started again while it runs, or it would never come while a stroke goes on.
            self._outline_timer.start()

    def _refresh_outline(self) -> None:
        self._outline_timer.stop()
        picture, rect = self._layers.picture, self._outline_rect
        self._outline_rect = QRect()
        if picture is None:
            return
        left, top = self._viewport.placement.to_image(0, 0)
        right, bottom = self._viewport.placement.to_image(*self._viewport.size)
        # More than is seen, so that the window's border and short pans do not show.
        wide, high = 0.2 * (right - left) + 2, 0.2 * (bottom - top) + 2
        seen = QRectF(left - wide, top - high, right - left + 2 * wide, bottom - top + 2 * high)
        window = seen.toAlignedRect().intersected(QRect(0, 0, picture.width, picture.height))
        self._annotation = ContourIndex(self._layers.contours(to_window(window)))
        self._view.update(self._view_rect(rect) if not rect.isEmpty() else self._view.rect())

    def _view_rect(self, rect: QRect) -> QRect:
        # The casing's width, and a cell or two of a coarse outline's raster.
        slack = 8 + int(4 * self._viewport.placement.scale)
        area = self._viewport.transform.mapRect(QRectF(rect)).toAlignedRect()
        return area.adjusted(-slack, -slack, slack, slack).intersected(self._view.rect())

    # Painting

    @property
    def surround(self) -> QColor:
        """The grey around the picture."""
        # Neutral, or it would tint how skin is judged.
        dark = self._view.palette().window().color().lightness() < 128
        return QColor("#1e1e1e") if dark else QColor("#d4d4d4")

    def paint(self, painter: QPainter, dirty: QRect, sketch: Sketch | None) -> None:
        """Paint the view's rectangle `dirty`.

        Parameters
        ----------
        painter
            One on the view.
        dirty
            What is to be painted, in view coordinates; the painter is clipped to it.
        sketch
            What is being drawn; None shows the bare picture.
        """
        if self._preview is not None:
            self._paint_preview(painter, self._preview)
            return
        painter.drawPixmap(0, 0, self._painted_backdrop())
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if self._layers.picture is not None and sketch is not None:
            self._paint_layers(painter, self._layers.picture, dirty, sketch.stroke)
            self._paint_sketch(painter, sketch)

    def _paint_preview(self, painter: QPainter, preview: ImagePyramid) -> None:
        size = preview.width, preview.height
        at = fitted(size, self._viewport.size, MARGIN)
        painter.fillRect(self._view.rect(), self.surround)
        target = QRectF(at.x, at.y, at.scale * size[0], at.scale * size[1])
        preview.paint(painter, target, self._view.devicePixelRatioF())
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)

    def _paint_layers(
        self, painter: QPainter, picture: ImagePyramid, dirty: QRect, stroke: Stroke | None
    ) -> None:
        layers, transform = self._layers, self._viewport.transform
        settings, view_state = self._session.context.settings, self._session.view_state
        target = transform.mapRect(QRectF(0, 0, picture.width, picture.height))
        if (heat := layers.heat) is not None:
            painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
            painter.drawImage(self._heat_area(target), heat)
        # A tint would mix with the colours of a map that is to be read.
        tints = settings.show_fill and settings.fill_opacity > 0 and view_state.shown is None
        if tints and layers.tint is not None and not layers.tint.blank:
            painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, False)
            painter.drawImage(target, layers.tint.image)
        # Under the outlines, which they change.
        self._paint_guidance(painter, stroke)
        if settings.show_outline:
            # A casing reaches this far over what is dirty.
            near = transform.inverted()[0].mapRect(QRectF(dirty.adjusted(-4, -4, 4, 4)))
            pieces = self._annotation.within(near)
            self._adopt_proposal()
            chooses = bool(layers.style_outlines)
            # Beside the members' own borders it would say the same twice.
            if not layers.borders and not chooses:
                self._paint_glow(painter, dirty)
            painting.stroke_annotation(painter, [transform.map(each) for each in pieces])
            if chooses:
                self._paint_style_outlines(painter)
            else:
                self._paint_proposal(painter)
        if layers.style_outlines:
            painting.draw_caption(painter, self._session.style_outlines.caption, self._view.font())
        elif view_state.shown is not None:
            painting.draw_caption(painter, view_state.shown.title, self._view.font())
        if view_state.picking and view_state.picked is not None:
            row, column = view_state.picked
            painting.draw_mark(painter, transform.map(to_point(row + 0.5, column + 0.5)))

    def _heat_area(self, picture: QRectF) -> QRectF:
        crop = self._layers.crop
        if crop is None:
            return picture
        area = QRectF(crop.left, crop.top, crop.width, crop.height)
        return self._viewport.transform.mapRect(area)

    def _paint_guidance(self, painter: QPainter, under_way: Stroke | None) -> None:
        guidance, transform = self._session.steering.shown, self._viewport.transform
        for box in guidance.boxes:
            area = QRectF(box.left, box.top, box.width, box.height)
            painting.stroke_box(painter, transform.mapRect(area))
        strokes = guidance.strokes if under_way is None else (*guidance.strokes, under_way)
        for stroke in strokes:
            points = [transform.map(to_point(*each)) for each in stroke.points]
            radius = stroke.radius_px * self._viewport.placement.scale
            painting.draw_hint(painter, points, radius, stroke.lesion)

    def _paint_sketch(self, painter: QPainter, sketch: Sketch) -> None:
        transform = self._viewport.transform
        points = [transform.map(to_point(*each)) for each in sketch.points]
        if points:
            path = QPainterPath()
            path.addPolygon(QPolygonF(points if sketch.end is None else [*points, sketch.end]))
            painting.stroke_sketch(painter, path, points if sketch.shows_corners else ())
        if (footprint := sketch.footprint) is not None:
            painting.draw_footprint(painter, footprint.centre, footprint.radius, footprint.adds)

    def _adopt_proposal(self) -> None:
        proposal, borders = self._layers.proposal, self._layers.borders
        if proposal is not None and self._proposal_is_stale:
            self._proposal = to_path(proposal.contours)
            self._glow = [ContourIndex(each) for each in proposal.doubtful_stretches()]
            self._proposal_is_stale = False
        if borders is not self._borders[0]:
            self._borders = borders, to_path(borders)

    def _paint_glow(self, painter: QPainter, dirty: QRect) -> None:
        # Also of a result that was taken: correcting begins where it glows.
        if self._layers.proposal is None:
            return
        reach, transform = painting.GLOW_REACH, self._viewport.transform
        wide = QRectF(dirty.adjusted(-reach, -reach, reach, reach))
        near = transform.inverted()[0].mapRect(wide)
        stretches = []
        for pieces in self._glow:
            # One path: where two of them met, what shines through would be drawn twice.
            stretches.append(path := QPainterPath())
            for piece in pieces.within(near):
                path.addPath(transform.map(piece))
        painting.stroke_glow(painter, stretches)

    def _paint_proposal(self, painter: QPainter) -> None:
        proposal = self._layers.proposal if self._layers.proposal_waits else None
        if proposal is not None:
            transform = self._viewport.transform
            path = transform.map(self._proposal)
            if self._layers.borders:
                painting.stroke_member(painter, path, transform.map(self._borders[1]))
            else:
                painting.stroke_proposal(painter, path, proposal.sharpness)

    def _paint_style_outlines(self, painter: QPainter) -> None:
        transform, outlines = self._viewport.transform, self._layers.style_outlines
        current, others, strong = (
            self._session.style_outlines.current,
            QPainterPath(),
            QPainterPath(),
        )
        for place, contours in enumerate(outlines):
            path = transform.map(to_path(contours))
            if place == current:
                strong = path
            else:
                others.addPath(path)
        painting.stroke_member(painter, strong, others)

    def _painted_backdrop(self) -> QPixmap:
        ratio = self._view.devicePixelRatioF()
        if self._backdrop is None or self._backdrop.devicePixelRatio() != ratio:
            self._backdrop = QPixmap(self._view.size() * ratio)
            self._backdrop.setDevicePixelRatio(ratio)
            self._backdrop.fill(self.surround)
            picture = self._layers.picture
            if picture is not None:
                painter = QPainter(self._backdrop)
                area = QRectF(0, 0, picture.width, picture.height)
                picture.paint(painter, self._viewport.transform.mapRect(area), ratio)
                painter.end()
        return self._backdrop
