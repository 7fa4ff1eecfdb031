from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from atypia.bundle.seen import write_seen
from atypia.bundle.verify import write_sums
from atypia.data.readers.open_figures import open_figures
from atypia.data.votes import hard_labels
from atypia.errors import AtypiaError
from atypia.inference.options import PredictOptions
from atypia.workflows.evaluate import evaluate, evaluate_bundle


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
    written = json.loads((tmp_path / "judged" / "report.metrics.json").read_text(encoding="utf-8"))
    assert written["overall"]["balanced_accuracy"] == 1.0
    assert written["facts"]["Predictions"] == "predictions.csv"


def test_labels_against_their_votes_stand_in_the_report(tmp_path: Path) -> None:
    figures = tmp_path / "figures.csv"
    figures.write_text(
        "figure_id,image,slide,label,vote_a\na,a.png,s1,1,0\nb,b.png,s2,0,0\nc,c.png,s3,1,1\n"
    )
    _predict_right(open_figures(figures), tmp_path / "predictions.csv")
    judgement = evaluate(tmp_path / "predictions.csv", figures, tmp_path / "r.html")
    (note,) = (note for note in judgement.notes if "contradict" in note)
    assert note.startswith("1 of 3 labels contradict the majority of their votes")
    assert "1 of 3 labels contradict" in (tmp_path / "r.html").read_text(encoding="utf-8")


def test_a_bundle_that_is_judged_on_what_it_was_trained_on_is_noticed(
    small_bundle: Path, crop_folder: Path, tmp_path: Path
) -> None:
    bundle, figures = tmp_path / "bundle", crop_folder / "figures.csv"
    shutil.copytree(small_bundle, bundle)
    images = [f"{number}.png" for number in range(1, 13)]
    write_seen(bundle, ["members/0.safetensors"], [crop_folder / name for name in images[:5]])
    write_sums(bundle)
    rows = [f"f{n},{name},s{n},0.25,{n % 2}\n" for n, name in enumerate(images)]
    figures.write_text("figure_id,image,slide,mpp,label\n" + "".join(rows))
    try:
        options = PredictOptions(bundle=bundle, threads=1)
        judged, _ = evaluate_bundle(figures, tmp_path / "r.html", options=options)
        again = evaluate(tmp_path / "r.predictions.csv", figures, tmp_path / "s.html")
    finally:
        figures.unlink()
    for judgement in (judged, again):
        assert sum("was trained on 5 of these 12 figures" in note for note in judgement.notes) == 1


def test_a_record_that_names_no_bundle_does_not_end_the_evaluation(tmp_path: Path) -> None:
    figures = tmp_path / "figures.csv"
    figures.write_text("figure_id,image,slide,label\na,a.png,s1,1\nb,b.png,s2,0\nc,c.png,s3,1\n")
    _predict_right(open_figures(figures), tmp_path / "p.csv")
    record = {"bundle": "gone", "bundle_sha256": "0" * 64, "out": "p.csv"}
    (tmp_path / "p.run.json").write_text(json.dumps(record))
    assert evaluate(tmp_path / "p.csv", figures).overall.figures == 3


def test_what_was_noted_on_reading_a_table_appears_once(
    small_bundle: Path, crop_folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    figures = crop_folder / "figures.csv"
    rows = [f"f{n},{n}.png,s{n},{t},{n % 2}\n" for n, t in ((1, "Breast"), (2, "breast"))]
    figures.write_text("figure_id,image,slide,tumour,label\n" + "".join(rows))
    caplog.set_level("INFO", "atypia")
    options = PredictOptions(bundle=small_bundle, threads=1)
    try:
        judgement, record = evaluate_bundle(figures, tmp_path / "r.html", options=options, mpp=0.25)
    finally:
        figures.unlink()
    assert sum("column tumour" in note for note in judgement.notes) == 1
    assert "column tumour" not in caplog.text
    assert record.sources[0].path == str(figures)


def test_two_reports_in_one_folder_have_metrics_of_their_own_and_replace_nothing(
    tmp_path: Path,
) -> None:
    figures = tmp_path / "figures.csv"
    figures.write_text("figure_id,image,slide,label\na,a.png,s1,1\nb,b.png,s2,0\nc,c.png,s3,1\n")
    _predict_right(open_figures(figures), tmp_path / "p.csv")
    for name in ("first", "second"):
        evaluate(tmp_path / "p.csv", figures, tmp_path / f"{name}.html")
    assert (tmp_path / "first.metrics.json").is_file()
    (tmp_path / "third.metrics.json").write_text("mine")
    with pytest.raises(AtypiaError, match=r"third\.metrics\.json: was not written by atypia"):
        evaluate(tmp_path / "p.csv", figures, tmp_path / "third.html")
    assert not (tmp_path / "third.html").exists()
    with pytest.raises(AtypiaError, match="is an input of this run"):
        evaluate(tmp_path / "p.csv", figures.rename(tmp_path / "f.html"), tmp_path / "f.html")


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


def test_two_reports_in_one_folder_have_metrics_of_their_own(tmp_path: Path) -> None:
    figures = tmp_path / "figures.csv"
    figures.write_text(
        "figure_id,image,slide,label\na,a.png,s1,1\nb,b.png,s2,0\nc,c.png,s3,1\nd,d.png,s4,0\n"
    )
    _predict_right(open_figures(figures), tmp_path / "right.csv")
    wrong = pd.read_csv(tmp_path / "right.csv").assign(p_atypical=0.9, call="atypical")
    wrong.to_csv(tmp_path / "wrong.csv", index=False)
    for name in ("right", "wrong"):
        evaluate(tmp_path / f"{name}.csv", figures, tmp_path / f"{name}.html")
    accuracy = [
        json.loads((tmp_path / f"{name}.metrics.json").read_text(encoding="utf-8"))["overall"][
            "balanced_accuracy"
        ]
        for name in ("right", "wrong")
    ]
    assert accuracy == [1.0, 0.5]
