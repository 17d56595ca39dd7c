"""Settles whose mask is kept where somebody else changed what is to be saved over."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from engine.errors import ChangedOutside
from nca_seg_app.services.context import Context
from nca_seg_app.services.mask_writing import OpenMask, resolve_task, save_task
from nca_seg_app.services.prompts import Whose
from nca_seg_app.services.questions import Questions


class Conflicts:
    """Asks a person whose mask is kept, and does what is answered."""

    def __init__(self, context: Context, questions: Questions) -> None:
        self._context = context
        self._questions = questions

    def settle(
        self, mask: OpenMask, error: ChangedOutside, settled: Callable[[Whose], None]
    ) -> None:
        """Ask whose mask is kept, and make way for it.

        Parameters
        ----------
        mask : what was to be saved.
        error : what was found on disk.
        settled : told what was answered, once "mine" or "both" can be saved, or a copy of the mask
            lies beside "theirs", which is to be shown then; "cancel" where nothing was done.
        """
        if self._questions.is_open:
            # The answer to the question that is open is for this one, too.
            settled("cancel")
            return
        context, whose = self._context, self._questions.ask_whose(mask, error)
        if whose == "cancel":
            context.message.emit(f"Nothing was saved: {error.path.name} was changed outside.")
            settled("cancel")
            return
        state = mask.document.state

        def go_on(copy: Path | None) -> None:
            if mask.document is not context.workspace.document:
                settled("cancel")
                return
            if whose == "theirs":
                # What was drawn since the answer is in no copy.
                mask.document.mark_saved(state)
            settled(whose)
            if copy is not None:
                # Later than what saving or reading says.
                context.lane.run(
                    lambda: None,
                    lambda _: context.message.emit(f"The other mask is kept as {copy.name}."),
                )

        def fail(reason: BaseException) -> None:
            context.fail(reason)
            settled("cancel")

        context.lane.run(resolve_task(mask, error, whose), go_on, fail)

    def saved_at_last(self, mask: OpenMask, reviewed: bool) -> bool:
        """Save while the program waits; False where a person has to be asked once more.

        Raises what keeps the mask from being saved, ChangedOutside where that is the answer.
        """
        lane = self._context.lane
        try:
            lane.wait(save_task(mask, reviewed))
        except ChangedOutside as error:
            whose = self._questions.ask_whose(mask, error)
            if whose == "cancel":
                raise
            lane.wait(resolve_task(mask, error, whose))
            if whose != "theirs":
                return False
        mask.document.mark_saved(mask.document.state)
        return True
