"""The verbs around a bundle, as a user meets them: output, exit codes, no traceback."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from atypia.cli.main import app
from atypia.data.predictions import read_predictions
from command import call

RUNNER = CliRunner()


def test_predict_says_where_the_table_lies(
    small_bundle: Path,
    crop_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "p.csv"
    arguments = ("--bundle", small_bundle, "--mpp", 0.25, "--out", out, "--threads", 1)
    assert call(monkeypatch, "predict", crop_folder, *arguments) == 0
    said = capsys.readouterr().out
    assert "12 of 12 figures classified: " in said
    assert "s reading, " in said
    assert f"wrote {out}" in said
    assert f"wrote {tmp_path / 'p.run.json'}" in said
    assert len(read_predictions(out)) == 12


def test_tasks_for_label_studio_hold_the_calls_of_the_table(
    small_bundle: Path, crop_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(crop_folder, tmp_path / "crops")
    table, tasks = tmp_path / "p.csv", tmp_path / "tasks.json"
    words = ("predict", tmp_path / "crops", "--bundle", small_bundle, "--mpp", 0.25, "--out")
    assert call(monkeypatch, *words, table) == 0
    assert call(monkeypatch, *words, tasks, "--format", "label-studio") == 0
    assert (tmp_path / "tasks.run.json").is_file()
    expected = read_predictions(table)
    found = json.loads(tasks.read_text())
    data = [task["data"] for task in found]
    assert [each["p_atypical"] for each in data] == pytest.approx(list(expected["p_atypical"]))
    assert [each["call"].lower() for each in data] == list(expected["call"])
    assert data[0]["image"] == "/data/local-files/?d=crops/1.png"
    assert call(monkeypatch, *words, tmp_path / "t.csv", "--format", "label-studio") == 2


def test_a_tables_columns_can_be_named_as_its_message_advises(
    small_bundle: Path,
    crop_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    shutil.copytree(crop_folder, tmp_path / "crops")
    table, out = tmp_path / "crops" / "t.csv", tmp_path / "p.csv"
    table.write_text("figure_id,Crop,mpp\n1,1.png,0.25\n2,2.png,0.25\n")
    command = ("predict", table, "--bundle", small_bundle, "--out", out)
    assert call(monkeypatch, *command) == 2
    assert "--column image=YOURS" in capsys.readouterr().err
    assert call(monkeypatch, *command, "--column", "image=Crop") == 0
    assert list(read_predictions(out)["image"]) == ["1.png", "2.png"]
    words = (crop_folder, "--bundle", small_bundle, "--out", out, "--column", "image=Crop")
    assert call(monkeypatch, "predict", *words) == 2
    assert "leave" in capsys.readouterr().err


def test_a_bad_image_is_one_line_and_exit_code_1(
    small_bundle: Path,
    crop_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "crops").mkdir()
    shutil.copy(crop_folder / "1.png", tmp_path / "crops")
    (tmp_path / "crops" / "2.png").write_bytes(b"")
    out = tmp_path / "p.csv"
    arguments = ("--bundle", small_bundle, "--out", out, "--threads", 1)
    assert call(monkeypatch, "predict", tmp_path / "crops", *arguments) == 1
    captured = capsys.readouterr()
    assert captured.err.count("2.png: the file is empty") == 1
    assert "warning: the mpp of 2 of 2 figures is not known" in captured.err
    assert "1 of 2 figures classified, 1 failed" in captured.out
    assert len(read_predictions(out)) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["predict", "nothing"], "nothing: there is no such file or folder"),
        (["bundle", "show", "nothing"], "nothing: is not a bundle"),
        (["bundle", "verify", "nothing"], "nothing: is not a bundle"),
        (["models", "show", "light"], "did you mean lite?"),
    ],
)
def test_a_users_mistake_is_one_line_and_exit_code_2(
    arguments: list[str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert call(monkeypatch, *arguments) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_wrong_usage_ends_with_2() -> None:
    assert RUNNER.invoke(app, ["predict", "x", "--device", "tpu"]).exit_code == 2
    assert RUNNER.invoke(app, ["predict", "x", "--threads", "0"]).exit_code == 2
    assert RUNNER.invoke(app, ["predict"]).exit_code == 2


def test_help_of_these_verbs_needs_no_torch() -> None:
    code = (
        "import sys, atypia.cli.predict, atypia.cli.bundle, atypia.cli.models, atypia.cli.doctor;"
        "sys.exit(any(name in sys.modules for name in ('torch', 'pandas', 'numpy')))"
    )
    done = subprocess.run([sys.executable, "-c", code], env=os.environ, check=False)
    assert done.returncode == 0
