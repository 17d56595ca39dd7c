"""Before a new model is taken, one sees on pictures what it outlines otherwise than its parent."""

from __future__ import annotations

from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QImage, QPainter, QPen, QPixmap, QPolygonF
from PySide6.QtWidgets import QLabel, QVBoxLayout, QWidget

from nca_seg_app.comparing import Compared, Outlines
from nca_seg_app.panels.picturelist import PictureModel, PictureView
from nca_seg_app.panels.pictures import Refresh
from nca_seg_app.panels.words import compared_text
from nca_seg_app.session import Session
from nca_seg_app.theme import ANNOTATION, PROPOSAL, TRUTH

PICTURE_PX = 128
#: Outline, colour and line of each, in the order they are drawn.
LINES = (
    ("saved", TRUTH, Qt.PenStyle.SolidLine),
    ("before", PROPOSAL, Qt.PenStyle.DashLine),
    ("after", ANNOTATION, Qt.PenStyle.SolidLine),
)


class ComparisonView(QWidget):
    """The images of `learning.comparing` with three outlines each, and a sentence about them."""

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._comparing = session.learning.comparing
        self.told = QLabel()
        self.told.setWordWrap(True)
        model = PictureModel(self._draw, self._say, self._explain)
        self.pictures = PictureView(model, QSize(PICTURE_PX, PICTURE_PX), wrap=False)
        self.pictures.setAccessibleName("Images by the new model and its parent")
        self.pictures.keep_one_row()
        self.pictures.chosen.connect(self._open)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.told)
        layout.addWidget(self.pictures)
        self._refresh = Refresh(self, self._show)
        self._comparing.changed.connect(self._adopt)
        self._adopt()

    def _adopt(self) -> None:
        # A widget that is hidden is never asked to show anything.
        self.setVisible(self._comparing.total > 0)
        self._refresh.ask()

    def _show(self) -> None:
        found, total = self._comparing.found, self._comparing.total
        pictures = self.pictures.pictures
        shown = pictures.rowCount()
        pictures.set_count(len(found), stale=shown if shown <= len(found) else 0)
        self.told.setText(compared_text([each.gain for each in found], total))

    def _draw(self, place: int) -> QPixmap:
        return drawn(self._comparing.found[place], PICTURE_PX, self.devicePixelRatioF())

    def _say(self, place: int) -> str:
        compared = self._comparing.found[place]
        return f"{compared.dice_before:.2f} → {compared.dice_after:.2f}"

    def _explain(self, place: int) -> str:
        compared = self._comparing.found[place]
        return (
            f"{compared.path.name}: Dice with your mask {compared.dice_before:.3f} by the parent, "
            f"{compared.dice_after:.3f} by the new model. Click to open it."
        )

    def _open(self, place: int) -> None:
        path = self._comparing.found[place].path
        for index, row in enumerate(self._session.images):
            if row.path == path:
                self._session.open_row(index)


def drawn(compared: Compared, side_px: int, ratio: float) -> QPixmap:
    """The picture with its outlines, its longer side `side_px`."""
    rows, columns, _ = compared.picture_hwc.shape
    scale = side_px * ratio / max(rows, columns)
    bits = compared.picture_hwc.tobytes()
    image = QImage(bits, columns, rows, 3 * columns, QImage.Format.Format_RGB888)
    picture = QPixmap(max(1, round(columns * scale)), max(1, round(rows * scale)))
    painter = QPainter(picture)
    painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.drawImage(QRectF(picture.rect()), image)
    painter.scale(scale, scale)
    for name, colour, line in LINES:
        outlines: Outlines = getattr(compared, name)
        for outline_rc in outlines:
            points = QPolygonF([QPointF(column, row) for row, column in outline_rc.tolist()])
            for casing in (True, False):
                pen = QPen(QColor("black") if casing else colour, (2.5 if casing else 1.5) * ratio)
                pen.setStyle(Qt.PenStyle.SolidLine if casing else line)
                pen.setCosmetic(True)
                painter.setPen(pen)
                painter.drawPolyline(points)
    painter.end()
    picture.setDevicePixelRatio(ratio)
    return picture
