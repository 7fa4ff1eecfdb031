"""What Linux, macOS and Windows do differently; no other module asks which of them it is on."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # mallopt(3)


def count_usable_cores() -> int:
    """Return the number of CPU cores that this process may use; of all where nobody can tell."""
    affinity = getattr(os, "sched_getaffinity", None)  # Linux
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1


def find_peak_memory_bytes() -> int | None:
    """Return the peak memory of this process; None on Windows, where no standard call tells it."""
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak  # macOS counts bytes, Linux KiB


def flush_to_disk(path: Path) -> None:
    """Return when the disk has what was written to a file."""
    with path.open("r+b") as handle:  # Windows flushes only what can be written
        os.fsync(handle.fileno())


@contextmanager
def block_interrupts() -> Iterator[None]:
    """Hold back Ctrl-C; processes that are started inside never get it (but on Windows)."""
    mask = getattr(signal, "pthread_sigmask", None)
    if mask is None:
        yield
        return
    mask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        mask(signal.SIG_UNBLOCK, {signal.SIGINT})


def call_again(after_s: float, call: Callable[[FrameType | None], None]) -> bool:
    """Have a function called after so many seconds, wherever the program then stands.

    Returns:
        Whether it will be; on Windows it cannot.
    """
    if not hasattr(signal, "setitimer"):
        return False
    signal.signal(signal.SIGALRM, lambda _, frame: call(frame))
    signal.setitimer(signal.ITIMER_REAL, after_s)
    return True


def keep_freed_memory() -> None:
    """Let the process keep memory that it frees, for the rest of its life, where glibc is used.

    The activations of a training step are freed and asked for again; by default glibc gives large
    blocks back to the system each time, and a quarter of the step goes into faulting them in again.
    Peak memory stays as it is. benchmarks/step.py measures both.
    """
    if sys.platform == "linux":
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
        if mallopt is not None:
            mallopt(_M_MMAP_MAX, 0)
            mallopt(_M_TRIM_THRESHOLD, -1)
