"""How a run was made, for its record and its reports."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

import numpy as np

from atypia.data.domains import domain_names
from atypia.data.table import format_cases
from atypia.data.table_checks import format_count
from atypia.platform import find_peak_memory_bytes
from atypia.training.devices import Fabric, describe_hardware
from atypia.training.member import Member
from atypia.version import __version__
from atypia.workflows.training.plan import Scheme, TrainingPlan


def run_record(
    plan: TrainingPlan, members: Iterable[Member], started: datetime, fabric: Fabric
) -> dict[str, object]:
    """Return the content of `run.json`: versions, machine, seconds, memory.

    Args:
        plan: that was trained.
        members: of all schemes.
        started: when, with its time zone.
        fabric: device and precision.
    """
    hardware, peak = describe_hardware(fabric), find_peak_memory_bytes()
    return {
        "atypia": __version__,
        "torch": hardware.torch,
        "recipe": plan.recipe.name,
        "seed": plan.recipe.seed,
        "figures": len(plan.table),
        "root": plan.table.name,
        "device": hardware.device,
        "precision": hardware.precision,
        "threads": hardware.threads,
        "seconds_of_member": [round(member.seconds, 1) for member in members],
        "peak_memory_gb": None if peak is None else round(peak / 2**30, 2),
        "started": started.isoformat(timespec="seconds"),
        "ended": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def run_facts(plan: TrainingPlan, scheme: Scheme, refer_rule: str) -> dict[str, str]:
    """Return the facts at the top of a run's report, name -> value.

    Args:
        plan: that was trained.
        scheme: of the report.
        refer_rule: of the bundle's calibration.
    """
    table, recipe, adapt_to = plan.table, plan.recipe, plan.adapt_to
    domains = format_count(len(np.unique(domain_names(table.frame).astype(str))), "domain")
    adapted = (
        {}
        if adapt_to is None
        else {"Adapted to": f"{format_count(len(adapt_to), 'figure')}, labels ignored"}
    )
    return {
        "Recipe": f"{recipe.name}, seed {recipe.seed}",
        "Network": f"{recipe.backbone.key}, adapter {recipe.adapter.kind}, "
        f"{recipe.backbone.crop_um:g} um in {recipe.backbone.input_px} px",
        "Figures": f"{len(table)} of {format_cases(table.frame)} in {domains}",
        **adapted,
        "Evaluation": f"each figure by members that were not trained on it ({len(scheme.names)} "
        f"{scheme.description}), called by an operating point fitted on the other parts",
        "atypia": __version__,
        "Made on": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        **({"Departures from the recipe": "; ".join(plan.notes)} if plan.notes else {}),
        "Refer band of the bundle": refer_rule,
    }
