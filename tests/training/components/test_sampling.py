"""An epoch holds what was promised."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import logit
from scipy.stats import chisquare

from atypia.training.components.sampling import (
    cell_shares,
    draw_epoch,
    figure_weights,
    prior_offsets,
)

DOMAIN = np.repeat([0, 1, 2], [600, 300, 100])
ATYPICAL = np.arange(1000) % 5 == 0


def _share(weights: np.ndarray, mask: np.ndarray) -> float:
    return float(weights[mask].sum())


def test_no_balance_leaves_the_data_as_they_are() -> None:
    weights = figure_weights(DOMAIN, ATYPICAL, class_balance=0, domain_balance=0)
    np.testing.assert_allclose(weights, 1 / 1000)


def test_full_balance_makes_classes_and_domains_alike() -> None:
    weights = figure_weights(DOMAIN, ATYPICAL, class_balance=1, domain_balance=1)
    for domain in range(3):
        assert _share(weights, domain == DOMAIN) == pytest.approx(1 / 3)
        assert _share(weights, (domain == DOMAIN) & ATYPICAL) == pytest.approx(1 / 6)


def test_half_balance_lies_between_by_the_square_root() -> None:
    weights = figure_weights(DOMAIN, ATYPICAL, class_balance=0, domain_balance=0.5)
    roots = np.sqrt([0.6, 0.3, 0.1])
    for domain, expected in enumerate(roots / roots.sum()):
        assert _share(weights, domain == DOMAIN) == pytest.approx(expected)


def test_a_domain_with_one_class_is_still_drawn() -> None:
    only_normal = ATYPICAL & (DOMAIN != 2)
    weights = figure_weights(DOMAIN, only_normal, class_balance=1, domain_balance=1)
    assert _share(weights, DOMAIN == 2) == pytest.approx(1 / 3)


def test_drawn_counts_are_within_one_of_the_promise() -> None:
    weights = figure_weights(DOMAIN, ATYPICAL, class_balance=0.7, domain_balance=0.3)
    drawn = draw_epoch(weights, 1500, np.random.default_rng(3))
    counts = np.bincount(drawn, minlength=1000)
    assert np.all(np.abs(counts - 1500 * weights) < 1)
    assert counts.sum() == 1500


def test_the_order_is_shuffled_and_repeats_with_the_seed() -> None:
    weights = np.full(50, 1 / 50)
    first = draw_epoch(weights, 50, np.random.default_rng(0))
    np.testing.assert_array_equal(first, draw_epoch(weights, 50, np.random.default_rng(0)))
    assert not np.array_equal(first, draw_epoch(weights, 50, np.random.default_rng(1)))
    assert not np.array_equal(first, np.arange(50))
    assert sorted(first) == list(range(50))


def test_printed_shares_name_every_cell() -> None:
    weights = figure_weights(DOMAIN, ATYPICAL, class_balance=0.5, domain_balance=0.5)
    shares = cell_shares(DOMAIN, ATYPICAL, weights, ["a", "b", "c"])
    assert len(shares) == 6
    assert shares["figures"].sum() == 1000
    assert shares["share"].sum() == pytest.approx(1)


def test_drawn_shares_match_the_printed_ones() -> None:
    weights = figure_weights(DOMAIN, ATYPICAL, class_balance=0.5, domain_balance=0.5)
    printed = cell_shares(DOMAIN, ATYPICAL, weights, ["a", "b", "c"])
    rng = np.random.default_rng(11)
    drawn = np.concatenate([draw_epoch(weights, 640, rng) for _ in range(20)])
    cells = 2 * DOMAIN[drawn] + ~ATYPICAL[drawn]
    counts = np.bincount(cells, minlength=6)
    assert chisquare(counts, printed["share"].to_numpy() * len(drawn)).pvalue > 0.01
    # The test would see a share that is off by a tenth.
    off = printed["share"].to_numpy() * np.array([1.1, 1, 1, 1, 1, 1])
    assert chisquare(counts, off / off.sum() * len(drawn)).pvalue < 0.01


def test_a_logit_is_free_of_the_prevalence_of_its_domain() -> None:
    domain = np.repeat([0, 1, 2], [4000, 4000, 1])
    target = np.where(np.arange(8001) % 10 < np.where(domain == 0, 2, 5), 1, 0).astype(np.float32)
    target[-1] = 1
    shares = np.full(8001, 1 / 8001)
    offsets = prior_offsets(domain, target, shares, 1.0)
    assert offsets.dtype == np.float32
    overall = logit(target.mean())
    assert offsets[0] == pytest.approx(logit(0.2) - overall, abs=0.01)
    assert offsets[4000] == pytest.approx(logit(0.5) - overall, abs=0.01)
    # One figure says little of its domain: twenty of the prevalence of all are added.
    few = logit((1 + 20 * target.mean()) / 21) - overall
    assert offsets[-1] == pytest.approx(few, abs=1e-4)
    np.testing.assert_allclose(prior_offsets(domain, target, shares, 0.5), offsets / 2, rtol=1e-5)
    assert not prior_offsets(domain, target, shares, 0.0).any()
    # Balanced classes have one prevalence, so there is nothing to take out.
    balanced = figure_weights(domain[:-1], target[:-1] > 0.5, class_balance=1, domain_balance=0)
    assert np.abs(prior_offsets(domain[:-1], target[:-1], balanced, 1.0)).max() < 1e-4


def test_a_domain_that_is_not_trained_on_has_no_prevalence() -> None:
    target = np.array([1, 0, 0, 1, 1], dtype=np.float32)
    shares = np.array([0.3, 0.3, 0.4, 0, 0])
    offsets = prior_offsets(np.array([0, 0, 0, 1, 1]), target, shares, 1.0)
    assert list(offsets[3:]) == [0, 0]
