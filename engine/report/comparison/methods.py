"""What a name in a comparison stands for: a preset, how it is trained, and how it is asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from engine.networks.table import architecture, paper_protocol, trainable
from engine.types import ModelSpec, ProtocolName, SampleSettings, TrainSettings

#: Images of val that judge a training, and about how often they do.
VALIDATION_IMAGES, VALIDATIONS = 75, 12


@dataclass(frozen=True)
class Kind:
    """A way to train and to ask a preset; its name stands after a colon, as in "SegDiff:paper".

    With `anchor` the network's anchor is asked alone.
    """

    name: str
    meaning: str
    protocol: ProtocolName = "own"
    sampling: SampleSettings = SampleSettings()
    anchor: bool = False


#: All steps of the diffusion, and no view mirrored, as the papers ask their models.
AS_PAPERS = SampleSettings(sampler="ddpm", steps=100, members=10, views="plain")
#: The kinds by name.
KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        each.name: each
        for each in (
            Kind("", "trained and asked as this program does by default"),
            Kind("anchor", "the anchor of a MedSegDiff-V2 alone, in one step", anchor=True),
            Kind("ddpm", "asked in 100 DDPM steps, no view mirrored", "own", AS_PAPERS),
            Kind("paper", "trained and asked as its paper says", "paper", AS_PAPERS),
        )
    }
)  # fmt: skip


@dataclass(frozen=True)
class Method:
    """One row of a comparison.

    Parameters
    ----------
    name : as a person writes it: a preset, with a kind after a colon.
    kind : how it is trained and asked.
    spec : the network, at the size of the comparison.
    """

    name: str
    kind: Kind
    spec: ModelSpec

    @property
    def training(self) -> str:
        """The name of the training that it takes its weights from; kinds may share one."""
        own = self.kind.protocol == "own"
        return self.spec.name if own else f"{self.spec.name}-{self.kind.protocol}"

    @property
    def pixels(self) -> int:
        """The side in image pixels of the square that the network sees."""
        return self.spec.size * self.spec.pixels_per_cell

    def at(self, pixels: int) -> Method:
        """The same for a square of so many pixels a side. Raises ValueError if it cannot be."""
        size, rest = divmod(pixels, self.spec.pixels_per_cell)
        if rest or size % 4:
            multiple = 4 * self.spec.pixels_per_cell
            raise ValueError(f"{self.spec.name} sees multiples of {multiple} pixels, not {pixels}")
        return replace(self, spec=replace(self.spec, size=size))

    @property
    def batch_size(self) -> int:
        """Samples in a step of its training."""
        return self._settings.batch_size

    def settings(self, steps: int, seed: int) -> TrainSettings:
        """Those of a training of so many steps, validated about `VALIDATIONS` times."""
        return replace(
            self._settings,
            steps=steps,
            size=self.spec.size,
            seed=seed,
            validate_every=max(1, steps // VALIDATIONS),
            validation_images=VALIDATION_IMAGES,
        )

    @property
    def _settings(self) -> TrainSettings:
        if self.kind.protocol == "paper":
            return paper_protocol(self.spec).settings
        return architecture(self.spec.architecture).training


def method(name: str, pixels: int | None = None) -> Method:
    """What a name stands for.

    Parameters
    ----------
    name : of a preset, with a kind of `KINDS` after a colon; upper and lower case are alike.
    pixels : the side in image pixels that the network is to see; None for the preset's own.

    Raises UnknownArchitecture for no preset, and ValueError for no kind, for a paper's training
    where there is no paper, an anchor where there is none, and for pixels that the preset's grid
    cannot have.
    """
    preset, _, kind = name.partition(":")
    if kind not in KINDS:
        raise ValueError(f"{name!r}: {kind!r} is none of {', '.join(filter(None, KINDS))}")
    spec = trainable(preset, KINDS[kind].protocol)
    if KINDS[kind].anchor and getattr(spec.config, "anchor", "none") == "none":
        raise ValueError(f"{spec.name} has no anchor")
    found = Method(f"{spec.name}:{kind}" if kind else spec.name, KINDS[kind], spec)
    return found if pixels is None else found.at(pixels)
