"""Tell what a training did: for its report, its record, and whoever called it."""

from __future__ import annotations

import json
import resource
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from lightning_fabric import Fabric

from atypia.data.domains import domain_names
from atypia.data.faults import counted
from atypia.data.table import FigureTable, name_cases
from atypia.evaluation.training_story import FoldProbe, TrainingStory
from atypia.training.devices import precision_of
from atypia.training.figures import TrainingFigures
from atypia.training.loop import Member
from atypia.training.recipe import Recipe
from atypia.version import __version__
from atypia.workflows.training_folds import Folds


def training_story(
    members: Sequence[Member],
    names: Sequence[str],
    folders: Sequence[Path],
    figures: TrainingFigures,
) -> TrainingStory:
    """Return what the training did.

    Args:
        members: of the folds.
        names: what the training of each is called.
        folders: of each member, with its record.
        figures: of the whole training.
    """
    probes = tuple(
        FoldProbe(name, member.probe.before, member.probe.after, member.probe.chance)
        for name, member in zip(names, members, strict=True)
        if member.probe is not None
    )
    gammas = tuple(gamma for gamma in map(_gammas, folders) if len(gamma))
    return TrainingStory(probes, gammas, _hardness(members, figures))


def run_record(
    table: FigureTable,
    recipe: Recipe,
    members: Sequence[Member],
    started: datetime,
    fabric: Fabric,
) -> dict[str, object]:
    """Return what a run's `run.json` holds: versions, machine, seconds, memory."""
    return {
        "atypia": __version__,
        "torch": torch.__version__,
        "recipe": recipe.name,
        "seed": recipe.seed,
        "figures": len(table),
        "root": table.name,
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
        "atypia": __version__,
        "Made on": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    }


def _gammas(folder: Path) -> npt.NDArray[np.float64]:
    """Return the gammas of a member's record, float64 (epochs, bins); empty without any."""
    record = folder / "metrics.jsonl"
    lines = record.read_text(encoding="utf-8").splitlines() if record.is_file() else []
    epochs = [
        [value for name, value in json.loads(line).items() if name.startswith("gamma_bin_")]
        for line in lines
    ]
    bins = max(map(len, epochs), default=0)  # a line that somebody changed has fewer
    return np.array([epoch for epoch in epochs if epoch and len(epoch) == bins], dtype=np.float64)


def _hardness(members: Sequence[Member], figures: TrainingFigures) -> dict[str, float]:
    """Return the mean over the members that trained on a figure, of the figures that have one."""
    scores = np.stack([member.hardness for member in members]).astype(np.float64)
    counts = np.isfinite(scores).sum(axis=0)
    sums = np.nansum(scores, axis=0)
    return {
        str(figures.figure_id[row]): float(sums[row] / counts[row])
        for row in np.flatnonzero(counts)
    }
