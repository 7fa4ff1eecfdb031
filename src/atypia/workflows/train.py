"""Train: figures and a recipe in; members, out-of-fold scores, a bundle and a report out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from atypia.data.domains import domain_names, short_domain_names
from atypia.data.splits import domain_folds, slide_folds
from atypia.data.table import FigureTable
from atypia.errors import AtypiaError, RecipeError, TableError
from atypia.evaluation.calibration import cross_fitted, fit_calibration
from atypia.evaluation.judge import Judgement, judge
from atypia.evaluation.predictions import check_predictions
from atypia.evaluation.report import write_report
from atypia.evaluation.training_story import TrainingStory
from atypia.files import write_text, written_whole
from atypia.training.batches import read_windows
from atypia.training.devices import Device, open_fabric
from atypia.training.embeddings import read_shown
from atypia.training.figures import TrainingFigures, UnlabelledFigures, training_figures
from atypia.training.loop import Progress, train_member
from atypia.training.recipe import Recipe, flat_values, read_recipe, to_toml
from atypia.training.requirements import require_components_work
from atypia.training.sampling import cell_shares, figure_weights
from atypia.workflows.backbone_weights import backbone_weights
from atypia.workflows.training_results import (
    out_of_fold_logits,
    out_of_fold_table,
    save_run_bundle,
)
from atypia.workflows.training_story import run_facts, run_record, training_story

# Called with what is being done, how far it is, how far it goes, and what to show beside it.
OnProgress = Callable[[str, int, int, str], None]


def _silent(task: str, done: int, of: int, note: str) -> None:
    """Show nothing."""


@dataclass(frozen=True)
class TrainingRun:
    """What a training left behind.

    Attributes:
        bundle: folder of the bundle: all members, calibrated on all out-of-fold scores.
        out_of_fold: predictions table; each figure scored by the member that has not seen it,
            called by an operating point fitted on the other folds.
        report: HTML.
        judgement: of the out-of-fold predictions.
        story: what the training did, as the report tells it.
    """

    bundle: Path
    out_of_fold: Path
    report: Path
    judgement: Judgement
    story: TrainingStory


def train(
    table: FigureTable,
    recipe: Recipe,
    out: Path | str,
    *,
    adapt_to: FigureTable | None = None,
    weights: Path | str | None = None,
    embeddings: Path | str | None = None,
    device: Device = "auto",
    threads: int | None = None,
    on_progress: OnProgress = _silent,
) -> TrainingRun:
    """Train one member a fold, judge them on what they have not seen, and make a bundle.

    Started again with the same `out`, it goes on where it was stopped and ends with the same
    weights (on a CPU with the same number of threads, to the bit).

    Args:
        table: figures with images, mpp and labels or votes.
        recipe: what decides the training.
        out: folder of the run.
        adapt_to: figures of a laboratory that the classifier shall work in, for the domain loss
            alone; labels and votes in it are not looked at.
        weights: file or folder of the backbone's published weights; none takes them from the
            package or the local Hugging Face cache.
        embeddings: folder where a linear training keeps its embeddings and finds those of others;
            none takes one in `out`.
        device: auto, cpu or cuda.
        threads: of the CPU; none takes what torch takes.
        on_progress: called often.

    Raises:
        AtypiaError: the figures, the recipe, the weights and the run's folder do not fit each
            other, or the backbone's weights are not here.
    """
    started = datetime.now(UTC)
    out = Path(out)
    if threads is not None:
        torch.set_num_threads(threads)
    file, weights_sha256 = backbone_weights(recipe, weights)
    fabric = open_fabric(device, recipe.schedule)
    if not fabric.is_global_zero:
        on_progress = _silent
    further = [] if adapt_to is None else list(map(str, np.unique(domain_names(adapt_to.frame))))
    figures = training_figures(table, recipe.soft_labels, further)
    folds, names = _folds(table, figures, recipe)
    _require_both_classes(figures, folds, names)
    there = None if adapt_to is None else _domains_of(adapt_to, figures)
    _require_components_work(recipe, figures, folds, names, there)
    with fabric.rank_zero_first():  # the others find the windows on disk
        _keep_recipe(out, recipe)
        shown = read_shown(
            table,
            recipe,
            out / "windows",
            out / "embeddings" if embeddings is None else Path(embeddings),
            fabric,
            lambda task, done, of: on_progress(task, done, of, ""),
            weights=file,
            weights_sha256=weights_sha256,
        )
        unlabelled = None
        if adapt_to is not None and there is not None:
            told = _told(on_progress, "reading crops to adapt to")
            unlabelled = UnlabelledFigures(
                read_windows(adapt_to, recipe, out / "windows", told), there
            )
    identity = _identity(table, recipe, folds, adapt_to, weights_sha256)
    folders = [out / "folds" / str(fold) for fold in range(len(names))]
    members = []
    for fold, name in enumerate(names):

        def report_step(at: Progress, task: str = f"training {name}") -> None:
            gamma = f", gamma {' '.join(f'{one:.2f}' for one in at.gamma)}" if at.gamma else ""
            on_progress(task, at.step, at.steps, f"loss {at.loss:.3f}{gamma}")

        members.append(
            train_member(
                recipe,
                shown,
                figures,
                np.flatnonzero(folds == fold),
                folders[fold],
                member=fold,
                identity=identity,
                fabric=fabric,
                on_progress=report_step,
                unlabelled=unlabelled,
                weights=file,
            )
        )
    on_progress("judging", 0, 1, "")
    logits = out_of_fold_logits(members, len(figures.truth))
    fitted = cross_fitted(logits, figures.truth, figures.truth, folds, figures.case)
    predictions = out_of_fold_table(table, figures, members, logits, folds, fitted)
    judgement = judge(check_predictions(predictions), table)
    calibration = fit_calibration(
        logits,
        figures.truth,
        figures.truth,
        figures.case,
        fitted_on=f"out-of-fold scores of {len(logits)} figures, folds by {recipe.folds.scheme}",
    )
    story = training_story(members, names, folders, figures)
    result = TrainingRun(
        out / "bundle", out / "out_of_fold.csv", out / "report.html", judgement, story
    )
    if fabric.is_global_zero:
        with written_whole(result.out_of_fold) as partial:
            predictions.to_csv(partial, index=False)
        phases = figures.phases if recipe.phase.weight else []
        save_run_bundle(
            result.bundle,
            recipe,
            table,
            members,
            calibration,
            judgement,
            tuple(phases),
            weights_sha256,
        )
        record = run_record(table, recipe, members, started, fabric)
        write_text(out / "run.json", json.dumps(record, indent=2) + "\n")
        metrics = json.dumps(judgement.to_dict(), indent=2, ensure_ascii=False)
        write_text(out / "metrics.json", metrics + "\n")
        write_report(
            result.report,
            judgement,
            table,
            title=f"{recipe.name}: out-of-fold scores",
            facts={
                **run_facts(recipe, figures, names, adapt_to),
                "Refer band of the bundle": calibration.refer_rule,
            },
            training=story,
        )
    fabric.barrier()
    on_progress("judging", 1, 1, "")
    return result


def expected_shares(table: FigureTable, recipe: Recipe) -> pd.DataFrame:
    """Return what an epoch will hold, one row a (domain, class): figures and expected share."""
    figures = training_figures(table, recipe.soft_labels)
    weights = figure_weights(
        figures.domain,
        figures.atypical,
        class_balance=recipe.sampling.class_balance,
        domain_balance=recipe.sampling.domain_balance,
    )
    return cell_shares(figures.domain, figures.atypical, weights, figures.domains)


def _keep_recipe(out: Path, recipe: Recipe) -> None:
    """Write the recipe into the run's folder; refuse a folder that holds a run of another one."""
    out.mkdir(parents=True, exist_ok=True)
    path = out / "recipe.toml"
    if path.is_file():
        there, here = flat_values(read_recipe(path)), flat_values(recipe)
        changed = [key for key in here if here[key] != there[key]]
        if changed:
            first = changed[0]
            raise AtypiaError(
                f"{out}: holds a training by another recipe ({first} is {there[first]!r} there, "
                f"{here[first]!r} here); give another --out, or delete the folder to start anew"
            )
    write_text(path, to_toml(recipe))


