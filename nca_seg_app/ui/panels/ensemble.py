"""Shows every member's answer as it comes, and maps over all members."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QPoint, QSize, Qt
from PySide6.QtGui import QPixmap
from PySide6.QtWidgets import QHBoxLayout, QMenu, QPushButton, QSlider, QVBoxLayout, QWidget

from engine.types import EnsembleResult, Float
from nca_seg_app.session import Session
from nca_seg_app.state.view_state import Kind, Shown
from nca_seg_app.ui.panels.maps import MAP_PX, MAP_TIPS, MAPS, draw_map, map_of
from nca_seg_app.ui.panels.member_tiles import member_tile
from nca_seg_app.ui.widgets.agreement import MEMBER_THRESHOLD, AgreementWatch
from nca_seg_app.ui.widgets.histogram import DiceHistogram
from nca_seg_app.ui.widgets.plain_text import PlainLabel
from nca_seg_app.ui.widgets.refresh import Refresh
from nca_seg_app.ui.widgets.tile_list import TileList, TileModel
from nca_seg_app.ui.widgets.wording import expected_error_text

MEMBER_PX = 64
EMPTY = """Every run draws several answers to the same image, and they appear here one by one. \
Where they differ, the model is unsure. Press Segment (Ctrl+R)."""


class EnsemblePanel(QWidget):
    """Shows members, maps over all of them, the expected error and how much members overlap."""

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._put: tuple[Shown, int] | None = None
        self._painted: EnsembleResult | None = None
        self.watch = AgreementWatch(session, self)
        members = TileModel(self._draw_member, self._label_member, self._explain_member)
        self.members = TileList(members, QSize(MEMBER_PX, MEMBER_PX), wrap=True)
        self.members.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.members.setAccessibleName("Members")
        maps = TileModel(self._draw_map, MAPS.__getitem__, MAP_TIPS.__getitem__)
        self.maps = TileList(maps, QSize(MAP_PX, MAP_PX), wrap=False)
        self.maps.keep_one_row()
        self.maps.setAccessibleName("Maps over all members")
        self.expected_error, self.level_text = PlainLabel(wraps=True), PlainLabel()
        self.expected_error.setToolTip("1 − Dice to be expected of the outline.")
        self.level = QSlider(Qt.Orientation.Horizontal)
        self.level.setRange(1, 100)
        self.level.setValue(90)
        self.level.setToolTip("How many members must outline a place for the agreement map.")
        self.level.setAccessibleName("Agreement threshold")
        self.histogram = DiceHistogram()
        self.back = QPushButton("Back to Result")
        self.back.setToolTip("Show the result on the canvas again, in place of one member or map.")
        self._empty = PlainLabel(EMPTY, wraps=True)
        self._body = QWidget()
        self._lay_out()
        self._refresh = Refresh(self, self._show)
        self._connect()
        self._show()

    def menu_for(self, member: int) -> QMenu:
        """The menu of what can be done with one member; the caller shows it."""
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.addAction("Show on Canvas", lambda: self._put_member(member))
        use = menu.addAction(
            f"Use Member {member + 1} as the Mask",
            lambda: self._session.proposal.use_member(member),
        )
        use.setToolTip("Makes this answer the mask; Ctrl+Z takes it back.")
        menu.setToolTipsVisible(True)
        return menu

    def _lay_out(self) -> None:
        layout, body = QVBoxLayout(self), QVBoxLayout(self._body)
        layout.addWidget(self._empty)
        layout.addWidget(self._body, 1)
        body.setContentsMargins(0, 0, 0, 0)
        self._empty.setAlignment(Qt.AlignmentFlag.AlignTop)
        body.addWidget(self.members, 1)
        body.addWidget(self.maps)
        row = QHBoxLayout()
        row.addWidget(self.level, 1)
        row.addWidget(self.level_text)
        body.addLayout(row)
        body.addWidget(self.expected_error)
        body.addWidget(self.histogram)
        body.addWidget(self.back)

    def _connect(self) -> None:
        session, run = self._session, self._session.segmentation
        self.members.chosen.connect(lambda member, _: self._put_member(member))
        self.members.customContextMenuRequested.connect(self._open_menu)
        self.maps.chosen.connect(lambda place, _: self._put_map(place))
        self.level.valueChanged.connect(self._move_level)
        self.back.clicked.connect(lambda: session.view_state.show(None))
        run.result_changed.connect(self._note_result)
        self.watch.changed.connect(self._note_agreement)
        session.view_state.shown_changed.connect(self._note_shown)

    def _note_result(self) -> None:
        if self._session.segmentation.result is None:
            self._painted = None
            if self._placed is not None:
                # The map on the canvas belongs to a result that is gone.
                self._session.view_state.show(None)
        self._refresh.ask()

    def _note_agreement(self) -> None:
        self.maps.pictures.set_count(len(MAPS) if self.watch.newest else 0)
        if self._placed is not None and self._placed < 0:
            self._put_map(-1 - self._placed)
        self._refresh.ask()

    def _move_level(self) -> None:
        place = MAPS.index("Agreement")
        if self.watch.newest is not None:
            self.maps.pictures.set_count(len(MAPS), stale=place)
            if self._placed == -1 - place:
                self._put_map(place)
        self._refresh.ask()

    def _show(self) -> None:
        result, newest = self._session.segmentation.result, self.watch.newest
        self._empty.setVisible(result is None)
        self._body.setVisible(result is not None)
        self.level_text.setText(f"at least {self.level.value()} % of members")
        if result is not self._painted:
            # Members that were finished before keep the pictures they have.
            # But not once all have ended, and they are cut to the lesion.
            ended = result is not None and result.done == result.total
            stale = self._painted.finished if self._painted is not None and not ended else 0
            self._painted = result
            self.members.pictures.set_count(len(result.members_nhw) if result else 0, stale)
            if self._placed is not None and self._placed >= stale:
                self._put_member(self._placed)
        self._note_shown()
        self.histogram.show_dice(newest.dice if newest is not None else np.zeros(0))
        self.expected_error.setText(expected_error_text(newest))

    def _note_shown(self) -> None:
        self.back.setEnabled(self._session.view_state.shown is not None)
        place = self._placed
        self.members.select(place if place is not None and place >= 0 else -1)
        self.maps.select(-1 - place if place is not None and place < 0 else -1)

    # On the canvas

    @property
    def _placed(self) -> int | None:
        """What is on the canvas from here: a member, a map counted from -1 down, or None."""
        put = self._put
        return put[1] if put is not None and self._session.view_state.shown is put[0] else None

    def _put_member(self, member: int) -> None:
        result = self._session.segmentation.result
        if result is not None and member < len(result.members_nhw):
            self._show_on_canvas(
                f"Member {member + 1}", "probability", result.members_nhw[member], member
            )

    def _put_map(self, place: int) -> None:
        if self.watch.newest is not None:
            kind: Kind = "variance" if MAPS[place] == "Variance" else "probability"
            map_hw, title = map_of(self.watch.newest, place, self._share), MAPS[place]
            self._show_on_canvas(title, kind, map_hw, -1 - place)

    def _show_on_canvas(self, title: str, kind: Kind, map_hw: Float, place: int) -> None:
        shown = Shown(title, kind, map_hw, place if place >= 0 else None)
        self._put = (shown, place)
        self._session.view_state.show(shown)

    def _open_menu(self, point: QPoint) -> None:
        index = self.members.indexAt(point)
        if index.isValid():
            self.menu_for(index.row()).popup(self.members.viewport().mapToGlobal(point))

    # The pictures

    def _draw_member(self, member: int) -> QPixmap:
        result, image, ratio = (
            self._painted,
            self._session.workspace.image,
            self.devicePixelRatioF(),
        )
        if result is None or image is None:
            return QPixmap()
        return member_tile(image, result, member, MEMBER_THRESHOLD, MEMBER_PX, ratio)

    def _label_member(self, member: int) -> str:
        result = self._painted
        return f"{member + 1}" + ("" if result is None or member < result.finished else " …")

    def _explain_member(self, member: int) -> str:
        return f"Member {member + 1}. Click: show on canvas. Right click: use this one."

    def _draw_map(self, place: int) -> QPixmap:
        newest = self.watch.newest
        if newest is None:
            return QPixmap()
        return draw_map(newest, place, self._share, self.devicePixelRatioF())

    @property
    def _share(self) -> float:
        return self.level.value() / 100
