"""Finds out why Qt could not open a window, before Qt would end the program because of it."""

from __future__ import annotations

import ctypes
import re
from collections.abc import Callable, Iterable, Mapping
from importlib.util import find_spec
from pathlib import Path

#: The shared libraries of the system that the Qt wheel needs, and their Debian and Ubuntu packages.
WIDGETS = {
    "libEGL.so.1": "libegl1",
    "libGL.so.1": "libgl1",
    "libX11.so.6": "libx11-6",
    "libdbus-1.so.3": "libdbus-1-3",
    "libfontconfig.so.1": "libfontconfig1",
    "libfreetype.so.6": "libfreetype6",
    "libglib-2.0.so.0": "libglib2.0-0",
    "libgthread-2.0.so.0": "libglib2.0-0",
    "libxkbcommon.so.0": "libxkbcommon0",
}
PLATFORMS = {
    "xcb": {
        "libX11-xcb.so.1": "libx11-xcb1",
        "libxcb.so.1": "libxcb1",
        "libxcb-cursor.so.0": "libxcb-cursor0",
        "libxcb-glx.so.0": "libxcb-glx0",
        "libxcb-icccm.so.4": "libxcb-icccm4",
        "libxcb-image.so.0": "libxcb-image0",
        "libxcb-keysyms.so.1": "libxcb-keysyms1",
        "libxcb-randr.so.0": "libxcb-randr0",
        "libxcb-render.so.0": "libxcb-render0",
        "libxcb-render-util.so.0": "libxcb-render-util0",
        "libxcb-shape.so.0": "libxcb-shape0",
        "libxcb-shm.so.0": "libxcb-shm0",
        "libxcb-sync.so.1": "libxcb-sync1",
        "libxcb-util.so.1": "libxcb-util1",
        "libxcb-xfixes.so.0": "libxcb-xfixes0",
        "libxcb-xkb.so.1": "libxcb-xkb1",
        "libxkbcommon-x11.so.0": "libxkbcommon-x11-0",
    },
    "wayland": {
        "libwayland-client.so.0": "libwayland-client0",
        "libwayland-cursor.so.0": "libwayland-cursor0",
        "libwayland-egl.so.1": "libwayland-egl1",
    },
}
PACKAGES = {
    name: package for table in (WIDGETS, *PLATFORMS.values()) for name, package in table.items()
}
#: For each platform: the variable that names its display, its library, and the functions of that
#: library that open and close a display.
DISPLAYS = {
    "xcb": ("DISPLAY", "libxcb.so.1", "xcb_connect", "xcb_disconnect"),
    "wayland": (
        "WAYLAND_DISPLAY",
        "libwayland-client.so.0",
        "wl_display_connect",
        "wl_display_disconnect",
    ),
}
WITHOUT_A_WINDOW = (
    "Without a window, nca-seg-app IMAGE --headless OUT and nca-seg segment IMAGE --out OUT do the "
    "model's work."
)
Load = Callable[[str], object]


def without_qt(error: ImportError, load: Load = ctypes.CDLL) -> str | None:
    """A sentence on the system's libraries that importing Qt lacked; None if it failed otherwise.

    `load` loads a shared library by name, or raises OSError.
    """
    file = _file(error)
    return _sentence({file, *_absent(WIDGETS, load)}) if file is not None else None


def without_window(
    environment: Mapping[str, str], plugins: Path | None = None, load: Load = ctypes.CDLL
) -> str | None:
    """Why Qt cannot show a window on Linux, as a sentence; None if it can.

    Qt tries several platforms if it may, so one that works is enough. Qt must have been imported.

    Parameters
    ----------
    environment : environment variables.
    plugins : folder of Qt's platform plugins; that of the wheel by default.
    load : loads a shared library by name, or raises OSError.
    """
    folder = plugins or plugin_folder()
    troubles = []
    for platform in wanted(environment):
        trouble = _trouble(platform, folder, environment, load)
        if trouble is None:
            return None
        troubles.append(trouble)
    return troubles[0] if troubles else None


