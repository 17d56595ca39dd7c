"""The stage paints what the session has, where the person put it; it changes nothing."""

from __future__ import annotations

import shiboken6
from PySide6.QtCore import QPointF, QRect, QRectF, Qt, QTimer
from PySide6.QtGui import (
    QColor,
    QPainter,
    QPainterPath,
    QPaintEvent,
    QPixmap,
    QResizeEvent,
    QTransform,
)
from PySide6.QtWidgets import QWidget

from nca_seg_app.session import Session
from nca_seg_app.state.document import MaskDocument
from nca_seg_app.ui.canvas import painting
from nca_seg_app.ui.canvas.contour_index import Pieces
from nca_seg_app.ui.canvas.coordinates import to_path, to_point, to_window
from nca_seg_app.ui.canvas.image_pyramid import Picture, coarser_levels
from nca_seg_app.ui.canvas.layers import Layers
from nca_seg_app.ui.canvas.overlay import Contour
from nca_seg_app.ui.canvas.viewport import Placement, centred, fitted, limits

#: Between the fitted image and the view's border.
MARGIN = 16.0
#: The outline follows a stroke at this pace.
OUTLINE_MS = 60
#: Share of the image's shorter side that a doubtful stretch is shown in.
DOUBT_VIEW_SHARE = 0.3
#: Doubtful places nearer to each other than this share of the shorter side are one.
DOUBT_APART_SHARE = 0.08


