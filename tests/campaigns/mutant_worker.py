"""Reads damaged files by number, one after the other: a line in, a line out."""

from __future__ import annotations

import json
import random
import shutil
import sys
import traceback
import unicodedata
from collections.abc import Callable
from pathlib import Path

from engine.cli.options import sentence as cli_sentence
from engine.errors import EngineError
from nca_seg_app.services.error_messages import sentence as window_sentence
from nca_seg_app.state.settings import UnreadableSettings
from tests.campaigns import mutations
from tests.campaigns import templates as drawn
from tests.campaigns.harness import chances
from tests.campaigns.specimens import SPECIMENS, Fault, Specimen

LONGEST_SENTENCE = 400
#: Beyond what the libraries have mapped when they are loaded.
MEMORY = 3 * 2**30
PLACE_SHARE, SPARSE_SHARE = 0.08, 0.02


def main() -> None:
    templates = Path(sys.argv[1])
    drawn.draw(templates)
    _limit_memory()
    print("ready", flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        folder = Path(asked["folder"]) / "mutant"
        kind, told = one(asked["number"], asked["seed"], templates, folder)
        print(json.dumps({"kind": kind, **told}), flush=True)


def one(number: int, seed: int, templates: Path, folder: Path) -> tuple[str, dict[str, str]]:
    """Damage a copy of the specimen whose turn it is, and read it."""
    rng, names = chances("mutants", seed, number), list(SPECIMENS)
    kind = names[number % len(names)]
    specimen = SPECIMENS[kind]
    shutil.copytree(templates / specimen.template, folder)
    damage = _damage(specimen, folder / specimen.target, rng, templates)
    verdict, found = _read(specimen, folder, damage)
    return kind.split(" (")[0], {"verdict": verdict, "found": f"{damage}: {found}"}


def _damage(specimen: Specimen, target: Path, rng: random.Random, templates: Path) -> str:
    sort = rng.random()
    if sort < PLACE_SHARE:
        name = rng.choice(list(mutations.PLACES))
        mutations.put(target, name, rng)
        return name
    if sort < PLACE_SHARE + SPARSE_SHARE:
        mutations.sparse_tail(target)
        return "sparse_tail"
    content = target.read_bytes()
    if sort < 0.15:
        other = rng.choice(list(SPECIMENS.values()))
        strange = (templates / other.template / other.target).read_bytes()
        place = rng.randrange(len(content) + 1) if rng.random() < 0.5 else 0
        target.write_bytes(content[:place] + strange[place if place else 0 :])
        return "spliced"
    # What is made for this kind of file comes as often as all that any file may suffer.
    own = specimen.more and rng.random() < 0.5
    change = rng.choice(specimen.more) if own else rng.choice(list(mutations.ANY.values()))
    target.write_bytes(change(content, rng))
    return change.__name__


def _read(specimen: Specimen, folder: Path, damage: str) -> tuple[str, str]:
    try:
        specimen.read(folder, damage)
    except Fault as fault:
        return fault.verdict, str(fault)
    except (EngineError, UnreadableSettings) as error:
        return _judge(error)
    except OSError as error:
        if specimen.os_errors:
            return _judge(error)
        return "traceback", _where(error)
    except BaseException as error:
        # Whatever else comes is what nobody foresaw; the worker goes on.
        return "traceback", _where(error)
    return "held", ""


def _judge(error: Exception) -> tuple[str, str]:
    """Whether what would be told is one bounded sentence."""
    tells: list[Callable[[BaseException], str]] = [window_sentence]
    if not isinstance(error, UnreadableSettings):
        tells.append(cli_sentence)
    for tell in tells:
        told = tell(error)
        if len(told) > LONGEST_SENTENCE:
            return "wrong", f"a sentence of {len(told)} characters: {told[:150]!r}"
        if odd := {letter for letter in told if unicodedata.category(letter) in ("Cc", "Cs")}:
            return "wrong", f"a sentence with {sorted(map(ascii, odd))}: {told[:150]!r}"
    return "refused", ""


def _where(error: BaseException) -> str:
    frames = [frame for frame in traceback.extract_tb(error.__traceback__)
              if "/engine/" in frame.filename or "/nca_seg_app/" in frame.filename]  # fmt: skip
    place = f"{Path(frames[-1].filename).name}:{frames[-1].name}" if frames else "?"
    return f"{type(error).__name__} in {place}: {str(error)[:150]!r}"


def _limit_memory() -> None:
    try:
        import resource
    except ImportError:
        return
    with Path("/proc/self/statm").open() as stream:
        mapped = int(stream.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (mapped + MEMORY, resource.RLIM_INFINITY))


if __name__ == "__main__":
    main()
