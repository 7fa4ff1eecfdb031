from __future__ import annotations

import numpy as np

from atypia.evaluation.plots import svg_uri
from atypia.evaluation.training_plots import gamma_plot

FOLDS = (np.arange(20.0).reshape(4, 5), 1 + np.arange(15.0).reshape(3, 5))


def test_the_gamma_plot_is_the_same_bytes_each_time() -> None:
    assert svg_uri(gamma_plot(FOLDS)) == svg_uri(gamma_plot(FOLDS))


def test_every_bin_is_named_and_drawn_as_the_mean_of_the_epochs_that_all_folds_have() -> None:
    axes = gamma_plot(FOLDS).axes[0]
    thick = [line for line in axes.get_lines() if line.get_linewidth() > 2]
    names = [line.get_label() for line in thick]
    assert names == ["1 (least confident)", "2", "3", "4", "5 (most confident)"]
    np.testing.assert_allclose(thick[0].get_xdata(), [1, 2, 3])
    np.testing.assert_allclose(thick[0].get_ydata(), [0.5, 5.5, 10.5])
    thin = [line for line in axes.get_lines() if line.get_linewidth() < 0.8]
    assert sorted(len(line.get_xdata()) for line in thin) == [3] * 5 + [4] * 5


def test_one_epoch_can_be_seen() -> None:
    axes = gamma_plot([np.ones((1, 2))]).axes[0]
    assert [line.get_marker() for line in axes.get_lines()[1:]] == ["o", "o"]
