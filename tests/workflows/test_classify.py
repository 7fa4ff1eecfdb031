"""Figures of some sources become rows and a record; nothing fails in silence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from atypia.data.predictions import CALLS
from atypia.inference.crops import Failure
from atypia.inference.options import PredictOptions
from atypia.inference.predictor import Predictor
from atypia.inference.sources import open_sources
from atypia.progress import show_nothing
from atypia.workflows.classify import classify_sources


@pytest.fixture(scope="module")
def predictor(small_bundle: Path) -> Predictor:
    return Predictor.load(options=PredictOptions(bundle=small_bundle, threads=1, precision="fp32"))


def test_rows_failures_and_counts_agree(
    predictor: Predictor, crop_folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Figures that failed before (points of a file) and those that fail now both count."""
    small = tmp_path / "small.png"
    Image.fromarray(np.zeros((9, 9, 3), np.uint8)).save(small)
    sources = open_sources([crop_folder, small], mpp=0.25)
    frames: list[pd.DataFrame] = []
    steps: list[tuple[int, int]] = []
    record = classify_sources(
        predictor,
        sources,
        frames.append,
        tmp_path / "p.csv",
        mpp=0.25,
        on_progress=lambda _, done, total, __: steps.append((done, total)),
        unread=[Failure("", "points.csv", "points.csv, row 3: no place")],
    )
    rows = pd.concat(frames)
    assert (record.figures, record.predicted, len(rows)) == (14, 12, 12)
    assert [failure.image for failure in record.failures] == ["points.csv", str(small)]
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 1 and lines[0].startswith(f"{small}: 9 x 9 px")
    assert record.atypical == (rows["call"] == CALLS[1]).sum() > 0
    assert record.referred == rows["refer"].sum()
    assert [source.figures for source in record.sources] == [12, 1]
    assert steps[-1] == (14, 14)
    assert not (tmp_path / "p.csv").exists()  # who calls writes


def test_an_assumed_mpp_is_a_warning_with_what_to_do(
    predictor: Predictor, crop_folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sources = open_sources([crop_folder / "1.png"])
    record = classify_sources(
        predictor,
        sources,
        lambda _: None,
        tmp_path / "p.csv",
        mpp=None,
        on_progress=show_nothing,
    )
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 1 and lines[0].startswith(
        "warning: the mpp of 1 of 1 figures is not known"
    )
    assert lines[0].endswith("(set it with --mpp)")
    assert (record.mpp_assumed, record.mpp_from) == (0.25, {"assumed": 1})
