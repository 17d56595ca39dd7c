"""Law: what keeps Qt from opening a window is one sentence that says what to install or to type."""

from __future__ import annotations

import ctypes
import re
import subprocess
import sys
from collections.abc import Callable, Collection
from pathlib import Path

import pytest

from nca_seg_app import startup_checks
from nca_seg_app.startup_checks import PACKAGES, wanted, without_qt, without_window
from tests.conftest import PROJECT

XCB, WAYLAND = {"DISPLAY": ":7"}, {"WAYLAND_DISPLAY": "wayland-0"}


class System:
    """A system that lacks some libraries; a platform of Qt needs all that are known for it."""

    def __init__(self, *lacking: str) -> None:
        self.lacking = lacking

    def load(self, file: str) -> object:
        kind = Path(file).stem.removeprefix("libq").split("-")[0]
        needed: Collection[str] = (
            startup_checks.PLATFORMS.get(kind, (file,)) if "/" in file else (file,)
        )
        for name in needed:
            if name in self.lacking:
                raise OSError(f"{name}: cannot open shared object file: No such file or directory")
        if "/" in file and "libother.so.3" in self.lacking:
            raise OSError("libother.so.3: cannot open shared object file: No such file")
        return None


@pytest.fixture
def plugins(tmp_path: Path) -> Path:
    for name in ("xcb", "wayland", "offscreen", "minimal"):
        (tmp_path / f"libq{name}.so").touch()
    return tmp_path


@pytest.mark.parametrize(
    ("environment", "lacking", "package"),
    [
        (XCB, "libxcb-cursor.so.0", "libxcb-cursor0"),
        (XCB, "libxcb-icccm.so.4", "libxcb-icccm4"),
        (XCB, "libxkbcommon-x11.so.0", "libxkbcommon-x11-0"),
        (WAYLAND, "libwayland-cursor.so.0", "libwayland-cursor0"),
        ({"QT_QPA_PLATFORM": "xcb"}, "libxcb-util.so.1", "libxcb-util1"),
        ({"QT_QPA_PLATFORM": "wayland-egl"}, "libwayland-egl.so.1", "libwayland-egl1"),
        # Of two the first is told of, where neither works.
        (XCB | WAYLAND, "both", "libwayland-client0"),
    ],
)
def test_the_package_of_a_missing_library_is_named(
    environment: dict[str, str], lacking: str, package: str, plugins: Path
) -> None:
    both = ("libxcb.so.1", "libwayland-client.so.0")
    told = without_window(
        environment, plugins, System(*(both if lacking == "both" else [lacking])).load
    )
    assert told is not None
    assert f"sudo apt install {package}." in told
    assert lacking in told or lacking == "both"


def test_all_that_is_missing_is_named_at_once(plugins: Path) -> None:
    system = System("libxcb-cursor.so.0", "libxcb-util.so.1", "libwayland-egl.so.1")
    told = without_window(XCB, plugins, system.load)
    assert told is not None
    assert "sudo apt install libxcb-cursor0 libxcb-util1." in told
    assert "wayland" not in told


def test_a_library_that_nobody_knows_is_named_itself(plugins: Path) -> None:
    told = without_window(XCB, plugins, System("libother.so.3").load)
    assert told is not None
    assert "Install the package that holds libother.so.3." in told
    assert "apt" not in told


def test_one_platform_that_works_is_enough(plugins: Path) -> None:
    for lacking in ("libxcb-cursor.so.0", "libwayland-cursor.so.0"):
        assert without_window(XCB | WAYLAND, plugins, System(lacking).load) is None


@pytest.mark.parametrize("named", ["offscreen", "minimal", "offscreen:enable_fonts", "xcb;wayland"])
def test_where_nothing_is_missing_nothing_is_told(named: str, plugins: Path) -> None:
    assert without_window({"QT_QPA_PLATFORM": named}, plugins, System().load) is None


def test_a_platform_that_qt_does_not_have_is_told_with_those_it_has(plugins: Path) -> None:
    told = without_window({"QT_QPA_PLATFORM": "xbc"}, plugins, System().load)
    assert told is not None
    assert "xbc" in told
    assert "offscreen, wayland, xcb" in told
    # A Qt of another make, whose platforms lie elsewhere.
    assert without_window({"QT_QPA_PLATFORM": "xbc"}, plugins / "none", System().load) is None


