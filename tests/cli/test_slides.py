"""`atypia slides` as a user meets it: what it prints after a run, and after the next."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from typer.testing import CliRunner

from atypia.cli.main import app
from atypia.errors import AtypiaError


@pytest.fixture
def listed(tmp_path: Path) -> Path:
    """A list of two slides; the second has no points yet."""
    pixels = np.random.default_rng(0).integers(0, 256, (256, 256, 3), dtype=np.uint8)
    resolution = {"resolution": (4e4, 4e4), "resolutionunit": "CENTIMETER"}
    for name in ("a", "b"):
        path = tmp_path / f"{name}.tif"
        tifffile.imwrite(path, pixels, tile=(64, 64), photometric="rgb", **resolution)
    (tmp_path / "a.csv").write_text("x,y\n100,100\n150,120\n")
    (tmp_path / "list.csv").write_text("slide,points\na.tif,a.csv\nb.tif,b.csv\n")
    return tmp_path / "list.csv"


def test_a_failed_slide_is_named_and_done_by_the_same_command_later(
    listed: Path, small_bundle: Path, tmp_path: Path
) -> None:
    words = ["slides", listed, "--out", tmp_path / "out", "--bundle", small_bundle]
    command = [*map(str, words), "--threads", "1", "--precision", "fp32", "--no-pictures"]
    first = CliRunner().invoke(app, command)
    assert first.exit_code == 1, first.output
    lines = first.stdout.splitlines()
    assert lines[0].startswith("1 of 2 slides done; 2 figures: ")
    assert lines[0].endswith(" referred to a person")
    assert lines[2] == "1 failed; run the same command again to retry them:"
    assert lines[3].startswith("  b: ")
    assert f"wrote {tmp_path / 'out' / 'cases.csv'}" in lines

    (tmp_path / "b.csv").write_text("x,y\n60,60\n")
    second = CliRunner().invoke(app, command)
    assert second.exit_code == 0, second.output
    assert second.stdout.startswith("2 of 2 slides done (1 in earlier runs); 3 figures: ")


def test_the_address_of_a_cluster_needs_the_engine_ray(listed: Path, tmp_path: Path) -> None:
    command = ["slides", str(listed), "--out", str(tmp_path / "out"), "--ray-address", "auto"]
    with pytest.raises(AtypiaError, match="add --engine ray"):
        CliRunner().invoke(app, command, catch_exceptions=False)
