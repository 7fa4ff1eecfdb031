"""A run of prediction: what fails is told and left out, the rest and the record are written."""

from __future__ import annotations

import errno
import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from atypia.data.predictions import read_predictions
from atypia.errors import AtypiaError
from atypia.files import NOTES_FOLDER, write_output
from atypia.inference.predictor import Predictor
from atypia.inference.record import record_path
from atypia.workflows.predict import predict

NAMES = [f"{number}.png" for number in range(1, 13)]


def record_of(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(record_path(out).read_text())
    return found


def test_every_format_holds_the_same_table(
    small_bundle: Path, crop_folder: Path, tmp_path: Path
) -> None:
    frames = []
    for suffix in (".csv", ".parquet", ".json"):
        out = tmp_path / f"p{suffix}"
        predict([crop_folder], out, bundle=small_bundle, mpp=0.25, threads=1, precision="fp32")
        frames.append(read_predictions(out))
    assert list(frames[0]["figure_id"]) == NAMES
    for other in frames[1:]:
        pd.testing.assert_frame_equal(other, frames[0], check_dtype=False, atol=1e-6, rtol=0)


def test_sources_are_predicted_in_the_order_given(
    small_bundle: Path, crop_folder: Path, tmp_path: Path
) -> None:
    pages = [Image.open(crop_folder / name) for name in ("3.png", "4.png")]
    pages[0].save(tmp_path / "stack.tif", save_all=True, append_images=pages[1:])
    (tmp_path / "table").mkdir()
    shutil.copy(crop_folder / "5.png", tmp_path / "table")
    table = tmp_path / "table" / "my.csv"
    pd.DataFrame({"figure_id": ["x"], "image": ["5.png"], "mpp": [0.25]}).to_csv(table)
    out = tmp_path / "p.csv"
    sources = [crop_folder / "2.png", tmp_path / "stack.tif", table]
    record = predict(sources, out, bundle=small_bundle, threads=1)
    frame = read_predictions(out)
    assert list(frame["figure_id"]) == ["2.png", "stack.tif#1", "stack.tif#2", "x"]
    assert list(frame["image"]) == [
        str(crop_folder / "2.png"),
        str(tmp_path / "stack.tif#1"),
        str(tmp_path / "stack.tif#2"),
        "5.png",
    ]
    assert record.mpp_from == {"assumed": 3, "table": 1}
    whole = tmp_path / "whole.csv"
    predict([crop_folder], whole, bundle=small_bundle, mpp=0.25, threads=1)
    expected = read_predictions(whole)["p_atypical"].iloc[1:5]
    np.testing.assert_allclose(frame["p_atypical"], expected, atol=0.02)


def test_bad_images_are_told_and_the_rest_is_predicted(
    small_bundle: Path, crop_folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "crops"
    shutil.copytree(crop_folder, folder)
    (folder / "2.png").write_bytes(b"")
    (folder / "3.png").write_bytes((crop_folder / "3.png").read_bytes()[:200])
    Image.fromarray(np.zeros((40, 40), np.uint8)).save(folder / "4.png")
    Image.fromarray(np.zeros((20, 20, 3), np.uint8)).save(folder / "5.png")
    out = tmp_path / "p.csv"
    record = predict([folder], out, bundle=small_bundle, mpp=0.25, threads=1)
    lines = caplog.messages
    assert list(read_predictions(out)["figure_id"]) == ["1.png", *NAMES[5:]]
    assert len(lines) == 4
    for line, name in zip(lines, NAMES[1:5], strict=True):
        assert line.startswith(str(folder / name))
        assert "\n" not in line
    found = record_of(out)
    assert [failure["figure_id"] for failure in found["failures"]] == NAMES[1:5]
    assert [failure["message"] for failure in found["failures"]] == lines
    assert (found["figures"], found["predicted"]) == (12, 8)
    assert record.predicted == 8


def test_the_record_tells_what_was_done(
    small_bundle: Path, crop_folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "p.parquet"
    predict([crop_folder], out, bundle=small_bundle, mpp=0.3, threads=2, batch_size=5)
    found = record_of(out)
    frame = read_predictions(out)
    assert record_path(out) == tmp_path / "p.run.json"
    assert found["bundle_name"] == "small"
    assert len(found["bundle_sha256"]) == 64
    assert found["members"] == 2
    assert found["sources"] == [
        {"path": str(crop_folder), "kind": "folder of images", "figures": 12}
    ]
    assert found["mpp_from"] == {"given": 12}
    assert (found["mpp_given"], found["mpp_assumed"]) == (0.3, None)
    assert (found["threads"], found["batch_size"]) == (2, 5)
    assert found["atypical"] == (frame["call"] == "atypical").sum()
    assert found["referred"] == frame["refer"].sum()
    assert found["crops_per_s"] > 0
    assert found["reading_s"] > 0
    assert found["network_s"] > 0
    assert found["started"] <= found["ended"]


def test_an_mpp_that_a_table_contradicts_is_not_taken_and_that_is_said(
    small_bundle: Path, crop_folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    table = crop_folder / "own-mpp.csv"
    table.write_text("figure_id,image,mpp\na,1.png,0.5\nb,2.png,\n")
    caplog.set_level("INFO", "atypia")
    record = predict([table], tmp_path / "p.csv", bundle=small_bundle, mpp=0.25, threads=1)
    table.unlink()
    assert record.mpp_from == {"table": 1, "given": 1}
    assert any("own-mpp.csv: mpp 0.25 fills 1 figure" in line for line in caplog.messages)


def test_an_assumed_mpp_is_said_and_recorded(
    small_bundle: Path, crop_folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    out = tmp_path / "p.csv"
    predict([crop_folder], out, bundle=small_bundle, threads=1)
    (first, *_) = caplog.messages
    assert first.startswith("warning: the mpp of 12 of 12 figures is not known; 0.25 um/px")
    assert record_of(out)["mpp_assumed"] == 0.25
    assert record_of(out)["mpp_from"] == {"assumed": 12}


def test_progress_ends_at_the_end(small_bundle: Path, crop_folder: Path, tmp_path: Path) -> None:
    steps: list[tuple[int, int]] = []
    predict(
        [crop_folder],
        tmp_path / "p.csv",
        bundle=small_bundle,
        mpp=0.25,
        threads=1,
        batch_size=5,
        on_progress=lambda _, done, total, __: steps.append((done, total)),
    )
    assert steps == [(5, 12), (10, 12), (12, 12)]


def test_a_full_disk_is_one_line_and_leaves_the_old_table(
    small_bundle: Path, crop_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    out = tmp_path / "p.csv"
    write_output(out, "old")
    monkeypatch.setattr(pd.DataFrame, "to_csv", full)
    with pytest.raises(AtypiaError, match=r"p\.csv: cannot be written \(No space left") as caught:
        predict([crop_folder], out, bundle=small_bundle, mpp=0.25, threads=1)
    assert "\n" not in str(caught.value)
    assert out.read_text() == "old"
    assert {path.name for path in tmp_path.iterdir()} == {out.name, NOTES_FOLDER}


def test_mistakes_are_met_before_any_work(
    small_bundle: Path, crop_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("the bundle was loaded")

    monkeypatch.setattr(Predictor, "load", never)
    with pytest.raises(AtypiaError, match=r"the ending \.xls is not one of"):
        predict([crop_folder], tmp_path / "p.xls", bundle=small_bundle)
    with pytest.raises(AtypiaError, match="there is no such file or folder"):
        predict([tmp_path / "nothing"], tmp_path / "p.csv", bundle=small_bundle)
