"""Progress of a command on standard error: bars, or plain lines where no one watches."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from atypia import progress
from atypia.progress import OnProgress, rate_in_words


@contextmanager
def progress_bars() -> Iterator[OnProgress]:
    """Show one bar a task.

    Where standard error is not a terminal (a log file, a cluster), a line a task is printed when
    it begins, every half minute, and when it ends.
    """
    if sys.stderr.isatty():
        with progress.progress_bars() as show:
            yield show
    else:
        yield progress_lines()


def progress_lines() -> OnProgress:
    """Return what prints a line a task to standard error, at most one every half minute."""
    started: dict[str, tuple[float, int]] = {}
    printed: dict[str, float] = {}

    def show(task: str, done: int, of: int, note: str) -> None:
        now = time.monotonic()
        begun, from_done = started.setdefault(task, (now, done))
        if task in printed and done < of and now - printed[task] < 30:
            return
        printed[task] = now
        rate = (done - from_done) / (now - begun) if now > begun else 0.0
        left = ""
        if rate and done < of:
            left = f", {rate_in_words(rate)}, {(of - done) / rate:.0f} s left"
        print(f"{task}: {done} of {of}{left}{f', {note}' if note else ''}", file=sys.stderr)

    return show
