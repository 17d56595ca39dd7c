"""Lists the installed models, loads the chosen one, and adds and removes models."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, Signal

from engine.files import stamp
from engine.networks.library import ModelEntry
from engine.types import Device
from nca_seg_app.services.context import Context
from nca_seg_app.services.engine import Engine


@dataclass(frozen=True)
class Loaded:
    """A loaded model: an opaque handle, its fingerprint, and where it runs, as "CPU · bf16"."""

    handle: Any
    fingerprint: str
    device_text: str


class ModelCache:
    """Keeps the model that was loaded last; threads that ask at the same time load it once."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lock = threading.Lock()
        self._key: tuple[Any, ...] = ()
        self._loaded: Loaded | None = None

    @property
    def loaded(self) -> Loaded | None:
        """The model that is loaded, or None; does not wait for one that is being loaded."""
        return self._loaded

    def has(self, entry: ModelEntry, device: Device) -> bool:
        """Whether `get()` of these returns at once, unless the model's file has changed."""
        return self._loaded is not None and self._key[:2] == (entry.path, device)

    def get(self, entry: ModelEntry, device: Device) -> Loaded:
        """The model `entry` on `device`, loaded if it is not yet, so not for the main thread.

        Raises UnreadableModel.
        """
        with self._lock:
            # The stamp is part of the key, because the file may hold other weights by now.
            key = (entry.path, device, stamp(entry.path))
            if self._loaded is None or key != self._key:
                # The old model is released first, so that not both are in memory.
                self._loaded = None
                handle = self._engine.load_model(entry.path, device)
                text = self._engine.device_text(handle)
                self._loaded = Loaded(handle, self._engine.fingerprint(handle), text)
                self._key = key
            return self._loaded


class ModelLibrary(QObject):
    """Lists the installed models, chooses one, and adds and removes a person's own."""

    #: The list of models changed.
    listed = Signal()
    #: Another model was chosen, or the chosen one was loaded.
    chosen_changed = Signal()

    #: A model was removed from the list; carries its entry.
    removed = Signal(object)

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._context = context
        self.engine = context.engine
        self.cache = ModelCache(context.engine)
        self._entries: tuple[ModelEntry, ...] = ()
        self._chosen: ModelEntry | None = None

    @property
    def entries(self) -> tuple[ModelEntry, ...]:
        """The installed models."""
        return self._entries

    @property
    def chosen(self) -> ModelEntry | None:
        """The model that the next run uses, or None if none is installed."""
        return self._chosen

    @property
    def device_text(self) -> str:
        """Where the loaded model runs, as "CPU · bf16"; empty until one is loaded."""
        loaded = self.cache.loaded
        return loaded.device_text if loaded is not None else ""

    def refresh(self) -> None:
        """List the installed models again, in the background."""
        self._context.lane.run(self._context.engine.installed, self._list, self._context.fail)

    def choose(self, name: str) -> None:
        """Choose the model called `name` for the next runs; an unknown name is ignored."""
        for entry in self._entries:
            if entry.name == name and entry != self._chosen:
                self._chosen = entry
                self._context.change_settings(model=name)
                self.chosen_changed.emit()

    def warm_up(self) -> None:
        """Load the chosen model in the background, so that a run begins at once."""
        entry, device = self._chosen, self._context.settings.device
        if entry is not None:
            self._context.aside.run(
                lambda: self.cache.get(entry, device),
                lambda _: self.note_loaded(),
                self._context.fail,
            )

    def note_loaded(self) -> None:
        """Signal that the model has been loaded, so that `device_text` is known."""
        self.chosen_changed.emit()

    def add(self, entry: ModelEntry) -> None:
        """Add a model that was just installed to the list, and choose it."""
        if entry.name not in [each.name for each in self._entries]:
            self._entries = (*self._entries, entry)
        self.listed.emit()
        self.choose(entry.name)

    def ask_for_one(self) -> None:
        """Ask the person for a model's file, install a copy and choose it."""
        context = self._context
        path = context.prompts.ask_path("model", Path.home())
        if path is None:
            return

        def done(entry: ModelEntry) -> None:
            self.add(entry)
            context.message.emit(f"{entry.name} is in the list of models, and chosen.")

        context.lane.run(lambda: context.engine.add_model(path), done, context.fail)

    def remove(self) -> None:
        """Ask, then remove the chosen model from the list, if it is a person's own.

        Its file is moved aside, not deleted. Its parent is chosen next, or else the first model.
        """
        context, entry = self._context, self._chosen
        if entry is None or entry.shipped:
            return
        if not context.prompts.confirm(
            f"Take {entry.name} out of the list of models? Its file is kept beside the others, in "
            "the folder “discarded”."
        ):
            return

        def done(kept: Path) -> None:
            rest = tuple(each for each in self._entries if each.name != entry.name)
            parents = [each.name for each in rest if each.fingerprint == entry.spec.parent]
            self.removed.emit(entry)
            if self._chosen == entry:
                context.change_settings(model=parents[0] if parents else "")
            self._list(rest)
            context.message.emit(f"{entry.name} is out of the list; its file is {kept}.")

        context.lane.run(lambda: context.engine.remove_model(entry.name), done, context.fail)

    def _list(self, entries: tuple[ModelEntry, ...]) -> None:
        self._entries = entries
        wanted = self._context.settings.model
        named = [entry for entry in entries if entry.name == wanted]
        usable = (*named, *entries)
        chosen = usable[0] if usable else None
        # Both are set before either signal, so that the chosen model is always in the list.
        changed, self._chosen = chosen != self._chosen, chosen
        self.listed.emit()
        if changed:
            self.chosen_changed.emit()
        if not entries:
            self._context.message.emit(
                "No model is installed. You can draw by hand, or add one from a file (Study menu)."
            )
