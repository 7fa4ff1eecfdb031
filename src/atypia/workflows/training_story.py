"""Tell what a training did: for its report, its record, and whoever called it."""

from __future__ import annotations

import resource
import sys
from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np
import torch
from lightning_fabric import Fabric

import atypia
from atypia.data.domains import domain_names
from atypia.data.faults import counted
from atypia.data.table import FigureTable, name_cases
from atypia.evaluation.training_story import TrainingStory
from atypia.training.devices import precision_of
from atypia.training.figures import TrainingFigures
from atypia.training.member import Member
from atypia.training.recipe import Recipe
from atypia.workflows.training_folds import Folds


def training_story(
    members: Sequence[Member],
    names: Sequence[str],
    figures: TrainingFigures,
    *,
    adaptive: bool,
) -> TrainingStory:
    """Return what the training did.

    Args:
        members: of the folds.
        names: what the training of each is called.
        figures: of the whole training.
        adaptive: the recipe lets gamma adapt.
    """
    named = dict(zip(names, members, strict=True))
    gammas = {name: member.gammas for name, member in named.items()} if adaptive else {}
    return TrainingStory(
        probes={name: member.probe for name, member in named.items() if member.probe is not None},
        gammas=tuple(gamma for gamma in gammas.values() if gamma is not None),
        hardness=_hardness(members, figures),
        unknown_gammas=tuple(name for name, gamma in gammas.items() if gamma is None),
    )


def run_record(
    table: FigureTable,
    recipe: Recipe,
    members: Sequence[Member],
    started: datetime,
    fabric: Fabric,
) -> dict[str, object]:
    """Return what a run's `run.json` holds: versions, machine, seconds, memory."""
    return {
        "atypia": atypia.__version__,
        "torch": torch.__version__,
        "recipe": recipe.name,
        "seed": recipe.seed,
        "figures": len(table),
        "root": table.root.name,
        "device": str(fabric.device),
        "precision": precision_of(fabric),
        "threads": torch.get_num_threads(),
        "seconds_of_member": [round(member.seconds, 1) for member in members],
        "peak_memory_gb": round(_peak_memory_bytes() / 2**30, 2),
        "started": started.isoformat(timespec="seconds"),
        "ended": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _peak_memory_bytes() -> int:
    """Return the most memory that this process has held; systems count it in other units."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def run_facts(
    table: FigureTable, recipe: Recipe, folds: Folds, adapt_to: FigureTable | None
) -> dict[str, str]:
    """Return what stands at the top of a run's report, name -> value."""
    domains = counted(len(np.unique(domain_names(table.frame).astype(str))), "domain")
    adapted = (
        {}
        if adapt_to is None
        else {"Adapted to": f"{counted(len(adapt_to), 'figure')}, labels not looked at"}
    )
    return {
        "Recipe": f"{recipe.name}, seed {recipe.seed}",
        "Network": f"{recipe.backbone.key}, adapter {recipe.adapter.kind}, "
        f"{recipe.backbone.crop_um:g} um in {recipe.backbone.input_px} px",
        "Figures": f"{len(table)} of {name_cases(table.frame)} in {domains}",
        **adapted,
        "Judged": f"every figure by the members that have not seen it ({len(folds.names)} "
        f"{folds.told}), called by an operating point fitted on the others",
        "atypia": atypia.__version__,
        "Made on": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    }


def _hardness(members: Sequence[Member], figures: TrainingFigures) -> dict[str, float]:
    """Return the mean over the members that trained on a figure, of the figures that have one."""
    scores = np.stack([member.hardness for member in members]).astype(np.float64)
    counts = np.isfinite(scores).sum(axis=0)
    sums = np.nansum(scores, axis=0)
    return {
        str(figures.figure_id[row]): float(sums[row] / counts[row])
        for row in np.flatnonzero(counts)
    }
