"""TIAToolbox's AnnotationStore (`.db`): its annotations as objects of QuPath.

A store (version 1.0.1) is an SQLite database. Its table `annotations` has a row each: `key`, the
properties as JSON, and a shape: a point lies in `cx` and `cy` and its geometry is NULL, any other
is WKB, compressed as the table `metadata` says. It is only ever read, row by row.
"""

from __future__ import annotations

import json
import sqlite3
import zlib
from array import array
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from atypia.data.points.document import Features
from atypia.data.points.qupath_object import Json
from atypia.data.points.table import PointFailure
from atypia.data.points.tiatoolbox import (
    DETECTION_P,
    is_measurement,
    name_object,
    set_measurement,
    shift,
)
from atypia.data.points.wkb import parse_wkb
from atypia.errors import TableError, abbreviate, describe_fault
from atypia.files import escape_text, parse_json

STORE_SUFFIX = ".db"

_MAGIC = b"SQLite format 3\0"
# Of one row, and of one shape unpacked: an outline of a million points has 16 MB.
_MOST_BYTES = 2**24
_PROBABILITIES = ("probability", "prob")
_AGAIN = "write it again with TIAToolbox"
_COLUMNS = "SELECT rowid, key, cx, cy, geometry, properties FROM annotations"
_Row = tuple[Any, ...]


class AnnotationStore(Features):
    """Annotations of a store as QuPath's objects, each read whenever it is asked for."""

    def __init__(self, path: Path, origin_px: tuple[int, int] = (0, 0)) -> None:
        """Find the rows that can be used; those that cannot are in `failures`.

        Args:
            path: of the file.
            origin_px: where QuPath counts from, px of level 0; a store counts from the corner.

        Raises:
            TableError: it is no AnnotationStore, or cannot be read.
        """
        super().__init__("", array("q"))
        self._path, self._origin_px = path, origin_px
        _require_database(path)
        self._compressed = self._is_compressed()
        for row in self._rows():
            try:
                self._read(row)
            except ValueError as fault:
                text = f"{path}, row {row[0]}: {describe_fault(fault)}; left out"
                self.failures.append(PointFailure(text, "a row that cannot be read"))
            else:
                self._starts.append(row[0])

    def __iter__(self) -> Iterator[Any]:
        usable = iter(self._starts)
        coming = next(usable, None)
        for row in self._rows():
            if row[0] == coming:
                try:
                    yield self._read(row)
                except ValueError as fault:
                    raise self._changed() from fault
                coming = next(usable, None)
        if coming is not None:
            raise self._changed()

    def __getitem__(self, number: int) -> Any:
        query = f"{_COLUMNS} WHERE rowid = {self._starts[number]}"
        try:
            return next(map(self._read, _select(self._path, query)))
        except (StopIteration, ValueError) as fault:
            raise self._changed() from fault

    def place(self, number: int) -> str:
        """Return where in its file a feature is, in words."""
        return f"row {self._starts[number]}"

    def _changed(self) -> TableError:
        return TableError(f"{self._path}: has changed while it was read; start again")

    def _rows(self) -> Iterator[_Row]:
        return _select(self._path, f"{_COLUMNS} ORDER BY rowid")

    def _is_compressed(self) -> bool:
        """Return whether shapes are compressed; a store that does not say it is by zlib.

        Raises:
            TableError: they are compressed by something else.
        """
        rows = list(_select(self._path, "SELECT value FROM metadata WHERE key = 'compression'"))
        try:
            method = parse_json(_decode(rows[0][0])) if rows else "zlib"
        except ValueError:
            method = rows[0][0]
        if method not in ("zlib", None):
            raise TableError(
                f"{self._path}: its shapes are compressed by {abbreviate(method)}, expected zlib "
                f"or null; {_AGAIN}"
            )
        return method is not None

    def _read(self, row: _Row) -> Json:
        """Return a row as an object of QuPath.

        Raises:
            ValueError: what is wrong with it.
        """
        _, key, x, y, shape, text = row
        if shape is not None:
            geometry = self._unpack(shape)
        elif all(is_measurement(value) for value in (x, y)):
            geometry = {"type": "Point", "coordinates": [x, y]}
        else:
            raise ValueError(f"cx {abbreviate(x)}, cy {abbreviate(y)} is no position")
        feature = {
            "type": "Feature",
            "geometry": shift(geometry, self._origin_px),
            "properties": _make_properties(text),
        }
        return name_object(feature, self._path.name, _decode(key) if key else f"row {row[0]}")

    def _unpack(self, shape: Any) -> Json:
        if not isinstance(shape, bytes):
            raise ValueError(f"geometry is {abbreviate(shape)}, expected WKB")
        try:
            return parse_wkb(_decompress(shape) if self._compressed else shape)
        except (ValueError, zlib.error) as fault:
            raise ValueError(f"geometry is no WKB ({describe_fault(fault)})") from fault


