"""Law: models are found, named and dropped without ever losing one."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from threading import Barrier, BrokenBarrierError

import numpy as np
import pytest
import torch
from safetensors.numpy import save as to_bytes
from safetensors.torch import save_file

from engine.errors import UnknownArchitecture, UnreadableModel
from engine.networks import checkpoint, library
from engine.networks.automaton.config import AutomatonConfig
from engine.types import ModelSpec
from tests.conftest import PROJECT


def make_model(path: Path, name: str = "", weight: float = 0.0) -> Path:
    """A tiny model file as the engine writes it; its one weight makes its fingerprint."""
    config = AutomatonConfig(channels=8, hidden=4)
    spec = ModelSpec(name or path.stem, "basic", config, size=16)
    path.parent.mkdir(parents=True, exist_ok=True)
    checkpoint.write(path, {"weight": np.full(3, weight, dtype=np.float32)}, spec)
    return path


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in for the folder of shipped models, with one model "lesion"."""
    folder = tmp_path / "program"
    monkeypatch.setattr(library, "_shipped_folder", lambda: folder)
    return make_model(folder / "lesion.safetensors")


def names() -> list[str]:
    return [entry.name for entry in library.installed()]


def test_models_folder_is_below_home(own_folders: Path) -> None:
    assert library.models_folder() == own_folders / "nca-seg" / "models"


def test_nothing_but_the_shipped_models_at_first(shipped: Path) -> None:
    (entry,) = library.installed()
    assert (entry.name, entry.path, entry.shipped) == ("lesion", shipped, True)
    assert entry.spec.flat["channels"] == 8
    assert entry.fingerprint == checkpoint.fingerprint(*checkpoint.read(shipped))
    assert library.broken() == ()


def test_own_models_follow_the_shipped_one(shipped: Path) -> None:
    make_model(library.models_folder() / "b.safetensors", weight=1)
    make_model(library.models_folder() / "a.safetensors", weight=2)
    (library.models_folder() / ".c.safetensors.12.part").write_bytes(b"half")
    (library.models_folder() / "notes.txt").write_text("not a model")
    assert names() == ["lesion", "a", "b"]
    assert [entry.shipped for entry in library.installed()] == [True, False, False]


@pytest.mark.parametrize(
    "content", [b"", b"\xff" * 99, b"\x02\0\0\0\0\0\0\0{}"], ids=["empty", "noise", "bare"]
)
def test_broken_files_are_told_apart(shipped: Path, content: bytes) -> None:
    make_model(library.models_folder() / "good.safetensors")
    bad = library.models_folder() / "bad.safetensors"
    bad.write_bytes(content)
    assert names() == ["lesion", "good"]
    (problem,) = library.broken()
    assert problem.path == bad
    assert problem.reason
    with pytest.raises(UnreadableModel):
        library.find("bad")
    library.remove("bad")
    assert library.broken() == ()


def broken_model(kind: str, path: Path) -> None:
    """A model file that is whole and cannot be used."""
    spec, arrays = checkpoint.read(make_model(path))
    described = checkpoint.described(spec)
    match kind:
        case "bfloat16":
            header = {"format": checkpoint.FORMAT, "version": checkpoint.VERSION, "spec": described}
            weights = {"weight": torch.zeros(3, dtype=torch.bfloat16)}
            save_file(weights, path, {checkpoint.SPEC: json.dumps(header)})
            return
        case "nested":
            text = "[" * 100_000
        case _:
            name, value = kind.split(" ")
            (described["config"] if name in described["config"] else described)[name] = json.loads(
                value
            )
            header = {"format": checkpoint.FORMAT, "version": checkpoint.VERSION, "spec": described}
            text = json.dumps(header)
    path.write_bytes(to_bytes(arrays, {checkpoint.SPEC: text}))


