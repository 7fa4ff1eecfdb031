"""Several processes train as one: the same losses, metrics, checkpoints and scores."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from atypia.data.phantom import make_phantom
from atypia.errors import RecipeError
from atypia.training.devices import open_fabric
from atypia.training.recipe import ScheduleSection
from warm_python import WarmPython

# Frozen batch statistics, no dropout: what is left to differ is the order of summation. The
# contrastive loss is off, because its pairs are those of a process's own share; so is the adaptive
# gamma, because with a few held-back figures the last digit moves one into another bin.
CHANGES = [
    "focal.adaptive=false",
    "contrastive.weight=0",
    "head.dropout=0",
    "folds.count=2",
    "backbone.input_px=32",
    "schedule.batch_size=16",
    "schedule.epochs=4",
    "schedule.min_steps=1",
    "schedule.precision=32-true",
]
# Sums in another order, over some eight steps of AdamW; seen: 0.0003.
LOSS_TOLERANCE = 0.003


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cohort")
    make_phantom(folder, figures=48, domains=2, slides_per_domain=8, size_px=96, seed=0)
    return folder


def _command(
    python: WarmPython, cohort: Path, out: Path, processes: int, *more: str
) -> list[str | Path]:
    launcher: list[str | Path] = ["-m"]
    if processes > 1:  # as torchrun does, which would start this interpreter anew
        launcher += ["torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
        launcher += ["--no-python", python.folder / "python", "-m"]
    sets = [word for change in [*CHANGES, *more] for word in ("--set", change)]
    arguments = ["train", str(cohort), "--recipe", "seed", "--out", str(out), "--device", "cpu"]
    return [*launcher, "atypia", *arguments, *sets]


Train = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def train(warm_python: WarmPython) -> Train:
    def command(cohort: Path, out: Path, processes: int, *more: str):
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        words = _command(warm_python, cohort, out, processes, *more)
        return warm_python.run(*words, env=environment)

    return command


def _losses(out: Path) -> list[float]:
    lines = (out / "folds" / "0" / "metrics.jsonl").read_text().splitlines()
    return [line["loss"] for line in map(json.loads, lines) if "loss" in line]


def _logits(out: Path) -> np.ndarray:
    return pd.read_csv(out / "out_of_fold.csv")["logit"].to_numpy()


@pytest.fixture(scope="module")
def alone(train: Train, cohort: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("alone")
    done = train(cohort, out, 1)
    assert done.returncode == 0, done.stderr
    return out


def test_two_processes_train_to_the_losses_of_one_and_resume_as_one(
    train: Train, cohort: Path, alone: Path, tmp_path: Path
) -> None:
    both = train(cohort, tmp_path, 2)
    assert both.returncode == 0, both.stderr
    assert _losses(tmp_path) == pytest.approx(_losses(alone), rel=LOSS_TOLERANCE)
    assert np.corrcoef(_logits(tmp_path), _logits(alone))[0, 1] > 0.99
    # One of them prints and writes.
    assert both.stdout.count("bundle: ") == 1
    assert len(_losses(tmp_path)) == len(_losses(alone))
    again = train(cohort, tmp_path, 1)  # reads the finished members back
    assert again.returncode == 0, again.stderr


@pytest.mark.slow  # in the quick suite: the test above reads back what two have trained
def test_a_training_of_two_that_was_killed_goes_on_with_one(
    warm_python: WarmPython, train: Train, cohort: Path, alone: Path, tmp_path: Path
) -> None:
    command = _command(warm_python, cohort, tmp_path, 2)
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    process = warm_python.start(*command, env=environment, start_new_session=True)
    record = tmp_path / "folds" / "0" / "metrics.jsonl"
    while not (record.is_file() and '"epoch": 2' in record.read_text()):
        assert process.poll() is None
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "bundle").exists()
    done = train(cohort, tmp_path, 1)
    assert done.returncode == 0, done.stderr
    assert _losses(tmp_path) == pytest.approx(_losses(alone), rel=LOSS_TOLERANCE)


@pytest.mark.slow  # in the quick suite: two processes above, each component in tests/contracts
def test_two_processes_train_with_every_component(
    train: Train, cohort: Path, tmp_path: Path
) -> None:
    changes = (
        "focal.adaptive=true",
        "contrastive.weight=0.2",
        "head.dropout=0.2",
        "schedule.epochs=2",
    )
    both = train(cohort, tmp_path, 2, *changes)
    assert both.returncode == 0, both.stderr
    assert np.isfinite(_losses(tmp_path)).all()
    assert _logits(tmp_path).std() > 0


def test_a_batch_that_cannot_be_divided_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    torchrun = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "RANK": "0", "LOCAL_RANK": "0"}
    torchrun |= {"GROUP_RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500"}
    for name, value in (torchrun | {"TORCHELASTIC_RUN_ID": "a test"}).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("atypia.training.devices.Fabric", None)  # it would wait for the other
    with pytest.raises(RecipeError, match="batch_size 15 cannot be divided among 2 processes"):
        open_fabric("cpu", ScheduleSection(batch_size=15))