def _folds(
    table: FigureTable, figures: TrainingFigures, recipe: Recipe
) -> tuple[npt.NDArray[np.int64], list[str]]:
    """Return the fold of each figure and what each fold is called."""
    if recipe.folds.scheme == "domains":
        folds, names = domain_folds(table.frame)
        short = short_domain_names(names)
        return folds, [f"without {short[name]}" for name in names]
    count = min(recipe.folds.count, len(np.unique(figures.case)))
    return slide_folds(table.frame, count, recipe.seed), [
        f"fold {fold + 1} of {count}" for fold in range(count)
    ]


def _require_both_classes(
    figures: TrainingFigures, folds: npt.NDArray[np.int64], names: list[str]
) -> None:
    """Refuse folds that leave one class only to train on and to calibrate with, before any work."""
    for fold, name in enumerate(names):
        rest = figures.truth[folds != fold]
        for word, value in (("atypical", 1.0), ("normal", 0.0)):
            if not (rest == value).any():
                raise TableError(
                    f"{name}: no {word} figure is left to train on; add {word} figures of other "
                    "cases, or set folds.count or folds.scheme otherwise"
                )


def _domains_of(adapt_to: FigureTable, figures: TrainingFigures) -> npt.NDArray[np.int64]:
    """Return the domain of each figure to adapt to, as its position in the training's domains."""
    named = domain_names(adapt_to.frame).astype(str)
    return np.searchsorted(figures.domains, named).astype(np.int64)


def _require_components_work(
    recipe: Recipe,
    figures: TrainingFigures,
    folds: npt.NDArray[np.int64],
    names: list[str],
    there: npt.NDArray[np.int64] | None,
) -> None:
    """Refuse a component that has nothing to work on in a fold, before any work."""
    for fold, name in enumerate(names):
        try:
            require_components_work(recipe, figures, np.flatnonzero(folds != fold), there)
        except RecipeError as refused:
            raise RecipeError(f"{name}: {refused}") from None


def _told(on_progress: OnProgress, task: str) -> Callable[[int, int], None]:
    return lambda done, of: on_progress(task, done, of, "")


def _identity(
    table: FigureTable,
    recipe: Recipe,
    folds: npt.NDArray[np.int64],
    adapt_to: FigureTable | None,
    weights_sha256: str,
) -> str:
    """Hash what decides the weights: recipe, tables, folds, the backbone's own weights."""
    text = to_toml(recipe) + table.frame.to_csv(index=False)
    if adapt_to is not None:
        text += adapt_to.frame.to_csv(index=False)
    text += weights_sha256
    return hashlib.sha256(text.encode() + folds.tobytes()).hexdigest()
