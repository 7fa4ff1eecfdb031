"""The pictures of what a training did."""

from __future__ import annotations

import math
from collections.abc import Sequence

import matplotlib
import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from atypia.evaluation.plots import QUIET, STYLE, canvas

_IN_A_ROW = 5


def gamma_plot(gammas: Sequence[npt.NDArray[np.float64]]) -> Figure:
    """Return the gamma of each confidence bin over epochs: folds thin, their mean thick.

    The mean ends where the shortest fold does.

    Args:
        gammas: one a fold, at least one, float64 (epochs, bins), least confident bin first; folds
            may differ in epochs.
    """
    bins = gammas[0].shape[1]
    shared = min(len(fold) for fold in gammas)
    mean = np.mean([fold[:shared] for fold in gammas], axis=0)
    with matplotlib.rc_context(STYLE):
        # Cividis is told apart without colour vision; its palest end would be lost on white.
        colours = matplotlib.colormaps["cividis"](np.linspace(0.0, 0.88, bins))
        rows = math.ceil(bins / _IN_A_ROW)
        figure, axes = canvas(7.6, 4.2 + 0.22 * rows)
        axes.axhline(0, color=QUIET, linewidth=0.8, linestyle=(0, (2, 3)))
        for each, colour in enumerate(colours):
            for fold in gammas if len(gammas) > 1 else ():
                epochs = np.arange(1, len(fold) + 1)
                axes.plot(epochs, fold[:, each], color=colour, linewidth=0.7, alpha=0.45)
            axes.plot(
                np.arange(1, shared + 1),
                mean[:, each],
                color=colour,
                linewidth=2.2,
                marker="o" if shared == 1 else None,
                label=_bin_name(each, bins),
            )
        axes.set(xlabel="epoch", ylabel="gamma after the epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        figure.legend(loc="outside lower center", fontsize=9, ncols=min(bins, _IN_A_ROW))
    return figure


def _bin_name(number: int, bins: int) -> str:
    if number == 0:
        return "1 (least confident)"
    return f"{bins} (most confident)" if number == bins - 1 else f"{number + 1}"