def _make_properties(text: Any) -> Json:
    """Return properties as QuPath has them, with all that a row's JSON holds.

    `type` is the class, a number a measurement, and anything else metadata, as text.

    Raises:
        ValueError: it is no object of JSON.
    """
    try:
        given = {} if text is None else parse_json(_decode(text))
    except ValueError as fault:
        raise ValueError(f"properties are no JSON ({describe_fault(fault)})") from fault
    if not isinstance(given, dict):
        raise ValueError(f"properties are {abbreviate(given)}, expected an object of JSON")
    properties: Json = {"objectType": "detection"}
    metadata: dict[str, str] = {}
    own = next((name for name in _PROBABILITIES if is_measurement(given.get(name))), None)
    for name, value in given.items():
        if name == "type":
            properties["classification"] = escape_text(str(value))
        elif is_measurement(value):
            set_measurement(properties, DETECTION_P if name == own else name, value)
        else:
            metadata[name] = value if isinstance(value, str) else json.dumps(value)
    return {**properties, "metadata": metadata}


def _require_database(path: Path) -> None:
    """Refuse what is no AnnotationStore, or one that may be half written.

    Raises:
        TableError: it is.
    """
    expected = "expected an AnnotationStore of TIAToolbox; give the file with the points"
    if not path.exists():
        raise TableError(f"{path}: there is no such file; give the file with the points")
    if not path.is_file():
        raise TableError(f"{path}: is no file, {expected}")
    try:
        with path.open("rb") as file:
            magic = file.read(len(_MAGIC))
    except OSError as fault:
        raise TableError(
            f"{path}: cannot be read ({describe_fault(fault)}); check its permissions"
        ) from fault
    if magic != _MAGIC:
        raise TableError(f"{path}: is no SQLite database, {expected}")
    for ending in ("-wal", "-journal"):
        beside = path.with_name(path.name + ending)
        if beside.is_file() and beside.stat().st_size:
            raise TableError(
                f"{path}: is still being written, or was not closed ({beside.name} lies beside "
                "it); open and close it once with TIAToolbox"
            )
    kinds: dict[bytes, bytes] = dict(
        _select(path, "SELECT name, type || ' ' || coalesce(sql, '') FROM sqlite_master")
    )
    for table in (b"annotations", b"metadata"):
        # A view, or a table of a module, may compute whatever somebody wrote into it.
        if not kinds.get(table, b"").lower().startswith(b"table create table"):
            names = ", ".join(sorted(_decode(name) for name in kinds)) or "none"
            raise TableError(
                f"{path}: has no table {table.decode()} (it has: {names[:200]}), {expected}"
            )


def _select(path: Path, query: str) -> Iterator[_Row]:
    """Yield rows, texts as bytes, from a file that is neither written nor locked.

    Raises:
        TableError: SQLite cannot read it.
    """
    try:
        address = f"{path.absolute().as_uri()}?mode=ro&immutable=1"
        with closing(sqlite3.connect(address, uri=True)) as connection:
            connection.text_factory = bytes
            connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _MOST_BYTES)
            connection.execute("PRAGMA trusted_schema = OFF")
            yield from connection.execute(query)
    except (sqlite3.Error, OverflowError) as fault:
        raise TableError(
            f"{path}: cannot be read as an AnnotationStore ({describe_fault(fault)}); {_AGAIN}"
        ) from fault


def _decode(text: Any) -> str:
    """Return a text of the database.

    Raises:
        ValueError: it is no text in UTF-8.
    """
    if not isinstance(text, bytes):
        raise ValueError(f"{abbreviate(text)} is no text")
    return text.decode("utf-8")


def _decompress(data: bytes) -> bytes:
    """Unpack a shape.

    Raises:
        ValueError: it unpacks to more than a shape may have, or is cut off.
        zlib.error: it is no zlib data.
    """
    opened = zlib.decompressobj()
    shape = opened.decompress(data, _MOST_BYTES)
    if opened.unconsumed_tail:
        raise ValueError(f"it unpacks to more than {_MOST_BYTES // 2**20} MiB")
    if not opened.eof:
        raise ValueError("it is cut off")
    return shape
