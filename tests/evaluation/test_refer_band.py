"""What the refer band promises, by simulation; risks of new figures are computed, not sampled."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from atypia.evaluation.refer_band import choose_refer_band, weigh_cases

APART = 1.5
"""Normal figures score around 0, atypical ones around this, each with a standard deviation of 1."""


def _figures(rng: np.random.Generator, figures: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """As many of each class, each a case of its own."""
    truth = np.repeat([0.0, 1.0], figures)
    return rng.normal(size=2 * figures) + APART * truth, truth, np.arange(2 * figures)


def _mean_and_error(risks: list[float]) -> tuple[float, float]:
    return float(np.mean(risks)), float(np.std(risks) / np.sqrt(len(risks)))


@pytest.mark.parametrize("figures", [20, 35, 150])
def test_the_risk_of_new_figures_is_kept_in_each_class_and_not_by_waste(figures: int) -> None:
    # Without the + 1, 20 figures a class have a mean risk of 3 / 21 = 0.143.
    rng = np.random.default_rng(figures)
    missed, false_alarms = [], []
    for _ in range(3000):
        logits, truth, cases = _figures(rng, figures)
        band = choose_refer_band(logits, truth, cases, APART / 2, risk=0.1, most=1.0)
        missed.append(norm.cdf(band.low - APART))
        false_alarms.append(norm.sf(band.high))
        assert band.met
    for risks in (missed, false_alarms):
        mean, error = _mean_and_error(risks)
        assert mean <= 0.1 + 3 * error
        assert mean >= 0.1 - 1 / (figures + 1) - 3 * error


def test_figures_of_a_case_may_resemble_each_other_because_cases_are_counted() -> None:
    # Cases differ by as much as figures do, and those with many figures are the easy ones.
    rng = np.random.default_rng(0)
    sizes = np.tile([1, 2, 3, 40], 10)
    spread = np.sqrt(1 + 0.3**2)
    by_case, by_figure = [], []
    for _ in range(1000):
        of_case = rng.normal(size=len(sizes)) + np.where(sizes > 3, 4.0, 1.5)
        atypical = np.repeat(of_case, sizes) + 0.3 * rng.normal(size=sizes.sum())
        logits = np.r_[atypical, rng.normal(size=len(sizes))]
        truth = np.r_[np.ones(len(atypical)), np.zeros(len(sizes))]
        cases = np.r_[np.repeat(np.arange(len(sizes)), sizes), np.arange(len(sizes))]
        for counted, risks in ((cases, by_case), (np.arange(len(logits)), by_figure)):
            low = choose_refer_band(logits, truth, counted, 9.0, risk=0.1, most=1.0).low
            # A new case is an easy one with a probability of a quarter.
            risks.append(
                0.75 * norm.cdf((low - 1.5) / spread) + 0.25 * norm.cdf((low - 4.0) / spread)
            )
    mean, error = _mean_and_error(by_case)
    assert 0.1 - 1 / 41 - 3 * error <= mean <= 0.1 + 3 * error
    assert np.mean(by_figure) > 0.2


def test_the_promise_does_not_depend_on_where_the_operating_point_came_from() -> None:
    logits, truth, cases = _figures(np.random.default_rng(1), 100)
    free = choose_refer_band(logits, truth, cases, APART / 2, most=1.0)
    assert free.low < APART / 2 < free.high
    for point in (free.low - 1, free.low, free.high, free.high + 1):
        band = choose_refer_band(logits, truth, cases, point, most=1.0)
        assert band.low == min(free.low, point)
        assert band.high == max(free.high, point)


def test_a_promise_for_each_class_is_kept_when_atypical_figures_are_rare() -> None:
    rng = np.random.default_rng(2)
    truth = (rng.random(4000) < 0.05).astype(float)
    logits = rng.normal(size=4000) + APART * truth
    band = choose_refer_band(logits, truth, np.arange(4000), APART / 2)
    assert norm.cdf(band.low - APART) == pytest.approx(0.1, abs=0.03)
    assert norm.sf(band.high) == pytest.approx(0.1, abs=0.03)


def test_no_more_than_the_limit_is_referred_and_then_nothing_is_promised() -> None:
    rng = np.random.default_rng(3)
    truth = np.repeat([0.0, 1.0], 300)
    logits = rng.normal(size=600) + 0.8 * truth
    cases = np.arange(600)
    wanted = choose_refer_band(logits, truth, cases, 0.4, risk=0.1, most=1.0)
    assert wanted.met
    assert wanted.share > 0.5
    band = choose_refer_band(logits, truth, cases, 0.4, risk=0.1, most=0.3)
    inside = (logits >= band.low) & (logits <= band.high)
    assert band.share == inside.mean() <= 0.3
    assert not band.met
    assert band.share_for_aim == wanted.share
    assert band.rule.startswith("no promise: a risk of 10 % takes ")
    # The lowest risk that refers so few: the step before it refers too many.
    lower = choose_refer_band(logits, truth, cases, 0.4, risk=band.risk - 0.001, most=1.0)
    assert lower.share > 0.3


def test_too_few_cases_for_a_risk_refer_a_whole_side() -> None:
    logits, truth = np.array([-1.0, 0.0, 1.0, 2.0]), np.array([0.0, 0.0, 1.0, 1.0])
    band = choose_refer_band(logits, truth, np.arange(4), 0.5, risk=0.1, most=1.0)
    assert (band.low, band.high) == (-np.inf, np.inf)
    capped = choose_refer_band(logits, truth, np.arange(4), 0.5, risk=0.1, most=0.3)
    assert (capped.low, capped.high) == (0.5, 0.5)
    assert not capped.met


def test_nobody_is_asked_where_the_classifier_alone_keeps_the_risk() -> None:
    rng = np.random.default_rng(4)
    truth = np.repeat([0.0, 1.0], 100)
    band = choose_refer_band(rng.normal(size=200) + 6 * truth, truth, np.arange(200), 3.0)
    assert (band.low, band.high, band.share) == (3.0, 3.0, 0.0)
    assert "at most 10 % are called normal" in band.rule


def test_figures_without_truth_count_as_work_and_not_as_errors() -> None:
    logits, truth, cases = _figures(np.random.default_rng(5), 100)
    known = choose_refer_band(logits, truth, cases, APART / 2)
    more = np.r_[logits, np.full(200, APART / 2)], np.r_[truth, np.full(200, np.nan)]
    band = choose_refer_band(*more, np.arange(400), APART / 2, most=1.0)
    assert (band.low, band.high, band.cases) == (known.low, known.high, (100, 100))
    assert band.share == pytest.approx((known.share + 1) / 2)


def test_weights_give_the_mean_of_the_means_of_cases() -> None:
    cases = np.array(["a", "b", "b", "b"], dtype=object)
    assert weigh_cases(cases) @ np.array([1.0, 0.0, 0.0, 0.6]) == pytest.approx((1 + 0.2) / 2)
