"""QuPath's GeoJSON: objects read as points, and given back with what was found.

The rules are those of QuPath's own parser (0.6, `QuPathTypeAdapters`): a FeatureCollection or a
plain list of features; class, name, measurements and objectType inside `properties`; coordinates in
px of level 0.
"""

from __future__ import annotations

import gzip
import json
import math
import re
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import shapely
import shapely.errors
import shapely.geometry

from atypia.data.points.document import GEOJSON_SUFFIXES, Features, short
from atypia.data.points.table import Points, points_of
from atypia.errors import TableError
from atypia.files import written_output

ObjectType = Literal["annotation", "detection"]
Json = dict[str, Any]

# Ids must be the same whenever the same point is written, or QuPath asks what to do with doubles.
_NAMESPACE = uuid.UUID("6f0c8f0e-3f1c-5d0e-9a59-61747970696f")
_COLUMNS = ["point_id", "x", "y", "name", "place", "feature", "part"]
_CANONICAL = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
# What is raised on a geometry that is none, by shapely or by us.
_NO_GEOMETRY = (
    *(shapely.errors.ShapelyError, ValueError, TypeError, LookupError, AttributeError),
    ArithmeticError,
)


@dataclass(frozen=True)
class Finding:
    """What was found of one point.

    Attributes:
        name: class to give it.
        colour: of the class, RGB, 0 to 255.
        measurements: by name; those that are not finite are left out.
        metadata: by name, words that are no measurement.
    """

    name: str
    colour: tuple[int, int, int]
    measurements: Mapping[str, float]
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Objects:
    """A file of QuPath objects.

    Attributes:
        features: of the file, in its order.
        points: its objects as points; the columns `feature` and `part` (int64) say which feature,
            and which of its points, each one is.
    """

    features: Features
    points: Points


def read_objects(path: Path, document: Any, names: Sequence[str] = ()) -> Objects:
    """Read QuPath objects as points.

    A Point is a point, a MultiPoint as many as it holds, anything else its centroid. A point has
    its object's id; where an id stands twice, the later object gets another, and a warning says so.

    Args:
        path: file that `document` came from.
        document: as `read_document` gives it.
        names: read objects of these classes only, e.g. so that an outlined tumour is not taken for
            a figure; none reads all of them.

    Raises:
        TableError: it is no GeoJSON, or holds no point that can be used.
    """
    if not isinstance(document, Features):
        raise TableError(
            f"{path}: is no GeoJSON of QuPath, expected a FeatureCollection or a list of features "
            f"but found {short(document)}; in QuPath, File > Export objects as GeoJSON"
        )
    rows: list[tuple[object, ...]] = []
    failures: list[str] = []
    ids: set[str] = set()
    again: list[str] = []
    for number, feature in enumerate(document):
        place = f"feature {number + 1}"
        try:
            name, places = _read(feature, names)
        except ValueError as fault:
            failures.append(f"{path}, {place}: {fault}; left out")
            continue
        own = _uuid(feature.get("id")) if places else None
        for part, (x, y) in enumerate(places):
            known = own if len(places) == 1 else None
            point_id = known or stable_id(own or path.name, x, y)
            if known in ids:
                again.append(f"{place}, {known}")
            if point_id in ids:
                point_id = stable_id(f"{point_id} {number} {part}", x, y)
            ids.add(point_id)
            rows.append((point_id, x, y, name, place, number, part))
    points = points_of(path, pd.DataFrame(rows, columns=_COLUMNS), failures)
    if again:
        points = replace(points, warnings=(_told_again(path, again),))
    return Objects(document, points)


def _told_again(path: Path, again: list[str]) -> str:
    return (
        f"warning: {path}: ids that stand before already: {len(again)} (the first: {again[0]}); "
        "each such object gets an id of its own. Does the file hold objects twice?"
    )


def _read(feature: Any, names: Sequence[str]) -> tuple[str, list[tuple[float, float]]]:
    """Return the class and the points of a feature; no points if its class is not in `names`.

    Raises:
        ValueError: says what is wrong with it.
    """
    if not isinstance(feature, dict):
        raise ValueError(f"is no object but {short(feature)}")
    if feature.get("type") == "FeatureCollection":
        raise ValueError("is a FeatureCollection within another, expected a Feature")
    properties = feature.get("properties")
    name = class_of(properties if isinstance(properties, dict) else {})
    if names and name not in names:
        return name, []
    return name, _places(feature.get("geometry"))


def with_findings(
    objects: Objects, findings: Sequence[Finding | None], object_type: ObjectType | None = None
) -> Iterator[Json]:
    """Give a file's own objects back with what was found, and everything else as it was.

    An object of one point keeps its id, shape, name, measurements and whatever else it has; class
    and our measurements are set. One of several points becomes as many objects, each with all that
    it had. Objects that no point was read from stay as they are.

    Args:
        objects: as read.
        findings: one a point, in the order of the points; none leaves a point as it was.
        object_type: makes annotations or detections of them; none leaves what they are.

    Yields:
        Features, in the order of the file.
    """
    columns = (objects.points.frame[name].tolist() for name in ("feature", "point_id", "x", "y"))
    of_feature = groupby(zip(*columns, findings, strict=True), key=itemgetter(0))
    coming = next(of_feature, None)
    for number, feature in enumerate(objects.features):
        if coming is None or coming[0] != number:
            yield feature
            continue
        points = list(coming[1])
        coming = next(of_feature, None)
        apart = len(points) > 1 or feature["geometry"]["type"] == "MultiPoint"
        for _, own, x, y, finding in points:
            given = feature.get("properties")
            properties: Json = dict(given) if isinstance(given, dict) else {}
            if finding is not None:
                _set(properties, finding)
            if object_type is not None:
                properties.pop("object_type", None)
                properties["objectType"] = object_type
            one = {**feature, "id": own, "properties": properties}
            yield {**one, "geometry": _point(x, y)} if apart else one


