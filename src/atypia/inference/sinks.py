"""Sinks: the predictions table as CSV, Parquet or JSON, written batch by batch."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd

from atypia.data.predictions import PREDICTION_COLUMNS
from atypia.errors import AtypiaError, find_nearest
from atypia.extras import require_extra
from atypia.files import create_output

Write = Callable[[pd.DataFrame], None]

# Parquet's row groups are read as a whole; a batch of 32 rows would make thousands of them.
_ROWS_IN_GROUP = 8192


@contextmanager
def open_sink(out: Path) -> Iterator[Write]:
    """Yield a function that appends rows; `out` appears when the block ends well.

    Args:
        out: a name ending in .csv, .parquet or .json (a list of records).

    Raises:
        AtypiaError: another ending, or the file cannot be written.
    """
    require_suffix(out)
    with create_output(out) as partial, _SINKS[out.suffix.lower()](partial) as write:
        yield write


def require_suffix(out: Path) -> None:
    """Refuse a file of which the ending tells no known format.

    Raises:
        AtypiaError: naming the nearest ending.
    """
    suffix = out.suffix.lower()
    if suffix not in _SINKS:
        near = find_nearest(suffix, _SINKS, cutoff=0.0) or suffix
        raise AtypiaError(
            f"{out}: the ending {suffix or '(none)'} is not one of {', '.join(_SINKS)}; "
            f"call it {out.with_suffix(near).name}"
        )
    if out.is_dir():
        raise AtypiaError(f"{out}: is a folder; give the name of a file")
    if suffix == ".parquet":
        require_extra("parquet", f"{out}: a Parquet table")


@contextmanager
def _csv(path: Path) -> Iterator[Write]:
    with path.open("w", encoding="utf-8", newline="") as handle:
        handle.write(",".join(PREDICTION_COLUMNS) + "\n")

        def write(frame: pd.DataFrame) -> None:
            truth = {True: "true", False: "false"}
            words = frame.assign(**{name: frame[name].map(truth) for name in _TRUTHS})
            words.to_csv(handle, header=False, index=False, lineterminator="\n")

        yield write


@contextmanager
def _parquet(path: Path) -> Iterator[Write]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    types = {
        "p_atypical": pa.float64(),
        "spread": pa.float64(),
        **dict.fromkeys(_TRUTHS, pa.bool_()),
    }
    schema = pa.schema([(name, types.get(name, pa.string())) for name in PREDICTION_COLUMNS])
    held: list[pd.DataFrame] = []
    with path.open("wb") as handle, pq.ParquetWriter(handle, schema) as writer:

        def flush() -> None:
            whole = pd.concat(held, ignore_index=True)
            writer.write_table(pa.Table.from_pandas(whole, schema, preserve_index=False))
            held.clear()

        def write(frame: pd.DataFrame) -> None:
            held.append(frame)
            if sum(map(len, held)) >= _ROWS_IN_GROUP:
                flush()

        yield write
        if held:
            flush()


@contextmanager
def _json(path: Path) -> Iterator[Write]:
    with path.open("w", encoding="utf-8") as handle:
        between = "[\n"

        def write(frame: pd.DataFrame) -> None:
            nonlocal between
            # JSON knows no NaN: an absent spread is null.
            absent = frame.astype(object).where(frame.notna(), None)
            for row in absent.to_dict("records"):
                handle.write(between + json.dumps(row, ensure_ascii=False, allow_nan=False))
                between = ",\n"

        yield write
        handle.write("\n]\n" if between != "[\n" else "[]\n")


_TRUTHS = ("refer", "in_scope")
_SINKS = {".csv": _csv, ".parquet": _parquet, ".json": _json}
SINK_SUFFIXES = tuple(_SINKS)
