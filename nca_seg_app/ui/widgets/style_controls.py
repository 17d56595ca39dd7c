"""Chooses the style and the width in which outlines are drawn, where the model can be told."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QObject, Qt
from PySide6.QtGui import QFontMetrics
from PySide6.QtWidgets import QComboBox, QGridLayout, QHBoxLayout, QSlider, QWidget

from engine.types import StyleChoice, StyleName
from nca_seg_app.services.style_words import STYLES
from nca_seg_app.session import Has, Session
from nca_seg_app.ui.widgets.plain_text import PlainLabel
from nca_seg_app.ui.widgets.style_fit import StyleFitRow

#: Half the length of the width's slider.
REACH = 100
#: So near to the middle, the middle is meant.
NEAR = 4
STYLE_TIP = (
    "As whose outline it is drawn: people who used different tools outline the same lesion "
    "differently. The choice belongs to this folder, and the outline follows it."
)
WIDTH_TIP = (
    "How tight or wide the outline is drawn: at either end by about a seventh of the lesion's "
    "radius. A double click gives the middle back. (arrow keys)"
)


class StyleControls(QWidget):
    """A style to choose and a slider from tight to wide; hidden where the model has no styles."""

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self.styles = QComboBox()
        self.styles.setAccessibleName("Style")
        self.styles.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self.width_slider, self.width_text = QSlider(Qt.Orientation.Horizontal), PlainLabel()
        self.width_slider.setRange(-REACH, REACH)
        self.width_slider.setSingleStep(5)
        self.width_slider.setPageStep(25)
        self.width_slider.setAccessibleName("Width")
        bold = self.width_text.font()
        bold.setBold(True)
        # So that the slider does not change its length under the pointer.
        self.width_text.setMinimumWidth(QFontMetrics(bold).horizontalAdvance("+0.00"))
        self._lay_out()
        self._connect()
        self._show()

    def _lay_out(self) -> None:
        layout = QGridLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        slides = QHBoxLayout()
        ends = PlainLabel("tight"), PlainLabel("wide")
        slides.addWidget(ends[0])
        slides.addWidget(self.width_slider, 1)
        slides.addWidget(ends[1])
        labels = PlainLabel("Style"), PlainLabel("Width")
        # In line with the sliders below.
        layout.setColumnMinimumWidth(0, labels[0].fontMetrics().horizontalAdvance("Fill opacity"))
        layout.addWidget(labels[0], 0, 0)
        layout.addWidget(self.styles, 0, 1, 1, 2)
        layout.addWidget(labels[1], 1, 0)
        layout.addLayout(slides, 1, 1)
        layout.addWidget(self.width_text, 1, 2)
        layout.addWidget(StyleFitRow(self._session), 2, 1, 1, 2)
        layout.setColumnStretch(1, 1)
        labels[0].setToolTip(STYLE_TIP)
        for widget in (labels[1], *ends, self.width_slider, self.width_text):
            widget.setToolTip(WIDTH_TIP)

    def _connect(self) -> None:
        styling = self._session.styling
        self.styles.activated.connect(
            lambda place: styling.choose(style=self.styles.itemData(place))
        )
        self.width_slider.valueChanged.connect(self._move)
        for widget in (self.width_slider, self.width_text):
            widget.installEventFilter(self)
        styling.changed.connect(self._show)
        self._session.capabilities_changed.connect(self._show)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.MouseButtonDblClick:
            self._session.styling.choose(width=0.0)
            return True
        return super().eventFilter(watched, event)

    def _move(self, place: int) -> None:
        self._session.styling.choose(width=0.0 if abs(place) < NEAR else place / REACH)

    def _show(self) -> None:
        offered, choice = self._session.styling.offered, self._session.styling.choice
        self._list(offered)
        self.setVisible(bool(offered))
        self.setEnabled(Has.STUDY in self._session.capabilities)
        self.styles.setCurrentIndex(self.styles.findData(choice.style))
        self.styles.setToolTip(f"{STYLES[choice.style].tip} {STYLE_TIP}")
        blocked = self.width_slider.blockSignals(True)
        self.width_slider.setValue(round(choice.width * REACH))
        self.width_slider.blockSignals(blocked)
        self.width_text.setText(f"{choice.width:+.2f}".replace("-", "−") if choice.width else "0")
        # It holds for the next images, too, so it must be seen where it is not the usual one.
        for widget, is_usual in (
            (self.styles, choice.style == StyleChoice().style),
            (self.width_text, not choice.width),
        ):
            font = widget.font()
            font.setBold(not is_usual)
            widget.setFont(font)
        self.styles.view().setFont(self.font())

    def _list(self, offered: tuple[StyleName, ...]) -> None:
        if [self.styles.itemData(place) for place in range(self.styles.count())] == list(offered):
            return
        self.styles.clear()
        for place, style in enumerate(offered):
            self.styles.addItem(STYLES[style].name, style)
            self.styles.setItemData(place, STYLES[style].tip, Qt.ItemDataRole.ToolTipRole)
