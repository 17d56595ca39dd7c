"""Runs an ONNX network on a picture by onnxruntime, without torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

from engine.errors import MissingExtra
from engine.networks.onnx.config import OnnxConfig
from engine.networks.onnx.protobuf import parameter_count
from engine.types import Float

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

#: The input's types that are fed, by onnxruntime's names.
KINDS: dict[str, type[np.floating[Any]]] = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
}
#: How far a probability may be outside [0, 1] by rounding, and the nearest that it is taken to
#: come to 0 and 1 before its logit is.
ROUNDING, NEAREST = 1e-3, 1e-6
#: A part of onnxruntime's messages where memory is short.
NO_MEMORY = "alloc"


def opened(content: bytes, name: str) -> InferenceSession:
    """The network of an ONNX file's bytes, ready to run on the CPU.

    Raises MissingExtra with `name` where onnxruntime is not installed, and ValueError for a network
    that it does not run or whose weights are not all in the file.
    """
    try:
        from onnxruntime import InferenceSession, SessionOptions
    except ImportError as error:
        raise MissingExtra("onnx", name) from error
    # Otherwise weights outside the file would be looked for in the current folder.
    parameter_count(content)
    options = SessionOptions()
    # Members are shared out to worker threads, each of which runs the network by itself.
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    # Errors are raised; whatever else it would print is for its developers.
    options.log_severity_level = 4
    return _told(
        lambda: InferenceSession(content, options, providers=["CPUExecutionProvider"]),
    )


class Runner:
    """A network that is ready to run: picture → logit of lesion. Several threads may call it.

    A copy of a network has the same runner, for it never changes.

    Parameters
    ----------
    runtime : the network as `opened` gives it.
    config : how it takes pictures and what its output means.

    Raises
    ------
    ValueError : if the network has not the input and output that `config` describes.
    """

    def __init__(self, runtime: InferenceSession, config: OnnxConfig) -> None:
        self._runtime, self._config = runtime, config
        picture, self._kind = picture_input(runtime)
        self._input = str(picture.name)
        batch, *sides = picture.shape
        *place, colours = sides if config.layout == "nhwc" else (*sides[1:], sides[0])
        if _stated(batch) not in (None, 1):
            raise ValueError(f"it takes {batch} pictures at once, not one")
        if _stated(colours) not in (None, 3):
            raise ValueError(f"it takes {colours} channels, not the 3 of a colour picture")
        for side, taken in zip((config.rows, config.columns), place, strict=True):
            if _stated(taken) not in (None, side):
                rows, columns = place
                raise ValueError(f'it takes pictures of {rows} × {columns} only, as "size" must')
        names = [str(each.name) for each in runtime.get_outputs()]
        self._output = config.output_name or names[0]
        if self._output not in names:
            raise ValueError(f"it has no output {self._output!r}, only {', '.join(names)}")

    def __deepcopy__(self, memo: Mapping[int, Any]) -> Runner:
        return self

    def __call__(self, image_3hw: Float) -> Float:
        """The logit of lesion in each pixel, float32 (rows, columns).

        Parameters
        ----------
        image_3hw : float32 in [0, 1], of any size.

        Raises
        ------
        ValueError : if the network does not run on a picture of this size, or its output is not
            what the config says.
        MemoryError : if it takes more memory than there is.
        """
        config, shape = self._config, image_3hw.shape[1:]
        if config.rows:
            fed = np.stack([_resized(each, config.rows, config.columns) for each in image_3hw])
        else:
            missing = [(0, -side % config.multiple) for side in shape]
            fed = np.pad(image_3hw, [(0, 0), *missing], mode="edge")
        padded = fed.shape[1:]
        mean, std = (
            np.array(each, np.float32)[:, None, None] for each in (config.mean, config.std)
        )
        fed = (fed * np.float32(255 if config.scale == "0..255" else 1) - mean) / std
        fed = fed.transpose(1, 2, 0) if config.layout == "nhwc" else fed
        (whole,) = _told(
            lambda: self._runtime.run([self._output], {self._input: fed[None].astype(self._kind)})
        )
        logit = _resized(self._logit(whole, padded), *padded)
        return _resized(logit, *shape) if config.rows else logit[: shape[0], : shape[1]]

    def _logit(self, whole: Any, padded: tuple[int, ...]) -> Float:
        """The logit of lesion from the network's output. Raises ValueError."""
        channels = self._channels(whole, padded).astype(np.float32)
        kind, chosen = self._config.output, channels[self._config.channel]
        if kind == "classes":
            others = np.delete(channels, self._config.channel, axis=0)
            if not len(others):
                raise ValueError('its output has one channel, which is no choice among "classes"')
            highest = others.max(axis=0)
            # What is not finite stays so here, and is told by whoever asked for the mask.
            with np.errstate(invalid="ignore"):
                rest: Float = highest + np.log(np.exp(others - highest).sum(axis=0))
                return np.asarray(chosen - rest, dtype=np.float32)
        if kind == "probability":
            low, high = float(np.min(chosen)), float(np.max(chosen))
            if low < -ROUNDING or high > 1 + ROUNDING:
                raise ValueError(f"its output is {low:.3g} to {high:.3g}, which is no probability")
            sure = np.clip(chosen.astype(np.float64), NEAREST, 1 - NEAREST)
            return np.asarray(np.log(sure / (1 - sure)), dtype=np.float32)
        return np.asarray(chosen)

    def _channels(self, whole: Any, padded: tuple[int, ...]) -> Float:
        """The output as (channels, rows, columns), of the picture's proportions."""
        if not isinstance(whole, np.ndarray) or whole.dtype.kind != "f":
            kind = getattr(whole, "dtype", type(whole).__name__)
            raise ValueError(f"its output {self._output!r} holds {kind}, not floating numbers")
        told = " × ".join(map(str, whole.shape))
        if whole.ndim == 3:
            whole = whole[..., None] if self._config.layout == "nhwc" else whole[:, None]
        if whole.ndim != 4 or len(whole) != 1:
            raise ValueError(
                f"its output {self._output!r} is {told}, which is no mask of a picture"
            )
        channels: Float = whole[0].transpose(2, 0, 1) if self._config.layout == "nhwc" else whole[0]
        count, rows, columns = channels.shape
        # A mask may be coarser than the picture, or finer.
        even = rows * columns and abs(rows * padded[1] / (columns * padded[0]) - 1) < 0.1
        if not even:
            of = " × ".join(map(str, padded))
            raise ValueError(f"its output is {told}, which is no mask of a picture of {of}")
        if self._config.channel < 0 and count > 1:
            raise ValueError(f'"channel" must say which of its {count} channels is lesion, from 0')
        if self._config.channel >= count:
            raise ValueError(f'its output has {count} channels, and "channel" is none of them')
        return channels


