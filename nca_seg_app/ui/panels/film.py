"""Shows a member's way from noise to mask, one frame for each diffusion step."""

from __future__ import annotations

from PySide6.QtCore import QSize, Qt, QTimer
from PySide6.QtGui import QPixmap
from PySide6.QtWidgets import QHBoxLayout, QStackedLayout, QWidget

from nca_seg_app.session import Session
from nca_seg_app.state.film import Film, FilmStep
from nca_seg_app.state.view_state import Shown
from nca_seg_app.ui.panels.film_controls import FilmControls
from nca_seg_app.ui.widgets.pixmaps import picture_of, stacked
from nca_seg_app.ui.widgets.plain_text import PlainLabel
from nca_seg_app.ui.widgets.refresh import Refresh
from nca_seg_app.ui.widgets.tile_list import TileList, TileModel

HALF_PX = 56
GAP_PX = 2
PLAY_MS = 120
#: x_t is the mask at ±1 plus noise of at most unit variance; this holds nearly all of it.
NOISY_LIMIT = 2.5
EMPTY = "Here a mask forms out of noise, step by step. Press Segment (Ctrl+R), then click a frame."


class FilmPanel(QWidget):
    """Shows the frames of one member; the one with a frame around it is on the canvas."""

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._film: Film | None = None
        self._steps: tuple[FilmStep, ...] = ()
        self._noisy = False
        self._follows = True
        self._shown: Shown | None = None
        self.frames = TileList(
            TileModel(self._draw, self._label, self._explain),
            QSize(HALF_PX, 2 * HALF_PX + GAP_PX),
            wrap=False,
        )
        self.frames.keep_one_row()
        self.frames.setAccessibleName("Diffusion steps")
        bar = self._bar = FilmControls()
        self.member, self.play, self.back = bar.member, bar.play, bar.back
        self.before, self.after = bar.before, bar.after
        self._timer = QTimer(self)
        self._timer.setInterval(PLAY_MS)
        self._empty = PlainLabel(EMPTY, wraps=True)
        self._empty.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._lay_out()
        self._refresh = Refresh(self, self._show)
        self._connect()
        self._show()

    def _lay_out(self) -> None:
        body = QWidget()
        row = QHBoxLayout(body)
        row.setContentsMargins(6, 4, 6, 4)
        row.addWidget(self._bar, 0, Qt.AlignmentFlag.AlignTop)
        row.addWidget(self.frames, 1)
        self._stack = QStackedLayout(self)
        self._stack.addWidget(self._empty)
        self._stack.addWidget(body)

    def _connect(self) -> None:
        session = self._session
        self.frames.chosen.connect(
            lambda place, upper: self._choose(place, self._noisy if upper is None else upper)
        )
        self.member.valueChanged.connect(self._choose_member)
        self.before.clicked.connect(lambda: self._move(-1))
        self.after.clicked.connect(lambda: self._move(1))
        self.play.toggled.connect(self._play)
        self.back.clicked.connect(lambda: session.view_state.show(None))
        self._timer.timeout.connect(self._advance)
        session.segmentation.film_changed.connect(self._note_film)
        session.segmentation.running_changed.connect(self._refresh.ask)
        session.view_state.shown_changed.connect(self._note_shown)

    # What changes

    def _note_film(self) -> None:
        if self._session.segmentation.film is not self._film:
            self._film, self._steps, self._follows = self._session.segmentation.film, (), True
            self.frames.pictures.set_count(0)
            self.play.setChecked(False)
            if self._cursor_shown():
                # The frame on the canvas belongs to a film that is gone.
                self._session.view_state.show(None)
        self._refresh.ask()

    def _show(self) -> None:
        run, film = self._session.segmentation, self._session.segmentation.film
        members = film.members
        # Not taken away for the moment before a run's first step: all would be laid out twice.
        self._stack.setCurrentIndex(1 if members or run.running else 0)
        self._bar.legend.setVisible(self._sees_noise)
        blocked = self.member.blockSignals(True)
        self.member.setRange(1, max(1, members))
        suffix = f" of {max(1, members, run.settings.members)}"
        # Whatever is being typed would be lost, also where it says what was said before.
        if self.member.suffix() != suffix:
            self.member.setSuffix(suffix)
        if self._follows and run.running and run.result is not None:
            self.member.setValue(run.result.first_member + 1)
        self.member.blockSignals(blocked)
        steps = film.steps(self.member.value() - 1)
        if steps != self._steps:
            # Frames that were there before keep their pictures.
            same = bool(self._steps) and self._steps[0] is steps[0] if steps else False
            stale = len(self._steps) if same else 0
            self._steps = steps
            self.frames.pictures.set_count(len(steps), stale)
            if run.running and not self._cursor_shown():
                self.frames.scrollToBottom()
        self._note_shown()

    def _note_shown(self) -> None:
        shown = self._session.view_state.shown
        self.back.setEnabled(shown is not None)
        if shown is not None and shown.member is not None:
            # The film is that of the member on the canvas.
            self._follows = False
            blocked = self.member.blockSignals(True)
            moves = self.member.value() != shown.member + 1
            self.member.setValue(shown.member + 1)
            self.member.blockSignals(blocked)
            if moves:
                self._refresh.ask()
        self.frames.select(self._cursor())

    def _choose_member(self) -> None:
        kept, self._follows = self._cursor(), False
        self._show()
        if kept >= 0:
            self._choose(min(kept, len(self._steps) - 1), self._noisy)

    # The cursor

    def _cursor_shown(self) -> bool:
        return self._shown is not None and self._session.view_state.shown is self._shown

    def _cursor(self) -> int:
        """Place of the frame that is on the canvas, or -1."""
        shown = self._session.view_state.shown
        if shown is None:
            return -1
        on_canvas = (
            place
            for place, step in enumerate(self._steps)
            if shown.map_hw is step.clean_hw or shown.map_hw is step.noisy_hw
        )
        return next(on_canvas, -1)

    def _choose(self, place: int, noisy: bool) -> None:
        if not 0 <= place < len(self._steps):
            return
        step, self._noisy, self._follows = self._steps[place], noisy, False
        title = f"Member {step.member + 1}"
        if self._sees_noise:
            title += f", t = {step.timestep}"
        if noisy and self._sees_noise:
            self._shown = Shown(f"{title}: noisy mask x_t", "noisy", step.noisy_hw)
        else:
            self._shown = Shown(f"{title}: clean prediction", "probability", step.clean_hw)
        self._session.view_state.show(self._shown)

    def _move(self, by: int) -> None:
        cursor = self._cursor()
        place = cursor + by if cursor >= 0 else (0 if by > 0 else len(self._steps) - 1)
        self._choose(place, self._noisy)

    def _play(self, playing: bool) -> None:
        self.play.setText("Stop" if playing else "Play")
        if playing:
            if self._cursor() in (-1, len(self._steps) - 1):
                self._choose(0, self._noisy)
            self._timer.start()
        else:
            self._timer.stop()

    def _advance(self) -> None:
        # Ends with the last frame, and when something else is put on the canvas.
        if self._cursor() in (-1, len(self._steps) - 1):
            self.play.setChecked(False)
        else:
            self._move(1)

    @property
    def _sees_noise(self) -> bool:
        """Whether the network of the run begins with noise, which is shown above its masks."""
        run = self._session.segmentation.run
        return run is None or run.model.spec.sees_noise

    # The pictures

    def _draw(self, place: int) -> QPixmap:
        step, ratio = self._steps[place], self.devicePixelRatioF()
        if not self._sees_noise:
            return picture_of(step.clean_hw, HALF_PX, ratio)
        noisy = picture_of(step.noisy_hw, HALF_PX, ratio, low=-NOISY_LIMIT, high=NOISY_LIMIT)
        clean = picture_of(step.clean_hw, HALF_PX, ratio)
        return stacked(noisy, clean, GAP_PX)

    def _label(self, place: int) -> str:
        return f"t {self._steps[place].timestep}" if self._sees_noise else "mask"

    def _explain(self, place: int) -> str:
        step = self._steps[place]
        if not self._sees_noise:
            return (
                f"The mask that member {step.member + 1} predicts from its view of the image, in "
                "one step. Click to put it on the canvas."
            )
        return (
            f"Step {place + 1} of member {step.member + 1}, t = {step.timestep}. "
            "Click above for x_t, below for the mask; Left and Right to move."
        )
