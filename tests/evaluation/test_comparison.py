"""Arms compared: the right sign, the right width, and nothing seen where there is nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

from ablation_arms import DOMAINS, scores_of
from atypia.evaluation.calibration import cross_fit
from atypia.evaluation.comparison import MEASURES, Scores, compare
from atypia.evaluation.comparison_tables import (
    explain_comparison,
)
from atypia.evaluation.intervals import auroc_statistic, bootstrap_clusters


def test_a_planted_difference_is_seen_with_its_sign_in_every_measure(comparison) -> None:
    results = {arm.name: arm for arm in comparison.arms}
    for measure in MEASURES:
        for name, sign in (("better", 1), ("worse", -1)):
            found = results[name].results[measure.key].difference
            assert found.verdict == name
            assert found.interval.low * sign > 0 and found.interval.high * sign > 0
            assert found.interval.low < found.value < found.interval.high
            assert found.seeds == 2


def test_identical_arms_differ_by_exactly_nothing(comparison) -> None:
    same = next(arm for arm in comparison.arms if arm.name == "same")
    for reached in same.results.values():
        difference = reached.difference
        assert (difference.value, difference.interval.low, difference.interval.high) == (0, 0, 0)
        assert difference.verdict == "no difference seen"


def test_measures_are_what_the_definitions_say(figures, arms, comparison) -> None:
    """Recomputed with scikit-learn: pooled over held-out figures, and domain by domain."""
    pooled, domain_by_domain = [], []
    for one in arms["better"].values():
        truth, case, domain = figures.truth, figures.case, figures.domain
        held = cross_fit(one.held_out, truth, truth, figures.held_out, case, domain)
        pooled.append((balanced_accuracy_score(truth, held.call), roc_auc_score(truth, held.p)))
        left = cross_fit(one.left_out, truth, truth, figures.left_out, case, domain)
        each = []
        for domain in range(3):
            here = figures.left_out == domain
            accuracy = balanced_accuracy_score(truth[here], left.call[here])
            each.append((accuracy, roc_auc_score(truth[here], left.p[here])))
        domain_by_domain.append(each)
    reached = next(arm for arm in comparison.arms if arm.name == "better").results
    by_domain = np.mean(domain_by_domain, axis=0)
    for place, metric in enumerate(("ba", "auroc")):
        values = np.array(pooled)[:, place]
        assert reached[f"held_out_{metric}"].mean == pytest.approx(values.mean())
        assert reached[f"held_out_{metric}"].sd == pytest.approx(values.std(ddof=1))
        of_seed = np.array(domain_by_domain)[:, :, place].mean(axis=1)
        left_out = reached[f"left_out_{metric}"]
        assert left_out.mean == pytest.approx(of_seed.mean())
        assert left_out.sd == pytest.approx(of_seed.std(ddof=1))
        assert left_out.worst == pytest.approx(by_domain[:, place].min())
        assert left_out.worst_domain == DOMAINS[by_domain[:, place].argmin()]


def test_a_paired_interval_is_narrower_than_two_taken_apart(figures, arms, comparison) -> None:
    better = next(arm for arm in comparison.arms if arm.name == "better")
    paired = better.results["held_out_auroc"].difference.interval

    def mean_over_seeds(name: str):
        each = [auroc_statistic(figures.truth, one.held_out) for one in arms[name].values()]
        return lambda weights: np.mean([one(weights) for one in each], axis=0)

    apart = [
        bootstrap_clusters(mean_over_seeds(name), figures.case) for name in ("plain", "better")
    ]
    width = np.hypot(*(one.high - one.low for one in apart))
    assert paired.high - paired.low < 0.8 * width


def test_seeds_that_disagree_are_part_of_the_doubt(figures, arms) -> None:
    def difference(seeds: tuple[int, ...]):
        moody = {0: scores_of(figures, 1.8, 50), 1: scores_of(figures, 0.3, 51)}
        scores = {"plain": arms["plain"], "moody": {seed: moody[seed] for seed in seeds}}
        _, found = compare(figures, scores, {"moody": "plain"}).arms
        return found.results["left_out_auroc"].difference

    good, bad, both = difference((0,)), difference((1,)), difference((0, 1))
    assert (good.verdict, bad.verdict, both.verdict) == ("better", "worse", "no difference seen")
    # Either seed alone may have been drawn.
    assert both.interval.low < bad.value + 0.02
    assert both.interval.high > good.value - 0.02


def test_only_common_seeds_are_compared(figures, arms) -> None:
    scores = {"plain": {1: arms["plain"][1]}, "better": arms["better"]}
    both = compare(figures, scores, {"better": "plain"})
    alone = compare(figures, {"plain": scores["plain"], "better": {1: arms["better"][1]}},
                    {"better": "plain"})  # fmt: skip
    assert both.arms[1].seeds == (0, 1)
    found, expected = (one.arms[1].results["left_out_ba"].difference for one in (both, alone))
    assert found == expected and found.seeds == 1
    assert np.isnan(both.arms[0].results["held_out_ba"].sd)
    none = compare(figures, {"plain": {7: arms["plain"][1]}, "better": arms["better"]},
                   {"better": "plain"})  # fmt: skip
    assert none.arms[1].results["left_out_ba"].difference is None


def test_figures_without_truth_and_domains_of_one_class_are_left_out(figures, arms) -> None:
    truth = figures.truth.copy()
    truth[:50] = np.nan
    north = figures.left_out == 0
    truth[north & (truth == 1)] = 0
    held_out = np.where(north & (figures.case == "c0"), -1, figures.held_out)
    changed = replace(figures, truth=truth, held_out=held_out)
    one = arms["plain"][0]
    wild = Scores(
        np.where(np.isnan(truth), 50, one.left_out), np.where(held_out < 0, np.nan, one.held_out)
    )
    found = compare(changed, {"plain": {0: wild}}, {})
    assert (found.figures, found.domains, found.one_class) == (850, ("south", "west"), ("north",))
    assert found.never_held_out == (np.isfinite(truth) & (held_out < 0)).sum() > 0
    assert found.arms[0].results["left_out_ba"].worst_domain in ("south", "west")
    assert np.isfinite(found.arms[0].results["held_out_auroc"].mean)
    notes = " ".join(explain_comparison(found))
    assert "north" in notes and f"{found.never_held_out} figures" in notes


def test_small_domains_are_one_part_of_the_mean_and_never_the_worst(figures, arms) -> None:
    domain = figures.domain.copy()
    few = np.flatnonzero((figures.domain == "north") & (figures.truth == 1))[:20]
    domain[few[:10]], domain[few[10:]] = "one", "two"
    found = compare(replace(figures, domain=domain), {"plain": arms["plain"]}, {})
    assert found.pool == "small domains together: one; two"
    assert found.one_class == (found.pool,) and found.domains == DOMAINS
    domain[np.flatnonzero(figures.truth == 0)[:5]] = "one"
    sign = np.where(np.isin(domain, ["one", "two"]), -5, 5)
    wrong = {0: Scores(sign * figures.truth, arms["plain"][0].held_out)}
    found = compare(replace(figures, domain=domain), {"plain": wrong}, {})
    assert found.domains == ("north", found.pool, "south", "west")
    result = found.arms[0].results["left_out_auroc"]
    assert (result.mean, result.worst) == (0.75, 1.0) and result.worst_domain in DOMAINS