def new_features(
    points: Points, findings: Sequence[Finding | None], slide: str, object_type: ObjectType
) -> Iterator[Json]:
    """Give objects for points that did not come from QuPath.

    Args:
        points: from whatever file.
        findings: one a point, in the order of the points; a point without one is left out.
        slide: its name; with the place it decides the ids.
        object_type: annotations can be edited in QuPath, detections are faster.

    Yields:
        Features, in the order of the points.
    """
    places = (points.frame[name].tolist() for name in ("x", "y"))
    for x, y, finding in zip(*places, findings, strict=True):
        if finding is None:
            continue
        properties: Json = {"objectType": object_type}
        _set(properties, finding)
        yield {
            "type": "Feature",
            "id": stable_id(slide, x, y),
            "geometry": _point(x, y),
            "properties": properties,
        }


def write_features(path: Path, features: Iterable[Json]) -> None:
    """Write a FeatureCollection that QuPath reads; .gz is compressed.

    Raises:
        TableError: another ending.
    """
    plain = path.with_suffix("") if path.suffix.lower() == ".gz" else path
    if plain.suffix.lower() not in GEOJSON_SUFFIXES:
        raise TableError(f"{path}: expected a name that ends in .geojson or .geojson.gz")
    with written_output(path) as partial:
        opened = gzip.open if plain != path else open
        with opened(partial, "wt", encoding="utf-8") as file:
            file.write('{"type": "FeatureCollection", "features": [')
            for number, feature in enumerate(features):
                file.write(",\n" if number else "\n")
                # What is not finite in somebody else's measurements stays: QuPath reads NaN.
                file.write(json.dumps(feature, ensure_ascii=False))
            file.write("\n]}\n")


def stable_id(of: str, x: float, y: float) -> str:
    """Return a UUID (version 5) that depends on a name and a place alone."""
    return str(uuid.uuid5(_NAMESPACE, f"{of} {x:.3f} {y:.3f}"))


def _set(properties: Json, finding: Finding) -> None:
    """Set class, measurements and metadata; measurements keep the form that they have."""
    properties["classification"] = {"name": finding.name, "color": list(finding.colour)}
    if finding.metadata:
        words = properties.get("metadata")
        properties["metadata"] = {**(words if isinstance(words, dict) else {}), **finding.metadata}
    ours = {key: float(of) for key, of in finding.measurements.items() if math.isfinite(of)}
    there = properties.get("measurements")
    if isinstance(there, list):
        kept = [one for one in there if not (isinstance(one, dict) and one.get("name") in ours)]
        properties["measurements"] = kept + [{"name": k, "value": v} for k, v in ours.items()]
    else:
        properties["measurements"] = {**(there if isinstance(there, dict) else {}), **ours}


def _point(x: float, y: float) -> Json:
    return {"type": "Point", "coordinates": [x, y]}


def _places(geometry: Any) -> list[tuple[float, float]]:
    """Return the points of a geometry.

    Raises:
        ValueError: says what is wrong with it.
    """
    if not isinstance(geometry, dict):
        raise ValueError(f"has no geometry but {short(geometry)}")
    kind = geometry.get("type")
    try:
        if kind == "Point":
            return [_pair(geometry["coordinates"])]
        if kind == "MultiPoint":
            places = [_pair(each) for each in geometry["coordinates"]]
        else:
            centre = shapely.geometry.shape(geometry).centroid
            places = [] if centre.is_empty else [(centre.x, centre.y)]
    except (*_NO_GEOMETRY, RecursionError) as fault:
        raise ValueError(f"geometry {short(kind)} cannot be read ({short(fault)})") from fault
    if not places:
        raise ValueError(f"geometry {short(kind)} is empty")
    return places


def _pair(given: Any) -> tuple[float, float]:
    """Return x and y of a position; a third number, its height, is left out.

    Raises:
        ValueError: it is no position.
    """
    x, y = given[:2]
    if type(x) not in (int, float) or type(y) not in (int, float):
        raise ValueError(f"expected two numbers, found {short(given)}")
    return float(x), float(y)


def class_of(properties: Json) -> str:
    """Return the class's name; QuPath joins several names with ": "."""
    given = properties.get("classification")
    if isinstance(given, str):
        return given
    if isinstance(given, dict):
        names = given.get("names")
        if isinstance(names, list):
            return ": ".join(map(str, names))
        return str(given.get("name") or "")
    return ""


def _uuid(given: Any) -> str | None:
    """Return an id that QuPath takes; others (names of types, in old files) it replaces itself."""
    if isinstance(given, str) and _CANONICAL.fullmatch(given):
        return given
    try:
        return str(uuid.UUID(given))
    except (ValueError, TypeError, AttributeError):
        return None
