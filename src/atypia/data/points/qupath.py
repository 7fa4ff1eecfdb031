"""QuPath's GeoJSON: objects read as points, and given back with what was found.

The rules are those of QuPath's own parser (0.6, `QuPathTypeAdapters`): a FeatureCollection or a
plain list of features; class, name, measurements and objectType inside `properties`; coordinates in
px of level 0.
"""

from __future__ import annotations

import gzip
import itertools
import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from operator import itemgetter
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pandas as pd

from atypia.data.points.boxes import MOST_FIGURE_UM
from atypia.data.points.classes import ClassFilter, count_in_words
from atypia.data.points.document import GEOJSON_SUFFIXES, Features, short
from atypia.data.points.qupath_object import (
    MOST_DEPTH,
    TYPE_IN_ID,
    Json,
    children_of,
    class_of,
    decode_text,
    geometry_type,
    is_collection,
    object_type_of,
    own_id,
    places_of,
    points_of_geometry,
    properties_of,
    stable_id,
    uuid_of,
)
from atypia.data.points.table import PointFailure, Points, points_of
from atypia.errors import TableError
from atypia.files import written_output

ObjectType = Literal["annotation", "detection"]

_COLUMNS = ["point_id", "x", "y", "name", "place", "feature", "member", "part"]
_ANY_CLASS = ClassFilter()

# All that atypia writes to an object: what an earlier run wrote must not stand beside today's.
NORMAL, ATYPICAL, REFER = "Normal mitosis", "Atypical mitosis", "Refer"
P_ATYPICAL, SPREAD, PHASE = "P(atypical)", "Spread of members", "Phase"


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


class _Part(NamedTuple):
    """Which of its points a part of an object is, the part's id, and what was found of it."""

    number: int
    point_id: str
    finding: Finding | None


@dataclass(frozen=True)
class Objects:
    """A file of QuPath objects.

    Attributes:
        features: of the file, in its order.
        points: its objects as points; the columns `feature`, `member` and `part` (int64) say which
            feature, which of the objects in it (0 is the feature itself), and which of the points
            of that object each one is.
        unread: feature and member of each object that has a point which could not be read.
    """

    features: Features
    points: Points
    unread: frozenset[tuple[int, int]] = frozenset()


def read_objects(
    path: Path, document: Any, classes: ClassFilter = _ANY_CLASS, mpp: float | None = None
) -> Objects:
    """Read QuPath objects as points, those inside of other objects too.

    A Point is a point, a MultiPoint as many as it holds, anything else its centroid. A point has
    its object's id; where an id stands twice, the later object gets another, and a warning says so.

    Args:
        path: file that `document` came from.
        document: as `read_document` gives it.
        classes: which objects are read, e.g. so that an outlined tumour is not taken for a figure.
        mpp: um/px; where it is known, outlines that are too large for a figure are left out, and a
            warning says so, unless their class is asked for.

    Raises:
        TableError: it is no GeoJSON, or there are objects but none that can be used.
    """
    if not isinstance(document, Features):
        raise TableError(
            f"{path}: is no GeoJSON of QuPath, expected a FeatureCollection or a list of features "
            f"but found {short(document)}; in QuPath, File > Export objects as GeoJSON"
        )
    most_px = math.inf if mpp is None or classes.names else MOST_FIGURE_UM / mpp
    read = _Read(path, classes, most_px)
    for number, member, depth, feature in _objects(document):
        read.take(number, member, depth, feature)
    points = points_of(path, pd.DataFrame(read.rows, columns=_COLUMNS), read.failures, read.counts)
    points = replace(points, warnings=tuple(read.warnings()), outlines=read.outlines)
    return Objects(document, points, frozenset(read.unread))