@pytest.mark.parametrize(
    ("kind", "reason"),
    {
        "bfloat16": "bfloat16",
        "nested": "description is damaged",
        "architecture []": "architecture is \\[\\], not text",
        "updates 6.5": "updates is 6.5, not a whole number",
        "updates true": "updates is True, not a whole number",
        "mask_scale NaN": "mask_scale is nan, not a number",
        "size 40000": "size is 40000, outside 8 to 4096",
        "timesteps 1000000000000": "timesteps is 1000000000000, outside",
        "predicts []": "predicts must be one of noise",
        "training []": "training is \\[\\], not a record",
    }.items(),
)
def test_a_broken_model_disables_no_other(shipped: Path, kind: str, reason: str) -> None:
    bad = library.models_folder() / "bad.safetensors"
    broken_model(kind, bad)
    assert names() == ["lesion"]
    (problem,) = library.broken()
    assert problem.path == bad
    assert re.search(reason, problem.reason)
    assert library.find("lesion").path == shipped


def test_a_folder_called_like_a_model_disables_no_other(shipped: Path) -> None:
    (library.models_folder() / "bad.safetensors").mkdir(parents=True)
    assert names() == ["lesion"]
    assert len(library.broken()) == 1


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes in folders here")
@pytest.mark.parametrize("kind", ["pipe", "device", "circle", "dangling", "forbidden"])
def test_what_is_no_file_is_listed_as_broken_without_waiting(shipped: Path, kind: str) -> None:
    bad = library.models_folder() / "bad.safetensors"
    bad.parent.mkdir(parents=True)
    match kind:
        case "pipe":
            os.mkfifo(bad)
        case "device":
            bad.symlink_to("/dev/zero")
        case "circle":
            bad.symlink_to(bad)
        case "dangling":
            bad.symlink_to(bad.with_name("nothing"))
        case "forbidden":
            make_model(bad).chmod(0)
            if os.access(bad, os.R_OK):
                pytest.skip("this user may read everything")
    assert names() == ["lesion"]
    assert [problem.path for problem in library.broken()] == [bad]
    with pytest.raises(UnreadableModel):
        library.find("bad")
    with pytest.raises(UnreadableModel):
        library.find(bad)
    with pytest.raises(UnreadableModel):
        library.find(bad / "inside.safetensors")


def test_model_that_hides_behind_a_shipped_name_is_told(shipped: Path) -> None:
    own = make_model(library.models_folder() / "lesion.safetensors", weight=1)
    (entry,) = library.installed()
    assert entry.path == shipped
    assert [problem.path for problem in library.broken()] == [own]


def test_find_by_name_path_and_default(shipped: Path, tmp_path: Path) -> None:
    own = make_model(library.models_folder() / "mine+1.safetensors")
    elsewhere = make_model(tmp_path / "elsewhere.safetensors")
    assert library.find().path == shipped
    assert library.find("mine+1").path == own
    assert library.find(elsewhere).name == "elsewhere"
    assert library.find(str(shipped)).shipped
    with pytest.raises(UnknownArchitecture) as caught:
        library.find("nothing")
    assert caught.value.known == ("lesion", "mine+1")
    with pytest.raises(UnreadableModel):
        library.find(tmp_path / "missing.safetensors")


def test_names_are_never_used_twice(shipped: Path) -> None:
    used = []
    for _ in range(3):
        name = library.unused_name(used[-1] if used else "lesion")
        make_model(library.models_folder() / f"{name}.safetensors")
        used.append(name)
    assert used == ["lesion+1", "lesion+2", "lesion+3"]
    library.remove("lesion+3")
    assert library.unused_name("lesion") == "lesion+4"
    assert library.unused_name("LESION+1") == "LESION+4"


@pytest.mark.parametrize(
    "base", ["../../etc/passwd", "a/b\\c:d", "", "...", "con", "nul.x", "x" * 400, "läsion\n", "+1"]
)
def test_names_are_safe_on_every_file_system(shipped: Path, base: str) -> None:
    name = library.unused_name(base)
    assert name
    assert len(name) < 100
    assert not set(name) & set('<>:"/\\|?*\n\0')
    assert name.split(".")[0].split("+")[0].lower() not in ("", "con", "nul")
    path = make_model(library.models_folder() / f"{name}.safetensors")
    assert path.parent == library.models_folder()
    assert library.find(name).path == path


