"""Laws: a person's own models come and go, a shipped one stays, and no file is lost."""

from __future__ import annotations

import os
from pathlib import Path

from nca_seg_app.actions import find_action
from nca_seg_app.services.model_library import ModelCache
from nca_seg_app.session import Has
from tests.app.desks import Desk
from tests.fakes import DiskModel, fake_engine


def names(desk: Desk) -> list[str]:
    return [entry.name for entry in desk.session.model_library.entries]


def chosen(desk: Desk) -> str:
    assert desk.session.model_library.chosen is not None
    return desk.session.model_library.chosen.name


def add(desk: Desk, name: str) -> Path:
    """The file of a model that was added through the menu."""
    desk.person.path = desk.folder / "models" / f"{name}.safetensors"
    desk.person.path.write_bytes(b"weights")
    find_action("study.add_model").method(desk.session)
    desk.settle()
    return desk.person.path


def test_an_added_model_is_chosen_and_removed_again_in_favour_of_its_parent(desk: Desk) -> None:
    file = add(desk, "mine")
    assert (names(desk), chosen(desk)) == (["oracle", "mine"], "mine")
    assert Has.OWN_MODEL in desk.session.capabilities
    find_action("study.remove_model").method(desk.session)
    desk.settle()
    assert (names(desk), chosen(desk)) == (["oracle"], "oracle")
    assert Has.OWN_MODEL not in desk.session.capabilities
    assert not file.exists()
    assert file.with_suffix(".discarded").read_bytes() == b"weights"
    assert str(file.with_suffix(".discarded")) in desk.messages[-1]
    assert desk.session.context.settings.model == "oracle"


def test_a_model_chosen_meanwhile_stays_chosen(desk: Desk) -> None:
    add(desk, "first")
    add(desk, "second")
    desk.session.model_library.remove()
    desk.session.model_library.choose("first")
    desk.settle()
    assert (names(desk), chosen(desk)) == (["oracle", "first"], "first")


def test_nothing_is_removed_without_asking_nor_a_shipped_model(desk: Desk) -> None:
    desk.session.model_library.remove()
    assert not desk.person.asked
    add(desk, "mine")
    desk.person.agrees = False
    desk.session.model_library.remove()
    desk.settle()
    assert "mine" in desk.person.asked[-1]
    assert names(desk) == ["oracle", "mine"]


def test_adding_can_be_given_up_and_a_bad_file_is_told(desk: Desk) -> None:
    before = names(desk)
    desk.person.path = None
    desk.session.model_library.ask_for_one()
    desk.settle()
    assert names(desk) == before
    assert not desk.failures


def test_a_model_file_of_the_same_length_and_time_in_its_place_is_loaded_anew(
    tmp_path: Path,
) -> None:
    loaded: list[bytes] = []

    def load(path: Path) -> object:
        loaded.append(path.read_bytes())
        return DiskModel()

    engine = fake_engine(tmp_path, load=load)
    (entry,) = engine.installed()
    cache = ModelCache(engine)
    cache.get(entry, "cpu")
    cache.get(entry, "cpu")
    before, other = entry.path.stat(), tmp_path / "other"
    other.write_bytes(b"Weights of oracle")
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.replace(entry.path)
    cache.get(entry, "cpu")
    assert loaded == [b"weights of oracle", b"Weights of oracle"]
