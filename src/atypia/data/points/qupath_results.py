"""QuPath objects with the results of their points.

Results of an earlier run of atypia are removed from an object first; everything else stays.
"""

from __future__ import annotations

import gzip
import itertools
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from pathlib import Path
from typing import Any, Literal, NamedTuple

from atypia.data.points.classes import HOTSPOT
from atypia.data.points.document import GEOJSON_SUFFIXES, Features
from atypia.data.points.qupath_object import (
    MOST_DEPTH,
    TYPE_IN_ID,
    Json,
    decode_text,
    find_children,
    is_collection,
    list_points,
    parse_uuid,
    read_class,
    read_properties,
    stable_id,
)
from atypia.data.points.table import Points
from atypia.errors import TableError
from atypia.files import create_output

ObjectType = Literal["annotation", "detection"]

# All that atypia writes to an object; results of an earlier run are removed by these names.
NORMAL, ATYPICAL, REFER = "Normal mitosis", "Atypical mitosis", "Refer"
P_ATYPICAL, SPREAD, IN_SCOPE = "P(atypical)", "Spread of members", "In scope"
PHASE, SCOPE = "Phase", "Scope"
# The class once more, which nobody changes, and the bundle that gave it: a class that differs from
# it is a person's.
GIVEN, GIVEN_BY = "Classified as", "Classified by"
UNKNOWN_CALL = "?"
_MEASUREMENTS, _TEXTS = (P_ATYPICAL, SPREAD, IN_SCOPE), (PHASE, SCOPE, GIVEN, GIVEN_BY)

_HOTSPOT_COLOUR = (0, 158, 115)


@dataclass(frozen=True)
class PointResult:
    """Result of one point.

    Attributes:
        name: class to give it.
        colour: of the class, RGB, 0 to 255.
        measurements: by name; those that are not finite are left out.
        metadata: by name, texts that are not measurements.
    """

    name: str
    colour: tuple[int, int, int]
    measurements: Mapping[str, float]
    metadata: Mapping[str, str] = field(default_factory=dict)


class _Part(NamedTuple):
    """Which of its points a part of an object is, the part's id, and what was found of it."""

    number: int
    point_id: str
    result: PointResult | None


def read_given_class(properties: Json) -> str:
    """Return the class that a run of atypia gave to an object; "" where none did.

    `UNKNOWN_CALL` of a run that did not note it.
    """
    words = decode_text(properties.get("metadata"))
    given = str(words.get(GIVEN, "")) if isinstance(words, dict) else ""
    if given:
        return given
    measurements = decode_text(properties.get("measurements"))
    if isinstance(measurements, list):
        named = [entry.get("name") for entry in measurements if isinstance(entry, dict)]
    else:
        named = list(measurements) if isinstance(measurements, dict) else []
    return UNKNOWN_CALL if P_ATYPICAL in named else ""


