"""The plot of a comparison: a row for each difference, or no plot."""

from __future__ import annotations

from atypia.evaluation.comparison import compare
from atypia.evaluation.comparison_plots import difference_plot
from atypia.evaluation.plots import svg_bytes


def test_the_picture_has_a_row_for_each_difference_and_is_the_same_each_time(comparison) -> None:
    drawn = difference_plot(comparison)
    labels = [label.get_text() for label in drawn.axes[0].get_yticklabels()]
    assert labels == ["better (− plain)", "worse (− plain)", "same (− plain)"]
    markers = [line.get_marker() for line in drawn.axes[0].lines[1:]]
    assert markers == ["^", "v", "o"]
    assert len(drawn.axes) == 4
    assert svg_bytes(drawn) == svg_bytes(difference_plot(comparison))


def test_without_any_difference_there_is_no_picture(figures, arms) -> None:
    assert difference_plot(compare(figures, {"plain": arms["plain"]}, {})) is None
