"""A run of a model over an image: what it began with, and its film, so that it can be replayed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

from engine.networks.library import ModelEntry
from engine.types import Device, EnsembleResult, Image, SampleSettings
from nca_seg_app.services.context import Context
from nca_seg_app.services.model_library import ModelLibrary
from nca_seg_app.state.film import Film


class Run:
    """What a run was started with, and its film.

    Parameters
    ----------
    model : the model's entry in the library.
    settings : how the ensemble is drawn.
    device : where it is drawn.
    """

    def __init__(self, model: ModelEntry, settings: SampleSettings, device: Device) -> None:
        self.model = model
        self.settings = settings
        self.device = device
        self.film = Film(settings.members)
        #: The hash of the weights; "" until they are loaded.
        self.fingerprint = ""

    @classmethod
    def chosen(cls, context: Context, models: ModelLibrary) -> Run | None:
        """A run with the chosen model and settings, or None where there is no model."""
        entry, settings = models.chosen, context.settings
        return cls(entry, settings.sample, settings.device) if entry is not None else None

    @property
    def terms(self) -> tuple[ModelEntry, SampleSettings, Device]:
        """What decides its result, besides the image."""
        return self.model, self.settings, self.device

    def stream(self, models: ModelLibrary, image: Image) -> Iterator[EnsembleResult]:
        """Yields the growing ensemble for `image`, with every step on the film; in any thread."""
        loaded = models.cache.get(self.model, self.device)
        self.fingerprint = loaded.fingerprint
        events = models.engine.segment(loaded.handle, image, self.settings)
        with closing(events) as steps:  # type: ignore[type-var]
            for event in steps:
                self.film.record(event)
                yield event
