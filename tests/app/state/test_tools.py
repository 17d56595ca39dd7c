"""Laws: a tool's work is one undo step with the exact pixels, or it leaves no trace."""

from __future__ import annotations

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from nca_seg_app.state.document import MaskDocument
from nca_seg_app.state.tools import DOUBLING_DISTANCE, TOOLS, TOOLS_BY_NAME, DrawingTool
from nca_seg_app.state.view_state import ViewState
from tests.conftest import PROJECT

SHAPE = (40, 60)
SQUARE = ((10.0, 10.0), (10.0, 30.0), (25.0, 30.0), (25.0, 10.0))

each_tool = pytest.mark.parametrize("name", [tool.name for tool in TOOLS if tool.drawing])


@pytest.fixture
def document(qtbot: QtBot) -> MaskDocument:
    return MaskDocument(SHAPE)


def tool_on(document: MaskDocument, name: str, radius_px: float = 4.0) -> DrawingTool:
    # A dark square, as far from the skin's colour as a lesion is.
    pixels_hwc = np.full((*SHAPE, 3), 200, np.uint8)
    pixels_hwc[10:25, 10:30] = 60
    drawing = TOOLS_BY_NAME[name].drawing
    assert drawing is not None
    return drawing(document, lambda: radius_px, pixels_hwc)


def disk_at(row: float, column: float, radius_px: float) -> np.ndarray:
    rows, columns = np.ogrid[: SHAPE[0], : SHAPE[1]]
    return (rows + 0.5 - row) ** 2 + (columns + 0.5 - column) ** 2 <= radius_px**2


def filled(document: MaskDocument) -> None:
    document.edit("Fill", lambda mask_hw: _all(mask_hw))


def _all(mask_hw: np.ndarray) -> object:
    from engine.masks import edits

    return edits.replace(mask_hw, np.ones_like(mask_hw))


def draw_square(tool: DrawingTool, erase: bool = False) -> None:
    """The same square by corners or by hand."""
    tool.press(SQUARE[0], erase)
    for corner in SQUARE[1:]:
        if tool.name == "polygon":
            tool.press(corner, erase)
        else:
            tool.drag(corner)
    if tool.name == "polygon":
        tool.finish()
    tool.release()


def test_a_row_of_the_table_is_complete() -> None:
    assert len(TOOLS_BY_NAME) == len(TOOLS)
    for tool in TOOLS:
        assert tool.drawing is None or tool.drawing.name == tool.name
        assert (PROJECT / "resources" / "icons" / f"{tool.name}.svg").is_file(), tool.name
        assert tool.tip.endswith(".")


def test_only_tools_of_the_table_can_be_taken_in_hand(qtbot: QtBot) -> None:
    view_state = ViewState()
    with qtbot.waitSignal(view_state.tool_changed):
        view_state.choose_tool("wand")
    assert view_state.tool is TOOLS_BY_NAME["wand"]
    with pytest.raises(ValueError, match="'nail' is not one of pan, brush"):
        view_state.choose_tool("nail")
    assert view_state.tool.name == "wand"


def test_a_dab_paints_exactly_the_footprint(document: MaskDocument) -> None:
    brush = tool_on(document, "brush", 6.5)
    brush.press((20.0, 30.0), erase=False)
    brush.release()
    assert (document.mask_hw == disk_at(20, 30, 6.5)).all()
    assert document.undo_text == "Brush stroke"


def test_a_stroke_is_one_step_without_gaps(document: MaskDocument) -> None:
    brush = tool_on(document, "brush", 3.0)
    brush.press((20.0, 5.0), erase=False)
    brush.drag((20.0, 55.0))
    brush.release()
    assert document.mask_hw[20, 5:55].all()
    assert document.mask_hw[17:23, 30].all()
    assert not document.mask_hw[[16, 23], 30].any()
    document.undo()
    assert document.is_empty
    assert not document.can_undo


