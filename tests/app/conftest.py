"""Law: a window test leaves no thread running and no window alive."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest
import shiboken6
from PySide6.QtCore import QCoreApplication, QEvent, QSettings, QThread
from PySide6.QtWidgets import QApplication, QDialog, QMainWindow, QWidget
from pytestqt.qtbot import QtBot

from nca_seg_app.services import lookahead
from nca_seg_app.session import Has, Session
from nca_seg_app.ui.window import Window
from tests.app.desks import SMALL, AheadDesk, Desk, leave
from tests.fakes import Person, fake_engine


@pytest.fixture(autouse=True)
def nothing_left_behind(own_folders: Path) -> Iterator[None]:
    """Fail the test that ends with a running QThread or a living window of its own.

    Widgets given to `qtbot.addWidget` are closed before this looks.
    """
    # Qt looks at XDG_CONFIG_HOME once per process, so the path is given per test.
    for form in (QSettings.Format.NativeFormat, QSettings.Format.IniFormat):
        QSettings.setPath(form, QSettings.Scope.UserScope, str(own_folders / "qt"))
    windows_before = {_address(widget) for widget in _windows()}
    threads_before = {_address(thread) for thread in _running_threads()}
    yield
    threads = [thread for thread in _running_threads() if _address(thread) not in threads_before]
    names = [_name(thread) for thread in threads]
    for thread in threads:
        # A QThread destroyed while it runs ends the whole process.
        thread.requestInterruption()
        thread.quit()
        thread.wait(10_000)
    if QCoreApplication.instance() is not None:
        QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    gc.collect()
    # What is left now is there to stay: without it the next look takes a fraction of the time.
    gc.freeze()
    left = [_name(widget) for widget in _windows() if _address(widget) not in windows_before]
    if names:
        pytest.fail(f"left running: {', '.join(names)}")
    if left:
        pytest.fail(f"left alive: {', '.join(left)}")


@pytest.fixture
def desk(qtbot: QtBot, tmp_path: Path) -> Iterator[Desk]:
    made = Desk(qtbot, tmp_path)
    yield made
    leave(made)


@pytest.fixture
def person() -> Person:
    return Person(save="discard")


@pytest.fixture
def window(qtbot: QtBot, tmp_path: Path, person: Person) -> Iterator[Window]:
    made = Window(Session(fake_engine(tmp_path), person, SMALL))
    qtbot.addWidget(made)
    made.show()
    made.session.model_library.refresh()
    qtbot.waitUntil(lambda: Has.MODEL in made.session.capabilities)
    yield made
    made.close()


def _windows() -> list[QWidget]:
    # Hidden menus without a parent are pyqtgraph's own and harmless.
    if QApplication.instance() is None:
        return []
    return [
        widget
        for widget in QApplication.topLevelWidgets()
        if widget.isVisible() or isinstance(widget, (QMainWindow, QDialog))
    ]


def _running_threads() -> list[QThread]:
    # By type and not isinstance(): that would ask lazy proxies for their __class__.
    threads = [thing for thing in gc.get_objects() if issubclass(type(thing), QThread)]
    return [thread for thread in threads if shiboken6.isValid(thread) and thread.isRunning()]


def _address(thing: QThread | QWidget) -> int:
    # Of the C++ object: its Python wrapper may come and go.
    address: int = shiboken6.getCppPointer(thing)[0]
    return address


def _name(thing: QThread | QWidget) -> str:
    return f"{type(thing).__name__} {thing.objectName()!r}"


@pytest.fixture
def user(qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[AheadDesk]:
    """Somebody whose next image is segmented ahead, soon."""
    monkeypatch.setattr(lookahead, "REST_MS", 20)
    made = AheadDesk(qtbot, tmp_path)
    yield made
    leave(made)
    assert made.model.at_once == 0
    assert made.model.most_at_once == 1
