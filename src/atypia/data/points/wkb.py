"""Shapes in WKB ("well-known binary", OGC 06-103r4, section 8) as geometries of GeoJSON.

GEOS, which shapely reads them with, ends the whole process on shapes that are nested deeply; here
nothing is nested more than a polygon in a multi-polygon.
"""

from __future__ import annotations

import struct

import numpy as np

from atypia.data.points.qupath_object import Json

_POINT, _LINE, _POLYGON = 1, 2, 3
_NAMES = {_POINT: "Point", _LINE: "LineString", _POLYGON: "Polygon"}
_MULTI = 3
_XY_BYTES = 16


class _Bytes:
    """The bytes of a shape, read from the front."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at, self._order = data, 0, "<"

    def header(self) -> int:
        """Read the order of bytes, and return the kind of the shape."""
        order = self._take(1)[0]
        if order > 1:
            raise ValueError(f"begins with {order}, expected 0 or 1")
        self._order = "<" if order else ">"
        return self.count()

    def count(self) -> int:
        return int(struct.unpack(f"{self._order}I", self._take(4))[0])

    def places(self, count: int) -> list[list[float]]:
        raw = self._take(count * _XY_BYTES)
        places: list[list[float]] = np.frombuffer(raw, f"{self._order}f8").reshape(-1, 2).tolist()
        return places

    def end(self) -> None:
        if self._at != len(self._data):
            raise ValueError("is longer than its shape")

    def _take(self, count: int) -> bytes:
        taken = self._data[self._at : self._at + count]
        if len(taken) != count:
            raise ValueError("is shorter than its shape")
        self._at += count
        return taken


def parse_wkb(data: bytes) -> Json:
    """Return the geometry of a point, line or polygon, or of several of one kind, in x and y.

    Raises:
        ValueError: it is no such shape.
    """
    read = _Bytes(data)
    kind = read.header()
    if kind in _NAMES:
        geometry: Json = {"type": _NAMES[kind], "coordinates": _coordinates(read, kind)}
    elif kind - _MULTI in _NAMES:
        parts = [_member(read, kind - _MULTI) for _ in range(read.count())]
        geometry = {"type": f"Multi{_NAMES[kind - _MULTI]}", "coordinates": parts}
    else:
        raise ValueError(f"is a shape of kind {kind}, expected 1 to 6 (points, lines, polygons)")
    read.end()
    return geometry


def _member(read: _Bytes, expected: int) -> list[object]:
    kind = read.header()
    if kind != expected:
        raise ValueError(f"holds a shape of kind {kind}, expected {expected}")
    return _coordinates(read, kind)


def _coordinates(read: _Bytes, kind: int) -> list[object]:
    if kind == _POINT:
        return list(read.places(1)[0])
    if kind == _LINE:
        return list(read.places(read.count()))
    return [read.places(read.count()) for _ in range(read.count())]
