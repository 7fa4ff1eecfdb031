"""QuPath's GeoJSON: objects read as points, and given back with what was found.

The rules are those of QuPath's own parser (0.6, `QuPathTypeAdapters`): a FeatureCollection or a
plain list of features; class, name, measurements and objectType inside `properties`; coordinates in
px of level 0.
"""

from __future__ import annotations

import copy
import gzip
import json
import math
import uuid
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import shapely
import shapely.errors
import shapely.geometry

from atypia.data.points.table import Points, points_of
from atypia.errors import TableError
from atypia.files import written_whole

ObjectType = Literal["annotation", "detection"]
Json = dict[str, Any]

# Ids must be the same whenever the same point is written, or QuPath asks what to do with doubles.
_NAMESPACE = uuid.UUID("6f0c8f0e-3f1c-5d0e-9a59-61747970696f")
_SUFFIXES = (".geojson", ".json")
_MOST_BYTES = 2**32  # of an archive's content: a small file can hold a very large one


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
        document: as it was read, a FeatureCollection or a list of features.
        points: its objects as points; the columns `feature` and `part` (int64) say which feature,
            and which of its points, each one is.
    """

    document: Json | list[Any]
    points: Points

    @property
    def features(self) -> list[Any]:
        """The features of the document."""
        return features_of(self.document, self.points.path)


def read_objects(path: Path, document: Any, names: Sequence[str] = ()) -> Objects:
    """Read QuPath objects as points.

    A Point is a point, a MultiPoint as many as it holds, anything else its centroid.

    Args:
        path: file that `document` came from.
        document: as `read_document` gives it.
        names: read objects of these classes only, e.g. so that an outlined tumour is not taken for
            a figure; none reads all of them.

    Raises:
        TableError: it is no GeoJSON, or holds no point that can be used.
    """
    rows: list[Json] = []
    failures: list[str] = []
    for number, feature in enumerate(features_of(document, path)):
        place = f"feature {number + 1}"
        if not isinstance(feature, dict):
            failures.append(f"{path}, {place}: is no object but {_short(feature)}; left out")
            continue
        properties = feature.get("properties")
        name = class_of(properties if isinstance(properties, dict) else {})
        if names and name not in names:
            continue
        try:
            places = _places(feature.get("geometry"))
        except ValueError as fault:
            failures.append(f"{path}, {place}: {fault}; left out")
            continue
        own = _uuid(feature.get("id"))
        for part, (x, y) in enumerate(places):
            known = own if len(places) == 1 else None
            rows.append(
                {
                    "point_id": known or stable_id(own or path.name, x, y),
                    "x": x,
                    "y": y,
                    "name": name,
                    "place": place,
                    "feature": number,
                    "part": part,
                }
            )
    return Objects(document, points_of(path, rows, failures))


def features_of(document: Any, path: Path) -> list[Any]:
    """Return the features of a document.

    Raises:
        TableError: it is neither a FeatureCollection, a Feature nor a list of features.
    """
    if isinstance(document, list):
        return document
    if isinstance(document, dict):
        if isinstance(document.get("features"), list):
            found: list[Any] = document["features"]
            return found
        if document.get("type") == "Feature":
            return [document]
    raise TableError(
        f"{path}: is no GeoJSON of QuPath, expected a FeatureCollection or a list of features but "
        f"found {_short(document)}; in QuPath, File > Export objects as GeoJSON"
    )


def with_findings(
    objects: Objects, findings: Sequence[Finding | None], object_type: ObjectType | None = None
) -> list[Json]:
    """Give a file's own objects back with what was found, and everything else as it was.

    An object of one point keeps its id, shape, name, measurements and whatever else it has; class
    and our measurements are set. One of several points becomes as many objects, each with all that
    it had. Objects that no point was read from stay as they are.

    Args:
        objects: as read.
        findings: one a point, in the order of the points; none leaves a point as it was.
        object_type: makes annotations or detections of them; none leaves what they are.

    Returns:
        Features, in the order of the file.
    """
    frame = objects.points.frame
    found: dict[int, list[Json]] = {}
    of_feature = frame.groupby("feature")["part"].transform("size")
    columns = (frame[name].tolist() for name in ("feature", "point_id", "x", "y"))
    for number, own, x, y, finding, count in zip(*columns, findings, of_feature, strict=True):
        feature = copy.deepcopy(objects.features[number])
        if count > 1 or feature["geometry"]["type"] == "MultiPoint":
            feature["geometry"] = {"type": "Point", "coordinates": [x, y]}
        feature["id"] = own
        properties = feature.get("properties")
        feature["properties"] = properties if isinstance(properties, dict) else {}
        if finding is not None:
            _set(feature["properties"], finding)
        if object_type is not None:
            feature["properties"].pop("object_type", None)
            feature["properties"]["objectType"] = object_type
        found.setdefault(number, []).append(feature)
    return [
        one
        for number, feature in enumerate(objects.features)
        for one in found.get(number, [copy.deepcopy(feature)])
    ]


def new_features(
    points: Points, findings: Sequence[Finding | None], slide: str, object_type: ObjectType
) -> list[Json]:
    """Return objects for points that did not come from QuPath.

    Args:
        points: from whatever file.
        findings: one a point, in the order of the points; a point without one is left out.
        slide: its name; with the place it decides the ids.
        object_type: annotations can be edited in QuPath, detections are faster.
    """
    features = []
    places = (points.frame[name].tolist() for name in ("x", "y"))
    for x, y, finding in zip(*places, findings, strict=True):
        if finding is None:
            continue
        properties: Json = {"objectType": object_type}
        _set(properties, finding)
        features.append(
            {
                "type": "Feature",
                "id": stable_id(slide, x, y),
                "geometry": {"type": "Point", "coordinates": [x, y]},
                "properties": properties,
            }
        )
    return features


def write_features(path: Path, features: Sequence[Json]) -> None:
    """Write a FeatureCollection that QuPath reads; .gz is compressed.

    Raises:
        TableError: another ending.
    """
    plain = path.with_suffix("") if path.suffix.lower() == ".gz" else path
    if plain.suffix.lower() not in _SUFFIXES:
        raise TableError(f"{path}: expected a name that ends in .geojson or .geojson.gz")
    with written_whole(path) as partial:
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


def _places(geometry: Any) -> list[tuple[float, float]]:
    """Return the points of a geometry.

    Raises:
        ValueError: says what is wrong with it.
    """
    if not isinstance(geometry, dict):
        raise ValueError(f"has no geometry but {_short(geometry)}")
    kind = geometry.get("type")
    try:
        shape = shapely.geometry.shape(geometry)
    except (shapely.errors.ShapelyError, ValueError, TypeError, KeyError, AttributeError) as fault:
        raise ValueError(f"geometry {_short(kind)} cannot be read ({_short(fault)})") from fault
    if shape.is_empty:
        raise ValueError(f"geometry {_short(kind)} is empty")
    if isinstance(shape, shapely.MultiPoint):
        return [(point.x, point.y) for point in shape.geoms]
    centre = shape if isinstance(shape, shapely.Point) else shape.centroid
    return [(centre.x, centre.y)]


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
    try:
        return str(uuid.UUID(given))
    except (ValueError, TypeError, AttributeError):
        return None


def read_document(path: Path) -> Any:
    """Read a JSON file.

    Args:
        path: .geojson or .json, plain, .gz, or .zip with one such file in it.

    Raises:
        TableError: it cannot be read.
    """
    again = "export it again"
    try:
        text = _bytes(path).decode("utf-8-sig")
        return json.loads(text)
    except (OSError, EOFError, zipfile.BadZipFile) as fault:
        raise TableError(f"{path}: cannot be read ({_short(fault)}); {again}") from fault
    except UnicodeDecodeError as fault:
        raise TableError(f"{path}: is no text in UTF-8; {again}") from fault
    except json.JSONDecodeError as fault:
        raise TableError(
            f"{path}: is no JSON from line {fault.lineno}, column {fault.colno} on "
            f"({fault.msg}); {again}"
        ) from fault
    except RecursionError as fault:
        raise TableError(f"{path}: is nested too deeply; {again}") from fault


def _bytes(path: Path) -> bytes:
    suffix = path.suffix.lower()
    if suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            inside = [one for one in archive.infolist() if one.filename.endswith(_SUFFIXES)]
            if len(inside) != 1:
                raise TableError(
                    f"{path}: holds {len(inside)} files that end in .geojson or .json, expected "
                    "one; unpack it and give the file"
                )
            if inside[0].file_size > _MOST_BYTES:
                raise TableError(f"{path}: unpacks to more than 4 GiB; unpack it and divide it")
            return archive.read(inside[0])
    if suffix == ".gz":
        with gzip.open(path) as file:
            text = file.read(_MOST_BYTES + 1)
        if len(text) > _MOST_BYTES:
            raise TableError(f"{path}: unpacks to more than 4 GiB; unpack it and divide it")
        return text
    return path.read_bytes()


def _short(of: object) -> str:
    text = " ".join(str(of).split())
    return f"{text[:60]}..." if len(text) > 60 else text
