"""Sinks: the same table in every format, whole or not at all."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from atypia.data.predictions import read_predictions
from atypia.errors import AtypiaError
from atypia.inference import sinks
from atypia.inference.sinks import open_sink
from prediction_rows import rows


def test_truth_values_in_csv_are_true_and_false(tmp_path: Path) -> None:
    with open_sink(tmp_path / "p.csv") as write:
        write(rows(0, 2))
    lines = (tmp_path / "p.csv").read_text().splitlines()
    assert lines[0] == "figure_id,image,p_atypical,call,refer,spread,phase,in_scope,scope_reason"
    assert lines[1].endswith("normal,true,0.125,,false,ink")
    assert lines[2].endswith("atypical,false,0.125,,true,")


def test_parquet_gathers_batches_into_few_groups(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pyarrow.parquet as pq

    monkeypatch.setattr(sinks, "_ROWS_IN_GROUP", 10)
    with open_sink(tmp_path / "p.parquet") as write:
        for first in range(0, 25, 5):
            write(rows(first, 5))
    assert pq.ParquetFile(tmp_path / "p.parquet").num_row_groups == 3
    assert len(read_predictions(tmp_path / "p.parquet")) == 25


def test_a_file_that_atypia_did_not_write_is_not_replaced(tmp_path: Path) -> None:
    out = tmp_path / "p.csv"
    out.write_bytes(b"mine")
    with pytest.raises(AtypiaError, match=r"p\.csv: was not written by atypia"), open_sink(out):
        pass
    assert out.read_bytes() == b"mine"


def test_a_full_disk_is_one_line(tmp_path: Path) -> None:
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    message = r"p\.csv: cannot be written \(No space left"
    with (
        pytest.raises(AtypiaError, match=message) as caught,
        open_sink(tmp_path / "p.csv") as write,
    ):
        write(rows(0, 5))
        raise full
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_ending_offers_the_nearest(tmp_path: Path) -> None:
    message = r"\.parqet is not one of .*; call it p\.parquet"
    with pytest.raises(AtypiaError, match=message), open_sink(tmp_path / "p.parqet"):
        pass
    (tmp_path / "d.csv").mkdir()
    with pytest.raises(AtypiaError, match="is a folder"), open_sink(tmp_path / "d.csv"):
        pass
