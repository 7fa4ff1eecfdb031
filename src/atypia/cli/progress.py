"""Progress bars on standard error: rate and remaining time; plain lines where no one watches."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

OnProgress = Callable[[str, int, int, str], None]


@contextmanager
def progress_bars() -> Iterator[OnProgress]:
    """Show one bar a task; the callback takes task, done, all, and a note beside the bar.

    Where standard error is not a terminal (a log file, a cluster), a line a task is printed when
    it begins, every half minute, and when it ends.
    """
    if sys.stderr.isatty():
        with _bars() as report:
            yield report
    else:
        yield _lines()


@contextmanager
def _bars() -> Iterator[OnProgress]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TaskID,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}", markup=False),  # names of users
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}", markup=False),
    )
    # The speed is that of rich's last thousand samples, however slow: a run may take minutes.
    with Progress(*columns, console=Console(stderr=True), speed_estimate_period=1e9) as bars:
        tasks: dict[str, TaskID] = {}

        def report(task: str, done: int, of: int, note: str) -> None:
            if task not in tasks:
                tasks[task] = bars.add_task(task, total=of, rate="", note="")
            speed = bars.tasks[tasks[task]].speed
            rate = _rate(speed) if speed else ""
            bars.update(tasks[task], completed=done, total=of, note=note, rate=rate)

        yield report


def _lines() -> OnProgress:
    started: dict[str, tuple[float, int]] = {}
    shown: dict[str, float] = {}

    def report(task: str, done: int, of: int, note: str) -> None:
        now = time.monotonic()
        begun, from_done = started.setdefault(task, (now, done))
        if task in shown and done < of and now - shown[task] < 30:
            return
        shown[task] = now
        rate = (done - from_done) / (now - begun) if now > begun else 0.0
        left = f", {_rate(rate)}, {(of - done) / rate:.0f} s left" if rate and done < of else ""
        print(f"{task}: {done} of {of}{left}{f', {note}' if note else ''}", file=sys.stderr)

    return report


def _rate(per_second: float) -> str:
    return f"{per_second:.1f}/s" if per_second >= 0.05 else f"{3600 * per_second:.0f}/h"
