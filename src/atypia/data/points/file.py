"""A file of points in any format: its points, and how results are returned to it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from atypia.data.points.qupath_object import Json
from atypia.data.points.qupath_results import ObjectType, PointResult, new_features
from atypia.data.points.table import Points
from atypia.errors import TableError


@dataclass(frozen=True)
class PointFile:
    """A file of points on one slide, which become new objects in QuPath.

    Attributes:
        points: that were read.
    """

    points: Points

    @property
    def members(self) -> Mapping[str, Any]:
        """What else the file's collection of objects holds, by name; nothing here."""
        return {}

    def give_back(
        self,
        results: Sequence[PointResult | None],
        slide: str,
        object_type: ObjectType | None = None,
    ) -> Iterator[Json]:
        """Give objects for QuPath.

        Args:
            results: one a point, in the order of the points; none of a point that failed.
            slide: its name; with the place it decides the ids of new objects.
            object_type: annotation or detection; none makes annotations.

        Yields:
            Features, in the order of the file.
        """
        return new_features(self.points, results, slide, object_type or "annotation")

    def outlines(self) -> Iterator[tuple[str, Json]]:
        """Give each outlined object with its class.

        Raises:
            TableError: the file cannot hold any.
        """
        raise TableError(
            f"{self.points.path}: has no outlined areas, as it is not a QuPath GeoJSON; give the "
            "area in mm2 instead of its class"
        )