def rebuild_features(
    features: Features,
    points: Points,
    unread: Iterable[tuple[int, int]],
    results: Sequence[PointResult | None],
    object_type: ObjectType | None = None,
) -> Iterator[Json]:
    """Yield a file's own objects with their results, and everything else unchanged.

    An object of one point keeps its id, shape, name, measurements and whatever else it has; class
    and our measurements are set. One of several points becomes as many objects, each with all that
    it had. What an earlier run wrote to an object is taken away, also where nothing was found of it
    this time. Objects that were not to be classified stay as they are.

    Args:
        features: of the file.
        points: its objects as points, with the columns that `QuPathFile` says.
        unread: feature and member of each object that has a point which could not be read.
        results: one a point, in the order of the points; none of a point that failed.
        object_type: makes annotations or detections of them; none leaves what they are.

    Yields:
        Features, in the order of the file.
    """
    frame = points.frame
    columns = (frame[name].tolist() for name in ("feature", "member", "part", "point_id"))
    of_feature = itertools.groupby(zip(*columns, results, strict=True), key=itemgetter(0))
    coming = next(of_feature, None)
    unreadable: dict[int, list[int]] = {}
    for number, member in unread:
        unreadable.setdefault(number, []).append(member)
    for number, feature in enumerate(features):
        parts: dict[int, list[_Part]] = {member: [] for member in unreadable.get(number, ())}
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
    inside = find_children(feature) if depth < MOST_DEPTH else []
    if inside:
        lists = (_rebuild(child, members, parts, object_type, depth + 1) for child in inside)
        children = list(itertools.chain.from_iterable(lists))
        if is_collection(feature):
            return [{**feature, "features": children}]
        feature = {**feature, "properties": {**read_properties(feature), "childObjects": children}}
    if own is None or not isinstance(feature, dict):
        return [feature]
    if not own:
        former = read_properties(feature)
        return [{**feature, "properties": _strip_former(former)}] if former else [feature]
    points = list_points(feature["geometry"])
    apart = points is not None and feature["geometry"]["type"] != "Point"
    built: list[Json] = []
    for number, point_id, result in own:
        properties = _strip_former(read_properties(feature))
        _keep_former_id(properties, feature.get("id"), point_id)
        if result is not None:
            _set_result(properties, result)
        if object_type is not None:
            properties.pop("object_type", None)
            properties["objectType"] = object_type
        copy = {**feature, "id": point_id, "properties": properties}
        if apart and points is not None:
            copy["geometry"] = points[number]
            copy.pop("bbox", None)
            if built:
                properties.pop("childObjects", None)
        built.append(copy)
    return built


def _keep_former_id(properties: Json, former_id: Any, point_id: str) -> None:
    """Keep the information of an id that QuPath rejects and that is replaced."""
    if former_id is None or former_id == point_id or parse_uuid(former_id) is not None:
        return
    kind = TYPE_IN_ID.get(str(former_id))
    if kind is None:
        properties.setdefault("id", former_id)
    elif "objectType" not in properties and "object_type" not in properties:
        properties["objectType"] = kind


def new_features(
    points: Points, results: Sequence[PointResult | None], slide: str, object_type: ObjectType
) -> Iterator[Json]:
    """Yield new objects for points that did not come from QuPath.

    Args:
        points: from any file.
        results: one a point, in the order of the points; a point without one is left out.
        slide: its name; with the place it decides the ids.
        object_type: annotations can be edited in QuPath, detections are faster.

    Yields:
        Features, in the order of the points.
    """
    places = (points.frame[name].tolist() for name in ("x", "y"))
    for x, y, result in zip(*places, results, strict=True):
        if result is None:
            continue
        properties: Json = {"objectType": object_type}
        _set_result(properties, result)
        yield {
            "type": "Feature",
            "id": stable_id(slide, x, y),
            "geometry": _point(x, y),
            "properties": properties,
        }


def outline_hotspot(
    bounds: tuple[float, float, float, float], slide: str, measurements: Mapping[str, float]
) -> Json:
    """Return the outline of a hotspot as an annotation, locked as figures lie in it.

    Args:
        bounds: left, top, right and bottom, px.
        slide: its name; it alone decides the id, as a slide has one hotspot.
        measurements: by name.
    """
    left, top, right, bottom = bounds
    ring = [[left, top], [right, top], [right, bottom], [left, bottom], [left, top]]
    return {
        "type": "Feature",
        "id": _hotspot_id(slide),
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "properties": {
            "objectType": "annotation",
            "name": "Hotspot",
            "classification": {"name": HOTSPOT, "color": list(_HOTSPOT_COLOUR)},
            "isLocked": True,
            "measurements": dict(measurements),
        },
    }