@pytest.mark.parametrize(("name", "erase"), [("brush", True), ("eraser", False), ("eraser", True)])
def test_erasing_takes_exactly_the_footprint_away(
    document: MaskDocument, name: str, erase: bool
) -> None:
    filled(document)
    tool = tool_on(document, name, 5.0)
    tool.press((20.0, 30.0), erase)
    tool.release()
    assert (document.mask_hw == ~disk_at(20, 30, 5.0)).all()
    assert document.undo_text == "Erase"


@each_tool
def test_cancel_leaves_no_trace(document: MaskDocument, name: str) -> None:
    filled(document)
    before_hw, text = document.mask_hw.copy(), document.undo_text
    tool = tool_on(document, name)
    tool.press((20.0, 30.0), erase=True)
    tool.drag((20.0, 40.0))
    assert tool.active
    tool.cancel()
    tool.release()
    assert not tool.active
    assert not document.drawing
    assert (document.mask_hw == before_hw).all()
    assert document.undo_text == text


@pytest.mark.parametrize("name", ["polygon", "lasso"])
def test_an_enclosed_area_is_filled_to_the_pixel(document: MaskDocument, name: str) -> None:
    tool = tool_on(document, name)
    draw_square(tool)
    expected_hw = np.zeros(SHAPE, bool)
    expected_hw[10:25, 10:30] = True
    assert (document.mask_hw == expected_hw).all()
    filled(document)
    draw_square(tool, erase=True)
    assert (document.mask_hw == ~expected_hw).all()
    assert document.undo_text == f"Erase with {name}"


def test_the_first_corner_closes_a_polygon(document: MaskDocument) -> None:
    tool = tool_on(document, "polygon")
    for corner in (*SQUARE, (10.5, 10.5)):
        tool.press(corner, erase=False)
    assert not tool.active
    assert document.mask_hw.sum() == 15 * 20


def test_a_step_back_takes_the_last_corner(document: MaskDocument) -> None:
    tool = tool_on(document, "polygon")
    for corner in (*SQUARE, (39.0, 59.0)):
        tool.press(corner, erase=False)
    tool.step_back()
    assert tool.sketch == SQUARE
    tool.finish()
    assert document.mask_hw.sum() == 15 * 20


def test_two_corners_are_no_polygon_yet(document: MaskDocument) -> None:
    tool = tool_on(document, "polygon")
    tool.press(SQUARE[0], erase=False)
    tool.press(SQUARE[1], erase=False)
    tool.finish()
    assert tool.active
    assert not document.can_undo


def test_undo_within_a_stroke_ends_it(document: MaskDocument) -> None:
    brush = tool_on(document, "brush")
    brush.press((20.0, 10.0), erase=False)
    document.undo()
    brush.drag((20.0, 50.0))
    brush.release()
    assert document.is_empty
    assert not document.can_undo


@each_tool
def test_drawing_outside_changes_nothing(document: MaskDocument, name: str) -> None:
    tool = tool_on(document, name)
    tool.press((-50.0, -50.0), erase=False)
    tool.drag((-50.0, -90.0))
    tool.drag((-90.0, -90.0))
    tool.finish()
    tool.release()
    tool.cancel()
    assert document.is_empty
    assert not document.can_undo


def test_the_wand_takes_what_is_alike_and_more_where_it_is_dragged(document: MaskDocument) -> None:
    wand = tool_on(document, "wand")
    wand.press((17.0, 20.0), erase=False)
    assert wand.active
    assert len(wand.sketch) > 20
    # Far enough to the right all is alike.
    wand.drag((17.0, 20.0 + 4 * DOUBLING_DISTANCE))
    assert not document.mask_hw.any()
    wand.release()
    assert document.mask_hw.all()
    assert document.undo_text == "Wand"
    wand.press((17.0, 20.0), erase=True)
    wand.release()
    # The square is erased, to within the blur that hairs are lost in.
    expected_hw = np.ones(SHAPE, bool)
    expected_hw[10:25, 10:30] = False
    assert (document.mask_hw != expected_hw).mean() < 0.05
    assert document.undo_text == "Erase with wand"
