"""A training killed at any point and started again ends with the same weights, to the bit."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest

from atypia.data.phantom import make_phantom
from atypia.data.table import FigureTable, read_table
from atypia.errors import AtypiaError
from atypia.training.recipe_file import read_recipe
from atypia.workflows.train import train
from warm_python import Process, WarmPython

CHANGES = [
    "adapter.kind=full",
    "mixup.alpha=0.2",
    "ema.decay=0.995",
    "folds.count=2",
    "schedule.epochs=3",
    "schedule.batch_size=8",
    "schedule.min_steps=1",
    "backbone.input_px=32",
    "backbone.pretrained=false",
]
# Each step is slow enough to be hit, and each may be the last before a checkpoint.
SCRIPT = """
import sys
from pathlib import Path
import atypia.training.loop as loop
from atypia.data.table import read_table
from atypia.training.recipe_file import read_recipe
from atypia.workflows.train import train
loop.CHECKPOINT_SECONDS = 0.2
table = read_table(Path(sys.argv[1]) / "figures.csv")
def told(task, done, of, note):
    print(task, done, flush=True)
train(table, read_recipe("lite", sys.argv[3:]), Path(sys.argv[2]), threads=1, device="cpu",
      on_progress=told)
"""


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cohort")
    make_phantom(folder, figures=48, domains=2, slides_per_domain=4, size_px=96, seed=0)
    return folder


def _start(python: WarmPython, cohort: Path, out: Path, *more: str) -> Process:
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    words = ("-c", SCRIPT, cohort, out, *CHANGES, *more)
    return python.start(*words, stdout=subprocess.PIPE, env=environment)


def _weights(out: Path) -> dict[str, str]:
    found = sorted(out.glob("bundle/members/*.safetensors"))
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in found}


def _lines_then_kill(process: Process, lines: int, after: float) -> list[str]:
    """Kill some seconds after some lines of progress; return these."""
    assert process.stdout is not None
    read = [process.stdout.readline() for _ in range(lines)]
    time.sleep(after)
    process.send_signal(signal.SIGKILL)
    process.wait()
    return [line for line in read if line]


def _first_step(lines: list[str]) -> int:
    return next((int(line.split()[-1]) for line in lines if line.startswith("training")), 0)


@pytest.mark.slow  # in the quick suite: test_loop.py stops one anywhere, tests/campaigns a verb
def test_killed_at_several_points_it_ends_with_the_same_weights(
    warm_python: WarmPython, cohort: Path, tmp_path: Path
) -> None:
    alone = _start(warm_python, cohort, tmp_path / "alone")
    assert alone.wait() == 0
    expected = _weights(tmp_path / "alone")
    assert len(expected) == 2

    killed = tmp_path / "killed"
    after = random.Random(0)
    starts = [
        _lines_then_kill(_start(warm_python, cohort, killed), lines, after.uniform(0, 0.3))
        for lines in (1, 3, 6, 9, 9)
    ]
    assert sum(map(bool, starts)) >= 3
    # It goes on; to begin anew each time would end with the same weights, too.
    assert max(map(_first_step, starts)) > 1
    last = _start(warm_python, cohort, killed)
    assert last.wait() == 0
    assert _weights(killed) == expected
    for fold in (0, 1):
        name = Path("folds", str(fold), "metrics.jsonl")
        assert (killed / name).read_text() == (tmp_path / "alone" / name).read_text()


def test_a_run_of_another_recipe_is_not_continued(cohort: Path, tmp_path: Path) -> None:
    table = read_table(cohort / "figures.csv")
    changes = [*CHANGES, "schedule.epochs=1"]

    def run(*more: str) -> None:
        train(
            table,
            read_recipe("lite", [*changes, *more]),
            tmp_path,
            threads=1,
            on_progress=lambda *_: None,
        )

    run()
    kept = (tmp_path / "recipe.toml").read_text()
    with pytest.raises(AtypiaError, match=r"another recipe \(mixup.alpha is 0.2 there, 1.0 here"):
        run("mixup.alpha=1")
    assert (tmp_path / "recipe.toml").read_text() == kept
    run()  # the same recipe reads the finished members back


def test_a_run_on_other_figures_is_not_continued(cohort: Path, tmp_path: Path) -> None:
    table = read_table(cohort / "figures.csv")
    recipe = read_recipe("lite", [*CHANGES, "schedule.epochs=1"])
    train(table, recipe, tmp_path, threads=1)
    fewer = FigureTable(table.frame.iloc[1:].reset_index(drop=True), table.root)
    with pytest.raises(AtypiaError, match="other figures"):
        train(fewer, recipe, tmp_path, threads=1)


def test_a_damaged_checkpoint_is_named(
    warm_python: WarmPython, cohort: Path, tmp_path: Path
) -> None:
    long = "schedule.epochs=100"
    process = _start(warm_python, cohort, tmp_path, long)
    until = time.monotonic() + 120
    while not (found := list(tmp_path.glob("folds/*/checkpoint.pt"))):
        assert process.poll() is None and time.monotonic() < until
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    (checkpoint,) = found
    checkpoint.write_bytes(checkpoint.read_bytes()[:1000])
    with pytest.raises(AtypiaError, match=r"checkpoint\.pt: cannot be read"):
        train(
            read_table(cohort / "figures.csv"),
            read_recipe("lite", [*CHANGES, long]),
            tmp_path,
            on_progress=lambda *_: None,
        )
