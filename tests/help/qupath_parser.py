"""What QuPath makes of a GeoJSON file, by the rules of its own parser (QuPathTypeAdapters, 0.6).

Only what it reads without a warning and without losing anything passes.
"""

from __future__ import annotations

import json
import math
import uuid
from pathlib import Path

TYPES = {"annotation", "detection", "cell", "tile", "tmaCore"}
INSIDE = {"name", "objectType", "classification", "measurements", "color", "isLocked", "metadata"}


def qupath_reads(path: Path) -> list[dict]:
    """Return the objects as QuPath would hold them; assert that nothing is lost or asked."""
    document = json.loads(path.read_text(encoding="utf-8"))
    features = document if isinstance(document, list) else document["features"]
    objects = [_object(feature) for feature in features]
    ids = [one["id"] for one in objects]
    assert len(set(ids)) == len(ids), "QuPath asks what to do with objects of one id"
    return objects


def _object(feature: dict) -> dict:
    assert feature["type"] == "Feature"
    assert not INSIDE & feature.keys(), "lost: it belongs inside properties"
    properties = feature["properties"]
    kind = properties.get("objectType", "annotation")
    assert kind in TYPES
    measurements = properties.get("measurements", {})
    if isinstance(measurements, list):
        measurements = {one["name"]: one["value"] for one in measurements}
    assert all(isinstance(value, int | float) for value in measurements.values())
    return {
        "id": uuid.UUID(feature["id"]),
        "type": kind,
        "geometry": feature["geometry"],
        "class": _class(properties.get("classification")),
        "name": properties.get("name"),
        "measurements": {k: v for k, v in measurements.items() if math.isfinite(v)},
    }


def _class(given: object) -> str | None:
    if given is None or isinstance(given, str):
        return given
    assert isinstance(given, dict)
    names = given["names"] if "names" in given else [given["name"]]
    colour = given["color"]
    assert len(colour) == 3
    assert all(isinstance(one, int) and 0 <= one <= 255 for one in colour)
    assert not any(":" in name for name in names), "makes a derived class"
    return ": ".join(names)
