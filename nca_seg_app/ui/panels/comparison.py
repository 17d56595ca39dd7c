"""Shows on pictures how a trained model's outlines differ from another model's."""

from __future__ import annotations

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QPixmap
from PySide6.QtWidgets import QVBoxLayout, QWidget

from engine.plaintext import shown_name
from nca_seg_app.session import Session
from nca_seg_app.ui.widgets.pixmaps import outlined
from nca_seg_app.ui.widgets.plain_text import PlainLabel
from nca_seg_app.ui.widgets.refresh import Refresh
from nca_seg_app.ui.widgets.theme import ANNOTATION, PROPOSAL, TRUTH
from nca_seg_app.ui.widgets.tile_list import TileList, TileModel
from nca_seg_app.ui.widgets.wording import compared_text

PICTURE_PX = 128


class ComparisonView(QWidget):
    """The images of the model comparison with three outlines each, and a sentence about them."""

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._comparison = session.model_comparison
        self.summary = PlainLabel(wraps=True)
        model = TileModel(self._draw, self._label, self._explain)
        self.pictures = TileList(model, QSize(PICTURE_PX, PICTURE_PX), wrap=False)
        self.pictures.setAccessibleName("Images by the new model and another one")
        self.pictures.keep_one_row()
        self.pictures.chosen.connect(self._open)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.summary)
        layout.addWidget(self.pictures)
        self._refresh = Refresh(self, self._show)
        self._comparison.changed.connect(self._adopt)
        self._adopt()

    def _adopt(self) -> None:
        # A widget that is hidden is never asked to show anything.
        self.setVisible(self._comparison.total > 0)
        self._refresh.ask()

    def _show(self) -> None:
        found, total = self._comparison.found, self._comparison.total
        pictures = self.pictures.pictures
        shown = pictures.rowCount()
        pictures.set_count(len(found), stale=shown if shown <= len(found) else 0)
        self.summary.setText(compared_text([each.gain for each in found], total, self._rival))

    @property
    def _rival(self) -> str:
        """The name of the model that the new one is compared with."""
        rival = self._session.training.rival
        return shown_name(rival.name) if rival is not None else ""

    def _draw(self, place: int) -> QPixmap:
        compared, style = self._comparison.found[place], Qt.PenStyle
        lines = (
            (compared.saved, TRUTH, style.SolidLine),
            (compared.before, PROPOSAL, style.DashLine),
            (compared.after, ANNOTATION, style.SolidLine),
        )
        return outlined(compared.picture_hwc, lines, PICTURE_PX, self.devicePixelRatioF())

    def _label(self, place: int) -> str:
        compared = self._comparison.found[place]
        return f"{compared.dice_before:.2f} → {compared.dice_after:.2f}"

    def _explain(self, place: int) -> str:
        compared = self._comparison.found[place]
        return (
            f"{shown_name(compared.path)}: Dice with your mask {compared.dice_before:.3f} by "
            f"{self._rival}, {compared.dice_after:.3f} by the new model. Click to open it."
        )

    def _open(self, place: int) -> None:
        path = self._comparison.found[place].path
        for index, row in enumerate(self._session.workspace.images):
            if row.path == path:
                self._session.opening.open_row(index)
