"""What a run's record and its reports say of how it was made."""

from __future__ import annotations

import resource
import sys
from collections.abc import Iterable
from datetime import UTC, datetime

import numpy as np
import torch
from lightning_fabric import Fabric

from atypia.data.domains import domain_names
from atypia.data.table import format_cases
from atypia.data.table_checks import format_count
from atypia.training.devices import precision_of
from atypia.training.member import Member
from atypia.version import __version__
from atypia.workflows.training.plan import Scheme, TrainingPlan


def run_record(
    plan: TrainingPlan, members: Iterable[Member], started: datetime, fabric: Fabric
) -> dict[str, object]:
    """Return what a run's `run.json` holds: versions, machine, seconds, memory.

    Args:
        plan: that was trained.
        members: of all schemes.
        started: when, with its time zone.
        fabric: device and precision.
    """
    return {
        "atypia": __version__,
        "torch": torch.__version__,
        "recipe": plan.recipe.name,
        "seed": plan.recipe.seed,
        "figures": len(plan.table),
        "root": plan.table.name,
        "device": str(fabric.device),
        "precision": precision_of(fabric),
        "threads": torch.get_num_threads(),
        "seconds_of_member": [round(member.seconds, 1) for member in members],
        "peak_memory_gb": round(_peak_memory_bytes() / 2**30, 2),
        "started": started.isoformat(timespec="seconds"),
        "ended": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def run_facts(plan: TrainingPlan, scheme: Scheme, refer_rule: str) -> dict[str, str]:
    """Return what stands at the top of a run's report, name -> value.

    Args:
        plan: that was trained.
        scheme: that the report is on.
        refer_rule: of the bundle's calibration.
    """
    table, recipe, adapt_to = plan.table, plan.recipe, plan.adapt_to
    domains = format_count(len(np.unique(domain_names(table.frame).astype(str))), "domain")
    adapted = (
        {}
        if adapt_to is None
        else {"Adapted to": f"{format_count(len(adapt_to), 'figure')}, labels not looked at"}
    )
    return {
        "Recipe": f"{recipe.name}, seed {recipe.seed}",
        "Network": f"{recipe.backbone.key}, adapter {recipe.adapter.kind}, "
        f"{recipe.backbone.crop_um:g} um in {recipe.backbone.input_px} px",
        "Figures": f"{len(table)} of {format_cases(table.frame)} in {domains}",
        **adapted,
        "Judged": f"every figure by the members that have not seen it ({len(scheme.names)} "
        f"{scheme.description}), called by an operating point fitted on the others",
        "atypia": __version__,
        "Made on": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        **({"Not as the recipe asks": "; ".join(plan.notes)} if plan.notes else {}),
        "Refer band of the bundle": refer_rule,
    }


def _peak_memory_bytes() -> int:
    """Return the most memory that this process has held; systems count it in other units."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak
