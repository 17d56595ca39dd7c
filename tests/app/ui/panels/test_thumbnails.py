"""Law: thumbnails take no more memory than the settings give them, and a screenful stays."""

from __future__ import annotations

import threading

import pytest

from nca_seg_app.ui.panels import thumbnails as module
from nca_seg_app.ui.panels.thumbnails import Thumbnails, thumbnail_of
from tests.app.desks import PanelDesk
from tests.fakes import write_image

SIDE_PX = 88
ONE_MB = SIDE_PX * SIDE_PX * 4 / 1e6


def test_the_bound_of_the_settings_holds_and_the_newest_stay(
    desk: PanelDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LEAST_KEPT", 1)
    thumbnails = Thumbnails(desk.session, SIDE_PX)
    paths = [write_image(desk.folder / f"{number}.png", (SIDE_PX, SIDE_PX)) for number in range(7)]
    desk.session.context.change_settings(cache_mb=3.5 * ONE_MB / 0.1)
    most = []
    for path in paths:
        with desk.qtbot.waitSignal(thumbnails.made):
            thumbnails.get(path)
        most.append(thumbnails.held_mb)
    assert desk.session.context.settings.thumbnails_mb == pytest.approx(3.5 * ONE_MB)
    assert max(most) == pytest.approx(3 * ONE_MB)
    assert thumbnails.held_mb == pytest.approx(3 * ONE_MB)
    assert all(thumbnails.get(path) is not None for path in paths[-3:])
    assert thumbnails.get(paths[0]) is None
    desk.qtbot.waitUntil(lambda: desk.session.context.aside.pending == 0)
    thumbnails.clear()
    assert thumbnails.held_mb == 0


def test_a_screenful_stays_without_any_memory(
    desk: PanelDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LEAST_KEPT", 2)
    desk.session.context.change_settings(cache_mb=0.0)
    thumbnails = Thumbnails(desk.session, SIDE_PX)
    paths = [write_image(desk.folder / f"{number}.png") for number in range(3)]
    for path in paths:
        with desk.qtbot.waitSignal(thumbnails.made):
            thumbnails.get(path)
    assert [thumbnails.get(path) is not None for path in paths[1:]] == [True, True]


def test_they_are_made_in_other_threads(desk: PanelDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    threads: set[int] = set()

    def noted(*given: object) -> object:
        threads.add(threading.get_ident())
        return thumbnail_of(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "thumbnail_of", noted)
    thumbnails = Thumbnails(desk.session, SIDE_PX)
    with desk.qtbot.waitSignal(thumbnails.made):
        thumbnails.get(write_image(desk.folder / "a.png"))
    assert threads
    assert threading.get_ident() not in threads
