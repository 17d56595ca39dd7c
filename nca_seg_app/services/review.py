"""Accepts the proposal, saves the mask as reviewed, and opens the next image."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QObject

from nca_seg_app.services.context import Context
from nca_seg_app.services.folder_watch import FolderWatch
from nca_seg_app.services.opening import Opening
from nca_seg_app.services.proposal import Proposal
from nca_seg_app.services.saving import Saving
from nca_seg_app.state.image_order import ImageOrder

#: Told where there were two outlines to choose from.
KEPT = "The outline you drew was saved; the model's proposal was not taken."


class Review(QObject):
    """The way through a list: decide about one image, go on to the next that is not reviewed."""

    def __init__(
        self,
        context: Context,
        image_order: ImageOrder,
        proposal: Proposal,
        saving: Saving,
        opening: Opening,
        folder_watch: FolderWatch,
    ) -> None:
        super().__init__(context)
        self._context, self._workspace = context, context.workspace
        self._image_order, self._proposal = image_order, proposal
        self._saving, self._opening, self._folder_watch = saving, opening, folder_watch
        self._moving_on = False
        saving.refused.connect(self._stay)
        self._workspace.image_changed.connect(self._stay)

    @property
    def moving_on(self) -> bool:
        """Whether the mask is being saved as reviewed, to open the next image then."""
        return self._moving_on

    def accept_and_next(self) -> None:
        """Accept the result if one is proposed, save as reviewed, open the next image.

        What a person drew since the result was put up, or taken, is kept and saved instead.
        """
        proposal, row, document = self._proposal, self._workspace.row, self._workspace.document
        if self._moving_on or self._opening.under_way:
            # Asked again before it is done: the next image is not meant.
            return
        is_drawn = document is not None and not document.is_empty
        if proposal.proposed and proposal.may_replace:
            proposal.accept(self.review_and_next)
        elif is_drawn or (row is not None and row.has_mask):
            self.review_and_next(KEPT if proposal.proposed else "")
        else:
            self._context.message.emit(
                "There is nothing to accept yet: segment the image or draw first."
            )

    def review_and_next(self, notice: str = "") -> None:
        """Save as reviewed and open the next image that is not; `notice` is told last.

        From one that was reviewed before, the next image whatever its status.
        """
        mask, opening, image_order = self._saving.open_mask, self._opening, self._image_order
        if mask is None or self._moving_on:
            return
        self._moving_on = True
        # Found before: saving takes a moment, in which the person may sort the list anew.
        was_reviewed = self._saving.was_reviewed
        place = image_order.neighbour(1) if was_reviewed else image_order.unfinished()
        end = "This is the last image." if was_reviewed else "Every image of the list is reviewed."
        open_next = opening.way_to(place, end)
        request_id = opening.request_id

        def go() -> None:
            self._moving_on = False
            # Not where something else was asked for since.
            if request_id == opening.request_id:
                open_next()
            if notice:
                self._context.message.emit(notice)

        def look_again() -> None:
            # Images may have come since the folder was opened.
            nonlocal open_next
            open_next = opening.way_to(image_order.unfinished(), end)
            go()

        is_found = was_reviewed or place is not None
        seek: Callable[[], None] = go if is_found else lambda: self._folder_watch.look(look_again)
        mask.document.when_still(lambda: self._saving.mark_reviewed(seek))

    def _stay(self) -> None:
        self._moving_on = False
