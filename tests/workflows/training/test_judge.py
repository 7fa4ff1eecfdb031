"""Members are judged on what they have not seen, and the strictest scores calibrate."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from atypia.workflows.training.judge import judge_members
from atypia.workflows.training.plan import Scheme, TrainingPlan
from planned_training import small_plan

CHANGES = ["folds.count=2", "folds.members=2", "folds.left_out_domains=true", "phase.weight=0"]


@pytest.fixture
def plan(tmp_path: Path) -> TrainingPlan:
    return small_plan(tmp_path, CHANGES, figures=60, first=32)


def _members(scheme: Scheme, logit: np.ndarray) -> list[SimpleNamespace]:
    """Members whose scores are told apart by their turn: half a step below, half a step above."""
    members = []
    for spec in scheme.members:
        rows = scheme.held_out(spec.part)
        own = logit[rows] + (0.5 if spec.turn else -0.5)
        members.append(SimpleNamespace(held_out=rows, logit=own, phase=np.empty(0)))
    return members


def test_a_figure_scores_the_mean_of_the_members_that_have_not_seen_it(plan: TrainingPlan) -> None:
    logit = np.linspace(-2, 2, 60) + plan.figures.truth
    members = {name: _members(scheme, logit) for name, scheme in plan.schemes.items()}
    judged = judge_members(plan, members)
    for name, scheme in (("folds", judged.folds), ("left_out", judged.left_out)):
        assert scheme is not None
        np.testing.assert_allclose(scheme.predictions["logit"], logit, atol=1e-12)
        np.testing.assert_array_equal(scheme.predictions["fold"], plan.schemes[name].part_of)


def test_domains_left_out_calibrate_where_there_are_any(plan: TrainingPlan) -> None:
    truth = plan.figures.truth
    scores = {"folds": 4 * truth - 2, "left_out": np.linspace(-2, 2, 60) + truth}
    members = {name: _members(scheme, scores[name]) for name, scheme in plan.schemes.items()}
    judged = judge_members(plan, members)
    assert judged.left_out is not None
    assert judged.calibration == judged.left_out.calibration != judged.folds.calibration
    assert "2 domains left out" in judged.calibration.fitted_on
