"""Chooses device and precision, sizes rounds of members, and runs the CPU's worker threads."""

from __future__ import annotations

import ctypes
import os
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import cache
from threading import Barrier, Event, Lock, local
from typing import Literal, NamedTuple, ParamSpec, TypeVar, get_args

import torch

from engine.errors import OutOfMemory
from engine.types import Device, ModelSpec

_LOCK = Lock()
#: Parts of the messages by which torch, oneDNN, the C++ library and CUDA's libraries report that
#: memory is exhausted; none of them has an exception type of its own for it.
NO_MEMORY = (
    "DefaultCPUAllocator",
    "could not create a primitive",
    "could not create a memory",
    "bad_alloc",
    "not enough memory",
    "out of memory",
    "annot allocate memory",
    "ALLOC_FAILED",
)
#: The environment variable by which a person chooses the precision, and its values.
PRECISION, PRECISIONS = "NCA_SEG_PRECISION", ("float32", "bfloat16")
_PLACES = ("cpu", "cuda")
#: Has the attribute `alone` in worker threads.
_HERE = local()
_Parameters = ParamSpec("_Parameters")
_Piece = TypeVar("_Piece")
_Result = TypeVar("_Result")
#: mallopt's parameters in malloc.h: from how many bytes on an allocation is mapped by the system
#: alone, and how many freed bytes a thread keeps.
M_MMAP_THRESHOLD, M_TRIM_THRESHOLD = -3, -1


@dataclass(frozen=True)
class DeviceChoice:
    """A device and its precision.

    `name` is "cpu" or "cuda", `precision` is "float32" or "bfloat16", and `reason` tells a person
    why this device was chosen. Raises ValueError for any other name or precision.
    """

    name: str
    precision: str
    reason: str

    def __post_init__(self) -> None:
        _expect("device", self.name, _PLACES)
        _expect("precision", self.precision, PRECISIONS)

    @property
    def dtype(self) -> torch.dtype:
        """The precision as torch's dtype."""
        return torch.bfloat16 if self.precision == "bfloat16" else torch.float32

    def __str__(self) -> str:
        return f"{self.name.upper()} {'bf16' if self.precision == 'bfloat16' else 'float32'}"


def choose(device: Device = "auto", precision: str = "auto") -> DeviceChoice:
    """The device and precision to run with.

    Parameters
    ----------
    device : "cpu", "cuda", or "auto" for CUDA if it works and the CPU if not. A process has one
        CUDA device; CUDA_VISIBLE_DEVICES says which.
    precision : "float32", "bfloat16" or "auto". "auto" takes the environment's NCA_SEG_PRECISION if
        that is set, else bfloat16 if the processor multiplies it in hardware (emulated it is many
        times slower than float32), else float32.

    Raises
    ------
    ValueError : for "cuda" if CUDA cannot be used, and for an unknown device or precision, naming
        it.
    """
    _expect("device", device, get_args(Device))
    _expect("precision", precision, ("auto", *PRECISIONS))
    if precision == "auto" and (asked := os.environ.get(PRECISION)):
        _expect(PRECISION, asked, PRECISIONS)
        precision = asked
    reason = _why_not_cuda()
    if device == "cuda" and reason:
        raise ValueError(f"CUDA cannot be used: {reason}")
    if device != "cpu" and not reason:
        _without_tf32()
        # A filter's gradient would otherwise be added up in another order in every run.
        torch.backends.cudnn.deterministic = True
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
        found = DeviceChoice("cuda", "bfloat16" if fast else "float32", "a CUDA device was found")
    else:
        fast = multiplies_bfloat16()
        why = reason if device == "auto" else "the CPU was asked for"
        found = DeviceChoice("cpu", "bfloat16" if fast else "float32", why)
    if precision == "auto":
        return found
    return DeviceChoice(found.name, precision, found.reason)


