"""Makes a form from a settings dataclass, whose fields carry label, range, unit and help."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection
from typing import Any

from PySide6.QtCore import QEvent, QObject, Qt, QTimer, Signal
from PySide6.QtGui import QKeyEvent, QKeySequence
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractSpinBox,
    QApplication,
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QFormLayout,
    QLineEdit,
    QSpinBox,
    QWidget,
)

from nca_seg_app.ui.widgets.plain_text import PlainLabel

LARGEST = 2**31 - 1
#: Choices that are written in capitals.
ABBREVIATIONS = {"ddim", "ddpm", "cpu", "cuda"}
#: Keys that end typing, or give it up.
ENDING = (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Escape)
#: Keys that take a number ten steps on.
PAGING = (Qt.Key.Key_PageUp, Qt.Key.Key_PageDown)


def finish_typing() -> None:
    """Take over the number that is being typed, as if its field had been left."""
    field = QApplication.focusWidget()
    if isinstance(field, QAbstractSpinBox):
        field.interpretText()


class FieldKeys(QObject):
    """Keeps keys that mean something in a field from starting a command of the window as well.

    Qt sees to letters and digits by itself. Space is left to buttons, and kept from numbers. Return
    ends typing, and gives the keyboard to `home` again.
    """

    def __init__(self, window: QWidget, home: QWidget) -> None:
        """For every field in `window` as it is now."""
        super().__init__(window)
        self._home = home
        fields = (*window.findChildren(QAbstractSpinBox), *window.findChildren(QLineEdit))
        pressed = (*window.findChildren(QAbstractButton), *window.findChildren(QComboBox))
        for field in (*fields, *pressed):
            field.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if not isinstance(event, QKeyEvent):
            return False
        types = isinstance(watched, (QAbstractSpinBox, QLineEdit))
        if event.type() == QEvent.Type.KeyPress and types and event.key() in ENDING[:2]:
            # After what the field itself makes of it.
            QTimer.singleShot(0, self._home, self._home.setFocus)
        if event.type() != QEvent.Type.ShortcutOverride:
            return False
        if isinstance(watched, QAbstractSpinBox) and event.key() == Qt.Key.Key_Space:
            event.ignore()
            return True
        if isinstance(watched, (QAbstractButton, QComboBox)):
            keys: tuple[Qt.Key, ...] = (Qt.Key.Key_Space,)
        else:
            keys = ENDING + PAGING if isinstance(watched, QAbstractSpinBox) else ENDING
        plain = not event.modifiers() & ~Qt.KeyboardModifier.KeypadModifier
        erases = event.matches(QKeySequence.StandardKey.DeleteStartOfWord)
        if erases or (plain and event.key() in keys):
            event.accept()
            return True
        return False


class Form(QWidget):
    """Shows a row for each setting; `value()` is always one that its dataclass accepts.

    Fields without a label, and those not in `only` where that is given, keep their value and have
    no row.
    """

    #: The settings, whenever a person has changed them to others that hold.
    changed = Signal(object)

    def __init__(
        self, settings: Any, only: tuple[str, ...] = (), parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._value = settings
        #: What is shown and does not hold yet.
        self._tried: dict[str, Any] = {}
        self._setters: dict[str, Callable[[Any], None]] = {}
        layout = QFormLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for each in dataclasses.fields(settings):
            if each.metadata.get("label") and (not only or each.name in only):
                editor = self._editor(each, getattr(settings, each.name))
                editor.setObjectName(each.name)
                editor.setAccessibleName(each.metadata["label"])
                editor.setToolTip(each.metadata["help"])
                layout.addRow(each.metadata["label"], editor)
                layout.labelForField(editor).setToolTip(each.metadata["help"])
        self._problem = PlainLabel(parent=self, wraps=True)
        self._problem.hide()
        layout.addRow(self._problem)

    def value(self) -> Any:
        """The settings as the form shows them, or the last that held."""
        return self._value

    def set_value(self, settings: Any) -> None:
        """Show `settings`; `changed` is not emitted."""
        self._value = settings
        self._tried.clear()
        for name, show in self._setters.items():
            show(getattr(settings, name))
        self._problem.hide()

    def offer(self, names: Collection[str]) -> None:
        """Show the rows of these settings alone; the others keep their values."""
        layout = self.layout()
        assert isinstance(layout, QFormLayout)
        for name in self._setters:
            field = self.findChild(QWidget, name)
            assert field is not None
            layout.setRowVisible(field, name in names)

    def problem(self) -> str:
        """Why what is shown does not hold, or ""."""
        return self._problem.text() if not self._problem.isHidden() else ""

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if (
            isinstance(event, QKeyEvent)
            and event.type() == QEvent.Type.KeyPress
            and event.key() == Qt.Key.Key_Escape
        ):
            # It gives up what was typed into a number field; where nothing was, it may close a
            # dialog.
            typed = watched.property("text")
            watched.setProperty("value", watched.property("value"))
            return bool(watched.property("text") != typed)
        return super().eventFilter(watched, event)

    def _take(self, name: str, value: Any) -> None:
        if value == getattr(self._value, name) and not self._tried:
            return
        self._tried[name] = value
        try:
            self._value = dataclasses.replace(self._value, **self._tried)
        except ValueError as error:
            self._problem.setText(str(error))
            self._problem.show()
            return
        self._tried.clear()
        self._problem.hide()
        self.changed.emit(self._value)

    def _editor(self, described: dataclasses.Field[Any], value: Any) -> QWidget:
        metadata, name = described.metadata, described.name
        if metadata["choices"]:
            return self._choice(name, metadata["choices"], value)
        if isinstance(value, bool):
            return self._check(name, value)
        if isinstance(value, int):
            return self._whole(name, metadata, value)
        if isinstance(value, float):
            return self._decimal(name, metadata, value)
        return self._line(name, str(value))

    def _choice(self, name: str, choices: tuple[str, ...], value: str) -> QWidget:
        box = QComboBox()
        for choice in choices:
            shown = choice.upper() if choice in ABBREVIATIONS else choice.capitalize()
            box.addItem(shown, choice)
        box.setCurrentIndex(choices.index(value))
        box.currentIndexChanged.connect(lambda index: self._take(name, choices[index]))
        self._setters[name] = lambda shown: _quietly(box, box.setCurrentIndex, choices.index(shown))
        return box

    def _check(self, name: str, value: bool) -> QWidget:
        box = QCheckBox()
        box.setChecked(value)
        box.toggled.connect(lambda checked: self._take(name, checked))
        self._setters[name] = lambda shown: _quietly(box, box.setChecked, shown)
        return box

    def _whole(self, name: str, metadata: Any, value: int) -> QWidget:
        box = QSpinBox()
        box.installEventFilter(self)
        low, high = metadata["low"], metadata["high"]
        box.setRange(-LARGEST if low is None else int(low), LARGEST if high is None else int(high))
        box.setSuffix(f" {metadata['unit']}" if metadata["unit"] else "")
        box.setSpecialValueText(metadata["word"])
        # Halfway through typing a number nothing is meant yet.
        box.setKeyboardTracking(False)
        box.setValue(value)
        box.valueChanged.connect(lambda number: self._take(name, number))
        self._setters[name] = lambda shown: _quietly(box, box.setValue, shown)
        return box

    def _decimal(self, name: str, metadata: Any, value: float) -> QWidget:
        box = _Decimal()
        box.installEventFilter(self)
        low, high = metadata["low"], metadata["high"]
        decimals = 2 if value == 0 or (abs(value) >= 0.1 and round(value, 2) == value) else 6
        box.setDecimals(decimals)
        box.setStepType(QDoubleSpinBox.StepType.AdaptiveDecimalStepType)
        box.setRange(-1e9 if low is None else low, 1e9 if high is None else high)
        box.setSuffix(f" {metadata['unit']}" if metadata["unit"] else "")
        box.setKeyboardTracking(False)
        box.setValue(value)
        box.valueChanged.connect(lambda number: self._take(name, number))
        self._setters[name] = lambda shown: _quietly(box, box.setValue, shown)
        return box

    def _line(self, name: str, value: str) -> QWidget:
        line = QLineEdit(value)
        line.editingFinished.connect(lambda: self._take(name, line.text()))
        self._setters[name] = lambda shown: _quietly(line, line.setText, shown)
        return line


class _Decimal(QDoubleSpinBox):
    """A number without the zeros at its end."""

    def textFromValue(self, value: float) -> str:
        text, point = super().textFromValue(value), self.locale().decimalPoint()
        return text.rstrip("0").rstrip(point) if point in text else text


def _quietly(widget: QWidget, show: Callable[[Any], object], value: Any) -> None:
    blocked = widget.blockSignals(True)
    show(value)
    widget.blockSignals(blocked)
