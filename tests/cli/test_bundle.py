"""`atypia bundle`: export, and its use by `atypia predict`; show and verify."""

from __future__ import annotations

import importlib.util
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from atypia.bundle.verify import write_sums
from atypia.cli.main import app, run
from atypia.files import NOTES_FOLDER
from atypia.inference.exported import exported_path
from atypia.inference.runtimes import base


@pytest.fixture
def atypia(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable:
    """Run the command in this process; return exit code, what is printed, what is told."""

    def command(*arguments: str | Path) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["atypia", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            run()
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.out, printed.err

    return command


@pytest.fixture
def bundle(small_bundle: Path, tmp_path: Path) -> Path:
    """A copy that a test may spoil."""
    shutil.copytree(small_bundle, tmp_path / "bundle")
    return tmp_path / "bundle"


def test_predict_takes_the_exported_file_and_warns_in_a_line_once_it_is_stale(
    atypia: Callable, exported_copy: Path, crop_folder: Path, tmp_path: Path
) -> None:
    bundle, path = exported_copy, exported_path(exported_copy)
    out = tmp_path / "p.csv"
    predict = ("predict", crop_folder, "--bundle", bundle, "--mpp", "0.25", "--out", out)
    predict += ("--precision", "fp32")  # where bf16 is fast, another runtime is the fastest

    def runtime() -> str:
        return str(json.loads(out.with_suffix(".run.json").read_text())["runtime"])

    for asked in ("auto", "onnx"):
        code, printed, told = atypia(*predict, "--runtime", asked)
        assert code == 0
        assert runtime().startswith("onnxruntime ")
        assert "(onnxruntime " in printed
        assert "warning" not in told

    (bundle / "card.md").write_text("# trained again\n")
    write_sums(bundle)
    code, printed, told = atypia(*predict, "--runtime", "auto")
    assert code == 0
    assert runtime().startswith("torch ")
    assert [line for line in told.splitlines() if "warn" in line.lower()] == [
        f"warning: {path}: was exported from another bundle than lies here; make it again with "
        "`atypia bundle export`; torch is used instead"
    ]
    code, _, told = atypia(*predict, "--runtime", "onnx")
    assert code == 2
    assert told.startswith(f"{path}: was exported from another bundle than lies here")
    assert told.count("\n") == 1


def test_a_file_written_elsewhere_is_for_others(
    atypia: Callable, bundle: Path, crop_folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "elsewhere" / "model.onnx"
    assert atypia("bundle", "export", bundle, "--out", out)[:2] == (0, f"wrote {out}\n")
    assert {path.name for path in out.parent.iterdir()} == {"model.onnx", NOTES_FOLDER}
    assert not exported_path(bundle).exists()
    code, _, told = atypia("predict", crop_folder, "--bundle", bundle, "--runtime", "onnx")
    assert code == 2
    assert f"network.onnx does not exist; make it with `atypia bundle export {bundle}`" in told


def test_what_is_not_installed_is_named_with_its_extra(
    atypia: Callable, bundle: Path, crop_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(base, "find_spec", lambda name: None if name == "openvino" else find(name))
    exported_path(bundle).parent.mkdir()
    exported_path(bundle).touch()
    code, _, told = atypia("predict", crop_folder, "--bundle", bundle, "--runtime", "openvino")
    assert (code, told) == (
        2,
        "--runtime openvino: is not installed; pip install 'atypia[openvino]', or use --runtime "
        "torch\n",
    )


def test_bundle_show_tells_operating_point_and_card(small_bundle: Path) -> None:
    shown = CliRunner().invoke(app, ["bundle", "show", str(small_bundle)])
    assert shown.exit_code == 0
    for text in ("small", "8 um in 32 px", "0.2 to 0.3 um/px", "0.4 to 0.6", "No medical device"):
        assert text in shown.output


def test_bundle_verify_names_every_fault(small_bundle: Path, tmp_path: Path) -> None:
    assert CliRunner().invoke(app, ["bundle", "verify", str(small_bundle)]).exit_code == 0
    folder = tmp_path / "changed"
    shutil.copytree(small_bundle, folder)
    with (folder / "card.md").open("a") as card:
        card.write("better than any other\n")
    (folder / "extra.txt").write_text("x")
    found = CliRunner().invoke(app, ["bundle", "verify", str(folder)])
    assert found.exit_code == 1
    assert "card.md: has changed" in found.output
    assert "extra.txt: is not listed" in found.output
