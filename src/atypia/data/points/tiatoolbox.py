"""TIAToolbox's detections as the objects that QuPath reads.

Its `nucleus-detector` (2.1) writes a "QuPath JSON" whose features have an id that is no UUID, say
their type and name outside of `properties`, and their probability where QuPath has no measurements:
QuPath would make annotations of them and forget the rest. Here each becomes an object that keeps
all of it, also after the object has been classified.

Coordinates are px of level 0, from the corner of the slide; QuPath counts from the bounds of the
scanned tissue, so what lies between the two is subtracted.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, TypeGuard

from atypia.data.points.document import Features
from atypia.data.points.qupath_object import (
    TYPE_IN_ID,
    Json,
    find_places,
    parse_uuid,
    read_class,
    read_properties,
    stable_id,
)

#: A measurement in QuPath: the detector's probability, beside the classifier's.
DETECTION_P = "Detection probability"
#: Metadata in QuPath: the class and the id that the object had, as both get new ones.
DETECTED_AS, DETECTION_ID = "Detected class", "Detection id"

_OUTSIDE = ("objectType", "name")


def is_tiatoolbox(document: Any) -> bool:
    """Return whether a JSON document is TIAToolbox's, by its first feature."""
    return isinstance(document, Features) and len(document) > 0 and _is_detection(document[0])


def translate_detections(document: Features, path: Path, origin_px: tuple[int, int]) -> Features:
    """Return TIAToolbox's features as QuPath's; one that is not TIAToolbox's stays as it is.

    Args:
        document: features of its JSON.
        path: of the file; the ids depend on its name.
        origin_px: where QuPath counts from, px of level 0.
    """

    def translate(feature: Any) -> Any:
        return _translate(feature, path.name, origin_px) if _is_detection(feature) else feature

    return document.translate(translate)


def _is_detection(feature: Any) -> bool:
    if not isinstance(feature, dict) or not isinstance(feature.get("id"), str):
        return False
    own = feature["id"]
    if own in TYPE_IN_ID or parse_uuid(own) is not None:
        return False
    return "objectType" in feature or "probability" in read_properties(feature)


def _translate(feature: Json, source: str, origin_px: tuple[int, int]) -> Json:
    properties = dict(read_properties(feature))
    for name in _OUTSIDE:
        if name in feature and name not in properties:
            # A class without a name is a number in their files, and a name is a text in QuPath.
            properties[name] = str(feature[name])
    probability = properties.get("probability")
    if is_measurement(probability):
        del properties["probability"]
        set_measurement(properties, DETECTION_P, probability)
    rest = {name: value for name, value in feature.items() if name not in _OUTSIDE}
    moved = {**rest, "geometry": shift(feature.get("geometry"), origin_px)}
    return name_object({**moved, "properties": properties}, source, feature["id"])


def name_object(feature: Json, source: str, former_id: str) -> Json:
    """Give an object a UUID, and keep its id and its class in its metadata.

    Args:
        feature: with its class, and properties that may be changed.
        source: name of the file; with class and place it decides the id, so that the same
            detection has the same one in each run.
        former_id: as the file has it; a UUID stays.
    """
    properties = feature["properties"]
    name = read_class(properties)
    kept = {DETECTION_ID: former_id, DETECTED_AS: name} if name else {DETECTION_ID: former_id}
    metadata = properties.get("metadata")
    properties["metadata"] = {**kept, **(metadata if isinstance(metadata, dict) else {})}
    try:
        (x, y), *_ = find_places(feature)[0]
    except ValueError:
        return feature  # whoever reads its points says what is wrong with it
    return {**feature, "id": parse_uuid(former_id) or stable_id(f"{source} {name}", x, y)}


def is_measurement(value: Any) -> TypeGuard[float]:
    """Return whether QuPath takes a value as a measurement: a finite number."""
    try:
        return type(value) in (int, float) and math.isfinite(value)
    except OverflowError:
        return False


def set_measurement(properties: Json, name: str, value: float) -> None:
    """Add a measurement to the properties of an object; one of that name stays as it is."""
    measurements = properties.get("measurements")
    if isinstance(measurements, list):
        properties["measurements"] = [*measurements, {"name": name, "value": value}]
    else:
        own = measurements if isinstance(measurements, dict) else {}
        properties["measurements"] = {name: value, **own}


def shift(geometry: Any, origin_px: tuple[int, int]) -> Any:
    """Return a geometry of GeoJSON as it is counted from an origin, px of level 0."""
    if origin_px == (0, 0) or not isinstance(geometry, dict):
        return geometry
    return {**geometry, "coordinates": _shift(geometry.get("coordinates"), origin_px)}


def _shift(places: Any, origin_px: tuple[int, int]) -> Any:
    if not isinstance(places, list):
        return places
    if len(places) > 1 and all(type(each) in (int, float) for each in places[:2]):
        return [places[0] - origin_px[0], places[1] - origin_px[1], *places[2:]]
    return [_shift(each, origin_px) for each in places]
