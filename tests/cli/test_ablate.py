"""`atypia ablate` as a user meets it: what it prints, its exit codes, and a stop at any time."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from atypia.cli.main import run
from atypia.data.phantom import make_phantom
from warm_python import Process, WarmPython

PLAN = """
name = "tiny"
seeds = [0]
set = ["backbone.input_px=32", "backbone.pretrained=false", "schedule.epochs=1",
       "schedule.min_steps=2", "schedule.batch_size=16", "adapter.kind=full", "mixup.alpha=0.2"]
[[arm]]
name = "plain"
recipe = "lite"
[[arm]]
name = "no mixup"
recipe = "lite"
set = ["mixup.alpha=0.0"]
against = "plain"
"""
BAD = """
[[arm]]
name = "bad"
recipe = "lite"
set = ["adapter.kind=lora", "adapter.target=nothing"]
"""


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cohort")
    make_phantom(folder, figures=72, domains=3, slides_per_domain=4, size_px=96, seed=0)
    return folder


@pytest.fixture
def ablate(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable:
    """Run the command in this process; return exit code, what is printed, what is told."""
    monkeypatch.setenv("COLUMNS", "100")

    def command(*arguments: str | Path) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["atypia", "ablate", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            run()
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.out, printed.err

    return command


def _plan(folder: Path, text: str) -> Path:
    path = folder / "plan.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_both_tables_are_printed_and_an_arm_that_fails_gives_exit_code_1(
    ablate: Callable, cohort: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    words = (cohort, "--plan", _plan(tmp_path, PLAN + BAD), "--out", out, "--device", "cpu")
    code, printed, told = ablate(*words)
    assert code == 1
    assert "Held-out folds" in printed and "Leave-one-domain-out: mean over 3 domains" in printed
    assert "(against plain)" in printed and "[" in printed
    assert "runs: 6 of 9" in printed and f"table: {out / 'table.md'}" in printed
    assert next(line for line in told.splitlines() if "matches no layer" in line).startswith(
        "bad: 3"
    )
    assert "runs: 9 of 9" in told  # the bar: all are dealt with

    # The caption's command has no folder of this machine; --show trains nothing.
    caption = (out / "table.md").read_text(encoding="utf-8")
    assert f"`atypia ablate {cohort.name} --plan plan.toml --out out`" in caption
    assert str(tmp_path) not in caption
    before = (out / "runs.jsonl").read_bytes()
    code, again, told = ablate(*words, "--show")
    assert (code, again) == (0, printed)
    assert (out / "runs.jsonl").read_bytes() == before

    _plan(tmp_path, PLAN.replace("alpha=0.0", "alpha=0.1"))
    code, changed, _ = ablate(*words, "--show")
    assert code == 0
    assert "note: ignored 3 lines of" in changed and "not run yet: no mixup" in changed


def test_a_faulty_plan_is_one_line_and_exit_code_2(
    ablate: Callable, cohort: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    plan = _plan(tmp_path, PLAN.replace("alpha=0.0", "alhpa=0.0"))
    for source, given, said in (
        (cohort, plan, "unknown key 'mixup.alhpa'"),
        (cohort, "componets", "did you mean components"),
        (tmp_path / "nothing.csv", "components", "nothing.csv"),
    ):
        code, _, told = ablate(source, "--plan", given, "--out", out)
        assert code == 2
        assert said in told and len(told.strip().splitlines()) == 1
    assert not out.exists()


def test_show_before_any_run_says_that_there_is_no_table(
    ablate: Callable, cohort: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    code, printed, _ = ablate(cohort, "--plan", _plan(tmp_path, PLAN), "--out", out, "--show")
    assert code == 0
    assert "no table yet" in printed and "runs: 0 of 6" in printed
    assert not out.exists()


def _wait(true, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


def _group_is_gone(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return True
    return False


def test_killed_or_interrupted_the_workers_end_too_and_the_same_command_goes_on(
    warm_python: WarmPython, cohort: Path, tmp_path: Path
) -> None:
    out, many = tmp_path / "out", PLAN.replace("[0]", str(list(range(40))))
    words = (cohort, "--plan", _plan(tmp_path, many), "--out", out, "--workers", 2)
    runs, printed = out / "runs.jsonl", tmp_path / "stderr"

    def started() -> Process:
        """Start the command as a shell does, at the head of a group of its own."""
        with printed.open("w") as file, Path(os.devnull).open("w") as nothing:
            return warm_python.start(
                *("-m", "atypia", "ablate", *words),
                stdout=nothing.fileno(),
                stderr=file.fileno(),
                env=os.environ | {"OMP_NUM_THREADS": "1"},
                start_new_session=True,
            )

    def lines() -> int:
        return runs.read_text().count("\n") if runs.exists() else 0

    killed = started()
    _wait(lambda: lines() >= 1)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    _wait(lambda: _group_is_gone(killed.pid), 20)

    there = lines()
    stopped = started()
    _wait(lambda: lines() > there)
    asked = time.monotonic()
    os.killpg(stopped.pid, signal.SIGINT)
    assert stopped.wait(timeout=60) == 130
    assert time.monotonic() - asked < 30
    told = printed.read_text()
    assert "Traceback" not in told and "KeyboardInterrupt" not in told
    assert told.strip().splitlines()[-1] == "stopped; run the same command again to resume"
    _wait(lambda: _group_is_gone(stopped.pid), 20)
    keys = [(line["arm"], line["seed"], line["fold"])
            for line in map(json.loads, runs.read_text().splitlines())]  # fmt: skip
    assert len(keys) == len(set(keys)) < 240