def test_a_model_file_is_added_under_its_own_name(shipped: Path, tmp_path: Path) -> None:
    given = make_model(tmp_path / "best.safetensors", name="mine", weight=1)
    added = library.add(given)
    assert (added.name, added.shipped, added.path.parent) == (
        "mine",
        False,
        library.models_folder(),
    )
    assert given.exists()
    assert names() == ["lesion", "mine"]
    # The same weights again, and those of a shipped model, are not copied.
    assert library.add(given) == added
    assert library.add(make_model(tmp_path / "x.safetensors")).name == "lesion"
    # Others of the same name get a name of their own.
    other = make_model(tmp_path / "other.safetensors", name="MINE", weight=2)
    assert library.add(other).name == "MINE+1"
    assert names() == ["lesion", "MINE+1", "mine"]
    # The same weights with another spec answer otherwise.
    spec, arrays = checkpoint.read(given)
    checkpoint.write(tmp_path / "s.safetensors", arrays, spec.changed(name="shorter", updates=3))
    assert library.add(tmp_path / "s.safetensors").name == "shorter"
    # A name that ends like a fine-tuned model's is a name, too.
    assert library.add(make_model(tmp_path / "n.safetensors", "own+2", 3)).name == "own+2"


def together(work: Callable[[int], object]) -> None:
    """Do a piece of work twice at the same time."""
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(work, range(2)))


def test_two_runs_at_once_have_their_own_folders_and_names(
    shipped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parent, real, turns = library.find(), library.unused_name, Barrier(2)

    def unused_name(base: str, *, numbered: bool = True) -> str:
        name = real(base, numbered=numbered)
        # Both have looked before either takes what it found; the second look is the loser's alone.
        with suppress(BrokenBarrierError):
            turns.wait(1)
        return name

    monkeypatch.setattr(library, "unused_name", unused_name)
    folders: list[Path] = []
    together(lambda _: folders.append(library.training_folder("lesion")))
    assert len(set(folders)) == 2
    assert all(folder.is_dir() for folder in folders)

    turns.reset()
    made = [make_model(tmp_path / f"{number}.safetensors", weight=1 + number) for number in (0, 1)]
    adopted = {}
    together(lambda number: adopted.update({number: library.adopt(made[number], parent)}))
    assert {entry.name for entry in adopted.values()} == {"lesion+1", "lesion+2"}
    for number, entry in adopted.items():
        weights = checkpoint.read(entry.path)[1]["weight"]
        assert weights[0] == 1 + number, "one run has the weights of the other"


def test_what_is_no_model_is_not_added(shipped: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.safetensors"
    bad.write_bytes(b"not a model")
    with pytest.raises(UnreadableModel, match="bad"):
        library.add(bad)
    with pytest.raises(UnreadableModel, match="nowhere"):
        library.add(tmp_path / "nowhere.safetensors")
    assert names() == ["lesion"]


def test_removed_models_are_kept_aside(shipped: Path) -> None:
    contents = set()
    for seed in range(2):
        path = make_model(library.models_folder() / "mine.safetensors", weight=seed)
        contents.add(path.read_bytes())
        kept = library.remove("mine")
        assert not path.exists()
        assert kept.parent == library.models_folder() / "discarded"
        assert names() == ["lesion"]
    discarded = (library.models_folder() / "discarded").iterdir()
    assert {path.read_bytes() for path in discarded} == contents


def test_shipped_and_unknown_models_are_not_removed(shipped: Path) -> None:
    with pytest.raises(UnreadableModel):
        library.remove("lesion")
    assert shipped.exists()
    with pytest.raises(UnknownArchitecture):
        library.remove("nothing")


def test_importing_loads_no_torch() -> None:
    modules = "engine.study.dataset, engine.study.study, engine.networks.library"
    script = f"import sys, {modules}; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", script], cwd=PROJECT, check=True)
