from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from atypia.data.votes import (
    agreement,
    dawid_skene,
    explain_contradictions,
    find_contradictions,
    fleiss_kappa,
    hard_labels,
    soft_labels,
    vote_columns,
    vote_fractions,
)

NAN = np.nan


def _frame(votes: list[list[float]], label: list[float]) -> pd.DataFrame:
    frame = pd.DataFrame({"label": label, "tumour": "t", "scanner": "s"})
    frame["laboratory"] = frame["species"] = "unknown"
    for number, column in enumerate(np.array(votes, dtype=float).reshape(len(label), -1).T):
        frame[f"vote_{number}"] = column
    return frame


FRAME = _frame(
    [[1, 1, 0], [0, NAN, NAN], [1, 0, NAN], [1, 0, NAN], [NAN] * 3, [NAN] * 3, [0, 0, 1]],
    [1, NAN, NAN, 1, 0, NAN, 1],
)


def test_fractions_count_given_votes_only() -> None:
    np.testing.assert_allclose(vote_fractions(FRAME), [2 / 3, 0, 0.5, 0.5, NAN, NAN, 1 / 3])
    assert vote_columns(FRAME) == ["vote_0", "vote_1", "vote_2"]


def test_soft_labels_fall_back_on_the_label() -> None:
    np.testing.assert_allclose(soft_labels(FRAME, "fraction"), [2 / 3, 0, 0.5, 0.5, 0, NAN, 1 / 3])
    np.testing.assert_allclose(soft_labels(FRAME, "majority"), [1, 0, 0.5, 1, 0, NAN, 0])
    with pytest.raises(ValueError, match="fraction"):
        soft_labels(FRAME, "mean")  # type: ignore[arg-type]


def test_hard_labels_prefer_the_label_and_leave_ties_open() -> None:
    np.testing.assert_allclose(hard_labels(FRAME), [1, 0, NAN, 1, 0, NAN, 1])
    assert list(np.flatnonzero(find_contradictions(FRAME))) == [6]


def test_a_table_without_votes_has_labels_only() -> None:
    frame = _frame([], [1, 0, NAN])
    np.testing.assert_allclose(soft_labels(frame, "fraction"), [1, 0, NAN])
    np.testing.assert_allclose(hard_labels(frame), [1, 0, NAN])
    assert np.isnan(fleiss_kappa(frame)) and np.isnan(vote_fractions(frame)).all()
    assert len(hard_labels(frame.iloc[:0])) == 0


def test_kappa_of_a_worked_example() -> None:
    # By hand: 4 figures, 3 votes. P_i = 1, 1/3, 1/3, 1, mean 2/3; share of yes 6/12, chance 1/2.
    frame = _frame([[1, 1, 1], [1, 1, 0], [1, 0, 0], [0, 0, 0]], [NAN] * 4)
    assert fleiss_kappa(frame) == pytest.approx((2 / 3 - 1 / 2) / (1 - 1 / 2))


def test_kappa_at_its_ends() -> None:
    assert fleiss_kappa(_frame([[1, 1], [0, 0]], [NAN] * 2)) == pytest.approx(1.0)
    assert fleiss_kappa(_frame([[1, 0], [0, 1]], [NAN] * 2)) == pytest.approx(-1.0)
    assert np.isnan(fleiss_kappa(_frame([[1, 1], [1, 1]], [NAN] * 2)))


def test_kappa_leaves_out_figures_with_one_vote() -> None:
    two = _frame([[1, 1, NAN], [0, 0, NAN], [1, 0, NAN]], [NAN] * 3)
    more = _frame([[1, 1, NAN], [0, 0, NAN], [1, 0, NAN], [1, NAN, NAN]], [NAN] * 4)
    assert fleiss_kappa(more) == pytest.approx(fleiss_kappa(two))


def test_agreement_is_told_by_domain_and_over_all() -> None:
    frame = _frame([[1, 1, 1], [1, 1, 0], [0, 0, 0], [NAN] * 3], [NAN, NAN, NAN, 1])
    frame.loc[2:, "scanner"] = "other"
    told = agreement(frame)
    assert list(told.index) == ["t, other", "t, s", "all"]
    assert list(told["figures"]) == [2, 2, 4] and list(told["voted"]) == [1, 2, 3]
    assert told.loc["t, s", "unanimous"] == pytest.approx(0.5)
    assert told.loc["t, other", "atypical"] == pytest.approx(0.5)
    assert told.loc["all", "unanimous"] == pytest.approx(2 / 3)


def _planted(
    count: int, sensitivity: list[float], specificity: list[float], absent: float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(4)
    truth = rng.random(count) < 0.3
    chance = np.where(truth[:, None], sensitivity, 1 - np.array(specificity))
    votes = (rng.random(chance.shape) < chance).astype(float)
    votes[rng.random(votes.shape) < absent] = NAN
    return truth, votes


@pytest.mark.parametrize("absent", [0.0, 0.3])
def test_dawid_skene_recovers_the_planted_reliability(absent: float) -> None:
    sensitivity, specificity = [0.95, 0.8, 0.6], [0.97, 0.7, 0.9]
    truth, votes = _planted(6000, sensitivity, specificity, absent)
    found = dawid_skene(votes)
    np.testing.assert_allclose(found.sensitivity, sensitivity, atol=0.06)
    np.testing.assert_allclose(found.specificity, specificity, atol=0.06)
    assert found.prevalence == pytest.approx(0.3, abs=0.05)
    voted = np.isfinite(votes).any(axis=1)
    brier = np.mean((found.p[voted] - truth[voted]) ** 2)
    assert brier < 0.75 * np.mean((np.nanmean(votes[voted], axis=1) - truth[voted]) ** 2)


def test_dawid_skene_gives_the_posterior_of_the_published_model() -> None:
    _, votes = _planted(500, [0.9, 0.7, 0.8], [0.9, 0.8, 0.7])
    found = dawid_skene(votes)
    yes = np.prod(np.where(votes == 1, found.sensitivity, 1 - found.sensitivity), axis=1)
    no = np.prod(np.where(votes == 1, 1 - found.specificity, found.specificity), axis=1)
    joint = yes * found.prevalence
    np.testing.assert_allclose(found.p, joint / (joint + no * (1 - found.prevalence)), atol=1e-4)


def test_dawid_skene_of_figures_without_votes_and_of_one_mind() -> None:
    found = dawid_skene(np.array([[1, 1], [0, 0], [NAN, NAN], [0, 0]]))
    assert np.isnan(found.p[2])
    assert found.p[0] > 0.5 > found.p[1]
    assert np.all((found.sensitivity < 1) & (found.specificity < 1))
    labelled = _frame([[1, 1], [0, 0], [NAN, NAN], [0, 0]], [NAN, NAN, 1, NAN])
    assert soft_labels(labelled, "dawid-skene")[2] == 1


def test_labels_against_their_votes_are_counted_among_those_with_both() -> None:
    assert explain_contradictions(FRAME).startswith("1 of 2 labels contradict the majority")
    assert explain_contradictions(FRAME.assign(label=np.nan)) == ""
