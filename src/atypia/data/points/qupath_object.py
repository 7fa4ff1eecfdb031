"""One object of QuPath's GeoJSON: what it is, its class, its id, its points, what is in it.

The rules are those of QuPath's own parser (0.6, `QuPathTypeAdapters`), and of what older versions
and other programs write.
"""

from __future__ import annotations

import re
import uuid
from typing import Any

import shapely
import shapely.errors
import shapely.geometry

from atypia.errors import abbreviate, describe_fault
from atypia.files import escape_text, parse_json

Json = dict[str, Any]

MOST_DEPTH = 50
# QuPath 0.2 kept the type of an object in its id.
TYPE_IN_ID = {
    "PathAnnotationObject": "annotation",
    "PathDetectionObject": "detection",
    "PathCellObject": "cell",
    "PathTileObject": "tile",
    "TMACoreObject": "tmaCore",
}
# Ids must be the same whenever the same point is written, or QuPath asks what to do with doubles.
_NAMESPACE = uuid.UUID("6f0c8f0e-3f1c-5d0e-9a59-61747970696f")
_CANONICAL = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
# What is raised on a geometry that is none, by shapely or by us.
NO_GEOMETRY = (
    *(shapely.errors.ShapelyError, ValueError, TypeError, LookupError, AttributeError),
    ArithmeticError,
)


def is_collection(feature: Any) -> bool:
    """Return whether a feature is a collection within the collection."""
    return (
        isinstance(feature, dict)
        and feature.get("type") == "FeatureCollection"
        and isinstance(feature.get("features"), list)
    )


def find_children(feature: Any) -> list[Any]:
    """Return the objects inside of an object, or in a collection within the collection."""
    if is_collection(feature):
        return list(feature["features"])
    if not isinstance(feature, dict):
        return []
    inside = decode_text(read_properties(feature).get("childObjects"))
    return inside if isinstance(inside, list) else []


def read_properties(feature: Json) -> Json:
    """Return the properties of an object, none where it has none."""
    properties = feature.get("properties")
    return properties if isinstance(properties, dict) else {}


def geometry_type(feature: Json) -> str:
    """Return the type of a geometry of coordinates; "" of one that has none."""
    geometry = feature.get("geometry")
    if isinstance(geometry, dict) and isinstance(geometry.get("coordinates"), list):
        return str(geometry.get("type"))
    return ""


def read_object_type(feature: Any) -> str:
    """Return what QuPath takes an object for; "" where the file does not say it."""
    if not isinstance(feature, dict):
        return ""
    properties = read_properties(feature)
    object_type = properties.get("objectType") or properties.get("object_type")
    return str(object_type or TYPE_IN_ID.get(str(feature.get("id")), ""))


def read_class(properties: Json) -> str:
    """Return the class's name; QuPath joins several names with ": "."""
    value = decode_text(properties.get("classification"))
    if isinstance(value, dict):
        names = value.get("names")
        value = names if isinstance(names, list) else value.get("name")
    if isinstance(value, list):
        return escape_text(": ".join(map(str, value)))
    return "" if value is None else escape_text(str(value))


def is_locked(feature: Any) -> bool:
    """Return whether an object is locked; old files of QuPath call it otherwise."""
    properties = read_properties(feature) if isinstance(feature, dict) else {}
    return any(properties.get(name) is True for name in ("isLocked", "is_locked", "locked"))


def decode_text(value: Any) -> Any:
    """Return what a value is that a GIS library may have written as JSON text."""
    if isinstance(value, str) and value.lstrip().startswith(("{", "[")):
        try:
            return parse_json(value)
        except ValueError:
            return value
    return value


def own_id(feature: Json) -> str | None:
    """Return the id of an object; GIS libraries move it into the properties."""
    inside = read_properties(feature).get("id")
    return parse_uuid(feature.get("id")) or (
        parse_uuid(inside) if isinstance(inside, str) else None
    )


def parse_uuid(value: Any) -> str | None:
    """Return an id that QuPath takes; others (names of types, in old files) it replaces itself."""
    if isinstance(value, str) and _CANONICAL.fullmatch(value):
        return value
    try:
        return str(uuid.UUID(value))
    except (ValueError, TypeError, AttributeError):
        return None


def stable_id(of: str, x: float, y: float) -> str:
    """Return a UUID (version 5) that depends on a name and a place alone."""
    return str(uuid.uuid5(_NAMESPACE, f"{escape_text(of)} {x:.3f} {y:.3f}"))


def list_points(geometry: Json) -> list[Json] | None:
    """Return the points that a geometry consists of, each with the plane that it is in.

    None where it is of another kind, and its centroid stands for it.
    """
    rest = {
        name: value
        for name, value in geometry.items()
        if name not in ("type", "coordinates", "geometries", "bbox")
    }
    kind = geometry.get("type")
    if kind == "Point":
        return [geometry]
    if kind == "MultiPoint":
        return [{"type": "Point", "coordinates": at, **rest} for at in geometry["coordinates"]]
    if kind != "GeometryCollection":
        return None
    points: list[Json] = []
    for part in geometry["geometries"]:
        inside = list_points(part)
        if inside is None:
            return None
        points += [{**rest, **point} for point in inside]
    return points


def find_places(feature: Any) -> tuple[list[tuple[float, float]], float]:
    """Return the points of an object, and the longer side of its outline, px; 0 of points.

    Raises:
        ValueError: what is wrong with it, and the reason in a few words.
    """
    if not isinstance(feature, dict):
        raise ValueError(f"is not an object but {abbreviate(feature)}", "no object")
    geometry = feature.get("geometry")
    if not isinstance(geometry, dict):
        raise ValueError(f"has no geometry but {abbreviate(geometry)}", "no geometry")
    kind = abbreviate(geometry.get("type"))
    longest_px = 0.0
    try:
        points = list_points(geometry)
        if points is not None:
            places = [_parse_position(point["coordinates"]) for point in points]
        else:
            shape = shapely.geometry.shape(geometry)
            centre = shape.centroid
            places = [] if centre.is_empty else [(centre.x, centre.y)]
            if places:
                left, top, right, bottom = shape.bounds
                longest_px = max(right - left, bottom - top)
    except (*NO_GEOMETRY, RecursionError) as fault:
        text = f"geometry {kind} cannot be read ({describe_fault(fault)})"
        raise ValueError(text, f"a geometry {kind} that cannot be read") from fault
    if not places:
        raise ValueError(f"geometry {kind} is empty", f"an empty geometry {kind}")
    return places, longest_px


def _parse_position(value: Any) -> tuple[float, float]:
    """Return x and y of a position; a third number, its height, is left out.

    Raises:
        ValueError: it is no position.
    """
    x, y = value[:2]
    if type(x) not in (int, float) or type(y) not in (int, float):
        raise ValueError(f"expected two numbers, found {abbreviate(value)}")
    return float(x), float(y)
