"""A desk for panels: the session's own, over a folder of three images."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from tests.app.desks import PanelDesk


@pytest.fixture
def desk(qtbot: QtBot, tmp_path: Path) -> Iterator[PanelDesk]:
    made = PanelDesk(qtbot, tmp_path)
    yield made
    made.model.gate.set()
    assert made.session.close()
    assert not made.failures
