#!/usr/bin/env bash
# Law: afterwards .venv runs the program, or the last lines say exactly what a person must type.
#
# Usage: packaging/setup.sh run|dev
# A second call costs a fraction of a second: it installs only when pyproject.toml or the place of
# the checkout changed. pip's own settings (PIP_FIND_LINKS, PIP_INDEX_URL, pip.conf) are honoured.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

mode=${1:?"usage: packaging/setup.sh run|dev"}
case $mode in
run) target=. ;;
dev) target=".[dev]" ;;
*) echo "usage: packaging/setup.sh run|dev" >&2 && exit 2 ;;
esac

venv=.venv
python=$venv/bin/python
# What the Qt wheel expects of a Debian or Ubuntu system: drawing, X11, Wayland.
qt_packages="libegl1 libgl1 libxkbcommon0 libdbus-1-3 libfontconfig1 libfreetype6 libglib2.0-0
 libx11-6 libx11-xcb1 libxcb-cursor0 libxcb-glx0 libxcb-icccm4 libxcb-image0 libxcb-keysyms1
 libxcb-randr0 libxcb-render-util0 libxcb-shape0 libxcb-shm0 libxcb-sync1 libxcb-util1
 libxcb-xfixes0 libxcb-xkb1 libxkbcommon-x11-0 libwayland-client0 libwayland-cursor0
 libwayland-egl1"

say() { printf '%s\n' "$*"; }
stop() {
    printf '\n%s\n' "$@" >&2
    exit 1
}

# Install Debian packages where that needs no question; otherwise fail.
apt_install() {
    local become=()
    command -v apt-get >/dev/null || return 1
    if [ "$(id -u)" -ne 0 ]; then
        sudo -n true 2>/dev/null || return 1
        become=(sudo -n)
    fi
    say "Installing system packages with apt: $*"
    "${become[@]}" env DEBIAN_FRONTEND=noninteractive apt-get update -qq || true
    "${become[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

find_python() {
    local candidate
    for candidate in "${PYTHON:-}" python3 python3.13 python3.12 python3.11 python3.14 python; do
        if [ -n "$candidate" ] && command -v "$candidate" >/dev/null && new_enough "$candidate"; then
            command -v "$candidate"
            return
        fi
    done
    return 1
}

make_venv() {
    local base
    base=$(find_python) || stop "Python 3.11 or newer is needed, and none was found. Type" \
        "    sudo apt install python3 python3-venv" \
        "and try again (or name one: PYTHON=/path/to/python3 make run)."
    say "Making .venv with $("$base" --version) …"
    rm -rf "$venv"
    if ! "$base" -c 'import ensurepip, venv' 2>/dev/null; then
        apt_install python3-venv || stop "Python has no venv module here. Type" \
            "    sudo apt install python3-venv" "and try again."
    fi
    "$base" -m venv "$venv"
}

# The PyTorch that pyproject.toml asks for.
torch_requirement() {
    "$python" -c 'import tomllib
with open("pyproject.toml", "rb") as stream:
    wanted = tomllib.load(stream)["project"]["dependencies"]
print(next(line for line in wanted if line.startswith("torch")))'
}

# Without an NVIDIA card the CPU build of PyTorch is meant: a tenth of the size, and as fast.
torch_options() {
    local index=https://download.pytorch.org/whl/cpu
    [ "$(uname -s)" = Linux ] && [ ! -e /dev/nvidiactl ] && [ ! -e /dev/dxg ] || return 0
    # Asked first, since pip retries for minutes where the index is out of reach.
    "$python" -c 'import sys, urllib.request as request
request.urlopen(sys.argv[1], timeout=8)' "$index/torch/" 2>/dev/null || return 0
    echo "--extra-index-url $index"
}

pip_install() {
    "$python" -m pip install --quiet --disable-pip-version-check "$@" || stop \
        "pip could not install ${*: -1} (its message is above)." \
        "Is there a way to the internet? Then try again: what was loaded already is kept."
}

install() {
    say "Installing PyTorch (about 200 MB, more with an NVIDIA card): a few minutes the first time …"
    # shellcheck disable=SC2046 # two words or none
    pip_install --no-deps $(torch_options) "$(torch_requirement)"
    say "Installing Qt and the other libraries (about 200 MB): a minute or two …"
    pip_install --editable "$target"
    # One of the packages it asks for wants a C compiler, and serves only to unpack archives.
    [ "$mode" != dev ] || pip_install --no-deps isic-challenge-scoring==5.6.0
}

# Names of the shared libraries that Qt wants and the system lacks.
missing_libraries() {
    local qt platform platforms="offscreen ${DISPLAY:+xcb} ${WAYLAND_DISPLAY:+wayland}"
    for qt in "$venv"/lib/python3*/site-packages/PySide6; do
        ldd "$qt"/Qt{Core,Gui,Widgets,Svg}.abi3.so
        for platform in $platforms; do ldd "$qt/Qt/plugins/platforms/libq$platform.so"; done
    done 2>/dev/null | sed -n 's/^[[:space:]]*\([^ ]*\) => not found.*/\1/p' | sort -u | tr '\n' ' '
}

install_qt_libraries() {
    [ "$(uname -s)" = Linux ] && command -v ldd >/dev/null || return 0
    [ -n "$(missing_libraries)" ] || return 0
    # shellcheck disable=SC2086 # a list of words
    apt_install $qt_packages || true
    [ -z "$(missing_libraries)" ] || stop \
        "Qt needs system libraries that are missing: $(missing_libraries)" \
        "On Debian and Ubuntu type" \
        "    sudo apt install $(echo $qt_packages)" \
        "and try again. Elsewhere install the packages that hold these files."
}

# What an installation depends on.
stamp_text() { pwd && cat pyproject.toml packaging/setup.sh; }

installed() {
    local stamp
    for stamp in "$@"; do
        stamp_text | cmp -s - "$venv/installed-$stamp" && return
    done
    return 1
}

if ! "$python" -c '' 2>/dev/null || ! new_enough "$python"; then
    make_venv
fi
# One that was interrupted while it was made has no pip.
"$python" -c 'import pip' 2>/dev/null || "$python" -m ensurepip >/dev/null 2>&1 || stop \
    "There is no pip in $venv, and it cannot be put there. If nothing in it is yours, type" \
    "    rm -r $venv" "and try again."
# What is there for development is enough to run.
if ! installed "$mode" dev; then
    install
    stamp_text >"$venv/installed-$mode"
    say "Installed in $SECONDS s."
fi
install_qt_libraries
