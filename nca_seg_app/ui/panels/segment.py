"""Chooses a model, runs it with a few settings, and offers its result to the person."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QObject, Qt
from PySide6.QtGui import QKeySequence
from PySide6.QtWidgets import (
    QComboBox,
    QGridLayout,
    QHBoxLayout,
    QProgressBar,
    QPushButton,
    QSlider,
    QVBoxLayout,
    QWidget,
)

from nca_seg_app.actions import Action, find_action, plain_text
from nca_seg_app.session import Has, Session
from nca_seg_app.state.settings import Settings
from nca_seg_app.ui.widgets.agreement import AgreementWatch
from nca_seg_app.ui.widgets.form import Form, finish_typing
from nca_seg_app.ui.widgets.plain_text import PlainLabel
from nca_seg_app.ui.widgets.refresh import Refresh
from nca_seg_app.ui.widgets.style_controls import StyleControls
from nca_seg_app.ui.widgets.style_fit import StyleFitLabel
from nca_seg_app.ui.widgets.wording import figures, progress_text, scores, titled

SLIDER_STEPS = 100
SUMMARY_LINES = 3
FIELDS = ("sampler", "steps", "members", "views", "seed")
#: What can be chosen for a network that predicts the mask in one step from the image alone.
FIELDS_OF_ONE_STEP = ("views",)


class SegmentPanel(QWidget):
    """Starts, follows and ends a segmentation, and says what came of it."""

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._buttons: list[tuple[Action, QPushButton]] = []
        self.models = QComboBox()
        self.models.setToolTip("The model that draws the outlines. Used from the next run on.")
        self.models.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self.models.setAccessibleName("Model")
        self.figures, self.summary = PlainLabel(wraps=True), PlainLabel(wraps=True)
        # So that nothing below it moves when a run begins or its first scores come.
        self.summary.setMinimumHeight(SUMMARY_LINES * self.summary.fontMetrics().lineSpacing())
        self.summary.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.form = Form(session.context.settings.sample, FIELDS)
        self.progress = QProgressBar()
        self.progress.setToolTip(
            "Members drawn, the diffusion step of those under way, the time left."
        )
        self.threshold, self.threshold_text = _slider(
            "Threshold",
            "How sure the members must be on average. Drag: the outline follows. It holds for the "
            "next images, too; a double click on its number gives the usual one back.",
        )
        self.style_controls = StyleControls(session)
        self.opacity, self.opacity_text = _slider(
            "Fill opacity", "How strongly the inside of the outline is tinted. Z hides the tint."
        )
        self.opacity.setMaximum(60)
        self._lay_out()
        self._watch = AgreementWatch(session, self)
        self._refresh = Refresh(self, self._show_run)
        self._connect()
        for show in (self._show_models, self._show_settings, self._show_state, self._show_run):
            show()

    def button(self, action_id: str) -> QPushButton:
        """The button of an action. KeyError where there is none."""
        return {action.id: button for action, button in self._buttons}[action_id]

    def _lay_out(self) -> None:
        layout = QVBoxLayout(self)
        layout.addWidget(self.models)
        layout.addWidget(self.figures)
        layout.addWidget(self.form)
        layout.addWidget(self._button("run.segment", show_keys=True))
        controls = QHBoxLayout()
        for action_id in ("run.pause", "run.step", "run.cancel"):
            controls.addWidget(self._button(action_id))
        layout.addLayout(controls)
        layout.addWidget(self.progress)
        layout.addWidget(self.summary)
        layout.addWidget(self.style_controls)
        sliders = QGridLayout()
        rows = ((self.threshold, self.threshold_text), (self.opacity, self.opacity_text))
        for row, (slider, text) in enumerate(rows):
            label = PlainLabel(slider.accessibleName())
            label.setToolTip(slider.toolTip())
            sliders.addWidget(label, row, 0)
            sliders.addWidget(slider, row, 1)
            sliders.addWidget(text, row, 2)
        layout.addLayout(sliders)
        decision = QHBoxLayout()
        for action_id in ("run.accept", "run.discard"):
            decision.addWidget(self._button(action_id, show_keys=True))
        layout.addLayout(decision)
        layout.addWidget(self._button("run.accept_and_next", show_keys=True))
        # Last, so that nothing moves when it is told.
        layout.addWidget(StyleFitLabel(self._session))
        layout.addStretch(1)

    def _button(self, action_id: str, *, show_keys: bool = False) -> QPushButton:
        action = find_action(action_id)
        text = plain_text(action).removesuffix(" Result")
        keys = QKeySequence(action.shortcuts[0]).toString(QKeySequence.SequenceFormat.NativeText)
        button = QPushButton(f"{text}   {keys}" if show_keys else text)
        button.setToolTip(f"{action.tip} ({keys})")
        # So that no narrow dock cuts the words off.
        button.setMinimumWidth(0)
        button.clicked.connect(lambda: self._do(action))
        self._buttons.append((action, button))
        return button

    def _do(self, action: Action) -> None:
        # A click on these buttons leaves the keyboard, and what is being typed, in a field.
        finish_typing()
        action.method(self._session)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if watched is self.threshold_text and event.type() == QEvent.Type.MouseButtonDblClick:
            self._session.proposal.set_threshold(Settings().threshold)
            return True
        return super().eventFilter(watched, event)

    def _connect(self) -> None:
        session, proposal = self._session, self._session.proposal
        self.threshold_text.installEventFilter(self)
        self.models.activated.connect(
            lambda place: session.model_library.choose(self.models.itemData(place).name)
        )
        self.form.changed.connect(lambda settings: session.context.change_settings(sample=settings))
        self.threshold.valueChanged.connect(
            lambda value: proposal.set_threshold(value / SLIDER_STEPS)
        )
        self.opacity.valueChanged.connect(
            lambda value: session.context.change_settings(fill_opacity=value / SLIDER_STEPS)
        )
        session.model_library.listed.connect(self._show_models)
        session.model_library.chosen_changed.connect(self._show_models)
        session.context.settings_changed.connect(self._show_settings)
        session.capabilities_changed.connect(self._show_state)
        proposal.changed.connect(self._refresh.ask)
        for signal in (
            session.segmentation.running_changed,
            session.capabilities_changed,
            session.model_library.chosen_changed,
        ):
            signal.connect(self._refresh.ask)
        self._watch.changed.connect(self._show_summary)
        proposal.threshold_changed.connect(self._show_summary)

    def _show_models(self) -> None:
        session, chosen = self._session, self._session.model_library.chosen
        listed = [self.models.itemData(place) for place in range(self.models.count())]
        if listed != list(session.model_library.entries):
            self.models.clear()
            for entry in session.model_library.entries:
                self.models.addItem(
                    titled(entry),
                    entry,
                )
        names = [entry.name for entry in session.model_library.entries]
        self.models.setCurrentIndex(names.index(chosen.name) if chosen else -1)
        sees_noise = chosen is None or chosen.spec.sees_noise
        self.form.offer(FIELDS if sees_noise else FIELDS_OF_ONE_STEP)
        self.figures.setText(figures(chosen, session.model_library.device_text) if chosen else "")

    def _show_settings(self) -> None:
        settings = self._session.context.settings
        if self.form.value() != settings.sample:
            self.form.set_value(settings.sample)
        for slider, text, value in (
            (self.threshold, self.threshold_text, settings.threshold),
            (self.opacity, self.opacity_text, settings.fill_opacity),
        ):
            blocked = slider.blockSignals(True)
            slider.setValue(round(value * SLIDER_STEPS))
            slider.blockSignals(blocked)
            shown = f"{value:.2f}" if slider is self.threshold else f"{100 * value:.0f} %"
            text.setText(shown)
        # It holds for the next images, too, so it must be seen where it is not the usual one.
        font = self.threshold_text.font()
        font.setBold(settings.threshold != Settings().threshold)
        self.threshold_text.setFont(font)

    def _show_state(self) -> None:
        state = self._session.capabilities
        for action, button in self._buttons:
            button.setEnabled(action.needs in state)
        self.button("run.pause").setText("Go On" if Has.PAUSED in state else "Pause")

    def _show_run(self) -> None:
        run = self._session.segmentation
        done, total = run.progress
        # Or each would have all of the window painted that is to be painted, at once.
        self.progress.setUpdatesEnabled(False)
        self.progress.setRange(0, 0 if self._loading else max(1, total))
        self.progress.setValue(done)
        words = progress_text(run.result, run.settings.members, run.seconds_left, run.paused)
        self.progress.setFormat(words)
        self.progress.setTextVisible(total > 0)
        self.progress.setUpdatesEnabled(True)
        self._show_summary()

    def _show_summary(self) -> None:
        session, state = self._session, self._session.capabilities
        image, threshold = session.workspace.image, session.proposal.threshold
        newest = self._watch.newest
        if image is None:
            words = "Open an image (Ctrl+O) or a folder (Ctrl+Shift+O), then press Segment."
        elif newest is not None:
            words = scores(newest, threshold, image.spacing_mm)
        elif Has.MODEL not in state:
            words = "No model is installed. You can draw by hand: press B for the brush."
        elif self._loading:
            words = "Loading the model…"
        elif Has.FITTING in state:
            words = "The style is being fitted to your masks. Segment waits for the end of that."
        elif Has.LEARNING in state:
            words = "The model is learning. Segment waits for the end of that: see Training."
        elif Has.IDLE in state and Has.RESULT not in state:
            words = "Press Segment: the model outlines the lesion several times over."
        else:
            words = ""
        self.summary.setText(words)

    @property
    def _loading(self) -> bool:
        session, run = self._session, self._session.segmentation.run
        waits = session.segmentation.running and session.segmentation.result is None
        return (
            run is not None and waits and not session.model_library.cache.has(run.model, run.device)
        )


def _slider(name: str, tip: str) -> tuple[QSlider, PlainLabel]:
    slider, text = QSlider(Qt.Orientation.Horizontal), PlainLabel()
    slider.setRange(0, SLIDER_STEPS)
    slider.setAccessibleName(name)
    slider.setToolTip(f"{tip} (arrow keys)")
    text.setMinimumWidth(text.fontMetrics().horizontalAdvance("000 %"))
    text.setToolTip(slider.toolTip())
    return slider, text
