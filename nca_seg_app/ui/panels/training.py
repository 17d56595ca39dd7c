"""Starts a training, shows its curves, and offers the new model to the person."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QComboBox,
    QFormLayout,
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QProgressBar,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from engine.networks.table import offered
from engine.plaintext import shown_name
from engine.study.dataset import VAL_SHARE
from engine.types import TrainStep
from nca_seg_app.services.training import FEWEST_FOR_NEW, too_few
from nca_seg_app.session import Has, Session
from nca_seg_app.ui.panels.comparison import ComparisonView
from nca_seg_app.ui.widgets.form import Form
from nca_seg_app.ui.widgets.plain_text import PlainLabel
from nca_seg_app.ui.widgets.plots import CURVE_COLOURS, Plot
from nca_seg_app.ui.widgets.style_fit import StyleFitLabel, StyleFitRow
from nca_seg_app.ui.widgets.wording import duration, leftover, offer

#: Not the size of the grid: a child keeps its parent's.
FIELDS = ("steps", "batch_size", "learning_rate", "validate_every")
FITS = "First tell the model your style: it may draw as you do without any training."
#: Losses of single steps jump; the mean over this share of the run shows where they go.
SMOOTHED_SHARE = 0.05


class TrainingPanel(QWidget):
    """Shows what a model learns from, with which settings, its curves, and what it became."""

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._lay_out()
        training = session.training
        self.start.clicked.connect(self._start)
        self.origin.activated.connect(self._choose_origin)
        self._pause.clicked.connect(training.pause)
        self._keep.clicked.connect(training.stop_and_keep)
        self._cancel.clicked.connect(training.cancel)
        self.accept.clicked.connect(training.accept)
        self._discard.clicked.connect(training.discard)
        self._form.changed.connect(lambda value: session.context.change_settings(learn=value))
        self._new.changed.connect(lambda value: session.context.change_settings(new_model=value))
        session.context.settings_changed.connect(self._show_settings)
        for signal in (
            session.capabilities_changed,
            session.workspace.images_changed,
            session.model_library.chosen_changed,
        ):
            signal.connect(self._show_state)
        training.running_changed.connect(self._show_state)
        training.candidate_changed.connect(self._show_state)
        training.curve_changed.connect(self._show_curve)
        self._show_settings()
        self._show_state()
        self._show_curve()

    def _lay_out(self) -> None:
        self._source = PlainLabel(wraps=True)
        self.origin = QComboBox()
        self.origin.setToolTip("What the training begins with.")
        self.origin.setAccessibleName("Start from")
        self.origin.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self.origin.addItem("the chosen model", "")
        self._about = offered()
        for name in self._about:
            self.origin.addItem(f"a new {name}", name)
            self.origin.setItemData(
                self.origin.count() - 1, self._about[name], Qt.ItemDataRole.ToolTipRole
            )
        self.about = PlainLabel(wraps=True)
        self._form = Form(self._session.context.settings.learn, FIELDS)
        self._new = Form(self._session.context.settings.new_model)
        self.start = _button("", "")
        self._pause = _button("Pause", "Hold the training, or let it go on.")
        self._keep = _button("Stop and keep best", "End it; the best model so far is offered.")
        self._cancel = _button("Cancel", "End it and drop what it made.")
        self._bar = QProgressBar()
        self._left = PlainLabel()
        self._loss, self._dice = Plot("loss", "step"), Plot("validation Dice", "step")
        self._loss.setFixedHeight(150)
        self._dice.setFixedHeight(170)
        buttons = QGridLayout()
        buttons.addWidget(self.start, 0, 0, 1, 2)
        buttons.addWidget(self._bar, 1, 0, 1, 2)
        buttons.addWidget(self._left, 2, 0, 1, 2)
        buttons.addWidget(self._pause, 3, 0)
        buttons.addWidget(self._cancel, 3, 1)
        buttons.addWidget(self._keep, 4, 0, 1, 2)
        layout = QVBoxLayout(self)
        layout.addWidget(StyleFitLabel(self._session, FITS))
        layout.addWidget(StyleFitRow(self._session))
        row = QFormLayout()
        row.addRow("Start from", self.origin)
        layout.addLayout(row)
        layout.addWidget(self.about)
        layout.addWidget(self._source)
        layout.addWidget(self._form)
        layout.addWidget(self._new)
        layout.addLayout(buttons)
        layout.addWidget(self._decision())
        layout.addWidget(self._loss)
        layout.addWidget(self._dice)
        layout.addStretch(1)

    def _decision(self) -> QWidget:
        self.offer = QFrame()
        self.offer.setFrameShape(QFrame.Shape.StyledPanel)
        self.offer_text = PlainLabel(wraps=True)
        self.accept = _button("Add to models", "Put it into the list of models, chosen.")
        self._discard = _button("Discard", "Drop the new model; the list stays as it is.")
        self.comparison = ComparisonView(self._session)
        row = QHBoxLayout()
        row.addWidget(self.accept)
        row.addWidget(self._discard)
        column = QVBoxLayout(self.offer)
        column.addWidget(self.offer_text)
        column.addWidget(self.comparison)
        column.addLayout(row)
        return self.offer

    @property
    def _preset(self) -> str:
        """The preset that a training would begin with; "" where it is the chosen model."""
        return str(self.origin.currentData())

    def _start(self) -> None:
        training = self._session.training
        if self._preset:
            training.train_new(self._new.value())
        else:
            training.finetune(self._form.value())

    def _choose_origin(self) -> None:
        context = self._session.context
        context.change_settings(new_model=replace(context.settings.new_model, preset=self._preset))

    def _show_state(self) -> None:
        session, training = self._session, self._session.training
        masks = sum(row.has_mask for row in session.workspace.images)
        running, is_new = training.running, bool(self._preset)
        if not running:
            # A running one learns from what was saved when it began.
            self._source.setText(self._told(masks))
        needs = Has.STUDY | Has.SAVED_MASKS | Has.IDLE
        enough = masks >= FEWEST_FOR_NEW if is_new else Has.MODEL in session.capabilities
        self.start.setEnabled(needs in session.capabilities and enough)
        self.start.setText("Train new model" if is_new else "Fine-tune")
        self.start.setToolTip(
            "Let a new model learn from the saved masks."
            if is_new
            else "Let the model learn from the saved masks (Ctrl+T)."
        )
        self.about.setText(self._about.get(self._preset, ""))
        shown: dict[QWidget, bool] = {
            self.about: is_new,
            self._new: is_new,
            self._form: not is_new,
            self.start: not running,
        }
        of_a_run = (self._pause, self._keep, self._cancel, self._bar, self._left)
        shown.update(dict.fromkeys(of_a_run, running))
        for widget, whether in shown.items():
            widget.setVisible(whether)
        self.origin.setEnabled(not running)
        for form in (self._form, self._new):
            form.setEnabled(not running)
        self._pause.setText("Go on" if training.paused else "Pause")
        self.offer.setVisible(training.candidate is not None)
        self._show_offer()

    def _told(self, masks: int) -> str:
        """What a training begun now would learn from, and begin with; of so many saved masks."""
        chosen, total = self._session.model_library.chosen, len(self._session.workspace.images)
        if not total:
            return "Open a folder and save some masks: the model can learn from them."
        if not masks:
            return f"None of {total} images has a saved mask yet. Save some to learn from them."
        if self._preset and masks < FEWEST_FOR_NEW:
            return too_few(masks)
        images = "image" if total == 1 else "images"
        told = f"Learns from the saved masks of {masks} of {total} {images}."
        told += f" About one in {round(1 / VAL_SHARE)} is kept aside to judge what it learned."
        if self._preset:
            return f"{told} Knows nothing at first: the more masks and time, the better."
        model = shown_name(chosen.name) if chosen is not None else "no model"
        return f"{told} Starts from {model}, which stays as it is."

    def _show_offer(self) -> None:
        training, curve = self._session.training, self._session.training.curve
        last, parent = curve[-1] if curve else None, training.parent_model
        if training.candidate is not None and training.interrupted is not None:
            name = parent.name if parent is not None else ""
            self.offer_text.setText(leftover(name, training.interrupted))
        elif last is None or last.best_dice is None:
            self.offer_text.setText(
                "A new model is ready. There were too few masks to measure it on: judge it by eye."
            )
        else:
            name, images = parent.name if parent is not None else "", training.validation_images
            self.offer_text.setText(offer(name, last.best_dice, last.start_dice, images))

    def _show_settings(self) -> None:
        settings = self._session.context.settings
        if self._form.value() != settings.learn:
            self._form.set_value(settings.learn)
        if self._new.value() != settings.new_model:
            self._new.set_value(settings.new_model)
        # The one that is wanted may need packages that are not installed any more.
        self.origin.setCurrentIndex(max(0, self.origin.findData(settings.new_model.preset)))
        self._show_state()

    def _show_curve(self) -> None:
        training = self._session.training
        curve = training.curve
        self._loss.clear()
        self._dice.clear()
        self._loss.setVisible(bool(curve))
        self._dice.setVisible(bool(curve) and curve[-1].best_dice is not None)
        if not curve:
            # A training that begins is not where the one before it ended.
            self._bar.reset()
            self._left.clear()
            return
        last = curve[-1]
        self._bar.setRange(0, last.total)
        self._bar.setValue(last.done)
        self._bar.setFormat(f"{last.done} of {last.total}")
        left_s = training.seconds_left
        self._left.setText(f"{duration(left_s)} left" if left_s is not None else "")
        self._draw_loss(curve)
        self._draw_dice(curve)

    def _draw_loss(self, curve: tuple[TrainStep, ...]) -> None:
        # A step that was skipped has no loss.
        taken = [step for step in curve if not np.isnan(step.loss)]
        steps = np.array([step.done for step in taken])
        losses = np.array([step.loss for step in taken])
        faint = pg.mkColor(CURVE_COLOURS[1])
        faint.setAlpha(90)
        self._loss.plot(steps, losses, pen=pg.mkPen(faint, width=1))
        width = max(1, round(SMOOTHED_SHARE * curve[-1].total))
        sums = np.cumsum(np.concatenate([[0.0], losses]))
        first = np.maximum(0, np.arange(1, len(sums)) - width)
        means = (sums[1:] - sums[first]) / (np.arange(1, len(sums)) - first)
        self._loss.plot(steps, means, pen=pg.mkPen(CURVE_COLOURS[1], width=2), name="loss")

    def _draw_dice(self, curve: tuple[TrainStep, ...]) -> None:
        validated = [step for step in curve if step.validation_dice is not None]
        start = curve[-1].start_dice
        if start is not None:
            pen = pg.mkPen(CURVE_COLOURS[5], width=2, style=Qt.PenStyle.DashLine)
            ends = [0, curve[-1].total]
            self._dice.plot(ends, [start, start], pen=pen, name="parent")
        if not validated:
            return
        steps = [step.done for step in validated]
        dice = [float(step.validation_dice or 0) for step in validated]
        pen, brush = pg.mkPen(CURVE_COLOURS[2], width=2), CURVE_COLOURS[2]
        self._dice.plot(
            steps, dice, pen=pen, symbol="o", symbolSize=5, symbolBrush=brush, symbolPen=None,
            name="new model",
        )  # fmt: skip
        best = int(np.argmax(dice))
        self._dice.plot(
            [steps[best]], [dice[best]], pen=None, symbol="star", symbolSize=15,
            symbolBrush=CURVE_COLOURS[0], symbolPen=None, name=f"best {dice[best]:.3f}",
        )  # fmt: skip


def _button(text: str, tip: str) -> QPushButton:
    button = QPushButton(text)
    button.setToolTip(tip)
    return button
