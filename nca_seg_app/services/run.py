"""A run of a model on an image: its model and settings, and the film of its diffusion steps."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

from engine.diffusion.views import most_members
from engine.networks.library import ModelEntry
from engine.types import (
    Device,
    EnsembleResult,
    Image,
    ModelSpec,
    SampleSettings,
    StyleChoice,
    StyleName,
)
from nca_seg_app.services.context import Context
from nca_seg_app.services.model_library import ModelLibrary
from nca_seg_app.state.film import Film


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
    """

    def __init__(self, model: ModelEntry, settings: SampleSettings, device: Device) -> None:
        self.model = model
        self.settings = settings
        self.device = device
        self.film = Film(settings.members)
        #: Whether it draws a result of before anew.
        self.follows = False
        #: The model's fingerprint; "" until it is loaded.
        self.fingerprint = ""

    @classmethod
    def chosen(cls, context: Context, models: ModelLibrary) -> Run | None:
        """A run with the chosen model, settings and style, or None if no model is installed."""
        entry, settings = models.chosen, context.settings
        if entry is None:
            return None
        style = style_for(entry.spec, context.workspace.style)
        drawn = drawn_by(entry.spec, style.applied(settings.sample))
        return cls(entry, drawn, settings.device)

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
        events = models.engine.segment(loaded.handle, image, self.settings)
        with closing(events) as steps:  # type: ignore[type-var]
            for event in steps:
                self.film.record(event)
                yield event
