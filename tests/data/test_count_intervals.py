"""Intervals of counts, compared with scipy's."""

from __future__ import annotations

import math

import pytest
from scipy.stats import beta, binomtest, chi2

from atypia.data.count_intervals import exact_interval, poisson_interval, wilson_interval

COUNTS = [(0, 1), (1, 1), (1, 2), (0, 7), (2, 7), (7, 7), (1, 50), (49, 50), (333, 1000), (9, 5000)]


@pytest.mark.parametrize(("hits", "count"), COUNTS)
def test_shares_have_the_intervals_of_scipy(hits: int, count: int) -> None:
    wilson = binomtest(hits, count).proportion_ci(0.95, method="wilson")
    assert wilson_interval(hits, count) == pytest.approx((wilson.low, wilson.high), abs=1e-12)
    low = beta.ppf(0.025, hits, count - hits + 1) if hits else 0.0
    high = beta.ppf(0.975, hits + 1, count - hits) if hits < count else 1.0
    assert exact_interval(hits, count) == pytest.approx((low, high), abs=1e-10)


@pytest.mark.parametrize("count", [0, 1, 2, 10, 99, 1000, 20_000])
def test_a_poisson_count_has_the_interval_of_scipy(count: int) -> None:
    low = chi2.ppf(0.025, 2 * count) / 2 if count else 0.0
    high = chi2.ppf(0.975, 2 * (count + 1)) / 2
    assert poisson_interval(count) == pytest.approx((low, high), rel=1e-9)


def test_an_exact_interval_leaves_out_two_and_a_half_percent_at_each_end() -> None:
    low, high = exact_interval(3, 20)

    def at_most(most: int, share: float) -> float:
        return sum(math.comb(20, k) * share**k * (1 - share) ** (20 - k) for k in range(most + 1))

    assert 1 - at_most(2, low) == pytest.approx(0.025)
    assert at_most(3, high) == pytest.approx(0.025)
