from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from atypia.data.readers.opening import open_figures
from atypia.data.votes import hard_labels
from atypia.errors import AtypiaError
from atypia.workflows.evaluate import evaluate


def _predict_right(table, path: Path) -> None:
    truth = hard_labels(table.frame)
    pd.DataFrame(
        {
            "figure_id": table.frame["figure_id"],
            "p_atypical": np.where(truth == 1, 0.9, 0.1),
            "call": np.where(truth == 1, "atypical", "normal"),
        }
    ).to_csv(path, index=False)


def test_report_and_metrics_lie_side_by_side(tmp_path: Path) -> None:
    figures = tmp_path / "figures.csv"
    figures.write_text(
        "figure_id,image,slide,label\na,a.png,s1,1\nb,b.png,s2,0\nc,c.png,s3,1\nd,d.png,s4,0\n"
    )
    _predict_right(open_figures(figures), tmp_path / "predictions.csv")
    out = tmp_path / "judged" / "report.html"
    judgement = evaluate(tmp_path / "predictions.csv", figures, out)
    assert judgement.overall.balanced_accuracy == 1.0
    assert out.read_text(encoding="utf-8").startswith("<!doctype html>")
    written = json.loads((tmp_path / "judged" / "metrics.json").read_text(encoding="utf-8"))
    assert written["overall"]["balanced_accuracy"] == 1.0
    assert written["facts"]["Predictions"] == "predictions.csv"


def test_a_report_that_would_not_open_is_refused_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(AtypiaError, match=r"ending in \.html"):
        evaluate(tmp_path / "none.csv", tmp_path / "none.csv", tmp_path / "report.pdf")


def test_the_real_figures_are_judged(ami_br: Path, tmp_path: Path) -> None:
    table = open_figures(ami_br)
    _predict_right(table, tmp_path / "predictions.csv")
    judgement = evaluate(tmp_path / "predictions.csv", ami_br, tmp_path / "report.html")
    assert (judgement.overall.figures, judgement.overall.atypical) == (2894, 648)
    assert judgement.cases == 146
    assert judgement.domains.counted == 6
    assert judgement.overall.auroc == 1.0
    assert (tmp_path / "report.html").stat().st_size < 6_000_000
