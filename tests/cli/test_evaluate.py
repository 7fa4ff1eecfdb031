from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from atypia.cli.main import app


def test_the_summary_is_printed_and_says_where_the_report_lies(tmp_path: Path) -> None:
    (tmp_path / "figures.csv").write_text(
        "figure_id,image,slide,scanner,label\n"
        "a,a.png,s1,[red]A,1\nb,b.png,s2,[red]A,0\nc,c.png,s3,B,1\nd,d.png,s4,B,0\n"
    )
    (tmp_path / "predictions.csv").write_text(
        "figure_id,p_atypical,call\na,0.9,atypical\nb,0.2,normal\nc,0.3,normal\nx,0.1,normal\n"
    )
    out = tmp_path / "report.html"
    result = CliRunner().invoke(
        app,
        [
            "evaluate",
            str(tmp_path / "predictions.csv"),
            "--table",
            str(tmp_path / "figures.csv"),
            "--out",
            str(out),
        ],
    )
    assert result.exit_code == 0, result.output
    assert "[red]A" in result.output
    assert "0.750" in result.output  # one of two atypical figures found, no false alarm
    assert "–" in result.output  # scanner B has one class
    assert "1 figures predicted but not in the figure table" in result.output
    assert f"wrote {out}" in result.output
    assert (tmp_path / "report.metrics.json").is_file()


def test_a_challenges_answers_are_judged_by_its_protocol(tmp_path: Path) -> None:
    (tmp_path / "figures.csv").write_text(
        "figure_id,image,slide,tumour,label\na,a.png,s1,lung,1\nb,b.png,s2,lung,0\n"
    )
    answers = tmp_path / "answers.json"
    answers.write_text(
        '[{"class": "atypical", "confidence": 0.9}, {"class": "normal", "confidence": 0.2}]'
    )
    options = ["--protocol", "midog25-t2", "--table", tmp_path / "figures.csv"]
    command = [answers, *options, "--out", tmp_path / "report.html"]
    result = CliRunner().invoke(app, ["evaluate", *map(str, command)])
    assert result.exit_code == 0, result.output
    assert "lung" in result.output
    assert "1.000" in result.output


def test_without_predictions_the_bundle_classifies_the_figures_first(
    small_bundle: Path, crop_folder: Path, tmp_path: Path
) -> None:
    rows = [f"{number},{number}.png,s{number % 4},0.25,{number % 2}" for number in range(1, 13)]
    shutil.copytree(crop_folder, tmp_path / "crops")
    table = tmp_path / "crops" / "judged.csv"
    table.write_text("figure_id,image,slide,mpp,label\n" + "\n".join([*rows, "x,x.png,s1,0.25,1"]))
    out = tmp_path / "judged" / "report.html"
    out.parent.mkdir()
    others = out.with_name("predictions.csv")
    others.write_text("what `atypia predict` wrote")
    command = ["--table", table, "--bundle", small_bundle, "--out", out]
    result = CliRunner().invoke(app, ["evaluate", *map(str, command)])
    assert result.exit_code == 1, result.output  # x.png is not there, and is named
    assert "x.png" in result.output
    predictions = pd.read_csv(out.with_name("report.predictions.csv"))
    assert list(predictions["figure_id"]) == list(range(1, 13))
    assert others.read_text() == "what `atypia predict` wrote"
    metrics = json.loads(out.with_name("report.metrics.json").read_text(encoding="utf-8"))
    assert metrics["overall"]["figures"] == 12


def test_columns_mpp_and_how_the_bundle_runs_can_be_given(
    small_bundle: Path, crop_folder: Path, tmp_path: Path
) -> None:
    shutil.copytree(crop_folder, tmp_path / "crops")
    table, out = tmp_path / "crops" / "judged.csv", tmp_path / "report.html"
    rows = [f"{number},{number}.png,s{number % 4},{number % 2}" for number in range(1, 13)]
    table.write_text("Name,Image,slide,label\n" + "\n".join(rows))
    options = ["--column", "image=Image", "--column", "figure_id=Name", "--mpp", "0.25"]
    running = ["--members", "1", "--runtime", "torch", "--device", "cpu", "--batch-size", "5"]
    command = ["--table", table, "--bundle", small_bundle, "--out", out, *options, *running]
    result = CliRunner().invoke(app, ["evaluate", *map(str, command)])
    assert result.exit_code == 0, result.output
    assert "is assumed" not in result.output
    record = json.loads(out.with_name("report.predictions.run.json").read_text(encoding="utf-8"))
    assert (record["members"], record["batch_size"], record["mpp_given"]) == (1, 5, 0.25)


@pytest.mark.parametrize(
    "option",
    [
        ("--bundle", "b"),
        ("--weights", "w"),
        ("--mpp", "0.25"),
        ("--device", "cpu"),
        ("--precision", "fp32"),
        ("--runtime", "torch"),
        ("--threads", "1"),
        ("--members", "1"),
        ("--batch-size", "8"),
        ("--prevalence", "0.2"),
    ],
    ids=lambda option: option[0],
)
def test_an_option_that_would_do_nothing_with_predictions_is_refused(
    option: tuple[str, str], tmp_path: Path
) -> None:
    command = [tmp_path / "p.csv", "--table", tmp_path / "t.csv", *option]
    result = CliRunner().invoke(app, ["evaluate", *map(str, command)])
    message = str(result.exception)
    assert message.startswith(" ".join(option))
    assert f"leave out {option[0]} or " in message
