"""QuPath's GeoJSON: objects read as points. How they are given back: `qupath_results.py`.

The rules are those of QuPath's own parser (0.6, `QuPathTypeAdapters`): a FeatureCollection or a
plain list of features; class, name, measurements and objectType inside `properties`; coordinates in
px of level 0.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd

from atypia.data.points.boxes import MOST_FIGURE_UM
from atypia.data.points.classes import ClassFilter, format_counts
from atypia.data.points.document import Features
from atypia.data.points.file import PointFile
from atypia.data.points.qupath_object import (
    MOST_DEPTH,
    Json,
    find_children,
    find_places,
    geometry_type,
    is_collection,
    is_locked,
    own_id,
    read_class,
    read_object_type,
    read_properties,
    stable_id,
)
from atypia.data.points.qupath_results import (
    ObjectType,
    PointResult,
    read_given_class,
    rebuild_features,
)
from atypia.data.points.table import PointFailure, make_points
from atypia.errors import TableError, abbreviate

_COLUMNS = [
    *("point_id", "x", "y", "name", "place"),
    *("feature", "member", "part", "given", "locked"),
]
_ANY_CLASS = ClassFilter()


@dataclass(frozen=True)
class QuPathFile(PointFile):
    """A file of QuPath objects, which are given back with all that they had.

    Attributes:
        features: of the file, in its order.
        points: its objects as points; the columns `feature`, `member` and `part` (int64) say which
            feature, which of the objects in it (0 is the feature itself), and which of the points
            of that object each one is; `given` (str) the class that atypia gave it, "" where it did
            not; `locked` (bool) whether it is locked in QuPath.
        unread: feature and member of each object that has a point which could not be read.
    """

    features: Features = field(kw_only=True)
    unread: frozenset[tuple[int, int]] = field(default=frozenset(), kw_only=True)

    @property
    def members(self) -> Mapping[str, Any]:
        """What else the collection holds, by name."""
        return self.features.members

    def give_back(
        self,
        results: Sequence[PointResult | None],
        slide: str,
        object_type: ObjectType | None = None,
    ) -> Iterator[Json]:
        """Give the file's own objects; none as `object_type` leaves what they are."""
        return rebuild_features(self.features, self.points, self.unread, results, object_type)

    def outlines(self) -> Iterator[tuple[str, Json]]:
        """Give each object that has a geometry, those inside of others too, with its class."""
        for *_, feature in _walk_objects(self.features):
            if isinstance(feature, dict) and isinstance(feature.get("geometry"), dict):
                yield read_class(read_properties(feature)), feature


def read_objects(
    path: Path, document: Any, classes: ClassFilter = _ANY_CLASS, mpp: float | None = None
) -> QuPathFile:
    """Read QuPath objects as points, those inside of other objects too.

    A Point is a point, a MultiPoint as many as it holds, anything else its centroid. A point has
    its object's id; where an id occurs twice, the later object gets a new one, with a warning.

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
            f"{path}: is not a QuPath GeoJSON, expected a FeatureCollection or a list of features "
            f"but found {abbreviate(document)}; in QuPath, File > Export objects as GeoJSON"
        )
    most_px = math.inf if mpp is None or classes.names else MOST_FIGURE_UM / mpp
    read = _ObjectReader(path, document, classes, most_px)
    for number, member, depth, feature in _walk_objects(document):
        read.take(number, member, depth, feature)
    points = make_points(
        path, pd.DataFrame(read.rows, columns=_COLUMNS), read.failures, read.counts
    )
    points = replace(points, warnings=tuple(read.warnings()), outlines=read.outlines)
    return QuPathFile(points, features=document, unread=frozenset(read.unread))


class _ObjectReader:
    """Reads the points of a file, object by object."""

    def __init__(
        self, path: Path, features: Features, classes: ClassFilter, most_px: float
    ) -> None:
        self.rows: list[tuple[object, ...]] = []
        self.failures = list(features.failures)
        self.unread: set[tuple[int, int]] = set()
        self.counts: Counter[str] = Counter()
        self.outlines: Counter[str] = Counter()
        self._large: Counter[str] = Counter()
        self._doubles: list[str] = []
        self._ids: set[str] = set()
        self._path, self._features = path, features
        self._classes, self._most_px = classes, most_px

    def take(self, number: int, member: int, depth: int, feature: Any) -> None:
        """Read the points of an object, if its class is taken."""
        place = self._features.place(number) + (f", object {member} in it" if member else "")
        if depth == MOST_DEPTH and find_children(feature):
            text = f"holds objects that are nested more than {MOST_DEPTH} deep"
            self._fail(place, ValueError(text, "nested too deeply"))
        if is_collection(feature) or not self._is_taken(feature):
            return
        try:
            places, longest_px = find_places(feature)
        except ValueError as fault:
            self.unread.add((number, member))
            self._fail(place, fault)
            return
        name = read_class(read_properties(feature))
        if longest_px > self._most_px:
            self._large[name] += 1
            return
        own, given = own_id(feature), read_given_class(read_properties(feature))
        for part, (x, y) in enumerate(places):
            known = own if len(places) == 1 else None
            point_id = known or stable_id(own or self._path.name, x, y)
            if point_id.lower() in self._ids:
                if known is not None:
                    self._doubles.append(f"{place}, {known}")
                point_id = stable_id(f"{point_id} {number} {member} {part}", x, y)
            self._ids.add(point_id.lower())
            self.rows.append(
                (point_id, x, y, name, place, number, member, part, given, is_locked(feature))
            )
            if not (math.isfinite(x) and math.isfinite(y)):
                self.unread.add((number, member))

    def _is_taken(self, feature: Any) -> bool:
        """Count an object, and return whether its class is taken."""
        name, kind = "", ""
        if isinstance(feature, dict):
            name, kind = read_class(read_properties(feature)), geometry_type(feature)
        several = len(feature["geometry"]["coordinates"]) if kind == "MultiPoint" else 1
        self.counts[name] += several
        if "Polygon" in kind and read_object_type(feature) in ("", "annotation"):
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
                "contain objects twice?"
            )
        if self._large:
            options = " ".join(f"--class {name!r}" for name in self._large)
            yield (
                f"warning: {self._path}: {self._large.total()} outlines are larger than "
                f"{MOST_FIGURE_UM:g} um ({format_counts(self._large)}), no figures, and are left "
                f"out; to classify them, give {options}"
            )


def _walk_objects(features: Features) -> Iterator[tuple[int, int, int, Any]]:
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
                waiting += [(depth + 1, child) for child in reversed(find_children(each))]
