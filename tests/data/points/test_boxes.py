"""Boxes are corners or corner and size, and a file says by its numbers which."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from atypia.data.points.boxes import Centres, read_centres

PATH = Path("p.json")
IMAGES = {"1": {"width": 2000, "height": 2000}}


def _read(*boxes: object, mpp: float | None = 0.25, **more: Any) -> Centres:
    annotations = [{"bbox": box, "image_id": 1, **more} for box in boxes]
    return read_centres(PATH, annotations, IMAGES, annotations, mpp)


def test_second_corners_before_the_first_are_sizes() -> None:
    assert _read([176, 176, 32, 32]).centres == [(192, 192)]
    assert _read([10, 10, 60, 60], [176, 176, 32, 40]).centres == [(40, 40), (192, 196)]


def test_boxes_too_large_for_a_figure_or_the_slide_are_of_the_other_form() -> None:
    assert _read([900, 900, 940, 960]).centres == [(920, 930)]  # else 235 um wide
    assert _read([1000, 20, 1100, 400], mpp=None).centres == [(1050, 210)]  # else off the slide


def test_where_both_can_be_area_squares_and_sizes_decide_in_turn() -> None:
    assert _read([20, 20, 60, 60], area=3600) == Centres([(50, 50)], ())
    assert _read([20, 20, 60, 60], area=1600) == Centres([(40, 40)], ())
    assert _read([20, 40, 70, 90]) == Centres([(45, 65)], ())  # MIDOG's squares of 50
    assert _read([20, 30, 60, 60]) == Centres([(50, 60)], ())
    assert _read([20, 20, 60, 60], [50, 50, 90, 90]) == Centres([(40, 40), (70, 70)], ())


def test_what_stays_open_is_said() -> None:
    read = _read([48, 48, 80, 80])
    assert read.centres == [(64, 64)]
    assert (
        "each bbox is read as x1, y1, x2, y2, and could be x, y, width, height"
        in (read.warnings[0])
    )
    read = _read([48, 48, 80, 80], iscrowd=0)
    assert read.centres == [(88, 88)]
    assert "read as x, y, width, height" in read.warnings[0]


def test_one_damaged_box_does_not_turn_the_others() -> None:
    good = [[n, n, n + 50, n + 50] for n in range(600, 1000, 100)]
    *centres, damaged, none, few = _read(*good, [700, 700, 650, 750], [1, 2, 3, "x"], [1]).centres
    assert centres == [(n + 25, n + 25) for n in range(600, 1000, 100)]
    assert "is not a box of the form x1, y1, x2, y2" in str(damaged)
    assert none == few == "has no bbox of four numbers"


@pytest.mark.filterwarnings("error")
def test_numbers_beyond_all_slides_are_no_fault_of_arithmetic() -> None:
    read = _read([-1e308, 1e308, 1e308, -1e308], [10**400, 1, 2, 3], [900, 900, 950, 950])
    assert read.centres[1:] == ["has no bbox of four numbers", (925, 925)]
