"""Law: the lower bounds in pyproject.toml are versions that the installed program works with.

Makes a virtual environment in build/lowest, installs the program as a wheel with every dependency
at its lower bound, and works with it: the command line, the window without a display, some tests.
PyTorch alone is the newest that is allowed, since each of its versions is some hundred megabytes.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tomllib
import venv
from collections.abc import Iterable
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
PLACE = PROJECT / "build" / "lowest"
SAMPLE = PROJECT / "resources" / "samples" / "sample_1_plain.jpg"
#: What the tests need; the rest of `dev` is for checks that do not depend on the bounds.
TEST_TOOLS = ("hypothesis", "pytest", "pytest-qt", "pytest-timeout")
AS_NEW_AS_ALLOWED = ("torch",)
TESTS = (
    "tests/app/ui/widgets/test_form.py",
    "tests/app/services/test_error_messages.py",
    "tests/app/ui/test_window.py",
    "tests/engine/networks/test_checkpoint.py",
    "tests/engine/cli/test_models.py",
    "tests/engine/diffusion/test_ensemble.py",
    "tests/engine/images/test_reading.py",
    "tests/engine/networks/test_library.py",
    "tests/engine/masks/test_edits.py",
    "tests/engine/report/test_page.py",
    "tests/engine/masks/test_files.py",
    "tests/engine/masks/test_measurements.py",
    "tests/engine/study/test_study.py",
)


def pinned(requirements: Iterable[str]) -> list[str]:
    """Each requirement, as "numpy>=1.26", at its lower bound, as "numpy==1.26"."""
    pins = []
    for requirement in requirements:
        found = re.fullmatch(r"([\w.-]+)>=([\w.]+)(,.*)?", requirement)
        if found is None:
            raise ValueError(f"{requirement} has no lower bound")
        name, lowest, _ = found.groups()
        pins.append(requirement if name in AS_NEW_AS_ALLOWED else f"{name}=={lowest}")
    return pins


def lowest(project: Path = PROJECT) -> list[str]:
    """What is installed beside the program."""
    with (project / "pyproject.toml").open("rb") as stream:
        declared = tomllib.load(stream)["project"]
    extras = declared["optional-dependencies"]
    tools = [each for each in extras["dev"] if re.split(r"[^\w.-]", each)[0] in TEST_TOOLS]
    return pinned([*declared["dependencies"], *extras["report"], *tools])


def run(*command: str | Path, folder: Path = PLACE) -> None:
    """Run a command of the new environment; SystemExit where it fails."""
    print("+", *command, flush=True)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment |= {"QT_QPA_PLATFORM": "offscreen", "NCA_SEG_HOME": str(PLACE / "home")}
    done = subprocess.run([str(part) for part in command], cwd=folder, env=environment, check=False)
    if done.returncode:
        raise SystemExit(f"That failed ({done.returncode}) with the lower bounds.")


def main() -> None:
    """Install and try; SystemExit says what failed."""
    pins = lowest()
    shutil.rmtree(PLACE, ignore_errors=True)
    # What setuptools built before, of files that may be gone.
    shutil.rmtree(PROJECT / "build" / "lib", ignore_errors=True)
    venv.create(PLACE / "venv", with_pip=True)
    scripts = PLACE / "venv" / ("Scripts" if os.name == "nt" else "bin")
    python = scripts / "python"
    run(python, "-m", "pip", "install", "--quiet", *pins, PROJECT)
    program = "from importlib.metadata import files; print(*(f for f in files('nca-seg') or ()))"
    shown = subprocess.check_output([python, "-c", program], cwd=PLACE, text=True)
    for needed in ("LICENSE", "THIRD_PARTY.md", "resources/MultiCBAM.safetensors"):
        if needed not in shown:
            raise SystemExit(f"{needed} is not in the wheel.")
    run(scripts / "nca-seg", "--help")
    run(scripts / "nca-seg", "doctor")
    run(scripts / "nca-seg", "models")
    # Where the program may write beside it.
    image = Path(shutil.copy(SAMPLE, PLACE))
    run(scripts / "nca-seg", "segment", image, "--out", PLACE / "out", "--members", "2")
    run(scripts / "nca-seg-app", image, "--headless", PLACE / "window")
    # An old library is deprecated by what it stands on, and works.
    quiet = ("-p", "no:cacheprovider", "-W", "ignore::DeprecationWarning")
    run(python, "-m", "pytest", "-q", *quiet, *TESTS, folder=PROJECT)
    print("The lower bounds hold:", ", ".join(pins))


if __name__ == "__main__":
    main()
