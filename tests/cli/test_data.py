from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from atypia.cli.data import app

run = CliRunner().invoke


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    random = np.random.default_rng(0)
    for name in ("normal/1.png", "normal/2.png", "atypical/3.png"):
        path = tmp_path / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 255, (32, 32, 3), dtype=np.uint8)).save(path)
    return tmp_path / "data"


def test_check_says_what_it_found_and_exits_by_it(folder: Path) -> None:
    good = run(app, ["check", str(folder), "--mpp", "0.25"])
    assert good.exit_code == 0 and "3 figures" in good.output and "0 errors" in good.output
    (folder / "atypical" / "3.png").write_bytes(b"")
    bad = run(app, ["check", str(folder), "--mpp", "0.25"])
    assert bad.exit_code == 1 and "1 error," in bad.output and "3.png" in bad.output
    assert run(app, ["check", str(folder), "--no-images"]).exit_code == 0


def test_import_then_check_elsewhere(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "[own]"
    made = run(app, ["import", str(folder), "--out", str(out), "--mpp", "0.25"])
    assert made.exit_code == 0 and "3 figures written" in made.output
    told = run(app, ["describe", str(out)])
    assert told.exit_code == 0 and "1 atypical" in told.output and "0.25" in told.output


def test_import_of_a_table_with_a_missing_image_exits_1(folder: Path, tmp_path: Path) -> None:
    (folder / "t.csv").write_text("id,file,class\na,normal/1.png,0\nb,none.png,1\n")
    columns = ["--column", "figure_id=id", "--column", "image=file", "--column", "label=class"]
    made = run(app, ["import", str(folder / "t.csv"), "--out", str(tmp_path / "o"), *columns])
    assert made.exit_code == 1 and "none.png" in made.output and "1 figure written" in made.output


@pytest.mark.parametrize("verb", ["check", "describe", "import"])
def test_every_verb_has_help_with_an_example(verb: str) -> None:
    result = run(app, [verb, "--help"])
    assert result.exit_code == 0 and f"atypia data {verb}" in result.output


def test_help_needs_no_heavy_library() -> None:
    code = "import sys, atypia.cli.data; print({'pandas', 'torch', 'numpy'} & set(sys.modules))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "set()"


def test_the_real_figures(ami_br: Path) -> None:
    told = run(app, ["describe", str(ami_br)])
    for part in ("2,894 figures", "146 slides", "648 atypical", "6 domains"):
        assert part in told.output
