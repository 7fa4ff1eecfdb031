from __future__ import annotations

import time

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

from atypia.evaluation.intervals import (
    auroc_statistic,
    balanced_accuracy_statistic,
    bootstrap_clusters,
    draw_cluster_weights,
    percentile_interval,
)


def _cohort(figures: int, clusters: int, seed: int = 0):
    rng = np.random.default_rng(seed)
    truth = (rng.random(figures) < 0.25).astype(float)
    p = np.round(1 / (1 + np.exp(-(rng.normal(size=figures) + 1.5 * truth - 1))), 2)
    return truth, p, rng.integers(0, clusters, figures).astype(str).astype(object)


def test_statistics_equal_scikit_learn_on_every_resample_ties_included() -> None:
    truth, p, clusters = _cohort(120, 12)
    weights = np.concatenate(list(draw_cluster_weights(clusters, 20, seed=3)))
    auroc = auroc_statistic(truth, p)(weights)
    balanced = balanced_accuracy_statistic(truth, p > 0.4)(weights)
    for row in range(20):
        drawn = np.repeat(np.arange(120), weights[row].astype(int))
        assert auroc[row] == pytest.approx(roc_auc_score(truth[drawn], p[drawn]))
        assert balanced[row] == pytest.approx(balanced_accuracy_score(truth[drawn], p[drawn] > 0.4))


def test_whole_clusters_are_drawn() -> None:
    clusters = np.array(["a", "b", "a", "c"], dtype=object)
    weights = np.concatenate(list(draw_cluster_weights(clusters, 50, seed=0)))
    assert (weights[:, 0] == weights[:, 2]).all()
    assert (weights[:, [0, 1, 3]].sum(axis=1) == 3).all()


def test_clusters_that_resemble_themselves_widen_the_interval() -> None:
    rng = np.random.default_rng(1)
    cluster = np.repeat(np.arange(20), 30)
    truth = np.tile([0.0, 1.0], 300)
    hard = rng.random(20) < 0.5
    call = np.where(hard[cluster], truth == 0, truth == 1)
    statistic = balanced_accuracy_statistic(truth, call)
    by_slide = bootstrap_clusters(statistic, cluster.astype(object))
    by_figure = bootstrap_clusters(statistic, np.arange(600).astype(object))
    assert by_slide is not None
    assert by_figure is not None
    assert by_slide.high - by_slide.low > 3 * (by_figure.high - by_figure.low)


def test_one_cluster_has_no_interval() -> None:
    truth, p, _ = _cohort(50, 5)
    statistic = auroc_statistic(truth, p)
    assert bootstrap_clusters(statistic, np.full(50, "s", dtype=object)) is None


def test_resamples_of_one_class_are_ignored_and_counted() -> None:
    truth = np.array([1.0, 0.0, 0.0, 0.0])
    clusters = np.array(["a", "b", "c", "d"], dtype=object)
    interval = bootstrap_clusters(balanced_accuracy_statistic(truth, truth == 1), clusters)
    assert interval is not None
    # "a" is missing from a resample with probability (3/4)^4, 0.316.
    assert 250 < interval.ignored < 390
    assert interval.resamples + interval.ignored == 1000
    assert (interval.low, interval.high) == (1.0, 1.0)


def test_one_class_has_no_interval() -> None:
    statistic = auroc_statistic(np.ones(6), np.linspace(0, 1, 6))
    assert bootstrap_clusters(statistic, np.arange(6).astype(object)) is None


def test_same_seed_same_interval_and_fast_enough_for_every_report() -> None:
    truth, p, clusters = _cohort(3000, 150)
    started = time.perf_counter()
    first = bootstrap_clusters(auroc_statistic(truth, p), clusters)
    bootstrap_clusters(balanced_accuracy_statistic(truth, p > 0.4), clusters)
    assert time.perf_counter() - started < 6
    assert first == bootstrap_clusters(auroc_statistic(truth, p), clusters)
    assert first is not None
    assert first.low < roc_auc_score(truth, p) < first.high


def test_no_interval_comes_from_the_few_resamples_in_which_a_statistic_is_defined() -> None:
    half = np.r_[np.linspace(0, 1, 50), np.full(50, np.nan)]
    interval = percentile_interval(half)
    assert interval is not None
    assert (interval.resamples, interval.ignored) == (50, 50)
    assert percentile_interval(np.r_[half, np.nan]) is None
