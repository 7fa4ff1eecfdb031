from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from atypia.data.points.table import PointFailure, make_points
from atypia.errors import TableError

PATH = Path("points.csv")


def _row(point_id: str, x: float = 1.0) -> dict[str, object]:
    return {"point_id": point_id, "x": x, "y": 2, "name": "", "place": f"row {point_id}"}


def test_a_second_point_of_an_id_gets_another_and_a_warning_says_so() -> None:
    points = make_points(PATH, [_row("a"), _row("b"), _row("a"), _row("a")])
    assert list(points.frame["point_id"]) == ["a", "b", "a#2", "a#3"]
    assert len(points.warnings) == 1 and "1 ids occur more than once" in points.warnings[0]


def test_a_place_that_is_not_finite_is_a_failure_and_the_rest_is_kept() -> None:
    points = make_points(PATH, [_row("a"), _row("b", np.inf)], [PointFailure("x", "no geometry")])
    assert list(points.frame["point_id"]) == ["a"] and list(points.frame.index) == [0]
    assert len(points.failures) == 2 and points.failures[1].startswith("points.csv, row b: ")
    assert points.reasons == {"no geometry": 1, "no finite x and y": 1}


def test_no_points_are_a_searched_slide_and_none_usable_is_an_error() -> None:
    assert len(make_points(PATH, [])) == 0
    with pytest.raises(TableError, match="no finite x and y: 1"):
        make_points(PATH, [_row("a", np.nan)])
