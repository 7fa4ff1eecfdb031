"""`atypia train` as a user meets it: what it prints, what it leaves, what a full disk gets."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from atypia.data.phantom import make_phantom

QUICK = (
    "folds.count=2",
    "schedule.epochs=1",
    "schedule.batch_size=16",
    "schedule.least_steps=1",
    "backbone.input_px=32",
)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cohort")
    make_phantom(folder, figures=48, domains=2, slides_per_domain=4, size_px=96, seed=0)
    return folder


def _train(cohort: Path, out: Path, largest_file: int | None = None) -> subprocess.CompletedProcess:
    def limit() -> None:
        if largest_file is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))

    changes = [word for change in QUICK for word in ("--set", change)]
    return subprocess.run(
        [sys.executable, "-m", "atypia", "train", cohort, "--out", out, *changes],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=limit,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )


def test_a_disk_that_takes_no_more_is_one_line_and_the_same_command_then_goes_on(
    cohort: Path, tmp_path: Path
) -> None:
    stopped = _train(cohort, tmp_path / "run", largest_file=20_000_000)
    assert stopped.returncode == 2
    told = stopped.stderr.strip().splitlines()[-1]
    assert "cannot be written" in told
    assert "checkpoint.pt" in told
    assert "Traceback" not in stopped.stderr
    assert not list(tmp_path.rglob(".*"))

    done = _train(cohort, tmp_path / "run")
    assert done.returncode == 0, done.stderr
    assert "What an epoch holds" in done.stdout
    assert "all figures" in done.stdout
    for name in ("bundle", "out_of_fold.csv", "report.html"):
        assert str(tmp_path / "run" / name) in done.stdout.replace("\n", "")
        assert (tmp_path / "run" / name).exists()
    assert "fold 2 of 2" in done.stderr