class Stage(QWidget):
    """Picture, tint, heat map, outlines; zoomed and panned. What is handled comes on top."""

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.session = session
        self.layers = Layers(session)
        self._document: MaskDocument | None = None
        #: Nothing is drawn over the picture.
        self.bare = False
        self._placement = Placement()
        self._fits = True
        self._backdrop: QPixmap | None = None
        self._annotation = Pieces()
        #: What is coming, until it is there.
        self._preview: Picture | None = None
        self._proposal = QPainterPath()
        self._borders: tuple[tuple[Contour, ...], QPainterPath] = (), QPainterPath()
        self._glow: list[Pieces] = []
        self._proposal_is_stale = True
        self._outline_rect = QRect()
        self._doubt_place = -1
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self.setMinimumSize(160, 120)
        self._outline_timer = QTimer(self)
        self._outline_timer.setSingleShot(True)
        self._outline_timer.setInterval(OUTLINE_MS)
        self._outline_timer.timeout.connect(self._refresh_outline)
        view_state, segmentation = session.view_state, session.segmentation
        session.workspace.image_changed.connect(self.adopt_image)
        session.opening.preview_changed.connect(self._adopt_preview)
        session.context.settings_changed.connect(self.adopt_settings)
        segmentation.result_changed.connect(self._adopt_result)
        segmentation.threshold_changed.connect(self._adopt_maps)
        segmentation.running_changed.connect(self._adopt_maps)
        view_state.shown_changed.connect(self._adopt_maps)
        view_state.picked_changed.connect(self.update)
        view_state.fit_requested.connect(self.fit)
        view_state.actual_size_requested.connect(self.show_actual_size)
        view_state.zoom_requested.connect(self._zoom_about_middle)
        view_state.next_doubt_requested.connect(self.show_next_doubt)

    # Where the image lies

    @property
    def placement(self) -> Placement:
        """Where the image lies in the view."""
        return self._placement

    @property
    def transform(self) -> QTransform:
        """From the image's pixels to the view."""
        at = self._placement
        return QTransform(at.scale, 0, 0, at.scale, at.x, at.y)

    def fit(self) -> None:
        """Show the whole image, and go on doing so when the view's size changes."""
        picture = self.layers.picture
        if picture is not None:
            self.place(fitted((picture.width, picture.height), self._room(), MARGIN), fits=True)

    def show_actual_size(self) -> None:
        """One pixel of the image on one of the screen, about the middle of the view."""
        self.zoom_to(1 / self.devicePixelRatioF(), QRectF(self.rect()).center())

    def zoom_to(self, scale: float, at: QPointF) -> None:
        """Another scale; the point of the image under `at` stays there."""
        picture = self.layers.picture
        if picture is not None:
            size, ratio = (picture.width, picture.height), self.devicePixelRatioF()
            low, high = limits(fitted(size, self._room(), MARGIN).scale, ratio)
            scale = min(max(scale, low), high)
            self.place(self._placement.zoomed(scale, at.x(), at.y()))

    def place(self, placement: Placement, fits: bool = False) -> None:
        """Put the image elsewhere; it stays in sight. `fits` keeps it fitted to the view."""
        picture = self.layers.picture
        if picture is not None:
            placement = placement.in_sight((picture.width, picture.height), self._room())
        self._placement, self._fits, self._backdrop = placement, fits, None
        self._outline_rect = QRect(0, 0, 1 << 24, 1 << 24)
        if not self._outline_timer.isActive():
            self._outline_timer.start()
        self.update()

    def show_next_doubt(self) -> None:
        """Magnify the next stretch of border that the members disagree on; offer the brush."""
        picture, proposal = self.layers.picture, self.layers.proposal
        if picture is None or proposal is None:
            return
        side = min(picture.width, picture.height)
        places = proposal.doubtful_places(DOUBT_APART_SHARE * side)
        if not places:
            self.session.context.message.emit("The members agree everywhere along the border.")
            return
        self._doubt_place = (self._doubt_place + 1) % len(places)
        fit_scale = fitted((picture.width, picture.height), self._room(), MARGIN).scale
        scale = max(fit_scale, min(self._room()) / (DOUBT_VIEW_SHARE * side))
        place = to_point(*places[self._doubt_place])
        self.place(centred(scale, (place.x(), place.y()), self._room()))
        self.session.context.message.emit(
            f"Doubtful stretch {self._doubt_place + 1} of {len(places)}: the brush corrects it."
        )
        self.session.view_state.choose_tool("brush")

    def _zoom_about_middle(self, factor: float) -> None:
        self.zoom_to(self._placement.scale * factor, QRectF(self.rect()).center())

    def _room(self) -> tuple[int, int]:
        return max(1, self.width()), max(1, self.height())

    # What the session says

    def adopt_image(self) -> None:
        """Begin anew with the session's image."""
        self.layers.adopt_image()
        self._annotation = Pieces()
        self._adopt_maps()
        picture = self.layers.picture
        if self._document is not None:
            self._document.changed.disconnect(self._adopt_change)
        self._document = self.session.workspace.document
        if self._document is not None:
            self._document.changed.connect(self._adopt_change)
        self._backdrop = None
        self.fit()
        self._refresh_outline()
        if picture is not None and not picture.has_all_levels:

            def adopt(levels: object) -> None:
                if shiboken6.isValid(self) and isinstance(levels, list):
                    picture.adopt(levels)
                    self._backdrop = None
                    self.update()

            self.session.context.aside.run(lambda: coarser_levels(picture.pixels_hwc), adopt)

    @property
    def previews(self) -> bool:
        """Whether another image is shown, in small, until it has been read."""
        return self._preview is not None

    def _adopt_preview(self) -> None:
        pixels_hwc = self.session.opening.preview_hwc
        self._preview = None if pixels_hwc is None else Picture(pixels_hwc)
        self.update()

    def adopt_settings(self) -> None:
        """Take over opacity and what is switched on."""
        self.layers.adopt_settings()
        self.update()

    def _adopt_result(self) -> None:
        self.layers.adopt_result()
        self._adopt_maps()

    def _adopt_maps(self) -> None:
        self.layers.forget_maps()
        self._proposal_is_stale, self._doubt_place = True, -1
        self.update()

    def _adopt_change(self, rect: QRect) -> None:
        self.layers.refresh_tint(to_window(rect))
        self._outline_rect = self._outline_rect.united(rect)
        self.update(self._view_rect(rect))
        if not self._outline_timer.isActive():
            # Not started again while it runs, or it would never come while a stroke goes on.
            self._outline_timer.start()

    def _refresh_outline(self) -> None:
        self._outline_timer.stop()
        picture, rect = self.layers.picture, self._outline_rect
        self._outline_rect = QRect()
        if picture is None:
            return
        left, top = self._placement.to_image(0, 0)
        right, bottom = self._placement.to_image(*self._room())
        # More than is seen, so that the window's border and short pans do not show.
        wide, high = 0.2 * (right - left) + 2, 0.2 * (bottom - top) + 2
        seen = QRectF(left - wide, top - high, right - left + 2 * wide, bottom - top + 2 * high)
        window = seen.toAlignedRect().intersected(QRect(0, 0, picture.width, picture.height))
        self._annotation = Pieces(self.layers.contours(to_window(window)))
        self.update(self._view_rect(rect) if not rect.isEmpty() else self.rect())

    def _view_rect(self, rect: QRect) -> QRect:
        # The casing's width, and a cell or two of a coarse outline's raster.
        slack = 8 + int(4 * self._placement.scale)
        area = self.transform.mapRect(QRectF(rect)).toAlignedRect()
        return area.adjusted(-slack, -slack, slack, slack).intersected(self.rect())

    # Painting

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        old, new = event.oldSize(), event.size()
        if self._fits or not old.isValid():
            self.fit()
        else:
            by = new - old
            self.place(self._placement.moved(by.width() / 2, by.height() / 2))

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        if self._preview is not None:
            self._paint_preview(painter, self._preview)
            return
        painter.drawPixmap(0, 0, self._painted_backdrop())
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if self.layers.picture is not None and not self.bare:
            self._paint_layers(painter, self.layers.picture, event.rect())
            self.paint_handling(painter)
        painter.end()

    def forget_backdrop(self) -> None:
        """Paint picture and surround anew."""
        self._backdrop = None
        self.update()

    def paint_handling(self, painter: QPainter) -> None:
        """Paint what a person is doing, in view coordinates."""

    def _paint_preview(self, painter: QPainter, preview: Picture) -> None:
        size = preview.width, preview.height
        at = fitted(size, self._room(), MARGIN)
        painter.fillRect(self.rect(), self.surround)
        target = QRectF(at.x, at.y, at.scale * size[0], at.scale * size[1])
        preview.paint(painter, target, self.devicePixelRatioF())
        painter.end()

    def _paint_layers(self, painter: QPainter, picture: Picture, dirty: QRect) -> None:
        layers, settings, view_state = (
            self.layers,
            self.session.context.settings,
            self.session.view_state,
        )
        target = self.transform.mapRect(QRectF(0, 0, picture.width, picture.height))
        if (heat := layers.heat) is not None:
            painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
            painter.drawImage(target, heat)
        # A tint would mix with the colours of a map that is to be read.
        tints = settings.show_fill and settings.fill_opacity > 0 and view_state.shown is None
        if tints and layers.tint is not None and not layers.tint.blank:
            painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, False)
            painter.drawImage(target, layers.tint.image)
        if settings.show_outline:
            # A casing reaches this far over what is dirty.
            near = self.transform.inverted()[0].mapRect(QRectF(dirty.adjusted(-4, -4, 4, 4)))
            pieces = self._annotation.within(near)
            self._adopt_proposal()
            # Beside the members' own borders it would say the same twice.
            if not layers.borders:
                self._paint_glow(painter, dirty)
            painting.stroke_annotation(painter, [self.transform.map(each) for each in pieces])
            self._paint_proposal(painter)
        if view_state.shown is not None:
            painting.draw_caption(painter, view_state.shown.title, self.font())
        if view_state.picking and view_state.picked is not None:
            row, column = view_state.picked
            painting.draw_mark(painter, self.transform.map(to_point(row + 0.5, column + 0.5)))

    def _adopt_proposal(self) -> None:
        proposal, borders = self.layers.proposal, self.layers.borders
        if proposal is not None and self._proposal_is_stale:
            self._proposal = to_path(proposal.contours)
            self._glow = [Pieces(each) for each in proposal.doubtful_stretches()]
            self._proposal_is_stale = False
        if borders is not self._borders[0]:
            self._borders = borders, to_path(borders)

    def _paint_glow(self, painter: QPainter, dirty: QRect) -> None:
        # Also of a result that was taken: correcting begins where it glows.
        if self.layers.proposal is None:
            return
        reach = painting.GLOW_REACH
        wide = QRectF(dirty.adjusted(-reach, -reach, reach, reach))
        near = self.transform.inverted()[0].mapRect(wide)
        stretches = []
        for pieces in self._glow:
            # One path: where two of them met, what shines through would be drawn twice.
            stretches.append(path := QPainterPath())
            for piece in pieces.within(near):
                path.addPath(self.transform.map(piece))
        painting.stroke_glow(painter, stretches)

    def _paint_proposal(self, painter: QPainter) -> None:
        proposal = self.layers.proposal if self.layers.proposal_waits else None
        if proposal is not None:
            path = self.transform.map(self._proposal)
            if self.layers.borders:
                painting.stroke_member(painter, path, self.transform.map(self._borders[1]))
            else:
                painting.stroke_proposal(painter, path, proposal.sharpness)

    def _painted_backdrop(self) -> QPixmap:
        ratio = self.devicePixelRatioF()
        if self._backdrop is None or self._backdrop.devicePixelRatio() != ratio:
            self._backdrop = QPixmap(self.size() * ratio)
            self._backdrop.setDevicePixelRatio(ratio)
            self._backdrop.fill(self.surround)
            picture = self.layers.picture
            if picture is not None:
                painter = QPainter(self._backdrop)
                area = QRectF(0, 0, picture.width, picture.height)
                picture.paint(painter, self.transform.mapRect(area), ratio)
                painter.end()
        return self._backdrop

    @property
    def surround(self) -> QColor:
        """The grey around the picture."""
        # Neutral, or it would tint how skin is judged.
        dark = self.palette().window().color().lightness() < 128
        return QColor("#1e1e1e") if dark else QColor("#d4d4d4")
