"""The tables of a comparison: every number, and the words for it."""

from __future__ import annotations

import pandas as pd

from ablation_arms import DOMAINS
from atypia.evaluation.comparison import MEASURES
from atypia.evaluation.comparison_tables import format_markdown, format_tables, tabulate_comparison


def test_the_table_holds_every_number_and_names_what_was_not_run(comparison) -> None:
    frame = tabulate_comparison(comparison).set_index("arm")
    assert list(frame.index) == ["plain", "better", "worse", "same", "nothing"]
    assert frame.loc["nothing", "seeds"] == 0 and pd.isna(frame.loc["nothing", "held_out_ba"])
    better = next(arm for arm in comparison.arms if arm.name == "better")
    for measure in MEASURES:
        reached = better.results[measure.key]
        assert frame.loc["better", measure.key] == reached.mean
        assert frame.loc["better", f"{measure.key}_low"] == reached.difference.interval.low
        assert frame.loc["better", f"{measure.key}_verdict"] == "better"
    text = format_markdown(comparison, "Title", {"Seeds": "0, 1"})
    assert text.startswith("# Title\n\n- Seeds: 0, 1\n")
    assert "| better (against plain) | 2 |" in text
    assert "no difference seen" in text and "not run yet: nothing" in text
    assert len({line.count("|") for line in text.split("##")[1].splitlines() if "|" in line}) == 1


def test_differences_are_written_with_sign_and_without_leading_zero(comparison) -> None:
    rows = {row.name: row for row in format_tables(comparison)[1].rows}
    same = rows["same"].measures[0]
    assert same.difference == "+.000 [+.000, +.000]"
    assert rows["worse"].measures[0].difference.startswith("-.")
    assert rows["plain"].measures[0].difference == ""
    assert rows["plain"].worst[:2] == "0." and rows["plain"].worst_domain in DOMAINS


def test_a_notebook_shows_a_row_an_arm(comparison) -> None:
    assert repr(comparison).startswith("Comparison of 4 arms on 900 figures, balanced accuracy in")
    shown = comparison._repr_html_()
    assert [name for name in ("plain", "better", "worse", "same") if f">{name}<" in shown] == [
        "plain", "better", "worse", "same",
    ]  # fmt: skip
    assert "nan" not in shown.lower()
