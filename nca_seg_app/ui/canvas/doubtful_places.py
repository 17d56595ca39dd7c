"""Goes along the proposal's border from one doubtful stretch to the next."""

from __future__ import annotations

from nca_seg_app.session import Session
from nca_seg_app.ui.canvas.coordinates import to_point
from nca_seg_app.ui.canvas.layers import Layers
from nca_seg_app.ui.canvas.viewport import Viewport

#: Share of the image's shorter side that a doubtful stretch is shown in.
VIEW_SHARE = 0.3
#: Doubtful places nearer to each other than this share of the shorter side are one.
APART_SHARE = 0.08


class DoubtfulPlaces:
    """Magnifies the places where the members disagree, one after the other."""

    def __init__(self, session: Session, layers: Layers, viewport: Viewport) -> None:
        self._session, self._layers, self._viewport = session, layers, viewport
        self._shown = -1

    def start_over(self) -> None:
        """Begin with the first place again: the proposal is another one."""
        self._shown = -1

    def show_next(self) -> None:
        """Magnify the next stretch of border that the members disagree on; offer the brush."""
        size, proposal = self._viewport.image_size, self._layers.proposal
        if size is None or proposal is None:
            return
        places = proposal.doubtful_places(APART_SHARE * min(size))
        if not places:
            self._session.context.message.emit("The members agree everywhere along the border.")
            return
        self._shown = (self._shown + 1) % len(places)
        self._viewport.show_around(to_point(*places[self._shown]), VIEW_SHARE * min(size))
        self._session.view_state.choose_tool("brush")
        self._session.context.message.emit(
            f"Doubtful stretch {self._shown + 1} of {len(places)}: the brush corrects it."
        )
