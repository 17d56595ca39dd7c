"""Derives from the session what the canvas shows, when it is first painted, and keeps it."""

from __future__ import annotations

from PySide6.QtGui import QImage

from engine.framing import Box, Frame
from engine.types import Float, Outline
from nca_seg_app.session import Session
from nca_seg_app.state.guidance import NO_GUIDANCE
from nca_seg_app.ui.canvas.image_pyramid import ImagePyramid
from nca_seg_app.ui.canvas.overlay import (
    FINE_SIDE,
    FORMING_SIDE,
    STYLE_SIDE,
    Contour,
    ProposalOverlay,
    Tint,
    Window,
    annotation_contours,
    borders_of,
    heat_image,
    outline_of,
    proposal_of,
    value_at,
)


class Layers:
    """Picture, tint, heat map, proposal and members' borders of the open image."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.picture: ImagePyramid | None = None
        self.tint: Tint | None = None
        self.mean_hw: Float | None = None
        self.variance_hw: Float | None = None
        self._heat: QImage | None = None
        self._heat_is_stale = True
        self._borders: tuple[Contour, ...] = ()
        self._borders_of: tuple[object, ...] = ()
        self._proposal: ProposalOverlay | None = None
        self._styles: dict[tuple[Outline, float], tuple[Contour, ...]] = {}
        self._proposal_is_stale = True

    def adopt_image(self) -> None:
        """Begin anew with the session's image and document."""
        image, document = self._session.workspace.image, self._session.workspace.document
        self.picture = ImagePyramid(image.pixels_hwc) if image is not None else None
        self.tint = Tint(document.shape) if document is not None else None
        if document is not None and not document.is_empty:
            height, width = document.shape
            self.refresh_tint((slice(0, height), slice(0, width)))
        self.adopt_settings()
        self.adopt_result()

    def adopt_settings(self) -> None:
        """Take over the tint's opacity."""
        if self.tint is not None:
            self.tint.set_opacity(self._session.context.settings.fill_opacity)

    def adopt_result(self) -> None:
        """Take over the session's result, or that there is none."""
        result = self._session.segmentation.result
        # Once each: both go over all members.
        self.mean_hw = result.mean_hw if result is not None else None
        self.variance_hw = result.variance_hw if result is not None else None
        self.forget_maps()

    def forget_maps(self) -> None:
        """Derive heat map and proposal anew: another map, another threshold, or a run went on."""
        self._heat_is_stale = self._proposal_is_stale = True

    def refresh_tint(self, window: Window) -> None:
        """Take over what the mask has become within a window (rows, columns)."""
        if self.tint is not None and self._session.workspace.document is not None:
            self.tint.refresh(self._session.workspace.document.mask_hw, window)

    def contours(self, window: Window) -> list[Contour]:
        """The annotation's outline within a window (rows, columns)."""
        document = self._session.workspace.document
        return annotation_contours(document.mask_hw, window) if document is not None else []

    @property
    def heat(self) -> QImage | None:
        """The map a panel wants shown, or the variance where it is switched on.

        None while a member is shown: its border says it all, and the lesion is to be seen.
        """
        shown = self._session.view_state.shown
        if shown is None and not self._session.context.settings.show_variance:
            return None
        if shown is not None and shown.member is not None:
            return None
        if self._heat_is_stale:
            self._heat = None
            if shown is not None:
                self._heat = heat_image(shown.map_hw, shown.kind)
            elif self.variance_hw is not None:
                self._heat = heat_image(self.variance_hw, "variance", self._side)
            self._heat_is_stale = False
        return self._heat

    @property
    def proposal(self) -> ProposalOverlay | None:
        """The border of the probability map a panel shows, or of the newest result."""
        if self._proposal_is_stale:
            self._proposal = self._newest_proposal()
            self._proposal_is_stale = False
        return self._proposal

    @property
    def borders(self) -> tuple[Contour, ...]:
        """The borders of all members, while one is shown; the same object until they change."""
        shown, image = self._session.view_state.shown, self._session.workspace.image
        result, threshold = (
            self._session.segmentation.result,
            self._session.context.settings.threshold,
        )
        if shown is None or shown.member is None or result is None or image is None:
            return ()
        if self._session.segmentation.running:
            # They would be found anew at every step.
            return ()
        if self._borders_of != (result, threshold):
            self._borders_of = (result, threshold)
            self._borders = tuple(borders_of(result, threshold))
        return self._borders

    @property
    def style_outlines(self) -> tuple[tuple[Contour, ...], ...]:
        """The outlines in all styles, in the order of the session's, while they are shown."""
        shown, threshold = self._session.style_outlines.shown, self._session.proposal.threshold
        for outline in shown:
            if (outline, threshold) not in self._styles:
                drawn = outline_of(outline.result, threshold, NO_GUIDANCE, STYLE_SIDE)
                self._styles[outline, threshold] = drawn.contours
        if not shown:
            self._styles.clear()
        return tuple(self._styles[outline, threshold] for outline in shown)

    @property
    def proposal_waits(self) -> bool:
        """Whether the proposal is to be drawn: not accepted, or a panel shows its map."""
        shown = self._session.view_state.shown
        return self._session.proposal.proposed or (
            shown is not None and shown.kind == "probability"
        )

    @property
    def crop(self) -> Box | None:
        """The part of the image that the newest run's maps lie over; None without an image."""
        image, result = self._session.workspace.image, self._session.segmentation.result
        if image is None:
            return None
        return result.frame.crop if result is not None else Box(0, 0, image.height, image.width)

    def readout(self, place: tuple[float, float]) -> str:
        """The maps' values at a place (row, column) in the image, as words."""
        parts, crop = [], self.crop
        if crop is None:
            return ""
        share = (place[0] - crop.top) / crop.height, (place[1] - crop.left) / crop.width
        if not (0 <= share[0] < 1 and 0 <= share[1] < 1):
            return ""
        if self.mean_hw is not None and self.variance_hw is not None:
            disagreement = 2 * value_at(self.variance_hw, share) ** 0.5
            parts = [f"p {value_at(self.mean_hw, share):.2f}", f"disagreement {disagreement:.2f}"]
        shown = self._session.view_state.shown
        if shown is not None and shown.kind != "colours":
            parts.append(f"{shown.title} {value_at(shown.map_hw, share):.2f}")
        return " · ".join(parts)

    def _newest_proposal(self) -> ProposalOverlay | None:
        session, shown = self._session, self._session.view_state.shown
        result, mean_hw, variance_hw = session.segmentation.result, self.mean_hw, self.variance_hw
        run, image = session.segmentation.run, session.workspace.image
        if image is None:
            return None
        threshold = session.context.settings.threshold
        frame = result.frame if result is not None else Frame(image.height, image.width, 64)
        if shown is not None and shown.kind == "probability":
            calm_hw = shown.map_hw * 0 if variance_hw is None else variance_hw
            return proposal_of(shown.map_hw, calm_hw, threshold, frame, NO_GUIDANCE, 1.0)
        if result is None or mean_hw is None or variance_hw is None:
            return None
        guidance = run.guidance if run is not None else NO_GUIDANCE
        newest = outline_of(result, threshold, guidance, self._side)
        for part in guidance.parts:
            newest = newest.joined(outline_of(part, threshold, guidance, self._side))
        return newest

    @property
    def _side(self) -> int:
        run = self._session.segmentation
        return FORMING_SIDE if run.running and not run.paused else FINE_SIDE
