"""`atypia train` as a user meets it: what it prints, what it leaves, what a full disk gets."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from atypia.data.phantom import make_phantom
from warm_python import WarmPython

QUICK = (
    "adapter.kind=full",
    "folds.count=2",
    "schedule.epochs=1",
    "schedule.batch_size=16",
    "schedule.min_steps=1",
    "backbone.input_px=32",
)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cohort")
    make_phantom(folder, figures=48, domains=2, slides_per_domain=8, size_px=96, seed=0)
    return folder


@pytest.fixture
def laboratory(cohort: Path, tmp_path: Path) -> Path:
    """A table of sixteen figures of a laboratory, without label, vote or phase."""
    crops = sorted((cohort / "images").glob("*.png"))[:16]
    lines = ["figure_id,image,mpp,laboratory"]
    for number, crop in enumerate(crops):
        shutil.copy(crop, tmp_path / f"{number}.png")
        lines.append(f"ours-{number},{number}.png,0.25,ours")
    (tmp_path / "ours.csv").write_text("\n".join(lines) + "\n")
    return tmp_path / "ours.csv"


Train = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def train(warm_python: WarmPython) -> Train:
    """Run the command; `largest_file` in bytes stands for a disk that is full."""

    def command(
        cohort: Path, out: Path, *further: str | Path, largest_file: int | None = None
    ) -> subprocess.CompletedProcess[str]:
        changes = [word for change in QUICK for word in ("--set", change)]
        words: tuple[str | Path, ...] = ("-m", "atypia")
        if largest_file is not None:
            limit = f"resource.setrlimit(resource.RLIMIT_FSIZE, ({largest_file}, {largest_file}))"
            words = ("-c", f"import resource; {limit}; from atypia.cli.main import run; run()")
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        return warm_python.run(
            *words, "train", cohort, "--out", out, *changes, *further, env=environment
        )

    return command


def test_a_disk_that_takes_no_more_is_one_line_and_the_same_command_then_goes_on(
    train: Train, cohort: Path, tmp_path: Path
) -> None:
    stopped = train(cohort, tmp_path / "run", largest_file=20_000_000)
    assert stopped.returncode == 2
    told = stopped.stderr.strip().splitlines()[-1]
    assert "cannot be written" in told
    assert "checkpoint.pt" in told
    assert "Traceback" not in stopped.stderr
    assert not list(tmp_path.rglob(".*.partial-*"))

    done = train(cohort, tmp_path / "run")
    assert done.returncode == 0, done.stderr
    assert "Composition of an epoch" in done.stdout
    assert "all figures" in done.stdout
    for name in ("bundle", "out_of_fold.csv", "report.html"):
        assert str(tmp_path / "run" / name) in done.stdout.replace("\n", "")
        assert (tmp_path / "run" / name).exists()
    assert "fold 2 of 2" in done.stderr
    assert "linear-probe accuracy for domain: 0." in done.stdout
    assert "(chance 0.50), mean of 2 folds" in done.stdout


def test_a_laboratory_without_labels_is_adapted_to(
    train: Train, cohort: Path, laboratory: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    changes = ("--set", "domain_adversarial.weight=0.1", "--set", "backbone.pretrained=false")
    done = train(cohort, out, "--unlabelled", laboratory, *changes)
    assert done.returncode == 0, done.stderr
    assert "reading unlabelled crops: 16 of 16" in done.stderr
    assert "16 figures, labels ignored" in (out / "report.html").read_text(encoding="utf-8")
    # They are learned from, and not judged.
    assert len((out / "out_of_fold.csv").read_text().splitlines()) == 1 + 48


def test_a_laboratory_that_nothing_would_be_learned_from_is_refused_in_a_line(
    train: Train, cohort: Path, laboratory: Path, tmp_path: Path
) -> None:
    refused = train(cohort, tmp_path / "run", "--adapt-to", laboratory)
    assert refused.returncode == 2
    assert len(refused.stderr.splitlines()) == 1
    assert "domain_adversarial.weight is 0" in refused.stderr
    assert not (tmp_path / "run").exists()
