"""The full pipeline on synthetic data: make, classify, train, evaluate, predict."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from atypia.data.phantom.cohort import make_phantom
from atypia.evaluation.judge import Judgement
from atypia.progress import OnProgress, opens_bars, show_bars
from atypia.training.recipe import Recipe
from atypia.training.recipe_file import read_recipe
from atypia.workflows.evaluate import evaluate_bundle
from atypia.workflows.predict import predict
from atypia.workflows.train import train
from atypia.workflows.training.publish import TrainingRun

FIGURES = 360


@dataclass(frozen=True)
class Demo:
    """The results of the demo.

    Attributes:
        shipped: judgement of the bundle that comes with atypia, on the synthetic figures.
        shipped_report: its report, HTML.
        run: a training on the synthetic figures.
        predictions: table of all figures, classified by that training's bundle.
    """

    shipped: Judgement
    shipped_report: Path
    run: TrainingRun
    predictions: Path


def demo_recipe() -> Recipe:
    """Return a short version of `lite` that leaves out each synthetic domain once."""
    return read_recipe(
        "lite",
        [
            "name=demo",
            "folds.scheme=domains",
            "schedule.epochs=12",
            "schedule.min_steps=1",
            "schedule.batch_size=32",
            "backbone.input_px=96",
        ],
    )


@opens_bars
def demo(out: Path, *, overwrite: bool = False, on_progress: OnProgress = show_bars) -> Demo:
    """Run the full pipeline; writes `cohort/`, `atypia-lite.html`, `run/`, `predictions.csv`.

    Args:
        out: folder of the results; an interrupted demo resumes there.
        overwrite: replace files that atypia did not write.
        on_progress: called often; without it, bars in a terminal or notebook.
    """
    cohort = make_phantom(out / "cohort", figures=FIGURES, domains=3, seed=0, overwrite=overwrite)
    figures = out / "cohort" / "figures.csv"
    shipped_report = out / "atypia-lite.html"
    shipped, _ = evaluate_bundle(
        figures, shipped_report, overwrite=overwrite, on_progress=on_progress
    )
    run = train(cohort, demo_recipe(), out / "run", overwrite=overwrite, on_progress=on_progress)
    predictions = out / "predictions.csv"
    predict(
        [figures],
        predictions,
        bundle=run.bundle,
        overwrite=overwrite,
        on_progress=on_progress,
    )
    return Demo(shipped, shipped_report, run, predictions)
