"""A comparison as a data frame, in words, and as Markdown."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import pandas as pd

from atypia.data.domains import short_domain_names
from atypia.data.table_checks import format_count
from atypia.evaluation.comparison import (
    HELD_OUT_AUROC,
    HELD_OUT_BA,
    LEFT_OUT_AUROC,
    LEFT_OUT_BA,
    MEASURES,
    ArmResult,
    Comparison,
    Measure,
    MeasureResult,
)
from atypia.evaluation.markdown import markdown_table, plain_markdown

WHAT_DIFFERENCES_ARE = (
    "mean ± standard deviation over seeds; differences are to the arm named, paired, with a 95 % "
    "bootstrap interval over cases and seeds: better or worse where it excludes zero, else no "
    "difference was seen"
)


@dataclass(frozen=True)
class MeasureText:
    """What an arm reaches, in words: the mean and its spread, the difference, the verdict."""

    value: str
    difference: str
    verdict: str


@dataclass(frozen=True)
class ArmText:
    """A row: the arm, the one it is compared with ("" for none), balanced accuracy and AUROC.

    With held-out folds, `worst` (the lowest balanced accuracy of a domain) and `worst_domain` are
    "".
    """

    name: str
    against: str
    seeds: int
    measures: tuple[MeasureText, ...]
    worst: str = ""
    worst_domain: str = ""


@dataclass(frozen=True)
class TableText:
    """One scheme of a comparison in words."""

    title: str
    rows: tuple[ArmText, ...]


def tabulate_comparison(comparison: Comparison) -> pd.DataFrame:
    """Return all numbers, one row an arm; arms that were not run have 0 seeds and no numbers."""
    rows = [_list_numbers(arm) for arm in comparison.arms]
    rows += [{"arm": name, "seeds": 0} for name in comparison.not_run]
    columns = ["arm", "seeds", "against"]
    for measure in MEASURES:
        names = ["", "_sd", "_difference", "_low", "_high", "_verdict"]
        names += ["_worst_domain", "_worst"] if measure.domains else []
        columns += [measure.key + name for name in names]
    return pd.DataFrame(rows, columns=columns)


def format_tables(comparison: Comparison) -> tuple[TableText, TableText]:
    """Return the tables of held-out folds and of left-out domains, in words."""
    short = short_domain_names([*comparison.domains, *comparison.one_class])
    held_out, left_out = [], []
    for arm in comparison.arms:
        held_out.append(_format_arm(arm, (HELD_OUT_BA, HELD_OUT_AUROC)))
        lowest = arm.results[LEFT_OUT_BA.key]
        row = _format_arm(arm, (LEFT_OUT_BA, LEFT_OUT_AUROC))
        left_out.append(
            replace(row, worst=f"{lowest.worst:.3f}", worst_domain=short[lowest.worst_domain])
        )
    domains = format_count(len(comparison.domains), "domain")
    return (
        TableText("Held-out folds: new slides of known domains", tuple(held_out)),
        TableText(f"Leave-one-domain-out: mean over {domains}", tuple(left_out)),
    )


def explain_comparison(comparison: Comparison) -> list[str]:
    """Return what a reader of the tables must know beside the numbers, one line each."""
    notes = [WHAT_DIFFERENCES_ARE]
    if comparison.one_class:
        notes.append(
            "domains with one class only, excluded from the mean: "
            + "; ".join(comparison.one_class)
        )
    if comparison.never_held_out:
        notes.append(
            f"{format_count(comparison.never_held_out, 'figure')} held out by no run that knew "
            "their domain: evaluated in leave-one-domain-out only"
        )
    if comparison.not_run:
        notes.append(f"not run yet: {'; '.join(comparison.not_run)}")
    return notes


def format_markdown(comparison: Comparison, title: str, facts: Mapping[str, str]) -> str:
    """Return both tables as Markdown, with a list of facts before and the notes after them.

    Args:
        comparison: of the arms.
        title: plain text.
        facts: name -> Markdown.
    """
    lines = [
        f"# {plain_markdown(title)}",
        "",
        *(f"- {name}: {text}" for name, text in facts.items()),
    ]
    for table in format_tables(comparison):
        worst = any(row.worst for row in table.rows)
        heads = ["arm", "seeds", "BA", "difference", "AUROC", "difference"]
        heads += ["worst domain, BA"] if worst else []
        rows = []
        for row in table.rows:
            name = row.name + (f" (against {row.against})" if row.against else "")
            cells = [plain_markdown(name), str(row.seeds)]
            for measure in row.measures:
                cells += [measure.value, f"{measure.difference} {measure.verdict}".strip()]
            cells += [f"{row.worst} {plain_markdown(row.worst_domain)}"] if worst else []
            rows.append(cells)
        lines += ["", f"## {table.title}", "", markdown_table(heads, rows)]
    notes = map(plain_markdown, explain_comparison(comparison))
    lines += ["", *(f"- {note}" for note in notes)]
    return "\n".join(lines) + "\n"


def _list_numbers(arm: ArmResult) -> dict[str, object]:
    row: dict[str, object] = {"arm": arm.name, "seeds": len(arm.seeds), "against": arm.against}
    for measure in MEASURES:
        reached = arm.results[measure.key]
        values: dict[str, object] = {"": reached.mean, "_sd": reached.sd}
        values |= {"_worst_domain": reached.worst_domain, "_worst": reached.worst}
        difference = reached.difference
        if difference is not None:
            values |= {"_difference": difference.value, "_verdict": difference.verdict}
            if difference.interval is not None:
                values |= {"_low": difference.interval.low, "_high": difference.interval.high}
        row |= {measure.key + name: value for name, value in values.items()}
    return row


def _format_arm(arm: ArmResult, measures: Sequence[Measure]) -> ArmText:
    measures_text = tuple(_format_result(arm.results[measure.key]) for measure in measures)
    return ArmText(arm.name, arm.against or "", len(arm.seeds), measures_text)


def _format_result(reached: MeasureResult) -> MeasureText:
    value = f"{reached.mean:.3f}" + ("" if math.isnan(reached.sd) else f" ± {reached.sd:.3f}")
    if reached.difference is None:
        return MeasureText(value, "", "")
    interval = reached.difference.interval
    ends = (
        ""
        if interval is None
        else f" [{_format_signed(interval.low)}, {_format_signed(interval.high)}]"
    )
    difference = _format_signed(reached.difference.value) + ends
    return MeasureText(value, difference, reached.difference.verdict)


def _format_signed(value: float) -> str:
    """Return three decimals without the leading zero: a difference lies far within 1."""
    return f"{value:+.3f}".replace("0.", ".", 1)
