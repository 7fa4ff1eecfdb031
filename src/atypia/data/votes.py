"""Experts' votes: consensus, soft labels, and agreement.

A vote is 1 (atypical), 0 (normal) or absent (NaN); one `vote_*` column an expert.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from atypia.data.columns import vote_names
from atypia.data.domains import domain_names
from atypia.data.logits import sigmoid

Floats = npt.NDArray[np.float64]


# The likelihood hardly moves after this; only uninformative votes reach it.
_MOST_ROUNDS = 500


@dataclass(frozen=True)
class Consensus:
    """Consensus of votes in which each expert is weighted by skill.

    Attributes:
        p: float64 (N,), P(atypical) of each figure given its votes; NaN without votes.
        sensitivity: float64 (experts,), P(votes atypical | atypical) of each expert.
        specificity: float64 (experts,), P(votes normal | normal) of each expert.
        prevalence: share of atypical figures.
    """

    p: Floats
    sensitivity: Floats
    specificity: Floats
    prevalence: float


def vote_columns(frame: pd.DataFrame) -> list[str]:
    """Return the names of the vote columns, one an expert, in the table's order."""
    return vote_names(frame.columns)


def vote_matrix(frame: pd.DataFrame) -> Floats:
    """Return the votes, shape (N, experts), float64 in {0, 1, NaN}."""
    return frame[vote_columns(frame)].to_numpy(dtype=np.float64)


def vote_counts(frame: pd.DataFrame) -> npt.NDArray[np.int64]:
    """Return how many experts voted on each figure, shape (N,), int64."""
    return np.asarray(np.isfinite(vote_matrix(frame)).sum(axis=1), dtype=np.int64)


def vote_fractions(frame: pd.DataFrame) -> Floats:
    """Return the share of votes for atypical, shape (N,), float64 in [0, 1], NaN without votes."""
    counts = vote_counts(frame)
    atypical = np.nansum(vote_matrix(frame), axis=1)
    with np.errstate(invalid="ignore"):
        return np.asarray(atypical / counts, dtype=np.float64)


def soft_labels(
    frame: pd.DataFrame, method: Literal["fraction", "majority", "dawid-skene"]
) -> Floats:
    """Return training targets, shape (N,), float64 in [0, 1].

    Args:
        frame: a figure table's frame.
        method: "fraction" takes the share of votes for atypical; "majority" takes 0 or 1 by the
            strict majority, and at a tie the label, or 0.5 where there is none; "dawid-skene"
            weighs the experts by skill, as estimated on the frame itself (`dawid_skene`).

    Returns:
        The target of every figure; the label where no expert voted, NaN where neither is given.

    Raises:
        ValueError: another method.
    """
    fraction = vote_fractions(frame)
    label = frame["label"].to_numpy(dtype=np.float64)
    if method == "fraction":
        target = fraction
    elif method == "majority":
        tie = np.where(np.isfinite(label), label, 0.5)
        target = np.where(fraction == 0.5, tie, _majority(fraction))
    elif method == "dawid-skene":
        target = dawid_skene(vote_matrix(frame)).p
    else:
        raise ValueError(f"method must be one of fraction, majority, dawid-skene, not {method!r}")
    return np.where(np.isfinite(fraction), target, label)


def dawid_skene(votes: Floats) -> Consensus:
    """Weight each expert by skill (Dawid and Skene 1979, eq. 2.3-2.5, by their EM algorithm).

    Each probability is estimated with one right and one wrong vote added, so that an expert who
    makes no error on a small set does not count as infallible.

    Args:
        votes: float64 (N, experts), 1 atypical, 0 normal, NaN absent.
    """
    atypical = np.where(votes == 1, 1.0, 0.0)
    normal = np.where(votes == 0, 1.0, 0.0)
    voted = (atypical + normal).sum(axis=1) > 0
    atypical, normal = atypical[voted], normal[voted]
    p = atypical.sum(axis=1) / (atypical + normal).sum(axis=1)
    for _ in range(_MOST_ROUNDS):
        sensitivity = (p @ atypical + 1) / (p @ (atypical + normal) + 2)
        specificity = ((1 - p) @ normal + 1) / ((1 - p) @ (atypical + normal) + 2)
        prevalence = float((p.sum() + 1) / (len(p) + 2))
        evidence = (
            np.log(prevalence / (1 - prevalence))
            + atypical @ np.log(sensitivity / (1 - specificity))
            + normal @ np.log((1 - sensitivity) / specificity)
        )
        before, p = p, sigmoid(evidence)
        if np.abs(p - before).max(initial=0.0) < 1e-6:
            break
    all_p = np.full(len(votes), np.nan)
    all_p[voted] = p
    return Consensus(all_p, sensitivity, specificity, prevalence)


