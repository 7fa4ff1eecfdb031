"""The story of a training, from the records of its members."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from atypia.evaluation.training_story import TrainingStory
from atypia.training.figures import TrainingFigures
from atypia.training.member import Member
from atypia.workflows.training.plan import TrainingPlan


def training_story(plan: TrainingPlan, members: Sequence[Member]) -> TrainingStory:
    """Return the story of a training.

    Args:
        plan: that was trained.
        members: of its folds.
    """
    names = [member.name for member in plan.folds.members]
    by_name = dict(zip(names, members, strict=True))
    adaptive = plan.recipe.focal.adaptive
    gammas = {name: member.gammas for name, member in by_name.items()} if adaptive else {}
    return TrainingStory(
        probes={name: member.probe for name, member in by_name.items() if member.probe is not None},
        gammas=tuple(gamma for gamma in gammas.values() if gamma is not None),
        hardness=_hardness(members, plan.figures),
        unknown_gammas=tuple(name for name, gamma in gammas.items() if gamma is None),
    )


def _hardness(members: Sequence[Member], figures: TrainingFigures) -> dict[str, float]:
    """Return the mean over the members that trained on a figure, of the figures that have one."""
    scores = np.stack([member.hardness for member in members]).astype(np.float64)
    counts = np.isfinite(scores).sum(axis=0)
    sums = np.nansum(scores, axis=0)
    return {
        str(figures.figure_id[row]): float(sums[row] / counts[row])
        for row in np.flatnonzero(counts)
    }
