"""Figures as training sees them: targets from votes, domains, phases, groups."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from atypia.data.table import FigureTable, figures_from_frame
from atypia.training.figures import (
    fit_targets,
    training_figures,
)
from atypia.training.recipe import SoftLabelsSection
from small_training import small_recipe


def test_dawid_skene_is_fitted_on_training_figures_only(table: FigureTable) -> None:
    recipe = small_recipe("plain", "soft_labels.method=dawid-skene")
    figures = training_figures(table, recipe.soft_labels)
    rows = np.arange(24, 90)
    before = fit_targets(figures, rows, recipe.soft_labels)
    votes = figures.votes.copy()
    votes[:24] = 1 - votes[:24]
    after = fit_targets(replace(figures, votes=votes), rows, recipe.soft_labels)
    np.testing.assert_array_equal(before.target[rows], after.target[rows])
    assert np.any(before.target[rows] != figures.target[rows])


def _votes(tmp_path: Path, votes: list[list[float]], **columns: object) -> FigureTable:
    frame = pd.DataFrame(votes, columns=["vote_1", "vote_2", "vote_3"])
    count = len(frame)
    frame = frame.assign(
        figure_id=[f"f{row}" for row in range(count)],
        image=[f"f{row}.png" for row in range(count)],
        slide=[f"s{row}" for row in range(count)],
        laboratory=["b", "a"] * (count // 2),
        mpp=0.25,
    )
    return figures_from_frame(frame.assign(**columns), tmp_path)


VOTES = [[1, 1, 1], [1, 1, 0], [1, 0, 0], [0, 0, 0]]


def test_a_target_is_the_share_of_votes_drawn_towards_one_half_by_smoothing(tmp_path: Path) -> None:
    table = _votes(tmp_path, VOTES)
    figures = training_figures(table, SoftLabelsSection())
    np.testing.assert_allclose(figures.target, [1, 2 / 3, 1 / 3, 0], rtol=1e-6)
    np.testing.assert_array_equal(figures.unanimous, [True, False, False, True])
    np.testing.assert_array_equal(figures.truth, [1, 1, 0, 0])
    smoothed = training_figures(table, SoftLabelsSection(smoothing=0.1))
    np.testing.assert_allclose(smoothed.target, [0.9, 0.8 * 2 / 3 + 0.1, 0.8 / 3 + 0.1, 0.1])
    majority = training_figures(table, SoftLabelsSection(method="majority"))
    np.testing.assert_array_equal(majority.target, [1, 1, 0, 0])


def test_domains_are_numbered_by_their_sorted_names_with_those_to_adapt_to(tmp_path: Path) -> None:
    figures = training_figures(_votes(tmp_path, VOTES), SoftLabelsSection(), ["aa"])
    assert figures.domains == ["a", "aa", "b"]
    np.testing.assert_array_equal(figures.domain, [2, 0, 2, 0])
    np.testing.assert_array_equal(figures.cell, 2 * figures.domain + [1, 1, 0, 0])


def test_two_experts_phases_are_shares(tmp_path: Path) -> None:
    phases = {"phase_1": ["a", "a", "", ""], "phase_2": ["a", "b", "b", ""]}
    figures = training_figures(_votes(tmp_path, VOTES, **phases), SoftLabelsSection())
    assert figures.phases == ["a", "b"]
    np.testing.assert_array_equal(figures.phase, [[1, 0], [0.5, 0.5], [0, 1], [0, 0]])


def test_figures_that_name_no_slide_are_told_apart_by_case(tmp_path: Path) -> None:
    columns = {"slide": ["", "", "s", "s"], "case": ["c", "d", "e", "e"]}
    figures = training_figures(_votes(tmp_path, VOTES, **columns), SoftLabelsSection())
    assert len(np.unique(figures.slide)) == 3
