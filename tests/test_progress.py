"""Whoever gives no callback of their own gets bars, where somebody may watch them."""

from __future__ import annotations

import io
import sys

import pytest

from atypia.progress import OnProgress, opens_bars, progress_bars, show_bars


@opens_bars
def work(*, fails: bool = False, on_progress: OnProgress = show_bars) -> str:
    on_progress("figures", 1, 2, "half")
    if fails:
        raise ValueError("in the middle")
    on_progress("figures", 2, 2, "whole")
    return "done"


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_shows_bars_which_end_with_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    screen = _Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    assert work() == "done"
    assert "figures" in screen.getvalue()
    assert "2/2" in screen.getvalue()
    with pytest.raises(ValueError, match="in the middle"):
        work(fails=True)
    assert screen.getvalue().count("\x1b[?25l") == screen.getvalue().count("\x1b[?25h") == 2


def test_a_bar_names_a_task_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", _Terminal())
    with progress_bars() as show:
        show("training without [/lab] A", 1, 2, "[red]loss 0.5")
    assert "training without [/lab] A" in sys.stderr.getvalue()
    assert "[red]loss 0.5" in sys.stderr.getvalue()


def test_without_a_terminal_nothing_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert work() == "done"
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "")


def test_a_callback_of_ones_own_takes_the_place_of_bars(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = _Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    steps: list[tuple[str, int, int, str]] = []
    work(on_progress=lambda *step: steps.append(step))
    assert steps == [("figures", 1, 2, "half"), ("figures", 2, 2, "whole")]
    assert screen.getvalue() == ""