def wanted(environment: Mapping[str, str]) -> list[str]:
    """The platforms that Qt would try, in order, for example "xcb"."""
    if named := environment.get("QT_QPA_PLATFORM"):
        return [each.split(":")[0] for each in named.split(";") if each]
    return [
        platform
        for platform, (variable, *_) in reversed(DISPLAYS.items())
        if environment.get(variable)
    ]


def plugin_folder() -> Path:
    """The folder of the Qt wheel's platform plugins."""
    found = find_spec("PySide6")
    (place,) = found.submodule_search_locations or [""] if found is not None else [""]
    return Path(place) / "Qt" / "plugins" / "platforms"


def _trouble(platform: str, folder: Path, environment: Mapping[str, str], load: Load) -> str | None:
    """Why Qt cannot show a window by this platform, as a sentence; None if it can."""
    kind = platform.split("-")[0]
    files = sorted(folder.glob(f"libq{platform}.so")) or sorted(folder.glob(f"libq{kind}*.so"))
    if not files:
        # Another build of Qt, such as a distribution's, may keep its plugins elsewhere.
        known = sorted(file.stem.removeprefix("libq") for file in folder.glob("libq*.so"))
        return (
            f"QT_QPA_PLATFORM is {platform}, and Qt knows only {', '.join(known)} here."
            if known
            else None
        )
    try:
        load(str(files[0]))
    except OSError as error:
        file = _file(error)
        if file is None:
            return f"Qt cannot show a window by {platform}: {error}. {WITHOUT_A_WINDOW}"
        return _sentence({file, *_absent(PLATFORMS.get(kind, ()), load)})
    variable, *_ = DISPLAYS.get(kind, ("",))
    # A socket that was passed to the program can be used only once, which is left to Qt.
    if not variable or environment.get("WAYLAND_SOCKET") or _answers(kind, load):
        return None
    display = environment.get(variable)
    trouble = f"The display {display!r} does not answer" if display else f"{variable} is not set"
    return f"{trouble}, so no window can be shown. {WITHOUT_A_WINDOW}"


def _answers(kind: str, load: Load) -> bool:
    """Whether the display that the environment names can be opened; an X11 display is kept open."""
    _, file, connect, disconnect = DISPLAYS[kind]
    library = load(file)
    if not isinstance(library, ctypes.CDLL):
        return True
    opening, closing = library[connect], library[disconnect]
    opening.restype, closing.argtypes = ctypes.c_void_p, (ctypes.c_void_p,)
    opened = opening(None, None) if kind == "xcb" else opening(None)
    if not opened:
        return False
    refused = False
    if kind == "xcb":
        # XCB always returns a connection, which then reports an error.
        refusal = library["xcb_connection_has_error"]
        refusal.argtypes = (ctypes.c_void_p,)
        refused = bool(refusal(opened))
    # An X server may end or restart when its last client leaves, so this connection stays open
    # until Qt has its own.
    if refused or kind != "xcb":
        closing(opened)
    return not refused


def _absent(names: Iterable[str], load: Load) -> set[str]:
    """The libraries that the system lacks, of these and of those that they need in turn."""
    lacking = set()
    for name in names:
        try:
            load(name)
        except OSError as error:
            lacking.add(_file(error) or name)
    return lacking


def _file(error: Exception) -> str | None:
    """The missing shared library that an error of loading names, or None."""
    found = re.match(r"(\S+\.so[.\d]*): cannot open shared object file", str(error))
    return found.group(1) if found else None


def _sentence(files: Iterable[str]) -> str:
    """What to say about these missing libraries, and how to install them."""
    names = sorted(files)
    known = sorted({PACKAGES[name] for name in names if name in PACKAGES})
    unknown = [name for name in names if name not in PACKAGES]
    sentences = [f"Qt needs libraries of the system that are missing: {', '.join(names)}."]
    if known:
        sentences.append(f"On Debian and Ubuntu type: sudo apt install {' '.join(known)}.")
    if unknown:
        sentences.append(f"Install the package that holds {', '.join(unknown)}.")
    return " ".join(sentences)
