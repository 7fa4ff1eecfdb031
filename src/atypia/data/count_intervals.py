"""Intervals of counts: of a share (Wilson; Clopper and Pearson) and of a rate (Garwood).

scipy has them, too, at 140 MB for whoever only classifies; the tests compare with it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

LEVEL = 0.95
_TAIL = (1 - LEVEL) / 2
_HALVINGS = 200


def wilson_interval(hits: int, count: int) -> tuple[float, float]:
    """Return the 95 % interval of a share (Wilson 1927): the shares whose score test keeps `hits`.

    Args:
        hits: 0 to `count`.
        count: 1 or more.
    """
    z = NormalDist().inv_cdf(1 - _TAIL)
    share, spread = hits / count, z * z / count
    middle = (share + spread / 2) / (1 + spread)
    half = z * math.sqrt(share * (1 - share) / count + spread / (4 * count)) / (1 + spread)
    low = 0.0 if hits == 0 else middle - half
    return low, 1.0 if hits == count else middle + half


def exact_interval(hits: int, count: int) -> tuple[float, float]:
    """Return the exact 95 % interval of a share (Clopper and Pearson 1934).

    Its ends are the shares at which as many hits, or as few, have a probability of 2.5 %.

    Args:
        hits: 0 to `count`.
        count: 1 or more.
    """
    factorials = _log_factorials(count)
    ways = factorials[-1] - factorials - factorials[::-1]
    k = np.arange(count + 1)

    def at_most(most: int, share: float) -> float:
        logs = ways + k * math.log(share) + (count - k) * math.log1p(-share)
        return float(np.exp(logs[: most + 1]).sum())

    low, high = 0.0, 1.0
    if hits:
        low = 1 - _root(lambda share: at_most(count - hits, share) - _TAIL, 0.0, 1.0)
    if hits < count:
        high = _root(lambda share: at_most(hits, share) - _TAIL, 0.0, 1.0)
    return low, high


def poisson_interval(count: int) -> tuple[float, float]:
    """Return the exact 95 % interval of the mean of a Poisson count (Garwood 1936)."""
    factorials, k = _log_factorials(count), np.arange(count + 1)

    def at_most(most: int, mean: float) -> float:
        logs = k * math.log(mean) - mean - factorials
        return float(np.exp(logs[: most + 1]).sum())

    # The ends of 95 % lie nearer than four standard deviations, and 20 where that is small.
    outermost = count + 4 * math.sqrt(count) + 20
    low = 0.0
    if count:
        low = _root(lambda mean: at_most(count - 1, mean) - 1 + _TAIL, 0.0, outermost)
    return low, _root(lambda mean: at_most(count, mean) - _TAIL, 0.0, outermost)


def _log_factorials(most: int) -> npt.NDArray[np.float64]:
    """Return the logarithms of 0! to `most`!, float64 (most + 1,)."""
    return np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, most + 1)))])


def _root(falling: Callable[[float], float], low: float, high: float) -> float:
    """Return where a function that falls from above 0 to below passes it, by halving."""
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        low, high = (middle, high) if falling(middle) > 0 else (low, middle)
    return (low + high) / 2
