"""Shows the automaton's channels, update by update, in any diffusion step of any member."""

from __future__ import annotations

import pyqtgraph as pg
from PySide6.QtCore import Qt, QTimer
from PySide6.QtGui import QHideEvent, QShowEvent
from PySide6.QtWidgets import (
    QFormLayout,
    QHBoxLayout,
    QPushButton,
    QSlider,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from engine.types import CellStep
from nca_seg_app.session import Session
from nca_seg_app.state.film import FilmStep
from nca_seg_app.state.view_state import Kind, Shown
from nca_seg_app.ui.panels.montage import Montage, channel_scales
from nca_seg_app.ui.panels.pca import PrincipalComponents
from nca_seg_app.ui.widgets.plain_text import PlainLabel
from nca_seg_app.ui.widgets.plots import CURVE_COLOURS, Plot

PLAY_MS = 140
#: Dragging through the diffusion steps asks for a replay only where it rests.
REST_MS = 120
EMPTY = "Segment an image: then every channel of the automaton can be watched here, cell by cell."
NO_CELLS = "The model of this run has no cells to look into."
#: So many of the first channels are drawn for a cell.
CURVES = 5


class CellsPanel(QWidget):
    """Shows channels as a montage, with sliders for diffusion step and cell update, and curves.

    The moment that is shown is replayed from the film; a click on a channel puts it on the canvas.
    """

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._steps: list[CellStep] = []
        self._principal: PrincipalComponents | None = None
        self._moment: tuple[object, ...] = ()
        self._shown: Shown | None = None
        self._channel = -1
        self._lay_out()
        self._play_timer = QTimer(self, interval=PLAY_MS)
        self._play_timer.timeout.connect(self._advance)
        self._rest_timer = QTimer(self, interval=REST_MS, singleShot=True)
        self._rest_timer.timeout.connect(self._ask)
        self._member.valueChanged.connect(self._choose_member)
        self._step.valueChanged.connect(self._choose_step)
        self.update_slider.valueChanged.connect(self._show_update)
        self._play.toggled.connect(self._set_playing)
        self.montage.clicked.connect(self._choose_channel)
        segmentation, view_state = session.segmentation, session.view_state
        segmentation.film_changed.connect(self._follow_film)
        segmentation.running_changed.connect(self._follow_film)
        view_state.shown_changed.connect(self._follow_shown)
        view_state.picked_changed.connect(self._draw_curves)
        self._follow_film()
        self._show_update()

    def _lay_out(self) -> None:
        self._hint = PlainLabel(EMPTY, wraps=True)
        self._hint.setAlignment(Qt.AlignmentFlag.AlignTop)
        self._member = QSpinBox(minimum=1, maximum=1)
        self._member.setToolTip("Member of the ensemble whose run is replayed.")
        self._step = QSlider(Qt.Orientation.Horizontal)
        self._step.setToolTip("Diffusion step that is replayed.")
        self._step_text = PlainLabel()
        self.update_slider = QSlider(Qt.Orientation.Horizontal)
        self.update_slider.setToolTip("Cell update within the diffusion step, level after level.")
        self.update_text = PlainLabel()
        for slider in (self._step, self.update_slider):
            slider.setMaximum(0)
        self._play = QPushButton("Play")
        self._play.setCheckable(True)
        self._play.setToolTip("Run through the cell updates.")
        self.montage = Montage()
        self._cell = PlainLabel(
            "Click a pixel on the canvas for the curves of its cell.", wraps=True
        )
        self.plot = Plot("value", "cell update")
        self.plot.setFixedHeight(180)
        self.plot.hide()
        self._body = QWidget()
        form = QFormLayout()
        form.addRow("Member", self._member)
        form.addRow("Diffusion step", self._step)
        form.addRow("", self._step_text)
        form.addRow("Cell update", self.update_slider)
        row = QHBoxLayout()
        row.addWidget(self.update_text, 1)
        row.addWidget(self._play)
        body = QVBoxLayout(self._body)
        body.setContentsMargins(0, 0, 0, 0)
        body.addLayout(form)
        body.addLayout(row)
        # Above the channels, which are as high as a small screen.
        body.addWidget(self._cell)
        body.addWidget(self.plot)
        body.addWidget(self.montage)
        layout = QVBoxLayout(self)
        layout.addWidget(self._hint)
        layout.addWidget(self._body)
        layout.addStretch(1)

    # The moment: member and diffusion step

    def _follow_film(self) -> None:
        film = self._session.segmentation.film
        members = film.members if self._has_cells else 0
        self._hint.setText(EMPTY if self._has_cells else NO_CELLS)
        self._hint.setVisible(not members)
        self._body.setVisible(bool(members))
        if not members:
            self._moment = ()
            self._set_steps([])
            return
        self._member.setMaximum(members)
        self._choose_member()

    def _choose_member(self) -> None:
        last = max(0, len(self._film_steps()) - 1)
        was_last = self._step.value() == self._step.maximum()
        self._step.setMaximum(last)
        if was_last:
            self._step.setValue(last)
        self._choose_step()

    def _choose_step(self) -> None:
        steps = self._film_steps()
        if steps:
            place = min(self._step.value(), len(steps) - 1)
            self._step_text.setText(f"{place + 1} of {len(steps)}, t = {steps[place].timestep}")
            self._rest_timer.start()

    def _film_steps(self) -> tuple[FilmStep, ...]:
        film = self._session.segmentation.film
        return film.steps(self._member.value() - 1) if self._has_cells else ()

    @property
    def _has_cells(self) -> bool:
        """Whether the run at hand, if there is one, can be replayed."""
        run = self._session.segmentation.run
        return run is None or run.model.architecture.inspectable

    def _ask(self) -> None:
        segmentation = self._session.segmentation
        steps = self._film_steps()
        # While a run draws, or nobody looks, a replay would only take its time away.
        if not steps or not self.isVisible() or (segmentation.running and not segmentation.paused):
            return
        step = steps[min(self._step.value(), len(steps) - 1)]
        moment = (segmentation.film, step.member, step.timestep)
        if moment != self._moment:
            self._moment = moment
            self._cell.setText("Replaying this step …")

            def take(cells: list[CellStep]) -> None:
                # Another image, or another run, may have come meanwhile.
                if moment == self._moment:
                    self._set_steps(cells)

            self._session.replay.replay(step.member, step.timestep, take)

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self._rest_timer.start()
        self._session.view_state.set_picking(True)

    def hideEvent(self, event: QHideEvent) -> None:
        super().hideEvent(event)
        self._session.view_state.set_picking(False)
        self._play.setChecked(False)

    # The cell update

    def _set_steps(self, steps: list[CellStep]) -> None:
        self._steps = steps
        self._principal = PrincipalComponents.of(steps, channel_scales(steps)) if steps else None
        first = self.update_slider.maximum() == 0
        self.update_slider.setMaximum(max(0, len(steps) - 1))
        if first:
            self.update_slider.setValue(len(steps) - 1)
        self._show_update()
        self._draw_curves()

    def _show_update(self) -> None:
        step = self._at()
        self.montage.show_step(step, self._principal)
        if step is None:
            self.update_text.setText("")
            return
        rows, columns = step.fires_hw.shape
        last = max(each.update for each in self._steps if each.level == step.level)
        self.update_text.setText(
            f"level {step.level}, update {step.update} of {last}\n"
            f"{columns} × {rows} cells, {100 * step.fires_hw.mean():.0f} % fired"
        )
        if self._channel >= 0:
            self._put_on_canvas()
        self._mark_update()

    def _at(self) -> CellStep | None:
        place = self.update_slider.value()
        return self._steps[place] if place < len(self._steps) else None

    def _set_playing(self, playing: bool) -> None:
        self._play.setText("Pause" if playing else "Play")
        if playing:
            self._play_timer.start()
        else:
            self._play_timer.stop()

    def _advance(self) -> None:
        self.update_slider.setValue((self.update_slider.value() + 1) % max(1, len(self._steps)))

    # A channel on the canvas

    def _choose_channel(self, channel: int) -> None:
        if channel == self._channel:
            self._session.view_state.show(None)
            return
        self._channel = channel
        self.montage.choose(channel)
        self._put_on_canvas()
        self._draw_curves()

    def _put_on_canvas(self) -> None:
        step = self._at()
        if step is None or self._principal is None:
            return
        kind: Kind = "channel"
        if self._channel < len(step.state_chw):
            map_hw = step.state_chw[self._channel]
        elif self._channel == len(step.state_chw):
            map_hw = step.fires_hw.astype("float32")
        else:
            kind, map_hw = "colours", self._principal.colours(step)
        name = self.montage.name(self._channel)
        title = f"{name}, level {step.level}, update {step.update}"
        self._shown = Shown(title, kind, map_hw)
        self._session.view_state.show(self._shown)

    def _follow_shown(self) -> None:
        # Another panel, or another image, has taken the canvas.
        shown = self._session.view_state.shown
        if shown is not self._shown:
            self._channel, self._shown = -1, None
            self.montage.choose(-1)
        if shown is not None and shown.member is not None:
            self._member.setValue(shown.member + 1)

    # A cell's curves

    def _draw_curves(self) -> None:
        self.plot.clear()
        image, picked = self._session.workspace.image, self._session.view_state.picked
        self.plot.setVisible(picked is not None)
        if image is None or picked is None or not self._steps:
            self._cell.setText("Click a pixel on the canvas for the curves of its cell.")
            return
        numbers = dict(enumerate(self._steps[0].channels[:CURVES]))
        channels = len(self._steps[0].state_chw)
        if 0 <= self._channel < channels:
            numbers[self._channel] = self.montage.name(self._channel)
        for place, (channel, name) in enumerate(sorted(numbers.items())):
            values = []
            for step in self._steps:
                rows, columns = step.fires_hw.shape
                row = picked[0] * rows // image.height
                column = picked[1] * columns // image.width
                values.append(float(step.state_chw[channel, row, column]))
            pen = pg.mkPen(CURVE_COLOURS[place % len(CURVE_COLOURS)], width=2)
            self.plot.plot(values, pen=pen, name=name)
        for place, step in enumerate(self._steps):
            if place and step.update == 0:
                self.plot.addLine(x=place - 0.5, pen=pg.mkPen("#808080", width=1))
        self._cell.setText(f"The cell at pixel ({picked[1]}, {picked[0]}), level after level")
        self._line = self.plot.addLine(x=0, pen=pg.mkPen("#808080", style=Qt.PenStyle.DotLine))
        self._mark_update()

    def _mark_update(self) -> None:
        if self._session.view_state.picked is not None and hasattr(self, "_line"):
            self._line.setValue(self.update_slider.value())
