from __future__ import annotations

import json
from pathlib import Path

import pytest

from atypia.challenges.midog25.answers import write_answers
from atypia.challenges.midog25.protocol import evaluate_answers


def _stacks(folder: Path) -> Path:
    """Four figures of two tumours on two scanners; one atypical figure of the lung is missed."""
    table = folder / "figures.csv"
    table.write_text(
        "figure_id,image,slide,tumour,scanner,label,stack,page\n"
        "a,a.png,s1,lung,X,1,1,1\nb,b.png,s2,lung,Y,0,1,2\nc,c.png,s3,lung,X,1,1,3\n"
        "d,d.png,s4,breast,X,1,2,1\ne,e.png,s5,breast,Y,0,2,2\n"
    )
    write_answers(
        folder / "answers" / "1.json", [("atypical", 0.9), ("normal", 0.2), ("normal", 0.3)]
    )
    write_answers(folder / "answers" / "2.json", [("atypical", 0.8), ("normal", 0.4)])
    return table


def test_answers_are_judged_by_tumour_at_their_class(tmp_path: Path) -> None:
    table, out = _stacks(tmp_path), tmp_path / "report.html"
    judgement = evaluate_answers(tmp_path / "answers", table, out)
    domains = judgement.domains.frame.set_index("domain")["balanced_accuracy"]
    assert domains.to_dict() == {"breast": 1.0, "lung": 0.75}
    assert judgement.domains.summary.loc["balanced_accuracy", "mean"] == 0.875
    overall = judgement.overall
    assert overall.sensitivity == pytest.approx(2 / 3)
    assert overall.specificity == 1.0
    assert overall.balanced_accuracy == pytest.approx(5 / 6)
    assert overall.auroc == pytest.approx(5 / 6)  # 0.3 of an atypical figure lies below 0.4
    assert judgement.notes == ()
    written = json.loads((tmp_path / "report.metrics.json").read_text(encoding="utf-8"))
    assert written["facts"]["Protocol"] == "MIDOG 2025, track 2"


def test_the_confidence_of_the_class_is_noticed(tmp_path: Path) -> None:
    table = _stacks(tmp_path)
    write_answers(
        tmp_path / "answers" / "1.json", [("atypical", 0.6), ("normal", 0.8), ("normal", 0.7)]
    )
    write_answers(tmp_path / "answers" / "2.json", [("atypical", 0.6), ("normal", 0.9)])
    judgement = evaluate_answers(tmp_path / "answers", table, tmp_path / "report.html")
    assert "must be P(atypical)" in judgement.notes[-1]
