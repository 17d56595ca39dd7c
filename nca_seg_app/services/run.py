"""A run of a model on an image: its model and settings, and the film of its diffusion steps."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import numpy as np

from engine.diffusion.views import most_members
from engine.networks.library import ModelEntry
from engine.types import (
    Device,
    EnsembleResult,
    Image,
    ModelSpec,
    Outlines,
    Prompt,
    SampleSettings,
    StyleChoice,
    StyleName,
)
from nca_seg_app.services.context import Context
from nca_seg_app.services.model_library import ModelLibrary
from nca_seg_app.state.film import Film
from nca_seg_app.state.guidance import NO_GUIDANCE, Guidance


def styles_offered(spec: ModelSpec) -> tuple[StyleName, ...]:
    """The styles in which a model can be asked to draw; empty where it cannot be told any."""
    return ("mixed", "unknown", *spec.styles) if spec.steerable else ()


def drawn_by(spec: ModelSpec, settings: SampleSettings) -> SampleSettings:
    """The settings as a model follows them, so that what is told of a run holds.

    A network that predicts the mask from the image alone draws one member for each view in one
    step, whatever is asked for.
    """
    most = most_members(spec, settings.views)
    return settings if most is None else replace(settings, steps=1, members=most)


def style_for(spec: ModelSpec, wanted: StyleChoice) -> StyleChoice:
    """The style in which a model draws where another may be wanted: as near to it as it can."""
    offered = styles_offered(spec)
    if not offered:
        return StyleChoice()
    return wanted if wanted.style in offered else replace(wanted, style="mixed")


class Run:
    """A run of a model on an image, with what it was started with and its film.

    Parameters
    ----------
    model : the model's entry in the library.
    settings : how the ensemble is drawn.
    device : where the model runs.
    guidance : what the model is told beside the image.
    """

    def __init__(
        self,
        model: ModelEntry,
        settings: SampleSettings,
        device: Device,
        guidance: Guidance = NO_GUIDANCE,
    ) -> None:
        self.model = model
        self.settings = settings
        self.device = device
        self.guidance = guidance
        #: What the engine was told of the guidance; None until the run begins, or for nothing.
        self.prompt: Prompt | None = None
        #: How many pixels were painted for the model to hear.
        self.painted_px = 0
        self.film = Film(settings.members)
        #: Whether it draws a result of before anew.
        self.follows = False
        #: The model's fingerprint; "" until it is loaded.
        self.fingerprint = ""

    @classmethod
    def chosen(
        cls, context: Context, models: ModelLibrary, guidance: Guidance = NO_GUIDANCE
    ) -> Run | None:
        """A run with the chosen model, settings and style, or None if no model is installed."""
        entry, settings = models.chosen, context.settings
        if entry is None:
            return None
        style = style_for(entry.spec, context.workspace.style)
        drawn = drawn_by(entry.spec, style.applied(settings.sample))
        return cls(entry, drawn, settings.device, guidance)

    @property
    def terms(self) -> tuple[ModelEntry, SampleSettings, Device]:
        """What decides the result besides the image: model, settings and device."""
        return self.model, self.settings, self.device

    def stream(self, models: ModelLibrary, image: Image) -> Iterator[EnsembleResult]:
        """Yields the growing ensemble for `image`, and records its steps on the film.

        May be called in any thread; loads the model first if need be.
        """
        loaded = models.cache.get(self.model, self.device)
        self.fingerprint = loaded.fingerprint
        self._tell(image)
        events = models.engine.segment(loaded.handle, image, self.settings, self.prompt)
        with closing(events) as steps:  # type: ignore[type-var]
            for event in steps:
                self.film.record(event)
                yield event

    def _tell(self, image: Image) -> None:
        """Put what the model is told into the engine's terms."""
        self.prompt = self.guidance.prompt((image.height, image.width))
        hint_hw = self.prompt.hint_hw if self.prompt is not None else None
        self.painted_px = int(np.count_nonzero(hint_hw)) if hint_hw is not None else 0

    def outlines(self, models: ModelLibrary, image: Image) -> Iterator[Outlines]:
        """Yields the outlines of `image` in all styles, as far as they are drawn.

        May be called in any thread; loads the model first if need be.
        """
        loaded = models.cache.get(self.model, self.device)
        self.fingerprint = loaded.fingerprint
        self._tell(image)
        yield from models.engine.outlines(loaded.handle, image, self.settings, self.prompt)
