"""Contracts of every sink: a new format is picked up by being in the table of sinks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from atypia.data.predictions import PREDICTION_COLUMNS, empty_predictions, read_predictions
from atypia.files import NOTES_FOLDER, write_output
from atypia.inference import sinks
from atypia.inference.sinks import SINK_SUFFIXES, open_sink
from prediction_rows import rows

FORMATS = list(SINK_SUFFIXES)


@pytest.mark.parametrize("suffix", FORMATS)
def test_what_is_written_is_read_back_to_the_bit(tmp_path: Path, suffix: str) -> None:
    out = tmp_path / "new" / f"p{suffix}"
    with open_sink(out) as write:
        write(rows(0, 5))
        write(rows(5, 3, np.nan))
    expected = pd.concat([rows(0, 5), rows(5, 3, np.nan)], ignore_index=True)
    found = read_predictions(out)
    assert list(found.columns) == list(PREDICTION_COLUMNS)
    pd.testing.assert_frame_equal(found, expected, check_dtype=False, check_exact=True)


@pytest.mark.parametrize("suffix", FORMATS)
def test_nothing_predicted_is_a_table_without_rows(tmp_path: Path, suffix: str) -> None:
    out = tmp_path / f"p{suffix}"
    with open_sink(out) as write:
        write(empty_predictions())
    readers = {".csv": pd.read_csv, ".parquet": pd.read_parquet, ".json": pd.read_json}
    found = readers[suffix](out)
    assert len(found) == 0
    assert suffix == ".json" or list(found.columns) == list(PREDICTION_COLUMNS)


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_run_that_breaks_leaves_the_old_table(tmp_path: Path, suffix: str) -> None:
    out = tmp_path / f"p{suffix}"
    write_output(out, "old")
    with pytest.raises(KeyboardInterrupt), open_sink(out) as write:
        write(rows(0, 5))
        raise KeyboardInterrupt
    assert out.read_bytes() == b"old"
    assert {path.name for path in tmp_path.iterdir()} == {out.name, NOTES_FOLDER}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("suffix", FORMATS)
def test_every_format_meets_a_full_disk_as_an_os_error(suffix: str) -> None:
    with pytest.raises(OSError), sinks._SINKS[suffix](Path("/dev/full")) as write:
        for first in range(0, 50_000, 10_000):
            write(rows(first, 10_000))
