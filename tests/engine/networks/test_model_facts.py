"""Law: a large model is read once while it stays as it is, and never taken for what it was."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from engine.errors import UnreadableModel
from engine.networks import checkpoint, library, model_facts
from engine.networks.automaton.config import AutomatonConfig
from engine.types import ModelSpec

LARGE = model_facts.LARGE_BYTES // 4


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that were read whole, in order."""
    read, names = checkpoint.read, list[str]()

    def counted(path: Path) -> object:
        names.append(path.name)
        return read(path)

    monkeypatch.setattr(checkpoint, "read", counted)
    return names


def zeros(name: str, count: int = LARGE, value: float = 0.0) -> Path:
    """A model of so many weights among a person's own."""
    path = library.models_folder() / f"{name}.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    weights = np.zeros(count, np.float32)
    weights[0] = value
    spec = ModelSpec(name, "multicbam", AutomatonConfig(), size=16)
    checkpoint.write(path, {"weight": weights}, spec.changed(steerable=True, styles={"T1": 1.0}))
    return path


def starts_anew() -> None:
    """As if the program had ended and begun again."""
    model_facts._known.clear()


def test_a_large_model_is_read_once_and_a_small_one_once_a_start(reads: list[str]) -> None:
    large, small = zeros("large"), zeros("small", 10)
    listed = library.installed()[1:]
    assert [entry.parameters for entry in listed] == [LARGE, 10]
    assert sorted(reads)[-2:] == [large.name, small.name]
    assert listed[0].fingerprint == checkpoint.fingerprint(*checkpoint.read(large))
    reads.clear()
    assert library.installed()[1:] == listed
    assert library.find("large") == library.find(large) == listed[0]
    assert reads == []
    starts_anew()
    assert library.installed()[1:] == listed
    assert large.name not in reads
    assert small.name in reads


def test_a_file_that_was_replaced_is_read_again(reads: list[str]) -> None:
    path = zeros("large")
    before, reads[:] = library.find("large"), []
    zeros("large", value=1.0)
    assert library.find("large").fingerprint != before.fingerprint
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(UnreadableModel):
        library.find(path)
    starts_anew()
    with pytest.raises(UnreadableModel):
        library.find(path)
    assert library.installed()[1:] == ()


def test_facts_of_files_that_are_gone_are_dropped() -> None:
    first = zeros("first")
    library.installed()
    assert "first" in model_facts.facts_path().read_text(encoding="utf-8")
    first.unlink()
    zeros("second")
    library.installed()
    told = model_facts.facts_path().read_text(encoding="utf-8")
    assert "second" in told
    assert "first" not in told


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: "",
        lambda text: text[: len(text) // 2],
        lambda text: text.replace('"version": 1', '"version": 9', 1),
        lambda text: "[" * 100_000,
        lambda text: '{"format": "nca-seg/model-facts", "version": 1, "models": [{"stamp": 1}]}',
        lambda text: text.replace("multicbam", "unheard-of"),
    ],
    ids=["empty", "cut", "newer", "nested", "other", "unknown"],
)
def test_a_damaged_file_of_facts_is_ignored(reads: list[str], spoil: Callable[[str], str]) -> None:
    zeros("large")
    listed = library.installed()
    file = model_facts.facts_path()
    whole = file.read_text(encoding="utf-8")
    file.write_text(spoil(whole), encoding="utf-8")
    starts_anew()
    reads.clear()
    assert library.installed() == listed
    assert "large.safetensors" in reads
    # It is whole again.
    assert file.read_text(encoding="utf-8") == whole


def test_models_are_listed_where_no_facts_can_be_kept() -> None:
    zeros("large")
    model_facts.facts_path().mkdir(parents=True)
    assert [entry.name for entry in library.installed()][1:] == ["large"]
