"""Arms of an ablation with planted differences, and the figures that they are compared on."""

from __future__ import annotations

import numpy as np

from atypia.evaluation.comparison import JudgedFigures, Scores

DOMAINS = ("north", "south", "west")
AGAINST = {"better": "plain", "worse": "plain", "same": "plain", "nothing": "plain"}


def judged_figures() -> JudgedFigures:
    rng = np.random.default_rng(0)
    case = rng.integers(0, 60, 900)
    left_out = case % 3
    return JudgedFigures(
        truth=(rng.random(900) < 0.3).astype(float),
        case=np.array([f"c{number}" for number in case], dtype=object),
        domain=np.array(DOMAINS, dtype=object)[left_out],
        left_out=left_out,
        held_out=(left_out + 1 + case // 3 % 2) % 3,
    )


def scores_of(figures: JudgedFigures, signal: float, seed: int) -> Scores:
    """Logits that a case pulls along, so that figures of a case are right or wrong together."""
    rng = np.random.default_rng(seed)
    _, case = np.unique(figures.case, return_inverse=True)
    pull = np.random.default_rng(99).normal(0, 1, case.max() + 1)[case]
    left, held = (
        np.nan_to_num(figures.truth) * signal + pull + rng.normal(0, 0.5, len(case))
        for _ in range(2)
    )
    return Scores(left, held)


def arms_of(figures: JudgedFigures) -> dict[str, dict[int, Scores]]:
    return {
        "plain": {seed: scores_of(figures, 1.0, seed) for seed in (0, 1)},
        "better": {seed: scores_of(figures, 1.6, 10 + seed) for seed in (0, 1)},
        "worse": {seed: scores_of(figures, 0.4, 20 + seed) for seed in (0, 1)},
        "same": {seed: scores_of(figures, 1.0, seed) for seed in (0, 1)},
        "nothing": {},
    }
