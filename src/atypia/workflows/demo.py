"""The whole road on a phantom cohort: make, train, judge a left-out domain, predict, report."""

from __future__ import annotations

from pathlib import Path

from atypia.data.phantom.cohort import make_phantom
from atypia.training.recipe import Recipe, read_recipe
from atypia.workflows.predict import predict
from atypia.workflows.train import OnProgress, TrainingRun, train

FIGURES = 360


def demo_recipe() -> Recipe:
    """Return `lite`, made short: each of the phantom's domains is left out once."""
    return read_recipe(
        "lite",
        [
            "name=demo",
            "folds.scheme=domains",
            "schedule.epochs=12",
            "schedule.least_steps=1",
            "schedule.batch_size=32",
            "backbone.input_px=96",
        ],
    )


def demo(out: Path, on_progress: OnProgress) -> TrainingRun:
    """Walk the road in `out`: `cohort/`, `run/` and `predictions.csv`.

    Args:
        out: folder; started again, it goes on there.
        on_progress: called often.
    """
    cohort = make_phantom(out / "cohort", figures=FIGURES, domains=3, seed=0)
    result = train(cohort, demo_recipe(), out / "run", on_progress=on_progress)
    predict(
        [out / "cohort" / "figures.csv"],
        out / "predictions.csv",
        bundle=result.bundle,
        on_progress=on_progress,
    )
    return result
