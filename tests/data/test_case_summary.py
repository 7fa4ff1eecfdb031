"""Shares and densities of a case, with intervals that published tables agree with."""

from __future__ import annotations

import pytest

from atypia.data.case_summary import Counts, HotspotCounts, add_counts, choose_hotspot


def test_the_share_has_wilsons_interval() -> None:
    # Newcombe 1998, table I, method 3: 15 of 148, 0.0624 to 0.1605; 0 of 20, 0 to 0.1611.
    assert Counts(148, 15, 0, 0).share_interval() == pytest.approx((0.0624, 0.1605), abs=1e-4)
    assert Counts(20, 0, 0, 0).share_interval() == pytest.approx((0.0, 0.1611), abs=1e-4)


def test_the_density_has_the_exact_interval() -> None:
    # Garwood 1936: 10 counts, 4.795 to 18.391; none, 0 to 3.689.
    ten = Counts(30, 10, 0, 0, area_mm2=2.0, in_area=30, atypical_in_area=10)
    assert ten.density == 5.0
    assert ten.density_interval() == pytest.approx((4.795 / 2, 18.391 / 2), abs=1e-3)
    none = Counts(30, 0, 0, 0, area_mm2=1.0, in_area=30, atypical_in_area=0)
    assert none.density_interval() == pytest.approx((0.0, 3.689), abs=1e-3)


def test_without_figures_or_area_nothing_is_said() -> None:
    empty = Counts(0, 0, 0, 3)
    assert (empty.share, empty.share_interval()) == (None, None)
    assert (empty.density, empty.density_interval()) == (None, None)


def test_slides_of_a_case_add_up() -> None:
    one = Counts(10, 2, 1, 0, area_mm2=1.5, in_area=8, atypical_in_area=1)
    two = Counts(5, 1, 0, 2, area_mm2=0.5, in_area=5, atypical_in_area=1)
    assert add_counts([one, two]) == Counts(15, 3, 1, 2, 2.0, 13, 2)
    assert add_counts([one, Counts(5, 1, 0, 0)]) == Counts(15, 3, 1, 0)


def test_the_hotspot_of_a_case_is_the_densest_of_its_slides() -> None:
    few, many, again = (
        HotspotCounts(Counts(count, 1, 0, 0, 2.0, count, 1), left, 0.0, 7000.0, 5000.0)
        for count, left in ((3, 0.0), (5, 100.0), (5, 200.0))
    )
    assert choose_hotspot([few, None, many, again]) is many
    assert choose_hotspot([None]) is None
    assert many.counts.figures_per_mm2 == 2.5