@pytest.mark.parametrize(
    ("environment", "platforms"),
    [
        ({}, []),
        (XCB, ["xcb"]),
        (XCB | WAYLAND, ["wayland", "xcb"]),
        (XCB | {"QT_QPA_PLATFORM": "wayland:x;offscreen"}, ["wayland", "offscreen"]),
    ],
)
def test_qt_tries_what_the_environment_names(
    environment: dict[str, str], platforms: list[str]
) -> None:
    assert wanted(environment) == platforms


@pytest.mark.parametrize(
    ("environment", "said"),
    [(XCB, "':7' does not answer"), ({"QT_QPA_PLATFORM": "xcb"}, "DISPLAY is not set")],
)
def test_a_display_that_does_not_answer_is_told_with_a_way_on(
    environment: dict[str, str], said: str, plugins: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(startup_checks, "_answers", lambda *_: False)
    told = without_window(environment, plugins, System().load)
    assert told is not None
    assert said in told
    assert "--headless" in told
    assert "nca-seg segment" in told


class Library(ctypes.CDLL):
    """A library whose functions are only noted; an X server refuses where `error` is not 0."""

    def __init__(self, error: int) -> None:
        self.error, self.called = error, list[str]()

    def __getitem__(self, name: object) -> Callable[..., int]:  # type: ignore[override]
        def function(*_: object) -> int:
            self.called.append(str(name))
            return self.error if str(name).endswith("error") else 7

        return function


@pytest.mark.parametrize(
    ("kind", "error", "closes"), [("xcb", 0, False), ("xcb", 1, True), ("wayland", 0, True)]
)
def test_the_only_client_of_an_x_server_stays_until_qt_is_one(
    kind: str, error: int, closes: bool
) -> None:
    # Xvfb, as xvfb-run starts it, starts anew when its last client goes: Qt would then not find it.
    library = Library(error)
    assert startup_checks._answers(kind, lambda _: library) == (error == 0)
    assert any("disconnect" in name for name in library.called) == closes


def test_a_socket_that_was_handed_over_is_left_to_qt(
    plugins: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(startup_checks, "_answers", lambda *_: False)
    environment = WAYLAND | {"WAYLAND_SOCKET": "5"}
    assert without_window(environment, plugins, System().load) is None


@pytest.mark.parametrize("name", ["libEGL.so.1", "libGL.so.1", "libglib-2.0.so.0"])
def test_an_import_of_qt_that_fails_names_the_package(name: str) -> None:
    error = ImportError(f"{name}: cannot open shared object file: No such file or directory")
    told = without_qt(error, System(name).load)
    assert told is not None
    assert f"sudo apt install {PACKAGES[name]}." in told


def test_another_failure_of_an_import_is_not_taken_for_it() -> None:
    assert without_qt(ImportError("No module named 'PySide6'"), System().load) is None


def test_every_package_that_is_named_is_one_that_the_set_up_installs() -> None:
    script = (PROJECT / "packaging" / "setup.sh").read_text(encoding="utf-8")
    found = re.search(r'qt_packages="(.*?)"', script, re.S)
    assert found is not None
    # They come with those that need them.
    behind = {"libxcb1", "libxcb-render0"}
    assert set(PACKAGES.values()) - behind <= set(found.group(1).split())


REFUSED = """
import builtins, sys
real = builtins.__import__
def refuse(name, *rest, **more):
    if name.startswith("PySide6"):
        raise ImportError("libEGL.so.1: cannot open shared object file: No such file or directory")
    return real(name, *rest, **more)
builtins.__import__ = refuse
from nca_seg_app.__main__ import main
sys.exit(main(["--sample"]))
"""


def test_the_program_ends_with_the_sentence_and_no_traceback() -> None:
    done = subprocess.run(
        [sys.executable, "-c", REFUSED], cwd=PROJECT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("nca-seg-app: ")
    assert "libEGL.so.1" in line
    assert "libegl1" in line