def picture_input(runtime: InferenceSession) -> tuple[Any, type[np.floating[Any]]]:
    """The one input of a network, with `name` and `shape`, and the type of its numbers.

    Raises ValueError for a network with other inputs.
    """
    inputs = runtime.get_inputs()
    if len(inputs) != 1:
        names = ", ".join(str(each.name) for each in inputs)
        raise ValueError(f"it has {len(inputs)} inputs ({names}), not one picture")
    kind, shape = inputs[0].type, inputs[0].shape
    if kind not in KINDS:
        raise ValueError(f"its input is a {kind}, not floating numbers")
    if len(shape) != 4:
        raise ValueError(f"its input has {len(shape)} dimensions, not the 4 of a colour picture")
    return inputs[0], KINDS[kind]


def _stated(side: Any) -> int | None:
    """A side of the input's shape; None where it may be any."""
    return side if isinstance(side, int) and side > 0 else None


def _resized(map_hw: NDArray[np.floating[Any]], rows: int, columns: int) -> Float:
    """A map scaled to a size bilinearly, antialiased where that is smaller."""
    if map_hw.shape == (rows, columns):
        return map_hw.astype(np.float32, copy=False)
    picture = PillowImage.fromarray(np.ascontiguousarray(map_hw, dtype=np.float32))
    scaled = picture.resize((columns, rows), PillowImage.Resampling.BILINEAR)
    return np.asarray(scaled, dtype=np.float32)


def _told(act: Callable[[], Any]) -> Any:
    """Call onnxruntime; its errors, which have no class in common, become a ValueError."""
    from onnxruntime.capi import onnxruntime_pybind11_state as native

    known = tuple(
        each
        for each in vars(native).values()
        if isinstance(each, type) and issubclass(each, Exception)
    )
    try:
        return act()
    except known as error:
        # As "[ONNXRuntimeError] : 1 : FAIL : what it is".
        reason = str(error).split(" : ", 3)[-1]
        if NO_MEMORY in reason:
            raise MemoryError(reason) from error
        raise ValueError(f"onnxruntime says: {reason}") from error
