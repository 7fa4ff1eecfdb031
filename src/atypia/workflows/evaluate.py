"""Judge a predictions table against figures: report and metrics, written side by side."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from atypia.data.readers.opening import open_figures
from atypia.errors import AtypiaError
from atypia.evaluation.judge import Judgement, judge
from atypia.evaluation.predictions import read_predictions
from atypia.evaluation.report import write_report
from atypia.files import sha256, write_text

METRICS_NAME = "metrics.json"


def evaluate(
    predictions: Path | str,
    source: Path | str,
    out: Path | str,
    *,
    layout: str | None = None,
    mapping: Mapping[str, str] | None = None,
    title: str = "How well atypical mitotic figures are told apart",
) -> Judgement:
    """Judge predictions and write a report, with `metrics.json` beside it.

    Args:
        predictions: a predictions table (CSV, Parquet or JSON).
        source: the figures with labels or votes: a figure table or a folder in a known layout.
        out: the report to write, ending in .html.
        layout: the layout of `source`, where it is not to be found out.
        mapping: our column name -> theirs, for a table with other names.
        title: the report's heading.

    Returns:
        The judgement that both files hold.

    Raises:
        TableError: a table is faulty, or they have no figure in common.
        AtypiaError: `out` does not end in .html, or cannot be written.
    """
    predictions, source, out = Path(predictions), Path(source), Path(out)
    if out.suffix.lower() not in (".html", ".htm"):
        raise AtypiaError(f"{out}: a report is one HTML file; give a name ending in .html")
    predicted = read_predictions(predictions)
    table = open_figures(source, layout=layout, mapping=mapping)
    judgement = judge(predicted, table)
    facts = {
        "Predictions": predictions.name,
        "SHA-256 of the predictions": sha256(predictions)[:16],
        "Figures": source.name or str(source),
        "Judged on": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    }
    write_report(out, judgement, table, title=title, facts=facts)
    write_text(
        out.with_name(METRICS_NAME),
        json.dumps({"facts": facts, **judgement.to_dict()}, indent=2, ensure_ascii=False) + "\n",
    )
    return judgement
