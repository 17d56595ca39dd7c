"""Accepts the proposal, saves the mask as reviewed, and opens the next image."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from PySide6.QtCore import QObject

from nca_seg_app.services.context import Context
from nca_seg_app.services.folder_watch import FolderWatch
from nca_seg_app.services.opening import Opening
from nca_seg_app.services.proposal import Proposal
from nca_seg_app.services.saving import Saving
from nca_seg_app.state.image_order import ImageOrder

#: Told where there were two outlines to choose from.
KEPT = "The outline you drew was saved; the model's proposal was not taken."
#: Told instead of going on to the next image.
REPLACED = (
    "The mask was changed while the result was taken over, and the result replaced that: undo "
    "gives it back."
)


@dataclass(eq=False)
class _Move:
    """A way from the open image to the next one, and how far it has come.

    `next_path` is the image to open in the end, or None where there is none, which `end` tells;
    before it is told it `looks_again` for images that came. `notice` is told last. `write` and
    `look` are the numbers of the save and of the look at the folder that are waited for. It
    `opens` the next image unless something else was asked for since.
    """

    notice: str = ""
    step: Literal["accept", "save", "look"] = "accept"
    next_path: Path | None = None
    end: str = ""
    looks_again: bool = False
    write: int | None = None
    look: int | None = None
    opens: bool = True


class Review(QObject):
    """The way through a list: decide about one image, go on to the next that is not reviewed.

    One move is under way at a time, and goes through these steps, each a method:

    1. accept: the proposal becomes the mask, where that replaces nothing a person drew;
    2. save: the mask is saved as reviewed;
    3. look: where all images are reviewed by then, images that came meanwhile are listed;
    4. open the next image.

    A step that fails ends the move where the work is, and so does another image that is shown.
    """

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
        self._move: _Move | None = None
        proposal.given_up.connect(self._note_given_up)
        saving.write_ended.connect(self._note_write)
        folder_watch.looked.connect(self._note_look)
        opening.requested.connect(self._note_request)
        self._workspace.image_changed.connect(self._stay)

    @property
    def moving_on(self) -> bool:
        """Whether the open image is being accepted and saved, to open the next one then."""
        return self._move is not None

    def accept_and_next(self) -> None:
        """Accept the result if one is proposed, save as reviewed, open the next image.

        What a person drew since the result was put up, or taken, is kept and saved instead.
        """
        proposal, row, document = self._proposal, self._workspace.row, self._workspace.document
        if self._move is not None or self._opening.under_way:
            # Asked again before it is done: the next image is not meant.
            return
        is_drawn = document is not None and not document.is_empty
        if proposal.proposed and proposal.may_replace:
            self._accept(_Move())
        elif is_drawn or (row is not None and row.has_mask):
            self._save(_Move(KEPT if proposal.proposed else ""))
        else:
            self._context.message.emit(
                "There is nothing to accept yet: segment the image or draw first."
            )

    # The steps of a move

    def _accept(self, move: _Move) -> None:
        """Step 1: make the proposal the mask."""
        self._proposal.accept()
        if self._proposal.taking:
            self._move = move
            self._proposal.after_taking(partial(self._note_accepted, move))

    def _note_accepted(self, move: _Move) -> None:
        if move is not self._move:
            return
        if self._proposal.replaced_changes:
            # Going on would leave behind what a person has not seen replaced.
            self._stay()
            self._context.message.emit(REPLACED)
        else:
            self._save(move)

    def _save(self, move: _Move) -> None:
        """Step 2: save the mask as reviewed, once no stroke is under way."""
        mask = self._saving.open_mask
        if mask is None:
            self._stay()
            return
        self._move, move.step = move, "save"
        # Found before: saving takes a moment, in which the person may sort the list anew.
        if self._saving.was_reviewed:
            # From one that was reviewed before, the next image whatever its status.
            self._aim(move, self._image_order.neighbour(1), "This is the last image.")
        else:
            self._aim_at_unfinished(move)
            move.looks_again = move.next_path is None
        mask.document.when_still(partial(self._mark, move))

    def _mark(self, move: _Move) -> None:
        if move is self._move:
            move.write = self._saving.mark_reviewed()

    def _note_write(self, number: int, done: bool) -> None:
        move = self._move
        if move is None or number != move.write:
            return
        if not done:
            self._stay()
        elif move.looks_again:
            self._look(move)
        else:
            self._open(move)

    def _look(self, move: _Move) -> None:
        """Step 3: list images that have come since the folder was opened."""
        move.step, move.look = "look", self._folder_watch.look()

    def _note_look(self, number: int) -> None:
        move = self._move
        if move is not None and number == move.look:
            self._aim_at_unfinished(move)
            self._open(move)

    def _open(self, move: _Move) -> None:
        """Step 4: open the next image, or tell that there is none."""
        self._move = None
        place = self._workspace.place_of(move.next_path)
        if move.opens and place is not None:
            self._opening.open_row(place)
        elif move.opens and move.next_path is None:
            self._context.message.emit(move.end)
        if move.notice:
            self._context.message.emit(move.notice)

    def _aim(self, move: _Move, place: int | None, end: str) -> None:
        move.next_path = self._workspace.images[place].path if place is not None else None
        move.end = end

    def _aim_at_unfinished(self, move: _Move) -> None:
        self._aim(move, self._image_order.unfinished(), "Every image of the list is reviewed.")

    # What ends it

    def _note_given_up(self) -> None:
        """Stay where the proposal does not become the mask; what is being saved goes on."""
        if self._move is not None and self._move.step == "accept":
            self._stay()

    def _note_request(self) -> None:
        if self._move is not None:
            self._move.opens = False

    def _stay(self) -> None:
        self._move = None
