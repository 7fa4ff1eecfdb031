"""Agreement of raters on categories: raw, specific, and beyond chance, with intervals over cases.

Every measure is a function of how many raters chose each category for each figure, summed with a
weight a figure, so that resamples of cases are weights (`intervals.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from atypia.evaluation.intervals import Interval, Statistic, bootstrap_clusters

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

ABSENT = -1
"""Stands for no rating."""


@dataclass(frozen=True)
class Measure:
    """A measure of agreement.

    Attributes:
        value: None where it is not defined, such as beyond chance where all chose one category.
        interval: 95 %, over resampled cases; None where there are too few.
    """

    value: float | None
    interval: Interval | None


@dataclass(frozen=True)
class Agreement:
    """The agreement of raters on figures that at least two of them rated.

    Attributes:
        figures: number of these figures.
        raw: chance that two raters of a figure agree.
        specific: for each category, the chance that a rater chose it if another of the figure did
            (Cicchetti and Feinstein 1990, for several raters by pairs).
        kappa: Fleiss 1971; figures with fewer raters count by their own pairs.
        alpha: Krippendorff 2011, for nominal data; ratings may be absent.
        ac1: Gwet 2008, which does not fall where one category is rare.
    """

    figures: int
    raw: Measure
    specific: tuple[Measure, ...]
    kappa: Measure
    alpha: Measure
    ac1: Measure


def measure_agreement(
    ratings: IntArray,
    categories: int,
    cases: npt.NDArray[np.object_],
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> Agreement:
    """Return the agreement of raters, with intervals over cases.

    Args:
        ratings: (N, raters), a category from 0 on, or `ABSENT`.
        categories: number K of categories.
        cases: (N,) case of each figure, resampled as a whole.
        resamples: of the bootstrap.
        seed: the same seed gives the same intervals.

    Raises:
        ValueError: a rating is no category, or the arrays differ in length.
    """
    counts = count_ratings(ratings, categories)
    cases = np.asarray(cases, dtype=object)
    if len(cases) != len(counts):
        raise ValueError(f"{len(counts)} figures, but {len(cases)} cases")
    rated = counts.sum(axis=1) >= 2
    counts, cases = counts[rated], cases[rated]

    def measure(statistic: Statistic) -> Measure:
        if not len(counts):
            return Measure(None, None)
        value = float(statistic(np.ones((1, len(counts))))[0])
        interval = bootstrap_clusters(statistic, cases, resamples=resamples, seed=seed)
        return Measure(value if np.isfinite(value) else None, interval)

    def of_counts(function: Callable[[FloatArray, FloatArray], FloatArray]) -> Measure:
        return measure(lambda weights: function(counts, weights))

    return Agreement(
        figures=len(counts),
        raw=of_counts(raw_agreement),
        specific=tuple(
            measure(lambda weights, k=category: specific_agreement(counts, weights)[:, k])  # type: ignore[misc]
            for category in range(categories)
        ),
        kappa=of_counts(fleiss_kappa),
        alpha=of_counts(krippendorff_alpha),
        ac1=of_counts(gwet_ac1),
    )


def count_ratings(ratings: IntArray, categories: int) -> FloatArray:
    """Return how many raters chose each category, float64 (N, categories).

    Raises:
        ValueError: a rating is neither a category nor `ABSENT`.
    """
    ratings = np.asarray(ratings, dtype=np.int64)
    if not ((ratings >= ABSENT) & (ratings < categories)).all():
        raise ValueError(f"ratings must be {ABSENT} or 0 to {categories - 1}")
    counts: FloatArray = (ratings[:, :, None] == np.arange(categories)).sum(axis=1, dtype=float)
    return counts


def raw_agreement(counts: FloatArray, weights: FloatArray) -> FloatArray:
    """Return the mean share of agreeing pairs of raters, (R,).

    Args:
        counts: (N, K), as `count_ratings` gives them, each figure rated at least twice.
        weights: (R, N), of each figure in each of R resamples.
    """
    raters = counts.sum(axis=1)
    pairs = (counts * (counts - 1)).sum(axis=1) / (raters * (raters - 1))
    return _divide(weights @ pairs, weights.sum(axis=1))


def specific_agreement(counts: FloatArray, weights: FloatArray) -> FloatArray:
    """Return the specific agreement on each category, (R, K); arguments as `raw_agreement`."""
    others = counts.sum(axis=1, keepdims=True) - 1
    # Each pair weighs the same within a figure, and each figure by its number of ratings.
    agreeing = weights @ (counts * (counts - 1) / others)
    return _divide(agreeing, weights @ counts)


def fleiss_kappa(counts: FloatArray, weights: FloatArray) -> FloatArray:
    """Return Fleiss' kappa, (R,); arguments as `raw_agreement`."""
    totals = weights @ counts
    shares = _divide(totals, totals.sum(axis=1, keepdims=True))
    return _beyond(raw_agreement(counts, weights), (shares**2).sum(axis=1))


def gwet_ac1(counts: FloatArray, weights: FloatArray) -> FloatArray:
    """Return Gwet's AC1, (R,) (Gwet 2008, eq. 1 to 4); arguments as `raw_agreement`."""
    shares = _divide(
        weights @ (counts / counts.sum(axis=1, keepdims=True)),
        weights.sum(axis=1, keepdims=True),
    )
    chance = (shares * (1 - shares)).sum(axis=1) / (counts.shape[1] - 1)
    return _beyond(raw_agreement(counts, weights), chance)


def krippendorff_alpha(counts: FloatArray, weights: FloatArray) -> FloatArray:
    """Return Krippendorff's alpha for nominal data, (R,); arguments as `raw_agreement`."""
    raters = counts.sum(axis=1, keepdims=True)
    totals = weights @ counts
    whole = totals.sum(axis=1)
    observed = _divide(weights @ (counts * (counts - 1) / (raters - 1)).sum(axis=1), whole)
    chance = _divide((totals * (totals - 1)).sum(axis=1), whole * (whole - 1))
    return _beyond(observed, chance)


def cohen_kappa(one: IntArray, other: IntArray, categories: int) -> float | None:
    """Return Cohen's kappa of two raters (Cohen 1960) on the figures that both rated.

    Args:
        one: (N,) categories or `ABSENT`.
        other: likewise.
        categories: number of categories.

    Returns:
        A value in [-1, 1]; None where both chose one category only, or rated no figure together.
    """
    both = (one >= 0) & (other >= 0)
    if not both.any():
        return None
    table = np.zeros((categories, categories))
    np.add.at(table, (one[both], other[both]), 1.0)
    table /= table.sum()
    chance = float(table.sum(axis=0) @ table.sum(axis=1))
    return None if chance >= 1.0 else float((np.trace(table) - chance) / (1 - chance))


def _beyond(observed: FloatArray, chance: FloatArray) -> FloatArray:
    """Return agreement beyond chance; NaN where chance alone gives all of it."""
    return _divide(observed - chance, 1 - chance)


def _divide(above: FloatArray, below: FloatArray) -> FloatArray:
    with np.errstate(divide="ignore", invalid="ignore"):
        quotient: FloatArray = np.where(below > 0, above / below, np.nan)
    return quotient
