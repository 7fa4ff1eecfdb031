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

from atypia.data.domains import domain_names
from atypia.data.table import FigureTable
from atypia.errors import AtypiaError
from atypia.evaluation.judge import Judgement
from atypia.evaluation.report import write_report
from atypia.evaluation.training_story import TrainingStory
from atypia.files import write_text, written_whole
from atypia.training.batches import read_windows
from atypia.training.devices import Device, open_fabric
from atypia.training.embeddings import read_shown
from atypia.training.figures import TrainingFigures, UnlabelledFigures, training_figures
from atypia.training.loop import Member, Progress, train_member
from atypia.training.recipe import Recipe, deciding_values, read_recipe, to_toml
from atypia.training.sampling import cell_shares, figure_weights
from atypia.workflows.backbone_weights import backbone_weights
from atypia.workflows.training_folds import Folds, divisions, require_trainable
from atypia.workflows.training_results import Judged, judged, save_run_bundle
from atypia.workflows.training_story import run_facts, run_record, training_story

# Called with what is being done, how far it is, how far it goes, and what to show beside it.
OnProgress = Callable[[str, int, int, str], None]


def _silent(task: str, done: int, of: int, note: str) -> None:
    """Show nothing."""


@dataclass(frozen=True)
class TrainingRun:
    """What a training left behind.

    Attributes:
        bundle: its folder: the members of all folds, calibrated on all out-of-fold scores.
        out_of_fold: predictions table; each figure scored by the members that have not seen it,
            called by an operating point fitted on the other folds.
        report: HTML.
        judgement: of the out-of-fold predictions.
        story: what the training did, as the report tells it.
        left_out: of the predictions for domains that training had not seen; none unless the recipe
            asks for them (`folds.left_out_domains`). They lie beside the others, `left_out.csv` and
            `left_out.html`, and the bundle is then calibrated on their scores.
    """

    bundle: Path
    out_of_fold: Path
    report: Path
    judgement: Judgement
    story: TrainingStory
    left_out: Judgement | None = None


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
    """Train members on folds, judge them on what they have not seen, and make a bundle.

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
    there = None if adapt_to is None else _domains_of(adapt_to, figures)
    parts = divisions(table, recipe)
    for folds in parts:
        require_trainable(recipe, figures, folds, there)
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

    def members_of(folds: Folds) -> list[Member]:
        identity = _identity(table, recipe, folds.of, adapt_to, weights_sha256)
        members = []
        for seat in folds.seats:

            def report_step(at: Progress, task: str = f"training {seat.name}") -> None:
                gamma = f", gamma {' '.join(f'{one:.2f}' for one in at.gamma)}" if at.gamma else ""
                on_progress(task, at.step, at.steps, f"loss {at.loss:.3f}{gamma}")

            members.append(
                train_member(
                    recipe,
                    shown,
                    figures,
                    np.flatnonzero(folds.of == seat.part),
                    out / seat.folder,
                    member=seat.number,
                    identity=identity,
                    fabric=fabric,
                    on_progress=report_step,
                    unlabelled=unlabelled,
                    weights=file,
                )
            )
        return members

    trained = [members_of(folds) for folds in parts]
    on_progress("judging", 0, 1, "")
    found = [
        judged(table, figures, members, folds)
        for members, folds in zip(trained, parts, strict=True)
    ]
    seats = parts[0].seats
    story = training_story(
        trained[0],
        [seat.name for seat in seats],
        [out / seat.folder for seat in seats],
        figures,
    )
    result = TrainingRun(
        out / "bundle",
        out / "out_of_fold.csv",
        out / "report.html",
        found[0].judgement,
        story,
        found[1].judgement if len(found) > 1 else None,
    )
    if fabric.is_global_zero:
        save_run_bundle(
            result.bundle,
            recipe,
            table,
            trained[0],
            found,
            tuple(figures.phases if recipe.phase.weight else []),
            weights_sha256,
        )
        record = run_record(
            table, recipe, [one for some in trained for one in some], started, fabric
        )
        write_text(out / "run.json", json.dumps(record, indent=2) + "\n")
        metrics = found[0].judgement.to_dict()
        if result.left_out is not None:
            metrics["left_out_domains"] = result.left_out.to_dict()
        text = json.dumps(metrics, indent=2, ensure_ascii=False)
        write_text(out / "metrics.json", text + "\n")
        facts = [
            run_facts(table, recipe, folds, adapt_to)
            | {"Refer band of the bundle": found[-1].calibration.refer_rule}
            for folds in parts
        ]
        _write_judged(
            result.out_of_fold,
            result.report,
            found[0],
            table,
            f"{recipe.name}: out-of-fold scores",
            facts[0],
            story,
        )
        if len(found) > 1:
            _write_judged(
                out / "left_out.csv",
                out / "left_out.html",
                found[1],
                table,
                f"{recipe.name}: {parts[1].told}",
                facts[1],
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
        there, here = deciding_values(read_recipe(path)), deciding_values(recipe)
        changed = [key for key in here if here[key] != there[key]]
        if changed:
            first = changed[0]
            raise AtypiaError(
                f"{out}: holds a training by another recipe ({first} is {there[first]!r} there, "
                f"{here[first]!r} here); give another --out, or delete the folder to start anew"
            )
    write_text(path, to_toml(recipe))


def _domains_of(adapt_to: FigureTable, figures: TrainingFigures) -> npt.NDArray[np.int64]:
    """Return the domain of each figure to adapt to, as its position in the training's domains."""
    named = domain_names(adapt_to.frame).astype(str)
    return np.searchsorted(figures.domains, named).astype(np.int64)


def _write_judged(
    path: Path,
    report: Path,
    found: Judged,
    table: FigureTable,
    title: str,
    facts: dict[str, str],
    story: TrainingStory | None = None,
) -> None:
    with written_whole(path) as partial:
        found.predictions.to_csv(partial, index=False)
    write_report(report, found.judgement, table, title=title, facts=facts, training=story)


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
    text = json.dumps(deciding_values(recipe)) + table.frame.to_csv(index=False)
    if adapt_to is not None:
        text += adapt_to.frame.to_csv(index=False)
    text += weights_sha256
    return hashlib.sha256(text.encode() + folds.tobytes()).hexdigest()
