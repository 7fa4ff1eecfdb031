"""Publish the results of a training: bundle, predictions, reports, metrics, record."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape
from itertools import chain
from pathlib import Path

import pandas as pd

from atypia.bundle.card import model_card
from atypia.bundle.manifest import BundleManifest, member_names
from atypia.bundle.save import save_bundle
from atypia.data.table import explain_missing_slides, format_cases
from atypia.data.table_checks import format_count
from atypia.errors import AtypiaError
from atypia.evaluation.judge import Judgement
from atypia.evaluation.markdown import plain_markdown
from atypia.evaluation.report import write_report
from atypia.evaluation.training_story import TrainingStory
from atypia.files import create_output, write_output
from atypia.inference.export import export_onnx
from atypia.models.backbones.registry import backbone_spec
from atypia.training.devices import Fabric
from atypia.training.member import Member
from atypia.training.recipe import Recipe
from atypia.workflows.training.folder import RunFolder
from atypia.workflows.training.judge import JudgedRun, JudgedScheme
from atypia.workflows.training.plan import FOLDS, TrainingPlan
from atypia.workflows.training.record import run_facts, run_record
from atypia.workflows.training.story import training_story

_log = logging.getLogger(__name__)

_CARD_COLUMNS = {
    "domain": "domain",
    "figures": "figures",
    "atypical": "atypical",
    "balanced_accuracy": "balanced accuracy",
    "ba_low": "95 % from",
    "ba_high": "to",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "auroc": "AUROC",
    "ece": "ECE",
}

LARGEST_EXPORTED = 100_000_000
"""Parameters of the largest backbone that a training exports: larger ones want a GPU."""


@dataclass(frozen=True)
class TrainingRun:
    """The results of a training.

    Attributes:
        bundle: its folder: the members of all folds, or those trained on all figures
            (`folds.bundle`), calibrated on all out-of-fold scores.
        out_of_fold: predictions table; each figure scored by the members that were not trained on
            it, called by an operating point fitted on the other folds.
        report: HTML.
        judgement: of the out-of-fold predictions.
        story: of the training, for the report.
        left_out: of the predictions for left-out domains; None unless the recipe asks for them
            (`folds.left_out_domains`). They are in `left_out.csv` and `left_out.html`, and the
            bundle is then calibrated on their scores.

    Example:
        >>> import atypia
        >>> from atypia.data.phantom.cohort import make_phantom
        >>> cohort = make_phantom("cohort", figures=40, domains=2, size_px=64)
        >>> short = ["folds.scheme=domains", "schedule.epochs=1", "schedule.min_steps=1"]
        >>> recipe = atypia.read_recipe("lite", [*short, "backbone.input_px=32"])
        >>> run = atypia.train(cohort, recipe, "run")
        >>> run.judgement.overall.figures, run.report.name
        (40, 'report.html')
    """

    bundle: Path
    out_of_fold: Path
    report: Path
    judgement: Judgement
    story: TrainingStory
    left_out: Judgement | None = None

    def __repr__(self) -> str:
        return (
            f"TrainingRun: {self.judgement}\n  bundle: {self.bundle}\n"
            f"  out-of-fold predictions: {self.out_of_fold}\n  report: {self.report}"
        )

    def _repr_html_(self) -> str:
        """Return what a notebook shows: the judgement, and where the results lie."""
        places = {
            "bundle": self.bundle,
            "out-of-fold predictions": self.out_of_fold,
            "report": self.report,
        }
        rows = "".join(f"<li>{name}: {escape(str(path))}</li>" for name, path in places.items())
        return f"{self.judgement._repr_html_()}<ul>{rows}</ul>"


def publish(
    plan: TrainingPlan,
    members: Mapping[str, Sequence[Member]],
    judged: JudgedRun,
    folder: RunFolder,
    weights_sha256: str,
    fabric: Fabric,
    started: datetime,
) -> TrainingRun:
    """Write all results; of several processes, one writes.

    Args:
        plan: that was trained.
        members: name of a scheme -> its members.
        judged: their evaluation.
        folder: receives the results.
        weights_sha256: of the backbone's published weights; "" where they are no file.
        fabric: device and precision.
        started: when, with its time zone.

    Raises:
        AtypiaError: a result cannot be written, or would replace a file of the user's.
    """
    run = TrainingRun(
        folder.bundle,
        folder.out_of_fold,
        folder.report,
        judged.folds.judgement,
        training_story(plan, members[FOLDS]),
        None if judged.left_out is None else judged.left_out.judgement,
    )
    if fabric.is_global_zero:
        save_run_bundle(folder.bundle, plan, members[plan.shipped], judged, weights_sha256)
        record = run_record(plan, chain.from_iterable(members.values()), started, fabric)
        write_output(folder.record, json.dumps(record, indent=2) + "\n")
        _write_metrics(folder.metrics, run)
        _write_folds(folder, plan, judged, run.story)
        _write_left_out(folder, plan, judged)
    fabric.barrier()
    return run


def save_run_bundle(
    folder: Path,
    plan: TrainingPlan,
    members: Sequence[Member],
    judged: JudgedRun,
    weights_sha256: str,
) -> None:
    """Write the bundle of all members.

    Args:
        folder: of the bundle.
        plan: that was trained.
        members: that it holds.
        judged: the evaluation.
        weights_sha256: of the backbone's published weights; "" where they are no file.
    """
    recipe, table = plan.recipe, plan.table
    spec = backbone_spec(recipe.backbone.key)
    mpp = table.frame["mpp"]
    manifest = BundleManifest(
        name=recipe.name,
        backbone=spec.key,
        adapter=recipe.adapter,
        pooling=spec.pooling,
        crop_um=recipe.backbone.crop_um,
        input_px=recipe.backbone.input_px,
        views=recipe.backbone.tta_views,
        training_mpp=(float(mpp.min()), float(mpp.max())),
        mean=spec.mean,
        std=spec.std,
        dropout=recipe.head.dropout,
        phases=tuple(plan.figures.phases if recipe.phase.weight else ()),
        # A bundle with the whole backbone needs no other weights.
        weights_sha256="" if recipe.adapter.keeps_backbone else weights_sha256,
        members=member_names(len(members)),
    )
    truth = judged.folds.judgement.figures["truth"]
    by_domain: pd.DataFrame | None = _card_table(judged.folds)
    left_out = None if judged.left_out is None else _card_table(judged.left_out)
    if recipe.folds.scheme == "domains":
        by_domain, left_out = None, by_domain
    unknown = explain_missing_slides(table.frame)
    card = model_card(
        manifest,
        judged.calibration,
        data=f"{format_count(len(table), 'figure')} of {format_cases(table.frame)} from "
        f"{plain_markdown(table.name)}, {int(truth.sum())} of them atypical. "
        f"{recipe.card.data}",
        licence=recipe.card.licence
        or "The licence of the training figures applies; ask whoever trained this bundle.",
        by_domain=by_domain,
        left_out=left_out,
        further_limits=[f"In training, {unknown}."] if unknown else [],
    )
    states = [member.state for member in members]
    save_bundle(folder, manifest, states, judged.calibration, card, table.image_paths())


def _card_table(judged: JudgedScheme) -> pd.DataFrame:
    return judged.judgement.domains.frame[list(_CARD_COLUMNS)].rename(columns=_CARD_COLUMNS)


def export_run_bundle(folder: Path, recipe: Recipe) -> None:
    """Export the network of a bundle into it, where its weights are here and not huge.

    Args:
        folder: of the bundle.
        recipe: that it was trained by.
    """
    spec = backbone_spec(recipe.backbone.key)
    weights_here = bool(spec.package) or recipe.adapter.keeps_backbone
    if not weights_here or spec.parameters > LARGEST_EXPORTED:
        return
    try:
        export_onnx(folder, overwrite=True)
    except AtypiaError as fault:
        _log.warning("warning: %s; the bundle is classified with torch", fault)


def _write_metrics(path: Path, run: TrainingRun) -> None:
    metrics = run.judgement.to_dict()
    if run.left_out is not None:
        metrics["left_out_domains"] = run.left_out.to_dict()
    write_output(path, json.dumps(metrics, indent=2, ensure_ascii=False) + "\n")


def _write_folds(
    folder: RunFolder, plan: TrainingPlan, judged: JudgedRun, story: TrainingStory
) -> None:
    title = f"{plan.recipe.name}: out-of-fold scores"
    facts = run_facts(plan, plan.folds, judged.calibration.refer_rule)
    _write_predictions(folder.out_of_fold, judged.folds)
    judgement = judged.folds.judgement
    write_report(folder.report, judgement, plan.table, title=title, facts=facts, training=story)


def _write_left_out(folder: RunFolder, plan: TrainingPlan, judged: JudgedRun) -> None:
    if plan.left_out is None or judged.left_out is None:
        return
    title = f"{plan.recipe.name}: {plan.left_out.description}"
    facts = run_facts(plan, plan.left_out, judged.calibration.refer_rule)
    _write_predictions(folder.left_out, judged.left_out)
    judgement = judged.left_out.judgement
    write_report(folder.left_out_report, judgement, plan.table, title=title, facts=facts)


def _write_predictions(path: Path, judged: JudgedScheme) -> None:
    with create_output(path) as partial:
        judged.predictions.to_csv(partial, index=False)
