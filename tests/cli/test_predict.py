"""The verbs around a bundle, as a user meets them: output, exit codes, no traceback."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from atypia.cli import bundle, doctor, models
from atypia.cli.main import app
from atypia.cli.main import run as run_main
from atypia.data.predictions import read_predictions

RUNNER = CliRunner()


def call(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    """Run `atypia` as the shell does; return its exit code."""
    monkeypatch.setattr(sys, "argv", ["atypia", *map(str, arguments)])
    try:
        run_main()
    except SystemExit as end:
        return int(end.code or 0)
    return 0


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
        (["models", "show", "light"], "did you mean 'lite'?"),
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


def test_bundle_show_tells_operating_point_and_card(small_bundle: Path) -> None:
    shown = RUNNER.invoke(bundle.app, ["show", str(small_bundle)])
    assert shown.exit_code == 0
    for text in ("small", "8 um in 32 px", "0.2 to 0.3 um/px", "0.4 to 0.6", "No medical device"):
        assert text in shown.output


def test_bundle_verify_names_every_fault(small_bundle: Path, tmp_path: Path) -> None:
    assert RUNNER.invoke(bundle.app, ["verify", str(small_bundle)]).exit_code == 0
    folder = tmp_path / "changed"
    shutil.copytree(small_bundle, folder)
    with (folder / "card.md").open("a") as card:
        card.write("better than any other\n")
    (folder / "extra.txt").write_text("x")
    found = RUNNER.invoke(bundle.app, ["verify", str(folder)])
    assert found.exit_code == 1
    assert "card.md: has changed" in found.output
    assert "extra.txt: is not listed" in found.output


def test_models_are_listed_with_their_licence() -> None:
    shown = RUNNER.invoke(models.app, ["list"])
    assert shown.exit_code == 0
    assert "lite" in shown.output
    assert "Apache-2.0" in shown.output
    one = RUNNER.invoke(models.app, ["show", "lite"])
    assert "EfficientNet" in one.output
    assert r"conv_pwl?|conv_head" in one.output


def test_doctor_finds_nothing_broken_here() -> None:
    shown = RUNNER.invoke(app, ["doctor"])
    assert shown.exit_code == 0, shown.output
    assert "nothing is broken" in shown.output


def test_doctor_ends_with_1_and_the_fix_where_something_is_broken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 9, 0))
    shown = RUNNER.invoke(app, ["doctor"])
    assert shown.exit_code == 1
    assert "broken  Python 3.9.0 is too old" in shown.output
    assert "fix: make a virtual environment with Python 3.11 or newer" in shown.output
    assert "1 broken" in shown.output


def test_doctor_compares_packages_with_what_is_required() -> None:
    wanted = [
        "torch>=2.6",
        "numpy>=99",
        "no-such-package",
        'other-missing>=1; extra == "slides"',
        'winonly; sys_platform == "win32"',
    ]
    needed, slides = doctor.check_packages(wanted)
    assert needed.level == "broken"
    assert "numpy is " in needed.what
    assert "no-such-package is missing" in needed.what
    assert "torch" not in needed.what
    assert "winonly" not in needed.what
    assert slides.level == "ok"
    assert "other-missing is missing" in slides.what
    assert "atypia[slides]" in slides.fix


def test_doctor_sees_an_offline_hub_and_a_full_disk(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert doctor.check_hub().level == "note"
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    assert doctor.check_hub().level == "ok"
    usage = shutil.disk_usage(tmp_path)._replace(free=10**8)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    assert doctor.check_disk(tmp_path).level == "broken"


def test_help_of_these_verbs_needs_no_torch() -> None:
    code = (
        "import sys, atypia.cli.predict, atypia.cli.bundle, atypia.cli.models, atypia.cli.doctor;"
        "sys.exit(any(name in sys.modules for name in ('torch', 'pandas', 'numpy')))"
    )
    done = subprocess.run([sys.executable, "-c", code], env=os.environ, check=False)
    assert done.returncode == 0
