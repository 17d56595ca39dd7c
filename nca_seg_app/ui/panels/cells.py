"""Shows what happens inside the network, moment by moment, in any step of any member."""

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

from engine.networks.architecture import Inspection
from engine.networks.table import DEFAULT, architecture
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
NOTHING = "The model of this run has nothing inside that can be shown."
#: So many of the first channels are drawn for a place.
CURVES = 5


class CellsPanel(QWidget):
    """Shows channels as a montage, with sliders for diffusion step and moment, and curves.

    What moments and places are called is the architecture's word. The moment that is shown is
    replayed from the film; a click on a channel puts it on the canvas.
    """

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._steps: list[CellStep] = []
        self._principal: PrincipalComponents | None = None
        self._moment: tuple[object, ...] = ()
        self._shown: Shown | None = None
        self._channel = -1
        self._words = _usual_words()
        self._lay_out()
        self._say()
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
        self._hint = PlainLabel(wraps=True)
        self._hint.setAlignment(Qt.AlignmentFlag.AlignTop)
        self._member = QSpinBox(minimum=1, maximum=1)
        self._member.setToolTip("Member of the ensemble whose run is replayed.")
        self._step = QSlider(Qt.Orientation.Horizontal)
        self._step.setToolTip("Diffusion step that is replayed.")
        self._step_text = PlainLabel()
        self.update_slider = QSlider(Qt.Orientation.Horizontal)
        self.update_text = PlainLabel()
        for slider in (self._step, self.update_slider):
            slider.setMaximum(0)
        self._play = QPushButton("Play")
        self._play.setCheckable(True)
        self.montage = Montage()
        self._place = PlainLabel(wraps=True)
        self.plot = Plot("value", "")
        self.plot.setFixedHeight(180)
        self.plot.hide()
        self._body = QWidget()
        form = QFormLayout()
        form.addRow("Member", self._member)
        form.addRow("Diffusion step", self._step)
        form.addRow("", self._step_text)
        self._moment_label = PlainLabel()
        form.addRow(self._moment_label, self.update_slider)
        row = QHBoxLayout()
        row.addWidget(self.update_text, 1)
        row.addWidget(self._play)
        body = QVBoxLayout(self._body)
        body.setContentsMargins(0, 0, 0, 0)
        body.addLayout(form)
        body.addLayout(row)
        # Above the channels, which are as high as a small screen.
        body.addWidget(self._place)
        body.addWidget(self.plot)
        body.addWidget(self.montage)
        layout = QVBoxLayout(self)
        layout.addWidget(self._hint)
        layout.addWidget(self._body)
        layout.addStretch(1)

    def _say(self) -> None:
        """Write the words of the network at hand where they do not change with what is shown."""
        words = self._words
        moment = words.moment.capitalize()
        self._moment_label.setText(moment)
        self.update_slider.setAccessibleName(moment)
        self.update_slider.setToolTip(f"{moment} within the diffusion step, one after the other.")
        self._play.setToolTip(f"Run through the {words.moment}s.")
        self.plot.plotItem.setLabel("bottom", words.moment)
        self._draw_curves()

    # The moment: member and diffusion step

    def _follow_film(self) -> None:
        film = self._session.segmentation.film
        words = self._run_words
        members = film.members if words is not None else 0
        if words is not None and words != self._words:
            self._words = words
            self._say()
        self._hint.setText(NOTHING if words is None else _hint(words))
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
        return film.steps(self._member.value() - 1) if self._run_words is not None else ()

    @property
    def _run_words(self) -> Inspection | None:
        """The words for the run at hand; without one, for the next; None where it shows nothing."""
        run, chosen = self._session.segmentation.run, self._session.model_library.chosen
        model = run.model if run is not None else chosen
        return model.architecture.inspection if model is not None else _usual_words()

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
            self._place.setText("Replaying this step …")

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

    # The moment within the step

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
        self.montage.show_step(step, self._principal, self._words)
        if step is None:
            self.update_text.setText("")
            return
        rows, columns = step.fires_hw.shape
        last = max(each.update for each in self._steps if each.level == step.level)
        size = f"{columns} × {rows} {self._words.place}s"
        if self._words.acted:
            size += f", {100 * step.fires_hw.mean():.0f} % {self._words.acted}"
        self.update_text.setText(f"{self._when(step)} of {last}\n{size}")
        if self._channel >= 0:
            self._put_on_canvas()
        self._mark_update()

    def _when(self, step: CellStep) -> str:
        """Which moment a state is of, as "level 2, update 3"."""
        level = f"level {step.level}, " if self._steps[-1].level > 1 else ""
        return f"{level}{self._words.moment.split()[-1]} {step.update}"

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
        elif self._words.acted and self._channel == len(step.state_chw):
            map_hw = step.fires_hw.astype("float32")
        else:
            kind, map_hw = "colours", self._principal.colours(step)
        name = self.montage.name(self._channel)
        self._shown = Shown(f"{name}, {self._when(step)}", kind, map_hw)
        self._session.view_state.show(self._shown)

    def _follow_shown(self) -> None:
        # Another panel, or another image, has taken the canvas.
        shown = self._session.view_state.shown
        if shown is not self._shown:
            self._channel, self._shown = -1, None
            self.montage.choose(-1)
        if shown is not None and shown.member is not None:
            self._member.setValue(shown.member + 1)

    # A place's curves

    def _draw_curves(self) -> None:
        self.plot.clear()
        image, picked = self._session.workspace.image, self._session.view_state.picked
        self.plot.setVisible(picked is not None)
        if image is None or picked is None or not self._steps:
            self._place.setText(
                f"Click a pixel on the canvas for the curves of its {self._words.place}."
            )
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
        words = self._words
        self._place.setText(
            f"The {words.place} at pixel ({picked[1]}, {picked[0]}), {words.moment} by "
            f"{words.moment}"
        )
        self._line = self.plot.addLine(x=0, pen=pg.mkPen("#808080", style=Qt.PenStyle.DotLine))
        self._mark_update()

    def _mark_update(self) -> None:
        if self._session.view_state.picked is not None and hasattr(self, "_line"):
            self._line.setValue(self.update_slider.value())


def _usual_words() -> Inspection:
    """The words for the usual architecture, until there is a model."""
    words = architecture(DEFAULT).inspection
    assert words is not None
    return words


def _hint(words: Inspection) -> str:
    return (
        f"Segment an image: then {words.states} can be watched here, "
        f"{words.place} by {words.place}."
    )
