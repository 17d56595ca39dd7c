"""Run a Qt program until its first window is painted, say when that was, and leave.

    python firstpaint.py nca-seg|labelme|napari

Imports nothing of this project before the program itself, so that it can run in any environment.
Prints the time (seconds since the epoch) at which the first paint of a visible window had been
handled, whichever Python binding of Qt the program has chosen.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
import time
from typing import Any

BINDINGS = ("PySide6", "PyQt6", "PyQt5", "PySide2")
PAINT = 12


def main(program: str) -> None:
    """Start the program as its own command does."""
    sys.argv = [program]
    if program == "nca-seg":
        arm("PySide6")
        sys.exit(importlib.import_module("nca_seg_app.__main__").main([]))
    if program == "labelme":
        arm("PyQt5" if has("PyQt5") else next(name for name in BINDINGS if has(name)))
        sys.exit(importlib.import_module("labelme.__main__").main())
    arm(next(name for name in BINDINGS if has(name)))
    napari: Any = importlib.import_module("napari")
    napari.Viewer()
    napari.run()


def has(name: str) -> bool:
    """Whether a module can be imported."""
    return importlib.util.find_spec(name) is not None


def arm(binding: str) -> None:
    """Watch for the first paint from the moment the program first shows a widget."""
    core: Any = importlib.import_module(f"{binding}.QtCore")
    widgets: Any = importlib.import_module(f"{binding}.QtWidgets")

    class Watch(core.QObject):  # type: ignore[misc]
        def eventFilter(self, watched: Any, event: Any) -> bool:
            kind = event.type()
            painted = int(getattr(kind, "value", kind)) == PAINT
            if painted and isinstance(watched, widgets.QWidget) and watched.window().isVisible():
                widgets.QApplication.instance().removeEventFilter(self)
                # Queued behind the paint itself.
                core.QTimer.singleShot(0, leave)
            return False

    def leave() -> None:
        print(time.time(), flush=True)
        os._exit(0)

    def watch() -> None:
        app = widgets.QApplication.instance()
        if app is not None and not hasattr(app, "first_paint"):
            app.first_paint = Watch(app)
            app.installEventFilter(app.first_paint)

    show = widgets.QWidget.show

    def watched_show(widget: Any) -> Any:
        # Some programs paint before their loop begins.
        watch()
        return show(widget)

    widgets.QWidget.show = watched_show
    for name in ("exec", "exec_"):
        original = getattr(widgets.QApplication, name, None)
        if original is None:
            continue

        def begin(*_: Any, original: Any = original) -> Any:
            watch()
            return original()

        setattr(widgets.QApplication, name, begin)


if __name__ == "__main__":
    main(sys.argv[1])
