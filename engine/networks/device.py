"""Which device and precision a network runs with, and why; asked once per model."""

from __future__ import annotations

import ctypes
import os
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from threading import Barrier, Event, Lock, local
from typing import Literal, NamedTuple, ParamSpec, TypeVar

import torch

from engine.errors import OutOfMemory
from engine.types import Device, ModelSpec

_LOCK = Lock()
#: What torch, oneDNN, the C++ library and CUDA's libraries say, in words only, where memory ends.
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
#: A person's choice of precision in place of the processor's.
PRECISION, PRECISIONS = "NCA_SEG_PRECISION", ("float32", "bfloat16")
#: Has `alone` in the threads that compute alone.
_HERE = local()
_Asked = ParamSpec("_Asked")
_Given = TypeVar("_Given")
_Found = TypeVar("_Found")
#: Of malloc.h: from how many bytes on memory is lent by the system for one tensor alone, and how
#: many freed ones a thread keeps.
M_MMAP_THRESHOLD, M_TRIM_THRESHOLD = -3, -1


@dataclass(frozen=True)
class DeviceChoice:
    """`name` is "cpu" or "cuda", `precision` "float32" or "bfloat16"; `reason` says why."""

    name: str
    precision: str
    reason: str

    @property
    def dtype(self) -> torch.dtype:
        return torch.bfloat16 if self.precision == "bfloat16" else torch.float32

    def __str__(self) -> str:
        return f"{self.name.upper()} {'bf16' if self.precision == 'bfloat16' else 'float32'}"


def choose(device: Device = "auto", precision: str = "auto") -> DeviceChoice:
    """The device to run on: CUDA where it works, else the CPU.

    bfloat16 is chosen where the processor multiplies it in hardware; elsewhere it is emulated and
    many times slower than float32. The environment's NCA_SEG_PRECISION chooses in place of "auto".
    Raises ValueError for "cuda" where there is none, and for a precision that is none.
    """
    if precision == "auto":
        precision = os.environ.get(PRECISION) or precision
    if precision not in (*PRECISIONS, "auto"):
        raise ValueError(f"{PRECISION} is {precision!r}, not {' or '.join(PRECISIONS)}")
    reason = _why_not_cuda()
    if device == "cuda" and reason:
        raise ValueError(f"CUDA cannot be used: {reason}")
    if device != "cpu" and not reason:
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
        found = DeviceChoice("cuda", "bfloat16" if fast else "float32", "a CUDA device was found")
    else:
        fast = multiplies_bfloat16()
        why = reason if device == "auto" else "the CPU was asked for"
        found = DeviceChoice("cpu", "bfloat16" if fast else "float32", why)
    if precision == "auto":
        return found
    return DeviceChoice(found.name, precision, found.reason)


def _why_not_cuda() -> str:
    if not torch.backends.cuda.is_built():  # type: ignore[no-untyped-call]
        return "this build of torch has no CUDA"
    if not torch.cuda.is_available():
        return "no CUDA device or driver was found"
    try:
        # A device that this build has no code for is found all the same, and fails here.
        # Of several processes each asks the one that will be its own.
        torch.zeros(1, device=f"cuda:{os.environ.get('LOCAL_RANK', 0)}").add_(1).item()
    except torch.cuda.OutOfMemoryError:
        return ""
    except RuntimeError as error:
        return f"the CUDA device does not compute ({str(error).splitlines()[0]})"
    return ""


def multiplies_bfloat16() -> bool:
    """True where the processor has AMX or AVX512 instructions for bfloat16."""
    known = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")
    return any(getattr(torch.cpu, name, lambda: False)() for name in known)


def rounds(spec: ModelSpec, device: str, members: int) -> list[int]:
    """How many of the members to draw together, round after round: what fills the device.

    On the CPU first one that all workers share, which is seen soonest; then one for each other
    worker; then so many that a step takes as long as four members' at 64 cells for each of them.
    """
    if device != "cpu":
        return _alike(members, min(16, 10 * 256 * 256 // spec.size**2))
    cores = thread_count()
    first = min(members, cores)
    each = max(1, 4 * 64 * 64 // spec.size**2)
    begun = [1, first - 1] if first > 1 else [first]
    return [*begun, *_alike(members - first, each * cores, cores)]


def small_round(spec: ModelSpec, device: str, members: int) -> int:
    """How many of the members to draw together where few more may be needed."""
    return min(members, thread_count()) if device == "cpu" else rounds(spec, device, members)[0]


def _alike(count: int, room: int, multiple: int = 1) -> list[int]:
    """Rounds of like size, of `multiple` × something, of at most `room` together `count`."""
    room = max(1, room)
    size = -(-count // max(1, -(-count // room)))
    size = max(1, -(-size // multiple)) * multiple
    return [min(size, count - first) for first in range(0, count, size)]


@contextmanager
def in_memory(batch: int, size: int, what: Literal["members", "samples"]) -> Iterator[None]:
    """Raises OutOfMemory, naming the batch, where the computation inside does not fit."""
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
    pool: ThreadPoolExecutor
    cores: int


def alone(act: Callable[_Asked, _Found], *given: _Asked.args, **named: _Asked.kwargs) -> _Found:
    """What `act` returns for that, by a thread that computes alone, within it this one.

    Waits for its end in any case, so that an interruption leaves nothing half done.
    """
    if _is_worker():
        return act(*given, **named)
    begun = _workers().pool.submit(act, *given, **named)
    try:
        return begun.result()
    finally:
        wait([begun])


def share_out(act: Callable[[_Given], _Found], pieces: Sequence[_Given]) -> list[_Found]:
    """`act` of each piece, in their order, each by a thread that computes alone.

    Whoever of them is free takes the next piece, so one whose core is another program's for a while
    holds up no more than the piece it has. May be asked within `act`, too: a worker does what the
    others have no time for. After an error or an interruption no other piece is begun.
    """
    left, found = deque(enumerate(pieces)), dict[int, _Found]()
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
    # Nobody waits for another worker's end: one that begins late finds nothing left.
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
    """How many threads there are that compute alone: one for each core."""
    return _workers().cores


def _is_worker() -> bool:
    return hasattr(_HERE, "alone")


def _workers() -> _Workers:
    """Threads that compute alone, one for each core, made once.

    The threads inside one operation wait for each other after it. Where another program wants a
    core too, these waits cost many times the work. Threads that compute alone wait for each other
    a few times in a picture.
    """
    # The cache alone would let two threads make two pools.
    with _LOCK:
        return _made_workers()


@cache
def _made_workers() -> _Workers:
    count = thread_count()
    ready = Barrier(count)

    def single() -> None:
        # A thread's first question to torch gives it the number that was set last, so ask now:
        # asked later, it would take the place of the 1.
        torch.get_num_threads()
        torch.set_num_threads(1)
        _HERE.alone = True
        ready.wait()

    _keep_memory()
    pool = ThreadPoolExecutor(count, "member", initializer=single)
    for begun in [pool.submit(int) for _ in range(count)]:
        begun.result()
    # Threads to come take the number that was set last; these keep theirs.
    torch.set_num_threads(count)
    return _Workers(pool, count)


def _keep_memory() -> None:
    """Lets a thread use the memory of one update again in the next.

    The GNU C library gives the last of what a thread frees back to the system at once, by
    thresholds that follow what was freed before. By chance of the order an update then took half as
    long again, for it was given its memory anew page by page.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        for threshold, mebibytes in ((M_MMAP_THRESHOLD, 32), (M_TRIM_THRESHOLD, 64)):
            mallopt(threshold, mebibytes << 20)
