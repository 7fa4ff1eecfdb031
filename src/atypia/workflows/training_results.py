"""What a training leaves behind: the out-of-fold table and the bundle."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from atypia.bundle.card import model_card
from atypia.bundle.manifest import BundleManifest, member_names
from atypia.bundle.save import save_bundle
from atypia.data.table import FigureTable
from atypia.evaluation.calibration import Calibration, CrossFitted
from atypia.evaluation.judge import Judgement
from atypia.models.backbones.registry import backbone_spec
from atypia.training.figures import TrainingFigures
from atypia.training.loop import Member
from atypia.training.recipe import Recipe


def out_of_fold_logits(members: list[Member], count: int) -> npt.NDArray[np.float64]:
    """Return the logit of each of `count` figures by the member that has not seen it."""
    logits = np.full(count, np.nan)
    for member in members:
        logits[member.held_out] = member.logit
    return logits


def _phases(members: list[Member], figures: TrainingFigures) -> npt.NDArray[np.object_]:
    """Return the likeliest phase of each figure by the member that has not seen it, or ""."""
    phases = np.full(len(figures.truth), "", dtype=object)
    for member in members:
        if member.phase.size:
            best = member.phase.argmax(axis=1)
            phases[member.held_out] = np.array(figures.phases, dtype=object)[best]
    return phases


def out_of_fold_table(
    table: FigureTable,
    figures: TrainingFigures,
    members: list[Member],
    logits: npt.NDArray[np.float64],
    folds: npt.NDArray[np.int64],
    fitted: CrossFitted,
) -> pd.DataFrame:
    """Return the predictions table, with the fold and the raw logit of each figure beside it."""
    return pd.DataFrame(
        {
            "figure_id": table.frame["figure_id"],
            "image": table.frame["image"],
            "p_atypical": fitted.p,
            "call": np.where(fitted.call, "atypical", "normal"),
            "refer": np.where(fitted.refer, "true", "false"),
            "spread": "",
            "phase": _phases(members, figures),
            "fold": folds,
            "logit": logits,
        }
    )


def save_run_bundle(
    folder: Path,
    recipe: Recipe,
    table: FigureTable,
    members: list[Member],
    calibration: Calibration,
    judgement: Judgement,
    phases: tuple[str, ...],
    weights_sha256: str,
) -> None:
    """Write the bundle of all members.

    Args:
        folder: of the bundle.
        recipe: of the training.
        table: that was trained on.
        members: one a fold.
        calibration: fitted on all out-of-fold scores.
        judgement: of the out-of-fold predictions, for the card.
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
        training_mpp=(float(mpp.min()), float(mpp.max())),
        mean=spec.mean,
        std=spec.std,
        dropout=recipe.head.dropout,
        phases=phases,
        # A bundle that holds the whole backbone needs no other weights.
        weights_sha256="" if recipe.adapter.kind == "full" else weights_sha256,
        members=member_names(len(members)),
    )
    truth = judgement.figures["truth"]
    card = model_card(
        manifest,
        calibration,
        data=f"{len(table)} figures of {table.frame['case'].nunique()} cases from "
        f"`{table.root.name}`, {int(truth.sum())} of them atypical.",
        licence=f"Backbone: {spec.licence}. The figures' own licence holds for what was trained "
        "on them; ask whoever trained this bundle.",
        by_domain=judgement.domains.frame,
    )
    save_bundle(folder, manifest, [member.state for member in members], calibration, card)