class _Read:
    """What was read of a file, object by object."""

    def __init__(self, path: Path, classes: ClassFilter, most_px: float) -> None:
        self.rows: list[tuple[object, ...]] = []
        self.failures: list[PointFailure] = []
        self.unread: set[tuple[int, int]] = set()
        self.counts: Counter[str] = Counter()
        self.outlines: Counter[str] = Counter()
        self._large: Counter[str] = Counter()
        self._doubles: list[str] = []
        self._ids: set[str] = set()
        self._path, self._classes, self._most_px = path, classes, most_px

    def take(self, number: int, member: int, depth: int, feature: Any) -> None:
        """Read the points of an object, if its class is taken."""
        place = f"feature {number + 1}" + (f", object {member} in it" if member else "")
        if depth == MOST_DEPTH and children_of(feature):
            text = f"holds objects that are nested more than {MOST_DEPTH} deep"
            self._fail(place, ValueError(text, "nested too deeply"))
        if is_collection(feature) or not self._is_taken(feature):
            return
        try:
            places, longest_px = places_of(feature)
        except ValueError as fault:
            self.unread.add((number, member))
            self._fail(place, fault)
            return
        name = class_of(properties_of(feature))
        if longest_px > self._most_px:
            self._large[name] += 1
            return
        own = own_id(feature)
        for part, (x, y) in enumerate(places):
            known = own if len(places) == 1 else None
            point_id = known or stable_id(own or self._path.name, x, y)
            if point_id.lower() in self._ids:
                if known is not None:
                    self._doubles.append(f"{place}, {known}")
                point_id = stable_id(f"{point_id} {number} {member} {part}", x, y)
            self._ids.add(point_id.lower())
            self.rows.append((point_id, x, y, name, place, number, member, part))
            if not (math.isfinite(x) and math.isfinite(y)):
                self.unread.add((number, member))

    def _is_taken(self, feature: Any) -> bool:
        """Count an object, and return whether its class is taken."""
        name, kind = "", ""
        if isinstance(feature, dict):
            name, kind = class_of(properties_of(feature)), geometry_type(feature)
        several = len(feature["geometry"]["coordinates"]) if kind == "MultiPoint" else 1
        self.counts[name] += several
        if "Polygon" in kind and object_type_of(feature) in ("", "annotation"):
            self.outlines[name] += 1
        return self._classes.takes(name)

    def _fail(self, place: str, fault: ValueError) -> None:
        text, reason = fault.args
        self.failures.append(PointFailure(f"{self._path}, {place}: {text}; left out", reason))

    def warnings(self) -> Iterator[str]:
        """Yield what a user should know of the file."""
        if self._doubles:
            yield (
                f"warning: {self._path}: {len(self._doubles)} object ids occur more than once (the "
                f"first: {self._doubles[0]}); the duplicates were given new ids. Does the file "
                "hold objects twice?"
            )
        if self._large:
            asked = " ".join(f"--class {name!r}" for name in self._large)
            yield (
                f"warning: {self._path}: {self._large.total()} outlines are larger than "
                f"{MOST_FIGURE_UM:g} um ({count_in_words(self._large)}), no figures, and are left "
                f"out; to classify them, give {asked}"
            )


def _objects(features: Features) -> Iterator[tuple[int, int, int, Any]]:
    """Yield all objects, each before those inside of it.

    Yields:
        The number of the feature, that of the object in this feature, how deep it is nested, and
        the object, or a collection within the collection.
    """
    for number, feature in enumerate(features):
        members = itertools.count()
        waiting = [(0, feature)]
        while waiting:
            depth, each = waiting.pop()
            yield number, next(members), depth, each
            if depth < MOST_DEPTH:
                waiting += [(depth + 1, child) for child in reversed(children_of(each))]


def with_geometry(features: Features) -> Iterator[tuple[str, Json]]:
    """Yield each object that has a geometry, those inside of others too, with its class."""
    for *_, feature in _objects(features):
        if isinstance(feature, dict) and isinstance(feature.get("geometry"), dict):
            yield class_of(properties_of(feature)), feature


def with_findings(
    objects: Objects, findings: Sequence[Finding | None], object_type: ObjectType | None = None
) -> Iterator[Json]:
    """Give a file's own objects back with what was found, and everything else as it was.

    An object of one point keeps its id, shape, name, measurements and whatever else it has; class
    and our measurements are set. One of several points becomes as many objects, each with all that
    it had. What an earlier run wrote to an object is taken away, also where nothing was found of it
    this time. Objects that were not to be classified stay as they are.

    Args:
        objects: as read.
        findings: one a point, in the order of the points; none of a point that failed.
        object_type: makes annotations or detections of them; none leaves what they are.

    Yields:
        Features, in the order of the file.
    """
    frame = objects.points.frame
    columns = (frame[name].tolist() for name in ("feature", "member", "part", "point_id"))
    of_feature = itertools.groupby(zip(*columns, findings, strict=True), key=itemgetter(0))
    coming = next(of_feature, None)
    unread: dict[int, list[int]] = {}
    for number, member in objects.unread:
        unread.setdefault(number, []).append(member)
    for number, feature in enumerate(objects.features):
        parts: dict[int, list[_Part]] = {member: [] for member in unread.get(number, ())}
        if coming is not None and coming[0] == number:
            for _, member, *part in coming[1]:
                parts.setdefault(member, []).append(_Part(*part))
            coming = next(of_feature, None)
        if parts:
            yield from _rebuild(feature, itertools.count(), parts, object_type)
        else:
            yield feature


