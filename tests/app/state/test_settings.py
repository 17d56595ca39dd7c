"""Laws: what is saved is read back; only differences are stored; nothing unreadable is "empty"."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path

import pytest

from engine.types import SampleSettings, TrainSettings
from nca_seg_app.state import settings as module
from nca_seg_app.state.settings import (
    NewModel,
    Settings,
    UnreadableSettings,
    load,
    save,
    settings_path,
)

OTHER = Settings(
    theme="dark",
    brush_radius_px=20.0,
    show_variance=True,
    sample=SampleSettings(steps=25, seed=7),
    recent=("/a/ä.png", "/b"),
)


def test_what_is_saved_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "settings.json"
    save(OTHER, path)
    assert load(path) == OTHER


def test_only_what_differs_is_on_disk(tmp_path: Path) -> None:
    path = tmp_path / "settings.json"
    save(OTHER, path)
    stored = json.loads(path.read_text("utf-8"))
    assert list(stored)[:2] == ["format", "version"]
    assert stored["sample"] == {"steps": 25, "seed": 7}
    assert "device" not in stored
    save(Settings(), path)
    assert json.loads(path.read_text()) == {"format": "nca-seg/settings", "version": 1}


def test_no_file_means_defaults(tmp_path: Path) -> None:
    assert load(tmp_path / "settings.json") == Settings()


HEADER = '{"format": "nca-seg/settings", "version": 1'


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{",
        '{"format": "nca-seg/model", "version": 1}',
        '{"format": "nca-seg/settings"}',
        '{"format": "nca-seg/settings", "version": 99}',
        '{"format": "nca-seg/settings", "version": true}',
        HEADER + ', "colour": "red"}',
        HEADER + ', "theme": "pink"}',
        HEADER + ', "threshold": 7}',
        HEADER + ', "threshold": "0.5"}',
        HEADER + ', "show_fill": 1}',
        HEADER + ', "sample": 3}',
        HEADER + ', "sample": {"steps": 0}}',
        HEADER + ', "recent": [1]}',
        "\x00\x01",
        "[" * 100_000,
    ],
)
def test_an_unreadable_file_is_reported_and_moved_aside(tmp_path: Path, text: str) -> None:
    path = tmp_path / "settings.json"
    path.write_text(text, "utf-8")
    with pytest.raises(UnreadableSettings) as caught:
        load(path)
    assert not path.exists()
    assert caught.value.kept.read_text("utf-8") == text
    assert caught.value.reason
    assert load(path) == Settings()


def test_what_is_far_too_long_or_no_file_is_moved_aside_unread(tmp_path: Path) -> None:
    def longer(path: Path) -> None:
        path.write_text(HEADER + "}", "utf-8")
        # Takes no room on the disk, but would in memory.
        os.truncate(path, 64 * 2**30)

    for put in (longer, getattr(os, "mkfifo", Path.mkdir)):
        path = tmp_path / "settings.json"
        put(path)
        with pytest.raises(UnreadableSettings):
            load(path)
        assert load(path) == Settings()


def test_a_second_unreadable_file_does_not_replace_the_first(tmp_path: Path) -> None:
    path = tmp_path / "settings.json"
    for text in ("one", "two", "three"):
        path.write_text(text)
        with pytest.raises(UnreadableSettings):
            load(path)
    assert sorted(each.read_text() for each in tmp_path.iterdir()) == ["one", "three", "two"]


def test_an_old_version_is_brought_up_step_by_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "VERSION", 3)
    monkeypatch.setattr(
        module,
        "MIGRATIONS",
        {
            1: lambda values: {"theme": values["look"]},
            2: lambda values: values | {"show_fill": False},
        },
    )
    text = '{"format": "nca-seg/settings", "version": 1, "look": "dark"}'
    assert module.from_json(text) == Settings(theme="dark", show_fill=False)


def test_the_file_lies_below_the_home_that_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NCA_SEG_HOME", "/somewhere")
    assert settings_path().is_relative_to("/somewhere")
    monkeypatch.delenv("NCA_SEG_HOME")
    assert "nca-seg" in settings_path().parts


@pytest.mark.parametrize("described", [Settings, NewModel, SampleSettings, TrainSettings])
def test_every_setting_says_what_it_is(described: type) -> None:
    for each in dataclasses.fields(described):
        if each.name in ("sample", "learn", "new_model", "recent"):
            continue
        if described is NewModel and each.name == "preset":
            # A choice of its own, with a sentence for each preset.
            continue
        assert each.metadata["label"], each.name
        assert each.metadata["help"].endswith("."), each.name
        if each.type in ("int", "float"):
            assert each.metadata["low"] is not None, each.name
            assert each.metadata["high"] is not None, each.name


def test_recent_files_are_few_and_newest_first() -> None:
    settings = Settings()
    for number in range(20):
        settings = settings.opened(Path(f"/{number}"))
    settings = settings.opened(Path("/15"))
    assert settings.recent[:3] == (str(Path("/15")), str(Path("/19")), str(Path("/18")))
    assert len(settings.recent) == module.RECENT_COUNT
