"""Progress of long work: the one callback that reports it, and the bars that show it by default."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import ParamSpec, TypeVar

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

#: Called with a task's name, how much of it is done, of how much, and a note to show beside it.
OnProgress = Callable[[str, int, int, str], None]


def show_nothing(task: str, done: int, of: int, note: str) -> None:
    """Show no progress."""


def show_bars(task: str, done: int, of: int, note: str) -> None:
    """Stand for bars, as the default of a verb that `opens_bars`."""


def opens_bars(verb: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Give a verb whose `on_progress` is left at `show_bars` bars, for as long as it runs."""

    @functools.wraps(verb)
    def run(*args: Arguments.args, **keywords: Arguments.kwargs) -> Result:
        if keywords.get("on_progress", show_bars) is not show_bars:
            return verb(*args, **keywords)
        with progress_bars() as bars:
            keywords["on_progress"] = bars
            return verb(*args, **keywords)

    return run


@contextmanager
def progress_bars() -> Iterator[OnProgress]:
    """Show a bar a task, with rate and remaining time, in a terminal (standard error) or notebook.

    Elsewhere (a script's log, a cluster) nothing is shown.
    """
    from rich.console import Console

    console = Console(stderr=True)
    if not (sys.stderr.isatty() or console.is_jupyter):
        yield show_nothing
        return
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
    bars = Progress(*columns, console=console, speed_estimate_period=1e9)
    tasks: dict[str, TaskID] = {}

    def show(task: str, done: int, of: int, note: str) -> None:
        if not tasks:
            bars.start()  # not before: without a task a notebook would show an empty output
        if task not in tasks:
            tasks[task] = bars.add_task(task, total=of, rate="", note="")
        speed = bars.tasks[tasks[task]].speed
        rate = rate_in_words(speed) if speed else ""
        bars.update(tasks[task], completed=done, total=of, note=note, rate=rate)

    try:
        yield show
    finally:
        if tasks:
            bars.stop()


def rate_in_words(per_second: float) -> str:
    """Return a rate for people: per second, or per hour where that is less than one in 20 s."""
    return f"{per_second:.1f}/s" if per_second >= 0.05 else f"{3600 * per_second:.0f}/h"
