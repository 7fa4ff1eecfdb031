"""Points that are evidently not of this slide are refused in one line, before anything is read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from atypia.data.points.on_slide import require_on_slide
from atypia.data.points.table import PointFailure, Points, make_points
from atypia.data.slides import Slide
from atypia.errors import TableError

WIDE, HIGH = 100_000, 80_000


def _slide(
    mpp: float = 0.25, size: tuple[int, int] = (WIDE, HIGH), origin: tuple[int, int] = (0, 0)
) -> Slide:
    return Slide(Path("s.svs"), mpp, "slide", size, origin, size, (mpp,), (size,), None)  # type: ignore[arg-type]


def _points(*places: tuple[float, float]) -> Points:
    frame = pd.DataFrame(places, columns=["x", "y"]).astype(float)
    return Points(Path("p.geojson"), frame, ())


def _refused(points: Points, slide: Slide) -> str:
    with pytest.raises(TableError) as refused:
        require_on_slide(points, slide)
    assert "\n" not in str(refused.value)
    assert str(refused.value).startswith("p.geojson: ")
    return str(refused.value)


def test_a_file_of_another_slide_gets_one_line_for_a_million_points() -> None:
    places = np.random.default_rng(0).uniform(WIDE, 2 * WIDE, (10**6, 2))
    said = _refused(
        Points(Path("p.geojson"), pd.DataFrame(places, columns=["x", "y"]), ()), _slide()
    )
    assert "1000000 of 1000000 points do not lie on the slide of 100000 x 80000 px" in said
    assert "of this slide?" in said


def test_points_on_the_border_are_on_the_slide() -> None:
    corners = [(0, 0), (WIDE, HIGH), (0, HIGH), (WIDE, 0)]
    require_on_slide(_points(*corners), _slide())
    for corner in corners:
        require_on_slide(_points(corner), _slide())


@pytest.mark.parametrize("place", [(-0.5, 10), (10, -0.5), (WIDE + 0.5, 10), (10, HIGH + 0.5)])
def test_a_few_off_the_slide_are_left_to_be_named_each(place: tuple[float, float]) -> None:
    good = [(50_000 + 10 * n, 40_000) for n in range(200)]
    require_on_slide(_points(*good[:1], *[place] * 10), _slide())
    require_on_slide(_points(*good, *[place] * 22), _slide())
    assert "11 of 12 points" in _refused(_points(*good[:1], *[place] * 11), _slide())
    assert "23 of 223 points" in _refused(_points(*good, *[place] * 23), _slide())
    assert "1 of 1 points" in _refused(_points(place), _slide())


def test_points_count_from_the_origin() -> None:
    slide = _slide(origin=(1000, 500))
    require_on_slide(_points((-1000, -500), (WIDE - 1000, HIGH - 500)), slide)
    assert "of 99000 x 79500 px" in _refused(_points((WIDE - 999, 5)), slide)


@pytest.mark.parametrize("mpp", [0.23, 0.5, 1.0])
def test_millimetres_are_refused(mpp: float) -> None:
    slide = _slide(mpp)
    px = np.random.default_rng(0).uniform((0, 0), (WIDE, HIGH), (50, 2))
    said = _refused(_points(*map(tuple, px * mpp / 1000)), slide)
    assert "are they mm? Give px of level 0" in said
    assert "are they mm?" in _refused(_points((12.5 * mpp, 7.25 * mpp)), slide)


def test_few_figures_in_a_corner_are_not_taken_for_millimetres() -> None:
    require_on_slide(_points((10.5, 30.25), (60.5, 12.0)), _slide())  # 1/1000 of the slide
    require_on_slide(_points((10.5, 30.25)), _slide())
    require_on_slide(_points((0, 0)), _slide())
    small = _slide(size=(2000, 2000))
    require_on_slide(_points((0.75, 1.5)), small)
    require_on_slide(_points((0.1, 0.1), (20.5, 3.5)), small)


def test_a_slide_without_points_is_no_other_slide() -> None:
    require_on_slide(make_points(Path("p.geojson"), []), _slide())


def test_what_cannot_be_used_besides_is_counted() -> None:
    failures = [PointFailure("p.geojson, feature 1: has no geometry", "no geometry")] * 12
    rows = [{"point_id": "a", "x": -5.0, "y": 3.0, "name": "", "place": "feature 13"}]
    assert "? Besides, no geometry: 12" in _refused(
        make_points(Path("p.geojson"), rows, failures), _slide()
    )
