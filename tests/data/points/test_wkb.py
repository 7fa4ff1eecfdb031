from __future__ import annotations

import struct

import pytest
import shapely
from shapely.geometry import mapping, shape

from atypia.data.points.wkb import parse_wkb

RING = [(0, 0), (9, 0), (9, 9), (0, 9)]
SHAPES = [
    shapely.Point(1.5, 2),
    shapely.LineString([(0, 0), (1, 2)]),
    shapely.Polygon(RING, [[(1, 1), (2, 1), (2, 2)]]),
    shapely.MultiPoint([(1, 2), (3, 4)]),
    shapely.MultiLineString([[(0, 0), (1, 2)], [(5, 5), (6, 6)]]),
    shapely.MultiPolygon([shapely.Polygon(RING), shapely.box(20, 20, 30, 30)]),
]


@pytest.mark.parametrize("geometry", SHAPES, ids=lambda geometry: geometry.geom_type)
@pytest.mark.parametrize("order", [0, 1])
def test_a_shape_is_what_shapely_makes_of_it(geometry: shapely.Geometry, order: int) -> None:
    found = parse_wkb(shapely.to_wkb(geometry, byte_order=order))
    assert found["type"] == mapping(geometry)["type"]
    assert shape(found).equals_exact(geometry, 0)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "shorter"),
        (b"\x07" + bytes(20), "begins with 7"),
        (shapely.to_wkb(SHAPES[2])[:-1], "shorter"),
        (shapely.to_wkb(SHAPES[0]) + b"\0", "longer"),
        (b"\x01" + struct.pack("<II", 2, 2**32 - 1), "shorter"),
        (b"\x01" + struct.pack("<II", 3, 2**32 - 1), "shorter"),
        # A million collections, one within the other, end a process that GEOS reads them in.
        ((b"\x01" + struct.pack("<II", 7, 1)) * 1_000_000, "kind 7"),
        ((b"\x01" + struct.pack("<II", 6, 1)) * 1_000_000, "kind 6, expected 3"),
    ],
)
def test_what_is_no_shape_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_wkb(data)
