"""Agreement, compared with the packages of others; and what is not defined is None."""

from __future__ import annotations

import krippendorff
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import cohen_kappa_score

from atypia.data.votes import fleiss_kappa as kappa_of_votes
from atypia.evaluation.agreement import (
    ABSENT,
    cohen_kappa,
    count_ratings,
    measure_agreement,
    specific_agreement,
)


def draw(seed: int, absent: float, raters: int = 4, categories: int = 3) -> np.ndarray:
    """Ratings of 200 figures by raters of whom each follows the truth in 70 %."""
    rng = np.random.default_rng(seed)
    truth = np.minimum(rng.integers(0, 2 * categories, size=(200, 1)) // 2, categories - 1)
    follows = rng.random((200, raters)) < 0.7
    ratings = np.where(follows, truth, rng.integers(0, categories, (200, raters)))
    return np.where(rng.random(ratings.shape) < absent, ABSENT, ratings)


def cases(count: int = 200) -> np.ndarray:
    return (np.arange(count) // 5).astype(object)


def table(absent: bool) -> np.ndarray:
    """Ratings of 60 figures by four raters, in three categories; with `absent`, by two at least."""
    rows = []
    for i in range(60):
        truth = 0 if (i * i + 3 * i) % 7 < 4 else 1 if i % 3 == 0 else 2
        other = [(truth + 1 + (i + j) % 2) % 3 for j in range(4)]
        row = [other[j] if (i * (j + 2) + j * j) % 11 < 3 else truth for j in range(4)]
        rows.append([ABSENT if absent and (i * 5 + j * 7) % 13 < 4 else row[j] for j in range(4)])
    return np.array(rows)


@pytest.mark.parametrize(
    ("absent", "raw", "ac1", "kappa"),
    [
        (False, 0.508333333333, 0.267706151579, 0.251862418767),
        (True, 0.538888888889, 0.316350782061, None),
    ],
)
def test_they_are_those_of_irr_cac(
    absent: bool, raw: float, ac1: float, kappa: float | None
) -> None:
    # By irrCAC 0.4.4, which needs numpy 1 and cannot be installed beside atypia. Where ratings are
    # absent its Fleiss' kappa weighs each figure alike, ours each rating.
    found = measure_agreement(table(absent), 3, cases(60), resamples=10)
    assert found.raw.value == pytest.approx(raw, abs=1e-11)
    assert found.ac1.value == pytest.approx(ac1, abs=1e-11)
    if kappa is not None:
        assert found.kappa.value == pytest.approx(kappa, abs=1e-11)


@pytest.mark.parametrize("absent", [0.0, 0.3])
def test_alpha_is_that_of_krippendorff(absent: float) -> None:
    ratings = draw(1, absent)
    matrix = np.where(ratings >= 0, ratings, np.nan).T
    alpha = krippendorff.alpha(matrix, level_of_measurement="nominal")
    found = measure_agreement(ratings, 3, cases(), resamples=10)
    assert found.alpha.value == pytest.approx(alpha, abs=1e-12)


@pytest.mark.parametrize("absent", [0.0, 0.3])
def test_kappa_is_that_of_the_figure_table(absent: float) -> None:
    ratings = draw(3, absent, categories=2)[:, :3]
    names = ["vote_a", "vote_b", "vote_c"]
    votes = pd.DataFrame(np.where(ratings >= 0, ratings, np.nan), columns=names)
    expected = kappa_of_votes(votes)
    found = measure_agreement(ratings, 2, cases(), resamples=10)
    assert found.kappa.value == pytest.approx(expected)


def test_two_raters_have_cohens_kappa() -> None:
    one, other = draw(5, 0.2)[:, :2].T
    both = (one >= 0) & (other >= 0)
    assert cohen_kappa(one, other, 3) == pytest.approx(cohen_kappa_score(one[both], other[both]))
    assert cohen_kappa(one, np.full_like(one, ABSENT), 3) is None
    assert cohen_kappa(np.zeros(4, int), np.zeros(4, int), 3) is None


def test_specific_agreement_by_hand() -> None:
    # Three figures, two raters: both 0; 0 and 1; both 1. Of 3 ratings of 0, 2 meet another 0.
    counts = count_ratings(np.array([[0, 0], [0, 1], [1, 1]]), 2)
    np.testing.assert_allclose(specific_agreement(counts, np.ones((1, 3))), [[2 / 3, 2 / 3]])
    # A third rater of the second figure, who says 1: one of its three pairs agrees, on 1.
    counts = count_ratings(np.array([[0, 0, -1], [0, 1, 1], [1, 1, -1]]), 2)
    agreed = specific_agreement(counts, np.ones((1, 3)))
    np.testing.assert_allclose(agreed, [[2 / 3, (2 * 0.5 + 2) / 4]])


def test_intervals_are_over_cases_and_hold_the_value() -> None:
    ratings = draw(7, 0.1)
    found = measure_agreement(ratings, 3, cases(), resamples=400)
    alike = measure_agreement(ratings, 3, cases(), resamples=400)
    assert found == alike
    for measure in (found.raw, found.kappa, found.alpha, found.ac1, *found.specific):
        assert measure.interval is not None and measure.value is not None
        assert measure.interval.low < measure.value < measure.interval.high
    one_case = measure_agreement(ratings, 3, np.full(200, "a", dtype=object))
    assert one_case.kappa.interval is None
    # Cases in which all figures are alike tell less than as many figures of their own.
    copies = np.repeat(ratings[:40], 5, axis=0)
    grouped = measure_agreement(copies, 3, cases(), resamples=400).raw.interval
    apart = measure_agreement(copies, 3, np.arange(200).astype(object), resamples=400).raw.interval
    assert grouped is not None and apart is not None
    assert grouped.high - grouped.low > 1.5 * (apart.high - apart.low)


def test_what_is_not_defined_is_none() -> None:
    nobody = measure_agreement(np.full((3, 2), ABSENT), 2, cases(3))
    assert (nobody.figures, nobody.raw.value, nobody.kappa.value) == (0, None, None)
    alike = measure_agreement(np.zeros((6, 2), int), 2, cases(6))
    assert (alike.raw.value, alike.kappa.value, alike.alpha.value) == (1.0, None, None)
    assert alike.ac1.value == 1.0
    assert alike.specific[1].value is None
    with pytest.raises(ValueError, match="ratings must be -1 or 0 to 1"):
        measure_agreement(np.full((3, 2), 2), 2, cases(3))
    with pytest.raises(ValueError, match="3 figures, but 2 cases"):
        measure_agreement(np.zeros((3, 2), int), 2, cases(2))
