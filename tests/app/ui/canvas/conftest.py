"""A canvas with an image in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from nca_seg_app.session import Session
from nca_seg_app.state.settings import Settings
from nca_seg_app.ui.canvas.interaction import CanvasView
from tests.app.ui.canvas.hands import SHAPE
from tests.fakes import DiskModel, Person, fake_engine, write_image


@pytest.fixture
def model() -> DiskModel:
    return DiskModel(size=64)


@pytest.fixture
def session(qtbot: QtBot, tmp_path: Path, model: DiskModel) -> Iterator[Session]:
    settings = Settings(brush_radius_px=5.0)
    made = Session(fake_engine(tmp_path, model), Person(save="discard"), settings)
    yield made
    model.gate.set()
    made.close()


@pytest.fixture
def canvas(qtbot: QtBot, session: Session, tmp_path: Path) -> CanvasView:
    """A canvas of 640×480 with an image of 64×48 pixels in it."""
    view = CanvasView(session)
    qtbot.addWidget(view)
    view.resize(640, 480)
    view.show()
    with qtbot.waitSignal(session.workspace.image_changed):
        session.opening.open_path(write_image(tmp_path / "images" / "a.png", SHAPE))
    return view
