"""Gamma follows the calibration of each confidence bin."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from atypia.training.components.adaptive_gamma import (
    BOUNDS,
    HIGHEST,
    LOWEST,
    SWITCH,
    AdaptiveGamma,
)
from atypia.training.components.focal import FocalSection
from atypia.training.components.sampling import mixture_weights

SECTION = FocalSection(gamma=1.0, adaptive=True, bins=2, rate=1.0)


def _held_back(accuracy: float, confidence: float, count: int = 200) -> tuple[np.ndarray, ...]:
    """p, target, weight: half is called atypical, half normal; a share of both calls is right."""
    p = np.where(np.arange(count) % 2 == 0, confidence, 1 - confidence)
    right = (np.arange(count) // 2) < accuracy * count / 2
    called = p >= 0.5
    return p, np.where(right, called, ~called).astype(float), np.ones(count)


def test_it_rises_on_an_over_confident_bin_and_falls_on_an_under_confident_one() -> None:
    adaptive = AdaptiveGamma(SECTION)
    unsure, sure = _held_back(0.9, 0.6), _held_back(0.7, 0.95)
    parts = zip(unsure, sure, strict=True)
    error = adaptive.update(*(np.concatenate(pair) for pair in parts))
    assert error == pytest.approx([0.6 - 0.9, 0.95 - 0.7], abs=1e-9)
    assert adaptive.gamma == pytest.approx(np.exp(error))
    assert adaptive.gamma[0] < 1 < adaptive.gamma[1]


def test_lasting_under_confidence_turns_it_negative_and_over_confidence_back() -> None:
    adaptive = AdaptiveGamma(FocalSection(gamma=0.5, adaptive=True, bins=2, rate=3.0))
    seen = []
    for _ in range(12):
        adaptive.update(*_held_back(1.0, 0.6))
        seen.append(adaptive.gamma[-1])
    assert min(seen) >= LOWEST
    assert seen[-1] == pytest.approx(LOWEST)
    assert np.all(np.diff(seen) <= 0)
    for _ in range(12):
        adaptive.update(*_held_back(0.5, 0.99))
    assert adaptive.gamma[-1] > 1
    for _ in range(12):
        adaptive.update(*_held_back(0.5, 0.99))
    assert adaptive.gamma[-1] <= HIGHEST


def test_it_never_rests_between_minus_and_plus_the_switching_size() -> None:
    adaptive = AdaptiveGamma(FocalSection(gamma=0.0, adaptive=True, bins=3))
    rng = np.random.default_rng(0)
    for _ in range(30):
        adaptive.update(rng.random(90), rng.random(90), rng.random(90))
        assert np.all(np.abs(adaptive.gamma) >= SWITCH - 1e-12)


def test_a_figure_takes_the_gamma_of_its_confidence_whichever_class_it_is_called() -> None:
    adaptive = AdaptiveGamma(SECTION)
    adaptive.edges, adaptive.gamma = np.array([0.8]), np.array([0.3, 4.0])
    p = torch.tensor([0.55, 0.45, 0.75, 0.9, 0.1, 0.99])
    found = adaptive.for_logits(torch.logit(p).requires_grad_())
    assert found.tolist() == pytest.approx([0.3, 0.3, 0.3, 4.0, 4.0, 4.0])
    assert not found.requires_grad


def test_soft_targets_count_as_shares_of_right_calls() -> None:
    adaptive = AdaptiveGamma(SECTION)
    error = adaptive.update(
        np.array([0.7, 0.7, 0.3, 0.3]), np.array([2 / 3, 1, 1 / 3, 0]), np.ones(4)
    )
    # All of one confidence: they fall into the upper bin, the lower one is empty.
    assert error == pytest.approx([0, 0.7 - (2 / 3 + 1 + 2 / 3 + 1) / 4])


def test_a_network_calibrated_on_balanced_classes_is_not_over_confident() -> None:
    """One figure in five is atypical, training draws both classes alike: p = 1/2 is then right."""
    atypical = np.arange(100) % 5 == 0
    p = np.full(100, 0.501)
    drawn = np.where(atypical, 1 / 20, 1 / 80)  # of the hundred that are trained on
    weight = mixture_weights(drawn, atypical, np.arange(100))
    error = AdaptiveGamma(SECTION).update(p, atypical.astype(float), weight)
    assert np.abs(error).max() < 0.01
    as_they_are = AdaptiveGamma(SECTION).update(p, atypical.astype(float), np.ones(100))
    assert as_they_are.max() == pytest.approx(0.501 - 0.2)


def test_weights_count_a_class_as_training_does_whichever_figures_are_at_hand() -> None:
    atypical = np.array([True, False, False, False, True, False])
    counted = np.array([0.3, 0.1, 0.1, 0.1, 0.0, 0.0])
    weight = mixture_weights(counted, atypical, np.array([4, 5]))
    assert weight == pytest.approx([0.3, 0.3])
    assert mixture_weights(counted, atypical, np.array([1, 2, 4])) == pytest.approx(
        [0.15, 0.15, 0.3]
    )


def test_the_state_is_kept() -> None:
    one, other = AdaptiveGamma(SECTION), AdaptiveGamma(SECTION)
    one.update(*_held_back(0.6, 0.9))
    other.load_state(one.state())
    np.testing.assert_array_equal(one.gamma, other.gamma)
    np.testing.assert_array_equal(one.edges, other.edges)


def test_bounded_it_begins_at_cross_entropy_moves_by_the_error_and_stays_within() -> None:
    section = FocalSection(gamma=0.0, adaptive=True, bins=2, rate=2.0, update="bounded")
    adaptive = AdaptiveGamma(section)
    assert list(adaptive.gamma) == [0, 0]
    unsure, sure = _held_back(0.9, 0.6), _held_back(0.7, 0.95)
    both = [np.concatenate(pair) for pair in zip(unsure, sure, strict=True)]
    adaptive.update(*both)
    assert adaptive.gamma == pytest.approx([-0.5, 0.5])  # 2 x -0.3 is beyond, 2 x 0.25 is not
    adaptive.update(*both)
    adaptive.update(*both)
    assert list(adaptive.gamma) == list(BOUNDS)


def test_bounded_it_stays_where_the_error_is_within_its_noise() -> None:
    section = FocalSection(gamma=0.3, adaptive=True, bins=2, rate=2.0, update="bounded")
    few, many = AdaptiveGamma(section), AdaptiveGamma(section)
    few.update(*_held_back(0.75, 0.8, count=24))
    assert list(few.gamma) == [0.3, 0.3]
    many.update(*_held_back(0.75, 0.8, count=2400))
    assert many.gamma[-1] == pytest.approx(0.4)
