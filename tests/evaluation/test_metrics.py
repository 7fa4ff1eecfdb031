from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as sklearn

from atypia.evaluation.metrics import (
    METRIC_NAMES,
    auroc,
    average_precision,
    best_balanced_accuracy,
    binary_metrics,
    measure_domains,
    pool_small_domains,
    roc_curve,
)


def test_metrics_by_hand() -> None:
    truth = np.array([1, 1, 1, 1, 0, 0, 0, 0, 0, 0], dtype=float)
    p = np.array([0.9, 0.8, 0.4, 0.2, 0.7, 0.3, 0.1, 0.1, 0.1, 0.1])
    metrics = binary_metrics(truth, p, p > 0.5)
    assert (metrics.figures, metrics.atypical) == (10, 4)
    assert metrics.sensitivity == pytest.approx(2 / 4)
    assert metrics.specificity == pytest.approx(5 / 6)
    assert metrics.balanced_accuracy == pytest.approx((1 / 2 + 5 / 6) / 2)
    # Pairs won: 0.9 and 0.8 beat all 6, 0.4 beats 5, 0.2 beats 4.
    assert metrics.auroc == pytest.approx((6 + 6 + 5 + 4) / 24)
    assert metrics.brier == pytest.approx(np.mean((p - truth) ** 2))


@pytest.mark.parametrize("decimals", [12, 2, 1, 0])
def test_curves_and_areas_are_those_of_sklearn_with_equal_scores_too(decimals: int) -> None:
    rng = np.random.default_rng(decimals)
    truth = (rng.random(300) < 0.2).astype(float)
    p = np.round(rng.random(300) / 2 + truth / 4, decimals)
    assert auroc(truth, p) == pytest.approx(sklearn.roc_auc_score(truth, p), abs=1e-12)
    expected = sklearn.average_precision_score(truth, p)
    assert average_precision(truth, p) == pytest.approx(expected, abs=1e-12)
    false_alarms, hits, _ = sklearn.roc_curve(truth, p, drop_intermediate=False)
    np.testing.assert_allclose(roc_curve(truth, p), (false_alarms, hits), atol=1e-12)


def test_calls_are_judged_as_made_not_by_one_half() -> None:
    truth, p = np.array([1.0, 0.0]), np.array([0.3, 0.2])
    assert binary_metrics(truth, p, np.array([True, False])).balanced_accuracy == 1.0


def test_the_best_operating_point_is_looked_for_over_all_of_them() -> None:
    rng = np.random.default_rng(0)
    truth = np.array([0.0, 1.0, 0.0, 1.0] * 10)
    p = np.round(rng.random(40) / 2 + truth / 4, 2)
    every = [(binary_metrics(truth, p, p > cut)).balanced_accuracy for cut in [-1.0, *p]]
    assert best_balanced_accuracy(truth, p) == pytest.approx(max(every))
    assert best_balanced_accuracy(truth, -truth) == 0.5
    assert best_balanced_accuracy(np.zeros(3), p[:3]) is None


def test_one_class_is_none_and_never_one_half() -> None:
    metrics = binary_metrics(np.zeros(3), np.array([0.1, 0.2, 0.9]), np.array([False, False, True]))
    assert metrics.balanced_accuracy is None
    assert metrics.sensitivity is None
    assert metrics.auroc is None
    assert metrics.average_precision is None
    assert metrics.specificity == pytest.approx(2 / 3)
    assert metrics.brier is not None


def test_no_figure_is_all_none() -> None:
    metrics = binary_metrics(np.array([]), np.array([]), np.array([], dtype=bool))
    assert metrics.figures == 0
    assert all(getattr(metrics, name) is None for name in METRIC_NAMES)


def test_ece_weighs_each_bin_by_its_figures() -> None:
    # Bin of 0.05 (3 figures, none atypical) is 0.05 off, bin of 1.0 (1 figure, normal) is 1 off.
    p = np.array([0.05, 0.05, 0.05, 1.0])
    metrics = binary_metrics(np.zeros(4), p, p > 0.5)
    assert metrics.ece == pytest.approx((3 * 0.05 + 1 * 1.0) / 4)


def test_ece_is_of_p_atypical_not_of_the_winning_class() -> None:
    p = np.full(10, 0.2)
    truth = np.array([1.0] * 2 + [0.0] * 8)
    assert binary_metrics(truth, p, p > 0.5).ece == pytest.approx(0.0)


def test_truth_with_gaps_is_refused() -> None:
    with pytest.raises(ValueError, match="0 and 1"):
        binary_metrics(np.array([1.0, np.nan]), np.array([0.5, 0.5]), np.array([True, True]))


def test_domains_with_one_class_are_left_out_of_the_summary_and_named() -> None:
    truth = np.array([1, 0, 1, 0, 0, 0], dtype=float)
    p = np.array([0.9, 0.1, 0.2, 0.8, 0.9, 0.9])
    domains = np.array(["a", "a", "b", "b", "c", "c"], dtype=object)
    found = measure_domains(truth, p, p > 0.5, domains)
    assert list(found.frame["domain"]) == ["a", "b", "c"]
    assert list(found.frame["balanced_accuracy"])[:2] == [1.0, 0.0]
    assert np.isnan(found.frame["balanced_accuracy"].iloc[2])
    assert (found.counted, found.left_out) == (2, ("c",))
    assert found.summary.loc["balanced_accuracy", "mean"] == pytest.approx(0.5)
    assert found.summary.loc["balanced_accuracy", "sd"] == pytest.approx(np.sqrt(0.5))
    assert found.summary.loc["balanced_accuracy", "worst"] == 0.0
    # c would have lowered the mean specificity, and for an error the worst is the greatest.
    assert found.summary.loc["specificity", "mean"] == pytest.approx(0.5)
    assert found.summary.loc["brier", "worst"] == pytest.approx(0.64)


def _domains(**sizes: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Domains of so many atypical and normal figures: truth and names."""
    truth = [[1.0] * atypical + [0.0] * normal for atypical, normal in sizes.values()]
    names = [[name] * (atypical + normal) for name, (atypical, normal) in sizes.items()]
    return np.concatenate(truth), np.concatenate(names).astype(object)


def test_small_domains_are_judged_together_and_are_never_the_worst() -> None:
    truth, names = _domains(large=(30, 40), larger=(50, 50), few=(5, 30), fewer=(0, 9))
    p = np.where(np.isin(names, ["few", "fewer"]), 1 - truth, truth)
    p[names == "large"] = np.where(np.arange(70) < 15, 0, truth[names == "large"])
    found = measure_domains(truth, p, p > 0.5, names)
    assert list(found.frame["domain"]) == ["large", "larger", "small domains together: few; fewer"]
    assert (found.counted, found.pool) == (3, "small domains together: few; fewer")
    assert list(found.frame["balanced_accuracy"]) == [0.75, 1.0, 0.0]
    assert list(found.summary.loc["balanced_accuracy", ["mean", "worst"]]) == [1.75 / 3, 0.75]
    assert list(found.frame["gap"]) == [0.5, 0.0, 0.0]
    assert found.summary.loc["gap", "worst"] == 0.5


def test_one_small_domain_keeps_its_name_and_without_two_large_ones_each_stands_alone() -> None:
    truth, names = _domains(a=(25, 25), b=(25, 25), c=(24, 25))
    assert pool_small_domains(truth, names)[1] == "c"
    np.testing.assert_array_equal(pool_small_domains(truth, names)[0], names)
    truth[0] = np.nan  # one known atypical figure of a less
    same, pool = pool_small_domains(truth, names)
    assert pool == "" and same is names
