"""Experts who vote on figures: the plainer a figure, the more they agree."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from atypia.data.phantom.figure import ATYPICAL_KINDS, BUILDERS, NORMAL_PHASES

# How steep an expert's answer turns from normal to atypical where severity passes 0.5.
DOUBT_WIDTH = 0.07
# How often an expert who has the class right also names the right phase.
PHASE_RIGHT = 0.85


@dataclass(frozen=True)
class Expert:
    """One expert's reliability on figures that are plain.

    Attributes:
        sensitivity: share of plain atypical figures called atypical, 0 to 1.
        specificity: share of plain normal figures called normal, 0 to 1.
    """

    sensitivity: float
    specificity: float


EXPERTS = (Expert(0.86, 0.99), Expert(0.95, 0.95), Expert(0.98, 0.90))
"""A wary, a balanced and an eager expert."""


def measure_ambiguity(severity: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return 0 for a plain figure (severity 0 or 1) to 1 at the border (0.5), float64 (N,)."""
    return 1 - np.abs(2 * severity - 1)


def vote_probability(severity: npt.NDArray[np.float64], expert: Expert) -> npt.NDArray[np.float64]:
    """Return P(the expert votes atypical), float64 (N,).

    A psychometric function: it climbs from 1 - specificity to sensitivity round a severity of
    0.5, as a logistic curve of width `DOUBT_WIDTH`.

    Args:
        severity: float64 (N,), 0 to 1; atypical above 0.5.
        expert: who votes.
    """
    certainty = 1 / (1 + np.exp(-(severity - 0.5) / DOUBT_WIDTH))
    return (1 - expert.specificity) + (expert.sensitivity + expert.specificity - 1) * certainty


def draw_votes(
    rng: np.random.Generator, severity: npt.NDArray[np.float64], experts: tuple[Expert, ...]
) -> npt.NDArray[np.int64]:
    """Return votes, int64 (N, E): 1 where an expert calls a figure atypical."""
    chances = np.stack([vote_probability(severity, expert) for expert in experts], axis=1)
    return (rng.random(chances.shape) < chances).astype(np.int64)


def draw_phase(rng: np.random.Generator, phase: str, kind: str, vote: int) -> str:
    """Return the phase label that goes with a vote, one of AMi-Br's eight.

    Args:
        rng: source of chance.
        phase: the figure's normal phase.
        kind: the atypia it has or leans to.
        vote: 1 for atypical.
    """
    if rng.random() < PHASE_RIGHT:
        return kind if vote else phase
    if vote:
        others = [other for (base, other) in BUILDERS if base == phase and other != kind]
        return str(rng.choice(others or ATYPICAL_KINDS))
    return str(rng.choice([other for other in NORMAL_PHASES if other != phase]))