def _rebuild(
    feature: Any,
    members: Iterator[int],
    parts: Mapping[int, list[_Part]],
    object_type: ObjectType | None,
    depth: int = 0,
) -> list[Any]:
    """Return what becomes of a feature, and of the objects inside of it in the order of `walk`."""
    own = parts.get(next(members))
    inside = children_of(feature) if depth < MOST_DEPTH else []
    if inside:
        lists = (_rebuild(one, members, parts, object_type, depth + 1) for one in inside)
        children = list(itertools.chain.from_iterable(lists))
        if is_collection(feature):
            return [{**feature, "features": children}]
        feature = {**feature, "properties": {**properties_of(feature), "childObjects": children}}
    if own is None or not isinstance(feature, dict):
        return [feature]
    if not own:
        former = properties_of(feature)
        return [{**feature, "properties": _without_former(former)}] if former else [feature]
    points = points_of_geometry(feature["geometry"])
    apart = points is not None and feature["geometry"]["type"] != "Point"
    built: list[Json] = []
    for number, point_id, finding in own:
        properties = _without_former(properties_of(feature))
        _keep_of_id(properties, feature.get("id"), point_id)
        if finding is not None:
            _set(properties, finding)
        if object_type is not None:
            properties.pop("object_type", None)
            properties["objectType"] = object_type
        one = {**feature, "id": point_id, "properties": properties}
        if apart and points is not None:
            one["geometry"] = points[number]
            one.pop("bbox", None)
            if built:
                properties.pop("childObjects", None)
        built.append(one)
    return built


def _keep_of_id(properties: Json, given: Any, point_id: str) -> None:
    """Keep what an id says that QuPath would not take, and that another stands in for."""
    if given is None or given == point_id or uuid_of(given) is not None:
        return
    kind = TYPE_IN_ID.get(str(given))
    if kind is None:
        properties.setdefault("id", given)
    elif "objectType" not in properties and "object_type" not in properties:
        properties["objectType"] = kind


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


def write_features(
    path: Path, features: Iterable[Json], members: Mapping[str, Any] | None = None
) -> None:
    """Write a FeatureCollection that QuPath reads; .gz is compressed.

    Args:
        path: of the file.
        features: of the collection.
        members: what else the collection holds, by name.

    Raises:
        TableError: another ending.
    """
    plain = path.with_suffix("") if path.suffix.lower() == ".gz" else path
    if plain.suffix.lower() not in GEOJSON_SUFFIXES:
        raise TableError(f"{path}: expected a name that ends in .geojson or .geojson.gz")
    with written_output(path) as partial:
        opened = gzip.open if plain != path else open
        with opened(partial, "wt", encoding="utf-8") as file:
            file.write('{"type": "FeatureCollection", ')
            for name, value in (members or {}).items():
                if name not in ("type", "features"):
                    file.write(f"{_text(name)}: {_text(value)}, ")
            file.write('"features": [')
            for number, feature in enumerate(features):
                file.write(",\n" if number else "\n")
                file.write(_text(feature))
            file.write("\n]}\n")


def _text(value: Any) -> str:
    # What is not finite in somebody else's measurements stays: QuPath reads NaN.
    text = json.dumps(value, ensure_ascii=False)
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:  # half of a character, which JSON can hold and UTF-8 cannot
        return json.dumps(value)
    return text


def _without_former(given: Json) -> Json:
    """Return properties without what an earlier run of atypia wrote to them.

    Class and phase are an earlier run's where one of its measurements is there too; else somebody
    else gave them. What a GIS library wrote as JSON text is an object again.
    """
    properties = dict(given)
    for key in ("classification", "measurements", "metadata"):
        if key in properties:
            properties[key] = decode_text(properties[key])
    there = properties.get("measurements")
    kept: Any
    if isinstance(there, list):
        kept = [one for one in there if not (isinstance(one, dict) and _is_ours(one.get("name")))]
    elif isinstance(there, dict):
        kept = {name: value for name, value in there.items() if not _is_ours(name)}
    else:
        return properties
    if len(kept) == len(there):
        return properties
    properties["measurements"] = kept
    if class_of(properties) in (NORMAL, ATYPICAL, REFER):
        del properties["classification"]
    words = properties.get("metadata")
    if isinstance(words, dict) and PHASE in words:
        properties["metadata"] = {name: word for name, word in words.items() if name != PHASE}
        if not properties["metadata"]:
            del properties["metadata"]
    return properties


def _is_ours(name: Any) -> bool:
    return name in (P_ATYPICAL, SPREAD)


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
