"""Evaluate the members of a training on figures that they were not trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import softmax

from atypia.data.predictions import check_predictions
from atypia.data.table import explain_missing_slides
from atypia.evaluation.calibration import Calibration, cross_fit, fit_calibration
from atypia.evaluation.judge import Judgement, judge
from atypia.training.figures import TrainingFigures
from atypia.training.member import Member
from atypia.workflows.training.plan import FOLDS, LEFT_OUT, WHOLE, Scheme, TrainingPlan


@dataclass(frozen=True)
class JudgedScheme:
    """Figures scored by members that were not trained on them.

    Attributes:
        predictions: predictions table, with the fold and the raw logit of each figure beside it;
            each part called by an operating point fitted on the others.
        judgement: of the predictions.
        calibration: fitted on all scores.
    """

    predictions: pd.DataFrame
    judgement: Judgement
    calibration: Calibration


@dataclass(frozen=True)
class JudgedRun:
    """The evaluation of a training.

    Attributes:
        folds: of the members that hold out folds.
        left_out: of those trained without a domain, where the recipe asks for them.
    """

    folds: JudgedScheme
    left_out: JudgedScheme | None = None

    @property
    def calibration(self) -> Calibration:
        """Of the bundle: on left-out domains, where there are such scores."""
        return (self.left_out or self.folds).calibration


def judge_members(plan: TrainingPlan, members: Mapping[str, Sequence[Member]]) -> JudgedRun:
    """Evaluate members on figures that they were not trained on.

    Args:
        plan: that they were trained by.
        members: name of a scheme -> its members.

    Raises:
        AtypiaError: a score is not finite, or the figures outside a part are all of one class.
    """
    judged = {
        name: judge_scheme(plan, scheme, members[name])
        for name, scheme in plan.schemes.items()
        if name != WHOLE
    }
    return JudgedRun(judged[FOLDS], judged.get(LEFT_OUT))


def judge_scheme(plan: TrainingPlan, scheme: Scheme, members: Sequence[Member]) -> JudgedScheme:
    """As `judge_members`, of one scheme.

    Args:
        plan: for the figures.
        scheme: a division of them.
        members: the same number for each of its parts.
    """
    table, figures, truth = plan.table, plan.figures, plan.figures.truth
    sums, counts = np.zeros(len(table)), np.zeros(len(table))
    for member in members:
        sums[member.held_out] += member.logit
        counts[member.held_out] += 1
    logits = sums / counts
    calls = cross_fit(logits, truth, truth, scheme.part_of, figures.case, figures.domain)
    predictions = pd.DataFrame(
        {
            "figure_id": table.frame["figure_id"],
            "image": table.frame["image"],
            "p_atypical": calls.p,
            "call": np.where(calls.call, "atypical", "normal"),
            "refer": np.where(calls.refer, "true", "false"),
            "spread": "",
            "phase": _phases(members, figures),
            "fold": scheme.part_of,
            "logit": logits,
        }
    )
    judgement = judge(check_predictions(predictions), table)
    origin = (
        f"out-of-fold scores of {len(logits)} figures, {len(scheme.names)} {scheme.description}"
    )
    calibration = fit_calibration(
        logits, truth, truth, figures.case, figures.domain, fitted_on=origin
    )
    if explain_missing_slides(table.frame):
        rule = f"{calibration.refer_rule}; figures that name no slide count as cases"
        calibration = replace(calibration, refer_rule=rule)
    return JudgedScheme(predictions, judgement, calibration)


def _phases(members: Sequence[Member], figures: TrainingFigures) -> npt.NDArray[np.object_]:
    """Return the likeliest phase of each figure, out of fold; "" without a phase head."""
    phases = np.full(len(figures.truth), "", dtype=object)
    with_phase = [member for member in members if member.phase.size]
    if with_phase:
        p = np.zeros((len(phases), with_phase[0].phase.shape[1]))
        for member in with_phase:
            p[member.held_out] += softmax(member.phase, axis=1)
        scored = p.any(axis=1)
        phases[scored] = np.array(figures.phases, dtype=object)[p[scored].argmax(axis=1)]
    return phases
