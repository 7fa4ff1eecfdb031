"""Nearest figures of other slides: exact, and never of the same slide."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics.pairwise import cosine_similarity

from atypia.evaluation.neighbours import find_neighbours


def test_they_are_those_of_sklearn_without_the_own_slide() -> None:
    rng = np.random.default_rng(0)
    known = rng.normal(size=(60, 8)).astype(np.float32)
    slides = np.array([f"s{number % 7}" for number in range(60)], dtype=object)
    rows, cosines = find_neighbours(known[:10], known, slides[:10], slides, 3)
    expected = cosine_similarity(known[:10], known)
    for place in range(10):
        allowed = np.flatnonzero(slides != slides[place])
        best = allowed[np.argsort(-expected[place, allowed])[:3]]
        np.testing.assert_array_equal(rows[place], best)
        assert cosines[place] == pytest.approx(expected[place, best], abs=1e-5)


def test_where_there_are_too_few_the_rest_is_empty() -> None:
    known = np.eye(3, dtype=np.float32)
    slides = np.array(["a", "a", "b"], dtype=object)
    rows, cosines = find_neighbours(known[:1], known, slides[:1], slides, 2)
    assert rows.tolist() == [[2, -1]]
    assert np.isnan(cosines[0, 1])
    none = np.empty((0, 3), dtype=np.float32)
    rows, _ = find_neighbours(known[:1], none, slides[:1], np.empty(0, dtype=object), 2)
    assert rows.tolist() == [[-1, -1]]