def hard_labels(frame: pd.DataFrame) -> Floats:
    """Return one class a figure, shape (N,), float64: 1 atypical, 0 normal, NaN unknown.

    The label where it is given, else the strict majority of the votes; NaN at a tie and where
    neither is given.
    """
    label = frame["label"].to_numpy(dtype=np.float64)
    return np.where(np.isfinite(label), label, _majority(vote_fractions(frame)))


def _majority(fraction: Floats) -> Floats:
    """Return 1 above one half, 0 below it, NaN at one half and where the fraction is NaN."""
    return np.where(fraction > 0.5, 1.0, np.where(fraction < 0.5, 0.0, np.nan))


def find_contradictions(frame: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Tell, shape (N,), which figures' label is not the strict majority of their votes."""
    label = frame["label"].to_numpy(dtype=np.float64)
    majority = _majority(vote_fractions(frame))
    both = np.isfinite(label) & np.isfinite(majority)
    result: npt.NDArray[np.bool_] = both & (label != majority)
    return result


def explain_contradictions(frame: pd.DataFrame) -> str:
    """Return one line on labels against the majority of their votes; "" where there is none."""
    against = int(find_contradictions(frame).sum())
    if not against:
        return ""
    majority = _majority(vote_fractions(frame))
    both = int((frame["label"].notna().to_numpy() & np.isfinite(majority)).sum())
    return (
        f"{against:,} of {both:,} labels contradict the majority of their votes; training uses "
        "the votes, judging the label: correct one or the other (`atypia data check` names them)"
    )


def fleiss_kappa(frame: pd.DataFrame) -> float:
    """Return Fleiss' kappa of the votes, in [-1, 1]; NaN where it is not defined.

    Figures with fewer than two votes are left out. With a varying number of votes a figure, the
    agreement of each figure is over its own pairs of votes, and the chance agreement is over all
    votes (Fleiss, Levin, Paik 2003, eq. 18.46-18.49, for two classes); with a constant number it
    is Fleiss 1971, eq. 7. It is not defined where all votes are the same.
    """
    votes = vote_matrix(frame)
    votes = votes[np.isfinite(votes).sum(axis=1) >= 2]
    if not len(votes):
        return float("nan")
    counts = np.isfinite(votes).sum(axis=1)
    atypical = np.nansum(votes, axis=1)
    normal = counts - atypical
    agreeing = (atypical * (atypical - 1) + normal * (normal - 1)) / (counts * (counts - 1))
    share = atypical.sum() / counts.sum()
    chance = share**2 + (1 - share) ** 2
    if chance == 1.0:
        return float("nan")
    return float((agreeing.mean() - chance) / (1 - chance))


def agreement(frame: pd.DataFrame) -> pd.DataFrame:
    """Return how the experts agree, by domain and over all.

    Returns:
        One row a domain and a last one "all", indexed by name: `figures`; `voted` (figures with
        at least two votes); `atypical` (share of figures atypical by `hard_labels`, of those with
        a class); `unanimous` (share of voted figures on which all votes are the same); `kappa`
        (Fleiss). Shares and kappa are NaN where there is nothing to count.
    """
    names = domain_names(frame)
    parts = {str(name): frame[names == name] for name in np.unique(names)}
    return pd.DataFrame(
        {name: _agreement(part) for name, part in {**parts, "all": frame}.items()}
    ).T.astype({"figures": int, "voted": int})


def _agreement(frame: pd.DataFrame) -> dict[str, float]:
    voted = vote_counts(frame) >= 2
    fraction = vote_fractions(frame)[voted]
    labels = hard_labels(frame)
    labels = labels[np.isfinite(labels)]
    return {
        "figures": len(frame),
        "voted": int(voted.sum()),
        "atypical": float(labels.mean()) if len(labels) else np.nan,
        "unanimous": float(np.isin(fraction, (0.0, 1.0)).mean()) if len(fraction) else np.nan,
        "kappa": fleiss_kappa(frame),
    }
