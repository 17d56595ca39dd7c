"""Builds the services, connects them, and says what can be done now."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QObject, Signal

from engine.types import EnsembleResult
from nca_seg_app.services.context import Context
from nca_seg_app.services.engine import Engine
from nca_seg_app.services.export import Export
from nca_seg_app.services.folder_watch import FolderWatch
from nca_seg_app.services.image_cache import ImageCache
from nca_seg_app.services.lookahead import Lookahead
from nca_seg_app.services.mask_edits import MaskEdits
from nca_seg_app.services.model_comparison import ModelComparison
from nca_seg_app.services.model_library import ModelLibrary
from nca_seg_app.services.opening import Opening
from nca_seg_app.services.prompts import Prompts
from nca_seg_app.services.proposal import Proposal
from nca_seg_app.services.questions import Questions
from nca_seg_app.services.replay import Replay
from nca_seg_app.services.review import Review
from nca_seg_app.services.saving import Saving
from nca_seg_app.services.segmentation import Segmentation
from nca_seg_app.services.steering import Steering
from nca_seg_app.services.style_fitting import StyleFitting
from nca_seg_app.services.style_outlines import StyleOutlines
from nca_seg_app.services.styling import Styling
from nca_seg_app.services.survey import Survey
from nca_seg_app.services.training import Training
from nca_seg_app.state.capabilities import Has
from nca_seg_app.state.image_order import ImageOrder
from nca_seg_app.state.settings import Settings
from nca_seg_app.state.view_state import ViewState

__all__ = ["Has", "Session"]


class Session(QObject):
    """One window's work: what is open, and the services that act on it.

    Panels and canvas read the workspace and call the services; none of these holds the session.
    """

    #: `capabilities` are other ones.
    capabilities_changed = Signal()

    def __init__(
        self,
        engine: Engine,
        prompts: Prompts,
        settings: Settings | None = None,
        settings_file: Path | None = None,
        parent: QObject | None = None,
    ) -> None:
        """A session with nothing open.

        Parameters
        ----------
        engine : the functions that need torch or the installed models.
        prompts : answers questions.
        settings : what a person has chosen; None: the defaults.
        settings_file : where settings are kept; None: they are not.
        """
        super().__init__(parent)
        context = self.context = Context(engine, prompts, settings, settings_file, self)
        self.workspace = context.workspace
        self.view_state = ViewState(self)
        self.image_order = ImageOrder(self.workspace)
        self.model_library = ModelLibrary(context)
        self.image_cache = ImageCache(context, self.image_order)
        self.mask_edits = MaskEdits(context)
        self.segmentation = Segmentation(context, self.model_library)
        self.replay = Replay(context, self.model_library, self.segmentation)
        self.proposal = Proposal(context, self.segmentation, self.view_state)
        self.styling = Styling(context, self.model_library, self.segmentation, self.proposal)
        self.style_outlines = StyleOutlines(
            context, self.model_library, self.segmentation, self.styling
        )
        self.steering = Steering(context, self.model_library, self.segmentation, self.proposal)
        questions = Questions(context)
        self.saving = Saving(context, questions)
        self.opening = Opening(
            context, self.image_order, self.image_cache, questions, self.proposal, self.saving
        )
        self.folder_watch = FolderWatch(context, self.saving)
        self.review = Review(
            context,
            self.image_order,
            self.proposal,
            self.saving,
            self.opening,
            self.folder_watch,
        )
        self.survey = Survey(context)
        self.lookahead = Lookahead(
            context,
            self.model_library,
            self.image_order,
            self.image_cache,
            self.segmentation,
            self.proposal,
            self.survey,
        )
        self.model_comparison = ModelComparison(context)
        self.training = Training(context, self.model_library, self.model_comparison)
        self.style_fitting = StyleFitting(context, self.model_library, self.styling)
        self.export = Export(context, self.saving)
        self._capabilities = Has.NOTHING
        self._connect()
        self._update_capabilities()

    @property
    def capabilities(self) -> Has:
        """All that holds now; an action is enabled when `action.needs in capabilities`."""
        return self._capabilities

    def segment(self) -> None:
        """Draw an ensemble for the open image, once a result under way has become the mask."""
        self.proposal.after_taking(self.steering.segment)

    def accept(self) -> None:
        """Make the result the mask, once the model has answered what it was shown last.

        Where outlines are shown to choose from, the current one becomes the result instead.
        """
        if self.style_outlines.shown:
            self.style_outlines.take()
        else:
            self.steering.when_answered(self.proposal.accept)

    def accept_and_next(self) -> None:
        """Accept what is shown, save it as reviewed, and open the next image."""
        self.style_outlines.take()
        self.steering.when_answered(self.review.accept_and_next)

    def undo(self) -> None:
        """Take back what the model was shown last, or else the last change of the mask."""
        document = self.workspace.document
        drawing = document is not None and document.drawing
        if self.steering.shown.is_empty or drawing:
            self.mask_edits.undo()
        else:
            self.steering.take_back()

    def save(self) -> None:
        """Write the mask, once it is what it is about to be; `saving.saved` follows."""
        self.proposal.when_settled(self.saving.save)

    def close(self) -> bool:
        """Ask about unsaved work, stop everything and wait; False where the person stays."""
        if not all(each.may_close() for each in (self.training, self.export, self.saving)):
            return False
        self.folder_watch.close()
        self.styling.keep()
        self.lookahead.close()
        self.image_cache.close()
        self.proposal.discard()
        self.training.cancel()
        self.context.jobs.close()
        self.training.discard()
        self.export.close()
        self.context.close()
        return True

    # Wiring

    def _connect(self) -> None:
        self.opening.requested.connect(self.styling.keep)
        self.opening.leaving.connect(self.lookahead.remember)
        self.opening.replacing.connect(self._clear_view)
        self.opening.shown.connect(self.lookahead.propose)
        self.segmentation.completed.connect(self._keep_expected_error)
        self.lookahead.finished.connect(self._keep_expected_error_of)
        context, workspace = self.context, self.workspace
        for signal in (
            context.settings_changed,
            context.jobs.changed,
            workspace.images_changed,
            workspace.history_changed,
            self.image_order.changed,
            self.model_library.chosen_changed,
            self.opening.preview_changed,
            self.segmentation.running_changed,
            self.proposal.changed,
            self.steering.changed,
            self.style_outlines.changed,
            self.survey.changed,
            self.training.running_changed,
            self.training.candidate_changed,
            self.style_fitting.running_changed,
            self.export.running_changed,
        ):
            signal.connect(self._update_capabilities)

    def _clear_view(self) -> None:
        self.segmentation.reset()
        self.view_state.show(None)
        self.view_state.pick(None)

    def _keep_expected_error(self) -> None:
        path, result = self.workspace.path, self.segmentation.result
        if path is not None and result is not None:
            self.saving.keep_expected_error(path, result)

    def _keep_expected_error_of(self, path: Path, result: EnsembleResult) -> None:
        self.saving.keep_expected_error(path, result, quietly=True)

    def _update_capabilities(self) -> None:
        now = self._facts()
        if now != self._capabilities:
            self._capabilities = now
            self.capabilities_changed.emit()

    def _facts(self) -> Has:
        workspace, document, image = self.workspace, self.workspace.document, self.workspace.image
        result, model = self.segmentation.result, self.model_library.chosen
        if self.opening.preview_hwc is not None:
            # Another image is seen already: what is done now must not fall on the one behind it.
            document = image = result = None
        holds = {
            Has.IMAGE: image is not None,
            Has.MODEL: model is not None,
            Has.STYLES: bool(self.styling.offered),
            Has.OWN_MODEL: model is not None and not model.shipped,
            Has.IDLE: self.context.jobs.current is None,
            Has.RUNNING: self.segmentation.running,
            Has.PAUSED: self.segmentation.paused,
            Has.LEARNING: self.training.running,
            Has.FITTING: self.style_fitting.running,
            Has.EXPORTING: self.export.running,
            Has.SURVEYING: self.survey.running,
            Has.CANDIDATE: self.training.candidate is not None,
            Has.RESULT: result is not None or bool(image and self.style_outlines.shown),
            Has.TO_DISCARD: result is not None
            or not self.steering.shown.is_empty
            or bool(self.style_outlines.shown),
            Has.MASK: document is not None and not document.is_empty,
            Has.UNSAVED: document is not None and document.unsaved,
            Has.STUDY: workspace.study is not None,
            Has.SAVED_MASKS: any(row.has_mask for row in workspace.images),
            Has.CAN_UNDO: (document is not None and document.can_undo)
            or not self.steering.shown.is_empty,
            Has.CAN_REDO: document is not None and document.can_redo,
            Has.NEXT: self.image_order.neighbour(1) is not None,
            Has.PREVIOUS: self.image_order.neighbour(-1) is not None,
            Has.RECENT: bool(self.context.settings.recent),
        }
        facts = Has.NOTHING
        for fact, is_true in holds.items():
            if is_true:
                facts |= fact
        return facts
