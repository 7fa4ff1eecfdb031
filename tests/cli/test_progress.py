"""Progress of a command where no terminal is: a line a task, not one a step."""

from __future__ import annotations

import itertools

import pytest

from atypia.cli import progress


def test_a_line_is_printed_at_the_start_every_half_minute_and_at_the_end(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seconds = itertools.count(0, 10)
    monkeypatch.setattr(progress.time, "monotonic", lambda: float(next(seconds)))
    with progress.progress_bars() as show:
        for done in range(7):
            show("figures", done, 6, "")
    assert capsys.readouterr().err.splitlines() == [
        "figures: 0 of 6",
        "figures: 3 of 6, 0.1/s, 30 s left",
        "figures: 6 of 6",
    ]


def test_each_task_has_lines_of_its_own_and_its_note(capsys: pytest.CaptureFixture[str]) -> None:
    show = progress.progress_lines()
    show("training member 0", 3, 3, "loss 0.412")
    show("judging", 1, 1, "")
    assert capsys.readouterr().err.splitlines() == [
        "training member 0: 3 of 3, loss 0.412",
        "judging: 1 of 1",
    ]
