"""Law: a tab is there exactly while its row of the table says so."""

from __future__ import annotations

from PySide6.QtWidgets import QLabel

from nca_seg_app.ui.panels.table import DOCKS, TABS
from nca_seg_app.ui.panels.tabs import PanelTabs, Tab
from tests.app.desks import PanelDesk


def test_a_tab_that_is_not_offered_is_absent_until_another_model_is_chosen(
    desk: PanelDesk,
) -> None:
    called = {"second": ""}
    tabs = PanelTabs(
        desk.session,
        (
            Tab("First", lambda _: QLabel("1")),
            Tab("Second", lambda _: QLabel("2"), lambda _: called["second"]),
        ),
    )
    desk.show(tabs)

    def shown() -> list[str]:
        return [tabs.tabText(n) for n in range(tabs.count()) if tabs.isTabVisible(n)]

    assert shown() == ["First"]
    called["second"] = "Other"
    desk.session.model_library.chosen_changed.emit()
    assert shown() == ["First", "Other"]
    tabs.setCurrentIndex(1)
    called["second"] = ""
    desk.session.model_library.chosen_changed.emit()
    assert shown() == ["First"]
    assert tabs.currentIndex() == 0


def test_rows_have_names_and_keys_of_their_own() -> None:
    names = [row.name for row in (*TABS, *DOCKS)]
    assert len(set(names)) == len(names)
    assert len({dock.shortcut for dock in DOCKS}) == len(DOCKS)
