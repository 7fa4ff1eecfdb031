from __future__ import annotations

import numpy as np
import pytest

from atypia.errors import AtypiaError
from atypia.evaluation.operating_point import choose_operating_point


def _scores(seed: int, figures: int = 1500):
    rng = np.random.default_rng(seed)
    truth = (rng.random(figures) < 0.2).astype(float)
    logits = rng.normal(size=figures) + np.where(truth == 1, -1.0, -3.0)
    return logits, truth, rng.integers(0, 80, figures).astype(object)


def _best_single_cut(logits: np.ndarray, truth: np.ndarray) -> float:
    cuts = np.sort(logits)
    gain = [(logits[truth == 1] > c).mean() - (logits[truth == 0] > c).mean() for c in cuts]
    return float(cuts[int(np.argmax(gain))])


def test_it_lies_where_balanced_accuracy_is_greatest_not_at_one_half() -> None:
    # Equal spreads around -1 and -3: balanced accuracy is greatest half-way, at -2.
    logits, truth, clusters = _scores(0)
    assert choose_operating_point(logits, truth, clusters) == pytest.approx(-2.0, abs=0.2)


def test_it_is_steadier_than_the_plain_maximiser() -> None:
    chosen, plain = [], []
    for seed in range(12):
        logits, truth, clusters = _scores(seed, figures=400)
        chosen.append(choose_operating_point(logits, truth, clusters))
        plain.append(_best_single_cut(logits, truth))
    assert np.std(chosen) < np.std(plain)


def test_perfectly_parted_scores_are_cut_in_the_gap() -> None:
    logits = np.array([-3.0, -2.0, 1.0, 2.0])
    truth = np.array([0.0, 0.0, 1.0, 1.0])
    for clusters in (np.arange(4), np.zeros(4)):
        point = choose_operating_point(logits, truth, clusters.astype(object))
        assert -2.0 < point < 1.0


def test_one_score_for_all_still_gives_a_point() -> None:
    point = choose_operating_point(
        np.ones(4), np.array([0.0, 1, 0, 1]), np.arange(4).astype(object)
    )
    assert point == 1.0


def test_one_class_is_refused_in_words() -> None:
    with pytest.raises(AtypiaError, match=r"both classes.*all 3 are normal"):
        choose_operating_point(np.arange(3.0), np.zeros(3), np.arange(3).astype(object))


def test_of_cuts_that_are_as_good_the_middle_is_taken() -> None:
    # At 0.5 no atypical figure is missed, at 2.5 no normal one is called; each is wrong on one.
    logits, truth = np.array([0.0, 1.0, 2.0, 3.0]), np.array([0.0, 1.0, 0.0, 1.0])
    one_case = np.array(["case"] * 4, dtype=object)
    assert choose_operating_point(logits, truth, one_case) == pytest.approx(1.5)
