"""The hotspot is the one that a search of every place finds."""

from __future__ import annotations

import itertools
import math
import time

import numpy as np
import pytest
import shapely

from atypia.data.points.hotspot import HOTSPOT_MM2, Hotspot, find_hotspot

MPP = 0.5
STEP = 100 / MPP  # of the grid, px
LONG = math.sqrt(HOTSPOT_MM2 * 4 / 3) * 1000 / MPP
SHORT = LONG * 3 / 4
WHOLE = shapely.box(0, 0, 12_000, 8_000)


def find(xy: list | np.ndarray, area: shapely.Geometry = WHOLE) -> Hotspot | None:
    x, y = np.asarray(xy, dtype=float).reshape(-1, 2).T
    return find_hotspot(x, y, area, MPP)


def search(xy: np.ndarray, area: shapely.Geometry) -> tuple[int, float, float, float] | None:
    """Try every corner of the grid, in reading order, lying before standing."""
    inside = xy[shapely.intersects_xy(area, xy)]
    best: tuple[int, float, float, float] | None = None
    for row, column in itertools.product(range(-20, 61), range(-20, 81)):
        left, top = column * STEP, row * STEP
        for wide, high in ((LONG, SHORT), (SHORT, LONG)):
            held = ((inside >= (left, top)) & (inside <= (left + wide, top + high))).all(axis=1)
            count = int(held.sum())
            if count > (best[0] if best else 0):
                box = shapely.box(left, top, left + wide, top + high)
                if area.intersection(box).area >= 0.8 * box.area:
                    best = (count, left, top, wide)
    return best


def _star(rng: np.random.Generator) -> shapely.Geometry:
    turn = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    out = rng.uniform(0.4, 1, 60)
    ring = np.column_stack([6000 + 6000 * out * np.cos(turn), 4000 + 4000 * out * np.sin(turn)])
    hole = shapely.Point(6000, 4000).buffer(800)
    return shapely.Polygon(ring).buffer(0).difference(hole)


def _two_parts(rng: np.random.Generator) -> shapely.Geometry:
    left = shapely.box(100, 200, 2000 + rng.uniform(0, 3000), 7000)
    return shapely.union_all([left, shapely.Point(9000, 4000).buffer(2500)])


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("make", [lambda rng: WHOLE, _star, _two_parts])
def test_a_search_of_every_place_finds_the_same(make: object, seed: int) -> None:
    rng = np.random.default_rng(seed)
    area = make(rng)  # type: ignore[operator]
    # Whole pixels, few of them: figures on the lines of the grid, and several equal places.
    xy = rng.integers(0, (240, 160), (int(rng.choice([3, 30, 300])), 2)) * 50.0
    expected, found = search(xy, area), find(xy, area)
    if expected is None:
        assert found is None
        return
    assert found is not None
    assert (found.left, found.top, found.width) == pytest.approx(expected[1:])
    assert found.inside.sum() == expected[0]
    box = shapely.box(found.left, found.top, found.left + found.width, found.top + found.height)
    assert found.searched_mm2 == pytest.approx(area.intersection(box).area * MPP**2 / 1e6)


def test_its_size_is_that_of_ten_fields() -> None:
    assert pytest.approx(10 * math.pi * (0.55 / 2) ** 2, abs=0.01) == HOTSPOT_MM2
    found = find([(5000, 5000)])
    assert found is not None
    assert found.width * found.height * MPP**2 / 1e6 == pytest.approx(HOTSPOT_MM2)
    assert (found.width, found.height) == pytest.approx((SHORT, LONG))  # reaches further up
    assert found.searched_mm2 == pytest.approx(HOTSPOT_MM2)


def test_of_equal_places_the_first_in_reading_order_counts() -> None:
    top, bottom = [(9000, 2000), (9100, 2000)], [(2000, 6000), (2100, 6000)]
    for xy in (top + bottom, bottom + top):
        found = find(xy)
        assert found is not None
        assert found.inside.tolist() == [y == 2000 for _, y in xy]


def test_a_row_of_figures_may_lie_or_stand() -> None:
    line = np.linspace(0, LONG - 2 * STEP, 20)
    for xy in (np.column_stack([3000 + line, 0 * line + 4000]),
               np.column_stack([0 * line + 3000, 3000 + line])):  # fmt: skip
        found = find(xy)
        assert found is not None
        assert found.inside.all()


def test_figures_outside_of_the_searched_area_do_not_count() -> None:
    inside, outside = [(3000, 4000)], [(9000, 4000)] * 5
    found = find(inside + outside, shapely.box(0, 0, 6000, 8000))
    assert found is not None
    assert found.inside.tolist() == [True] + [False] * 5


@pytest.mark.parametrize(
    ("xy", "area"),
    [
        ([], WHOLE),
        ([(9000, 4000)], shapely.box(0, 0, 6000, 8000)),
        ([(500, 500)], shapely.box(0, 0, 1000, 1000)),  # 0.25 mm2
    ],
)
def test_without_a_figure_in_a_place_that_was_searched_there_is_none(
    xy: list, area: shapely.Geometry
) -> None:
    assert find(xy, area) is None


def test_a_hundred_thousand_figures_take_less_than_a_second() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.uniform(0, (400_000, 240_000), (100_000, 2)).T  # 100 x 60 mm at 0.25 um/px
    turn = np.linspace(0, 2 * np.pi, 5000)
    ring = 1 + 0.02 * np.sin(turn * 40)
    area = shapely.Polygon(
        np.column_stack(
            [200_000 + 190_000 * ring * np.cos(turn), 120_000 + 110_000 * ring * np.sin(turn)]
        )
    )
    begun = time.process_time()
    assert find_hotspot(x, y, area, 0.25) is not None
    assert time.process_time() - begun < 3  # 0.5 s alone on a machine