def _expect(what: str, word: str, known: Sequence[str]) -> None:
    """Raise ValueError, with what may be said, for a word that is not known."""
    if word not in known:
        *others, last = known
        raise ValueError(f"{what} is {word!r}, not {', '.join(others)} or {last}")


def _why_not_cuda() -> str:
    """Why CUDA cannot be used, in words for a person; "" if it can."""
    if not torch.backends.cuda.is_built():  # type: ignore[no-untyped-call]
        return "this build of torch has no CUDA"
    if not torch.cuda.is_available():
        return "no CUDA device or driver was found"
    try:
        # A device that this build of torch has no code for is reported as available, and fails
        # only here. With several processes each tries the device that will be its own.
        torch.zeros(1, device=f"cuda:{os.environ.get('LOCAL_RANK', 0)}").add_(1).item()
    except torch.cuda.OutOfMemoryError:
        return ""
    except RuntimeError as error:
        return f"the CUDA device does not compute ({str(error).splitlines()[0]})"
    return ""


def _without_tf32() -> None:
    """Let float32 mean float32 on CUDA: what may be rounded is computed in bfloat16 anyway.

    By torch's default convolutions would round to TF32, which has ten bits, and products not.
    """
    torch.backends.cuda.matmul.fp32_precision = "ieee"
    torch.backends.cudnn.conv.fp32_precision = "ieee"  # type: ignore[attr-defined]


def without_autocast(place: str) -> AbstractContextManager[object]:
    """Lets float32 be float32 on a torch device, named without its number; "meta" has no other."""
    known = torch.amp.is_autocast_available(place)
    return torch.autocast(place, enabled=False) if known else nullcontext()


def multiplies_bfloat16() -> bool:
    """Whether the processor has AMX or AVX512 instructions for bfloat16."""
    known = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")
    return any(getattr(torch.cpu, name, lambda: False)() for name in known)


