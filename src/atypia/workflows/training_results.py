"""What a training leaves behind: scores of what members have not seen, judged, and the bundle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import softmax

from atypia.bundle.card import model_card
from atypia.bundle.manifest import BundleManifest, member_names
from atypia.bundle.save import save_bundle
from atypia.data.faults import counted
from atypia.data.predictions import check_predictions
from atypia.data.table import FigureTable, missing_slides, name_cases
from atypia.evaluation.calibration import Calibration, cross_fitted, fit_calibration
from atypia.evaluation.judge import Judgement, judge
from atypia.evaluation.markdown import plain_markdown
from atypia.models.backbones.registry import backbone_spec
from atypia.training.figures import TrainingFigures
from atypia.training.loop import Member
from atypia.training.recipe import Recipe
from atypia.workflows.training_folds import Folds


def _phases(members: list[Member], figures: TrainingFigures) -> npt.NDArray[np.object_]:
    """Return the likeliest phase of each figure by members that have not seen it, or ""."""
    phases = np.full(len(figures.truth), "", dtype=object)
    knowing = [member for member in members if member.phase.size]
    if knowing:
        p = np.zeros((len(phases), knowing[0].phase.shape[1]))
        for member in knowing:
            p[member.held_out] += softmax(member.phase, axis=1)
        seen = p.any(axis=1)
        phases[seen] = np.array(figures.phases, dtype=object)[p[seen].argmax(axis=1)]
    return phases


@dataclass(frozen=True)
class Judged:
    """Figures scored by members that have not seen them.

    Attributes:
        predictions: predictions table, with the fold and the raw logit of each figure beside it;
            each part called by an operating point fitted on the others.
        judgement: of the predictions.
        calibration: fitted on all scores.
    """

    predictions: pd.DataFrame
    judgement: Judgement
    calibration: Calibration


def judged(
    table: FigureTable, figures: TrainingFigures, members: list[Member], folds: Folds
) -> Judged:
    """Judge members on what they have not seen.

    Args:
        table: N figures.
        figures: the same, as training sees them.
        members: the same number for each part of the folds.
        folds: of the figures.

    Raises:
        AtypiaError: a score is not finite, or without a part one class only is left.
    """
    sums, counts, truth = np.zeros(len(table)), np.zeros(len(table)), figures.truth
    for member in members:
        sums[member.held_out] += member.logit
        counts[member.held_out] += 1
    logits = sums / counts
    fitted = cross_fitted(logits, truth, truth, folds.of, figures.case)
    predictions = pd.DataFrame(
        {
            "figure_id": table.frame["figure_id"],
            "image": table.frame["image"],
            "p_atypical": fitted.p,
            "call": np.where(fitted.call, "atypical", "normal"),
            "refer": np.where(fitted.refer, "true", "false"),
            "spread": "",
            "phase": _phases(members, figures),
            "fold": folds.of,
            "logit": logits,
        }
    )
    judgement = judge(check_predictions(predictions), table)
    origin = f"out-of-fold scores of {len(logits)} figures, {len(folds.names)} {folds.told}"
    calibration = fit_calibration(logits, truth, truth, figures.case, fitted_on=origin)
    if missing_slides(table.frame):
        rule = f"{calibration.refer_rule}; figures that name no slide count as cases"
        calibration = replace(calibration, refer_rule=rule)
    return Judged(predictions, judgement, calibration)


def save_run_bundle(
    folder: Path,
    recipe: Recipe,
    table: FigureTable,
    members: list[Member],
    found: Sequence[Judged],
    phases: tuple[str, ...],
    weights_sha256: str,
) -> None:
    """Write the bundle of all members.

    Args:
        folder: of the bundle.
        recipe: of the training.
        table: that was trained on.
        members: of the folds.
        found: of the folds and, where they were, of the domains left out; the last calibrates.
        phases: order of the phase head's classes; empty without one.
        weights_sha256: of the backbone's published weights; "" where they are no file.
    """
    spec = backbone_spec(recipe.backbone.key)
    mpp = table.frame["mpp"]
    manifest = BundleManifest(
        name=recipe.name,
        backbone=spec.key,
        adapter=recipe.adapter,
        pooling=spec.pooling,
        crop_um=recipe.backbone.crop_um,
        input_px=recipe.backbone.input_px,
        views=recipe.backbone.views,
        training_mpp=(float(mpp.min()), float(mpp.max())),
        mean=spec.mean,
        std=spec.std,
        dropout=recipe.head.dropout,
        phases=phases,
        # A bundle that holds the whole backbone needs no other weights.
        weights_sha256="" if recipe.adapter.kind == "full" else weights_sha256,
        members=member_names(len(members)),
    )
    calibration = found[-1].calibration
    truth = found[0].judgement.figures["truth"]
    unknown = missing_slides(table.frame)
    card = model_card(
        manifest,
        calibration,
        data=f"{counted(len(table), 'figure')} of {name_cases(table.frame)} from "
        f"{plain_markdown(table.root.name)}, {int(truth.sum())} of them atypical. "
        f"{recipe.card.data}",
        licence=recipe.card.licence
        or "The figures' own licence holds for what was trained on them; ask whoever trained this "
        "bundle.",
        by_domain=found[0].judgement.domains.frame,
        left_out=found[1].judgement.domains.frame if len(found) > 1 else None,
        further_limits=[f"In training, {unknown}."] if unknown else [],
    )
    states = [member.state for member in members]
    save_bundle(folder, manifest, states, calibration, card, table.image_paths())
