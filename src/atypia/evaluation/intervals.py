"""Intervals that respect slides: the bootstrap over clusters of figures.

Figures of one slide resemble each other, so resampling figures one by one makes intervals too
narrow. Here whole clusters (cases) are drawn with replacement (Davison and Hinkley 1997, section
3.8). A resample is one weight per figure: how often its cluster was drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
Statistic = Callable[[FloatArray], FloatArray]
"""Takes weights (R, N), returns the statistic of each resample (R,), NaN where undefined."""

_CHUNK_CELLS = 2_000_000


@dataclass(frozen=True)
class Interval:
    """A percentile interval.

    Attributes:
        low: lower end.
        high: upper end.
        level: confidence level, such as 0.95: the share of resamples between the ends.
        resamples: number of resamples behind the ends.
        ignored: number of further resamples, in which the statistic is undefined (one class only).
    """

    low: float
    high: float
    level: float
    resamples: int
    ignored: int

    def to_dict(self) -> dict[str, float | int]:
        """Return the fields as plain values, for JSON."""
        return asdict(self)


def draw_cluster_weights(
    clusters: npt.NDArray[np.object_], resamples: int, seed: int
) -> Iterator[FloatArray]:
    """Yield resamples of clusters as weights of figures, in chunks.

    Args:
        clusters: (N,) cluster of each figure, any hashable names.
        resamples: number of resamples in all.
        seed: the same seed draws the same resamples.

    Yields:
        (R, N) float64: how often each figure's cluster was drawn; the R add up to `resamples`.
    """
    names = {name: index for index, name in enumerate(dict.fromkeys(clusters))}
    member = np.array([names[name] for name in clusters], dtype=np.int64)
    count = len(names)
    share = np.full(count, 1.0 / count)
    rng = np.random.default_rng(seed)
    step = max(1, _CHUNK_CELLS // max(len(member), 1))
    for start in range(0, resamples, step):
        draws = rng.multinomial(count, share, size=min(step, resamples - start))
        yield draws[:, member].astype(np.float64)


def bootstrap_clusters(
    statistic: Statistic,
    clusters: npt.NDArray[np.object_],
    *,
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> Interval | None:
    """Return the percentile interval of a statistic over resampled clusters.

    Resamples in which the statistic is undefined are ignored and counted.

    Args:
        statistic: takes weights (R, N), returns (R,); see `balanced_accuracy_statistic`. For a
            paired difference, return the difference of two statistics of the same weights.
        clusters: (N,) cluster (case) of each figure.
        resamples: number of resamples to draw.
        level: confidence level, in (0, 1).
        seed: the same seed gives the same interval.

    Returns:
        None with fewer than two clusters, or if the statistic is defined in fewer than half of the
        resamples: an interval from the others would mislead.
    """
    if len(set(clusters)) < 2:
        return None
    values = np.concatenate([statistic(w) for w in draw_cluster_weights(clusters, resamples, seed)])
    return percentile_interval(values, level=level)


def percentile_interval(values: FloatArray, *, level: float = 0.95) -> Interval | None:
    """Return the percentile interval of a statistic's values in resamples.

    Args:
        values: (R,) the statistic in each resample, NaN where it is not defined.
        level: confidence level, in (0, 1).

    Returns:
        None if the statistic is defined in fewer than half of the resamples: an interval from the
        others would mislead.
    """
    usable = values[np.isfinite(values)]
    if len(usable) * 2 < len(values):
        return None
    low, high = np.quantile(usable, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high), level, len(usable), len(values) - len(usable))


def balanced_accuracy_statistic(truth: FloatArray, call: BoolArray) -> Statistic:
    """Return balanced accuracy as a statistic of weights.

    Args:
        truth: (N,) values in {0, 1}.
        call: (N,) bool; True where called atypical.
    """
    positive = np.asarray(truth) == 1.0
    call = np.asarray(call, dtype=bool)
    parts = np.stack([positive & call, positive, ~positive & ~call, ~positive], axis=1).astype(
        np.float64
    )

    def statistic(weights: FloatArray) -> FloatArray:
        hit, atypical, spared, normal = (weights @ parts).T
        with np.errstate(invalid="ignore", divide="ignore"):
            value: FloatArray = (hit / atypical + spared / normal) / 2
        return value

    return statistic


def auroc_statistic(truth: FloatArray, p: FloatArray) -> Statistic:
    """Return the AUROC as a statistic of weights: the weighted Mann-Whitney form, ties a half.

    Args:
        truth: (N,) values in {0, 1}.
        p: (N,) scores; only their order matters.
    """
    order = np.argsort(p, kind="stable")
    ranked = np.asarray(p, dtype=np.float64)[order]
    positive = (np.asarray(truth)[order] == 1.0).astype(np.float64)
    starts = np.flatnonzero(np.r_[True, ranked[1:] > ranked[:-1]])

    def statistic(weights: FloatArray) -> FloatArray:
        sorted_weights = weights[:, order]
        atypical = np.add.reduceat(sorted_weights * positive, starts, axis=1)
        normal = np.add.reduceat(sorted_weights * (1.0 - positive), starts, axis=1)
        below = np.cumsum(normal, axis=1) - normal / 2
        pairs = atypical.sum(axis=1) * normal.sum(axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            value: FloatArray = (atypical * below).sum(axis=1) / pairs
        return value

    return statistic
