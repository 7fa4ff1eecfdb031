"""`atypia slide`, and `atypia predict` where it is given what belongs there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from command import call

WARNING = (
    "warning: use `atypia slide SLIDE --points FILE` for points on a slide; `atypia predict` is "
    "for images\n"
)


@pytest.fixture
def slide(tmp_path: Path) -> Path:
    """A slide of 256 px, and `points.csv` beside it with two points."""
    path = tmp_path / "case.tif"
    pixels = np.random.default_rng(0).integers(0, 256, (256, 256, 3), dtype=np.uint8)
    resolution = {"resolution": (4e4, 4e4), "resolutionunit": "CENTIMETER"}
    tifffile.imwrite(path, pixels, tile=(64, 64), photometric="rgb", **resolution)
    (tmp_path / "points.csv").write_text("x,y\n100,100\n150,120\n")
    return path


def test_predict_with_points_is_slide_and_says_so(
    slide: Path,
    small_bundle: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    own, former = tmp_path / "own.csv", tmp_path / "former.csv"
    words = (slide, "--bundle", small_bundle, "--threads", 1, "--precision", "fp32")
    words = (*words, "--no-pictures", "--area-mm2", 2)
    points = tmp_path / "points.csv"
    assert call(monkeypatch, "slide", *words, "--points", points, "--out", own) == 0
    new = capsys.readouterr()
    assert new.err.startswith("figures: 2 of 2")
    assert call(monkeypatch, "predict", *words, f"--points={points}", "--out", former) == 0
    old = capsys.readouterr()
    assert old.err.startswith(WARNING)
    assert own.read_bytes() == former.read_bytes()
    assert "2 of 2 figures classified: " in new.out
    assert "atypical in 2 mm2: " in new.out
    assert f"wrote {tmp_path / 'own.run.json'}" in new.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("predict", "a.png", "--class", "Mitosis"), "--class: is for points on a slide; use `aty"),
        (("predict", "a.png", "--area-mm2=2"), "--area-mm2: is for points on a slide"),
        (("predict", "a.png", "--no-pictures"), "--no-pictures: is for points on a slide"),
        (("slide", "a.svs", "--points", "p.csv", "--layout", "ami-br"), "No such option"),
        (("predict", "a.svs", "--points", "p.csv", "--layout", "ami-br"), "No such option"),
        (("predict", "a.svs", "--points", "p.csv", "--column", "x=X"), "No such option"),
        (("predict", "a.svs", "b.svs", "--points", "p.csv"), "unexpected extra argument"),
        (("slide", "a.svs"), "Missing option"),
        (
            ("slide", "a.svs", "--points", "p.csv", "--prevalence", "2"),
            "--prevalence 2.0: expected",
        ),
        (("predict", "a.png", "--prevalence", "0"), "--prevalence 0.0: expected the share of"),
    ],
    ids=lambda given: " ".join(given) if isinstance(given, tuple) else "",
)
def test_an_option_that_would_do_nothing_cannot_be_given(
    arguments: tuple[str, ...],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert call(monkeypatch, *arguments) == 2
    assert message in capsys.readouterr().err
