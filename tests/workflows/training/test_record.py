"""The record and the facts of a run say on what it was computed, and what it was made of."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from atypia.training.devices import open_fabric
from atypia.workflows.training.plan import TrainingPlan
from atypia.workflows.training.record import run_facts, run_record
from planned_training import small_plan


@pytest.fixture
def plan(tmp_path: Path) -> TrainingPlan:
    changes = ["folds.count=2", "seed=7", "schedule.precision=32-true"]
    return small_plan(tmp_path, changes, figures=40, first=20)


def test_the_record_names_the_hardware_and_every_members_time(plan: TrainingPlan) -> None:
    torch.set_num_threads(1)
    members: Any = [SimpleNamespace(seconds=seconds) for seconds in (1.26, 300.0)]
    fabric = open_fabric("cpu", plan.recipe.schedule)
    record = json.loads(json.dumps(run_record(plan, members, datetime.now(UTC), fabric)))
    assert record["device"] == "cpu"
    assert (record["precision"], record["threads"]) == ("32-true", 1)
    assert record["torch"] == torch.__version__
    assert (record["seed"], record["figures"]) == (7, 40)
    assert record["seconds_of_member"] == [1.3, 300.0]
    assert 0.1 < record["peak_memory_gb"] < 100  # bytes or KiB taken for another would not be
    assert record["started"] <= record["ended"]


def test_the_facts_name_what_was_trained_and_every_departure(plan: TrainingPlan) -> None:
    facts = run_facts(plan, plan.folds, "refers a tenth")
    assert facts["Recipe"] == "lite, seed 7"
    assert facts["Figures"] == "40 of 10 cases in 2 domains"
    assert "2 folds by slides" in facts["Evaluation"]
    assert "phase.weight is off in this training" in facts["Departures from the recipe"]
    assert facts["Refer band of the bundle"] == "refers a tenth"
    assert "Adapted to" not in facts
    adapted = replace(plan, adapt_to=plan.table, notes=())
    facts = run_facts(adapted, plan.folds, "")
    assert facts["Adapted to"] == "40 figures, labels ignored"
    assert "Departures from the recipe" not in facts
