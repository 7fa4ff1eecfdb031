from __future__ import annotations

import numpy as np
import pytest

from atypia.errors import AtypiaError
from atypia.evaluation.operating_point import choose_operating_point


def _scores(seed: int, figures: int = 1500):
    rng = np.random.default_rng(seed)
    truth = (rng.random(figures) < 0.2).astype(float)
    logits = rng.normal(size=figures) + np.where(truth == 1, -1.0, -3.0)
    return logits, truth


def _best_single_cut(logits: np.ndarray, truth: np.ndarray) -> float:
    cuts = np.sort(logits)
    gain = [(logits[truth == 1] > c).mean() - (logits[truth == 0] > c).mean() for c in cuts]
    return float(cuts[int(np.argmax(gain))])


def test_it_lies_where_both_classes_are_called_right_alike_not_at_one_half() -> None:
    # Equal spreads around -1 and -3: half-way, at -2.
    logits, truth = _scores(0)
    point = choose_operating_point(logits, truth, np.zeros(len(truth)))
    assert point == pytest.approx(-2.0, abs=0.2)
    sensitivity = (logits[truth == 1] > point).mean()
    assert sensitivity == pytest.approx((logits[truth == 0] <= point).mean(), abs=0.005)


def test_it_is_steadier_than_the_plain_maximiser_of_balanced_accuracy() -> None:
    chosen, plain = [], []
    for seed in range(12):
        logits, truth = _scores(seed, figures=400)
        chosen.append(choose_operating_point(logits, truth, np.zeros(400)))
        plain.append(_best_single_cut(logits, truth))
    assert np.std(chosen) < np.std(plain)


def test_domains_weigh_the_same_however_many_figures_they_have() -> None:
    logits, truth = _scores(1, figures=12_000)
    domain = np.where(np.arange(12_000) < 10_000, "large", "small")
    logits = logits + np.where(domain == "small", 2.0, 0.0)  # its half-way lies at 0, not at -2
    point = choose_operating_point(logits, truth, domain)
    right = (logits > point) == (truth == 1)
    of_class = [
        np.mean([right[(domain == name) & (truth == kind)].mean() for name in ("large", "small")])
        for kind in (0, 1)
    ]
    assert of_class[0] == pytest.approx(of_class[1], abs=0.002)
    assert point == pytest.approx(-1.0, abs=0.15)
    as_one = choose_operating_point(logits, truth, np.zeros(12_000))
    assert as_one < point - 0.4


def test_a_domain_of_few_figures_weighs_less() -> None:
    logits, truth = _scores(2, figures=10_005)
    domain = (np.arange(10_005) >= 10_000).astype(int)
    truth[-5:] = [1, 0, 0, 0, 0]
    logits[-5:] = 9.0
    alone = choose_operating_point(logits[:-5], truth[:-5], domain[:-5])
    moved = choose_operating_point(logits, truth, domain) - alone
    # Four of 29 normal figures called wrong, weighed: the half-way moves by a little.
    assert 0 < moved < 0.35


def test_a_domain_without_one_of_the_classes_counts_in_the_other() -> None:
    logits, truth = np.array([-3.0, -2.0, 1.0, 2.0]), np.array([0.0, 0.0, 1.0, 1.0])
    assert choose_operating_point(logits, truth, np.array(["a", "a", "b", "b"])) == -0.5


def test_perfectly_parted_scores_are_cut_in_the_gap() -> None:
    logits, truth = np.array([-3.0, -2.0, 1.0, 2.0]), np.array([0.0, 0.0, 1.0, 1.0])
    assert choose_operating_point(logits, truth, np.zeros(4)) == -0.5


def test_one_score_for_all_still_gives_a_point() -> None:
    assert choose_operating_point(np.ones(4), np.array([0.0, 1, 0, 1]), np.zeros(4)) == 1.0


def test_one_class_is_refused_in_words() -> None:
    with pytest.raises(AtypiaError, match=r"both classes.*all 3 are normal"):
        choose_operating_point(np.arange(3.0), np.zeros(3), np.zeros(3))


def test_of_cuts_that_are_as_good_the_middle_is_taken() -> None:
    # At 0.5 and at 2.5 one class is right whole and the other by half; at 1.5 both by half.
    logits, truth = np.array([0.0, 1.0, 2.0, 3.0]), np.array([0.0, 1.0, 0.0, 1.0])
    assert choose_operating_point(logits, truth, np.zeros(4)) == 1.5
    # At 0.5 sensitivity is ahead by a half, at 1.5 specificity.
    logits, truth = np.array([0.0, 1.0, 2.0]), np.array([0.0, 1.0, 0.0])
    assert choose_operating_point(logits, truth, np.zeros(3)) == 1.0