def drop_hotspots(features: Iterable[Any], slide: str) -> Iterator[Any]:
    """Yield features without the hotspot of an earlier run; what lies in it stays.

    It is known by its id, so that an outline of the same class that somebody drew stays, too.
    """
    for feature in features:
        inside = find_children(feature)
        kept = list(drop_hotspots(inside, slide))
        if _is_hotspot(feature, slide):
            yield from kept
        elif kept == inside:
            yield feature
        elif is_collection(feature):
            yield {**feature, "features": kept}
        else:
            yield {**feature, "properties": {**read_properties(feature), "childObjects": kept}}


def _is_hotspot(feature: Any, slide: str) -> bool:
    return (
        isinstance(feature, dict)
        and read_class(read_properties(feature)) == HOTSPOT
        and feature.get("id") == _hotspot_id(slide)
    )


def _hotspot_id(slide: str) -> str:
    return stable_id(f"{slide} {HOTSPOT}", 0, 0)


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
    with create_output(path) as partial:
        opened = gzip.open if plain != path else open
        with opened(partial, "wt", encoding="utf-8") as file:
            file.write('{"type": "FeatureCollection", ')
            for name, value in (members or {}).items():
                if name not in ("type", "features"):
                    file.write(f"{_encode(name)}: {_encode(value)}, ")
            file.write('"features": [')
            for number, feature in enumerate(features):
                file.write(",\n" if number else "\n")
                file.write(_encode(feature))
            file.write("\n]}\n")


def _encode(value: Any) -> str:
    # What is not finite in somebody else's measurements stays: QuPath reads NaN.
    text = json.dumps(value, ensure_ascii=False)
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:  # a half character (lone surrogate), valid in JSON and not in UTF-8
        return json.dumps(value)
    return text


def _strip_former(former: Json) -> Json:
    """Return properties without what an earlier run of atypia wrote to them.

    Class and phase are an earlier run's where one of its measurements is there too; else somebody
    else gave them. What a GIS library wrote as JSON text is an object again.
    """
    properties = dict(former)
    for key in ("classification", "measurements", "metadata"):
        if key in properties:
            properties[key] = decode_text(properties[key])
    measurements = properties.get("measurements")
    others: Any
    if isinstance(measurements, list):
        others = [
            entry
            for entry in measurements
            if not (isinstance(entry, dict) and _is_ours(entry.get("name")))
        ]
    elif isinstance(measurements, dict):
        others = {name: value for name, value in measurements.items() if not _is_ours(name)}
    else:
        return properties
    if len(others) == len(measurements):
        return properties
    properties["measurements"] = others
    if read_class(properties) in (NORMAL, ATYPICAL, REFER):
        del properties["classification"]
    words = properties.get("metadata")
    if isinstance(words, dict) and any(name in words for name in _TEXTS):
        kept = {name: word for name, word in words.items() if name not in _TEXTS}
        properties["metadata"] = kept
        if not properties["metadata"]:
            del properties["metadata"]
    return properties


def _is_ours(name: Any) -> bool:
    return name in _MEASUREMENTS


def _set_result(properties: Json, result: PointResult) -> None:
    """Set class, measurements and metadata; measurements keep the form that they have."""
    properties["classification"] = {"name": result.name, "color": list(result.colour)}
    if result.metadata:
        words = properties.get("metadata")
        properties["metadata"] = {**(words if isinstance(words, dict) else {}), **result.metadata}
    ours = {key: float(of) for key, of in result.measurements.items() if math.isfinite(of)}
    measurements = properties.get("measurements")
    if isinstance(measurements, list):
        names = list(ours)  # a name of somebody else's may be of any type, and have no hash
        others = [
            entry
            for entry in measurements
            if not (isinstance(entry, dict) and entry.get("name") in names)
        ]
        properties["measurements"] = others + [{"name": k, "value": v} for k, v in ours.items()]
    else:
        properties["measurements"] = {
            **(measurements if isinstance(measurements, dict) else {}),
            **ours,
        }


def _point(x: float, y: float) -> Json:
    return {"type": "Point", "coordinates": [x, y]}