def rounds(spec: ModelSpec, device: str, members: int) -> list[int]:
    """How many members to draw together in each round, so that the device is busy.

    On a GPU all rounds are of like size, at most 16 members. On the CPU the first round is one
    member that all workers share, so that a first result is seen soon; the second has one member
    for each other worker; in the rest a diffusion step takes each worker as long as four members
    on 64 × 64 cells.

    Parameters
    ----------
    spec : its `size` decides how long a member takes.
    device : "cpu" or "cuda".
    members : how many are drawn in all.
    """
    if device != "cpu":
        return _alike(members, min(16, 10 * 256 * 256 // spec.size**2))
    cores = thread_count()
    first = min(members, cores)
    each = max(1, 4 * 64 * 64 // spec.size**2)
    begun = [1, first - 1] if first > 1 else [first]
    return [*begun, *_alike(members - first, each * cores, cores)]


def small_round(spec: ModelSpec, device: str, members: int) -> int:
    """How many members to draw together while it is open how many more are needed.

    Parameters
    ----------
    spec, device : as for `rounds`.
    members : how many are drawn at most.
    """
    return min(members, thread_count()) if device == "cpu" else rounds(spec, device, members)[0]


def _alike(count: int, room: int, multiple: int = 1) -> list[int]:
    """Sizes of rounds that add up to `count`: nearly equal, about `room` at most.

    All but the last are multiples of `multiple`.
    """
    room = max(1, room)
    size = -(-count // max(1, -(-count // room)))
    size = max(1, -(-size // multiple)) * multiple
    return [min(size, count - first) for first in range(0, count, size)]


@contextmanager
def in_memory(batch: int, size: int, what: Literal["members", "samples"]) -> Iterator[None]:
    """Turns the errors of exhausted memory in the block it surrounds into OutOfMemory.

    Parameters
    ----------
    batch : how many members or samples are computed together.
    size : side of the grid in cells.
    what : which of the two they are.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        known = (MemoryError, torch.cuda.OutOfMemoryError)
        if not isinstance(error, known) and not any(words in str(error) for words in NO_MEMORY):
            raise
        raise OutOfMemory(batch, size, what) from error


def thread_count() -> int:
    """How many cores torch computes with."""
    return torch.get_num_threads()


class _Workers(NamedTuple):
    """The worker threads, and how many there are."""

    pool: ThreadPoolExecutor
    cores: int


def alone(
    act: Callable[_Parameters, _Result], *args: _Parameters.args, **kwargs: _Parameters.kwargs
) -> _Result:
    """Call `act` with these arguments in a worker thread, and return its result.

    A call from a worker thread runs in that thread. An interruption waits for the end of `act`, so
    that nothing is left half done.
    """
    if _is_worker():
        return act(*args, **kwargs)
    begun = _workers().pool.submit(act, *args, **kwargs)
    try:
        return begun.result()
    finally:
        wait([begun])


def share_out(act: Callable[[_Piece], _Result], pieces: Sequence[_Piece]) -> list[_Result]:
    """Call `act` with each piece in worker threads; the results are in the order of the pieces.

    The next free worker takes the next piece, so a worker whose core is used by another program
    delays only the piece it has. `act` may itself call `share_out`: the worker then does the pieces
    that no other worker is free for. After an error or an interruption no further piece is begun;
    the first error is raised.
    """
    left, found = deque(enumerate(pieces)), dict[int, _Result]()
    errors: list[BaseException] = []
    done = Event()

    def take() -> None:
        while True:
            try:
                place, piece = left.popleft()
            except IndexError:
                return
            try:
                found[place] = act(piece)
            except BaseException as error:
                left.clear()
                errors.append(error)
            if errors or len(found) == len(pieces):
                done.set()

    pool, cores = _workers()
    here = _is_worker()
    # These tasks are not waited for: one that begins late finds no piece left, and ends.
    for _ in range(min(len(pieces), cores) - here):
        pool.submit(take)
    try:
        if here:
            take()
        if pieces:
            done.wait()
    finally:
        left.clear()
    if errors:
        raise errors[0]
    return [found[place] for place in range(len(pieces))]


def worker_count() -> int:
    """How many worker threads there are: one for each core."""
    return _workers().cores


def _is_worker() -> bool:
    return hasattr(_HERE, "alone")


def _workers() -> _Workers:
    """The worker threads: one for each core, each with torch's own threading switched off.

    torch's threads within one operation wait for each other at its end. If another program uses a
    core, these waits cost many times the work itself. Workers that each compute a whole piece wait
    for each other only a few times in an image.
    """
    # Without the lock two threads could both miss the cache, and make two pools.
    with _LOCK:
        return _made_workers()


@cache
def _made_workers() -> _Workers:
    count = thread_count()
    ready = Barrier(count)

    def single() -> None:
        # At its first call of this kind a thread takes over the number of threads that was set
        # last. That must happen before the 1 is set, or it would overwrite it.
        torch.get_num_threads()
        torch.set_num_threads(1)
        _HERE.alone = True
        ready.wait()

    _keep_memory()
    pool = ThreadPoolExecutor(count, "member", initializer=single)
    for begun in [pool.submit(int) for _ in range(count)]:
        begun.result()
    # New threads take over the number that was set last; the workers keep their 1.
    torch.set_num_threads(count)
    return _Workers(pool, count)


def _begin_anew() -> None:
    """In the child of a fork: it has none of its parent's threads, and nobody to let go of a lock.

    Whoever waited for one of those threads would wait for ever.
    """
    global _LOCK
    _LOCK = Lock()
    _made_workers.cache_clear()


# Windows has no fork.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)


def _keep_memory() -> None:
    """Make malloc keep freed memory, so that a cell update reuses that of the one before.

    The GNU C library returns freed memory to the system by thresholds that adapt to earlier frees.
    Depending on their order, memory was returned in every update and mapped again page by page,
    which made an update half as long again.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        for threshold, mebibytes in ((M_MMAP_THRESHOLD, 32), (M_TRIM_THRESHOLD, 64)):
            mallopt(threshold, mebibytes << 20)
