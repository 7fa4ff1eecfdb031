"""Hard negatives: who is mined, and what that does to an epoch."""

from __future__ import annotations

import numpy as np
import pytest

from atypia.training.components.hard_negatives import HardNegatives, HardNegativesSection

SECTION = HardNegativesSection(oversampling=3, share=0.25, momentum=0.5)


def test_the_top_share_of_the_unanimous_is_mined_hardest_first() -> None:
    mining = HardNegatives(SECTION, np.array([3, 5, 7, 9, 11]), np.array([1, 1, 0, 1, 1], bool))
    assert not len(mining.mined)
    mining.update(np.array([0.2, 0.7, 0.99, 0.4, 0.1]))
    np.testing.assert_array_equal(mining.mined, [5])
    # 7 looks most atypical, but its votes are split: it may be a mistake of the experts.
    assert 7 not in mining.mined


def test_one_unlucky_look_does_not_decide() -> None:
    mining = HardNegatives(SECTION, np.arange(4), np.ones(4, bool))
    for _ in range(3):
        mining.update(np.array([0.8, 0.1, 0.1, 0.1]))
    mining.update(np.array([0.5, 0.9, 0.1, 0.1]))
    assert mining.score == pytest.approx([0.65, 0.5, 0.1, 0.1])
    np.testing.assert_array_equal(mining.mined, [0])


def test_mined_figures_are_drawn_more_often_within_their_cell_alone() -> None:
    weights = np.array([0.1, 0.1, 0.1, 0.1, 0.3, 0.3])
    cells = np.array([0, 0, 0, 0, 1, 3])
    mining = HardNegatives(SECTION, np.arange(4), np.ones(4, bool))
    mining.update(np.array([0.9, 0.1, 0.2, 0.3]))
    sharp = mining.sharpen(weights, cells)
    np.testing.assert_allclose(np.bincount(cells, sharp), np.bincount(cells, weights))
    assert sharp[0] / sharp[1] == pytest.approx(3)
    np.testing.assert_allclose(sharp[4:], 0.3)
    np.testing.assert_allclose(sharp[1:4], sharp[1])


def test_a_figure_that_is_not_drawn_stays_out() -> None:
    mining = HardNegatives(SECTION, np.arange(1, 4), np.ones(3, bool))
    mining.update(np.array([0.9, 0.1, 0.1]))
    sharp = mining.sharpen(np.array([0.0, 0.2, 0.2, 0.2, 0.0]), np.array([0, 0, 0, 0, 5]))
    assert sharp[0] == sharp[4] == 0


def test_the_state_is_kept() -> None:
    one = HardNegatives(SECTION, np.arange(4), np.ones(4, bool))
    one.update(np.array([0.9, 0.1, 0.2, 0.3]))
    other = HardNegatives(SECTION, np.arange(4), np.ones(4, bool))
    other.load_state(one.state())
    np.testing.assert_array_equal(other.mined, one.mined)
