"""The plot of a comparison: the difference of each arm to the arm it is compared with."""

from __future__ import annotations

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from atypia.evaluation.comparison import (
    HELD_OUT_AUROC,
    HELD_OUT_BA,
    LEFT_OUT_AUROC,
    LEFT_OUT_BA,
    ArmResult,
    Comparison,
    Measure,
)
from atypia.evaluation.plots import ATYPICAL, NORMAL, QUIET, STYLE, shorten_label

_PANELS = (HELD_OUT_BA, LEFT_OUT_BA, HELD_OUT_AUROC, LEFT_OUT_AUROC)
# Better and worse differ in shape as well as in colour.
_LOOKS = {"better": (NORMAL, "^"), "worse": (ATYPICAL, "v")}


def difference_plot(comparison: Comparison) -> Figure | None:
    """Return a forest plot, one row an arm and one panel a measure; None without differences."""
    arms = [
        arm for arm in comparison.arms if any(result.difference for result in arm.results.values())
    ]
    if not arms:
        return None
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(12.0, 1.7 + 0.36 * len(arms)), layout="constrained")
        panels = figure.subplots(1, len(_PANELS), sharex=True, sharey=True, squeeze=False)[0]
        for axes, measure in zip(panels, _PANELS, strict=True):
            _draw(axes, arms, measure)
        names = [shorten_label(f"{arm.name} (− {arm.against})") for arm in arms]
        panels[0].set_yticks(np.arange(len(arms)), names, fontsize=9)
        panels[0].set_ylim(len(arms) - 0.4, -0.6)
        figure.supxlabel(
            "difference with 95 % CI over cases and seeds (triangle: CI excludes zero)",
            fontsize=9.5,
        )
    return figure


def _draw(axes: Axes, arms: list[ArmResult], measure: Measure) -> None:
    axes.axvline(0, color=QUIET, linewidth=0.8, linestyle=(0, (2, 3)))
    for place, arm in enumerate(arms):
        difference = arm.results[measure.key].difference
        if difference is None:
            continue
        colour, marker = _LOOKS.get(difference.verdict, (QUIET, "o"))
        if difference.interval is not None:
            ends = (difference.interval.low, difference.interval.high)
            axes.hlines(place, *ends, color=colour, linewidth=1.6)
        axes.plot([difference.value], [place], marker, color=colour, markersize=6)
    scheme, _, metric = measure.title.partition(", ")
    axes.set_title(f"{metric}\n{scheme}", fontsize=10)
    axes.tick_params(axis="y", length=0)
    axes.tick_params(axis="x", labelsize=8.5)
