"""The counts of a case in words: shares and densities with their intervals."""

from __future__ import annotations

from atypia.cli.counts import describe_counts, describe_hotspot
from atypia.data.case_summary import Counts, HotspotCounts


def test_the_share_has_its_interval() -> None:
    lines = describe_counts(Counts(figures=40, atypical=11, referred=7, failed=0))
    assert lines == ["11 of 40 figures atypical: 28 % (95 % CI 16-43 %, counting error only)"]


def test_the_density_counts_figures_in_the_area_only() -> None:
    counts = Counts(
        figures=40, atypical=11, referred=7, failed=0, area_mm2=2.0, in_area=20, atypical_in_area=5
    )
    # Garwood 1936: 1.62 to 11.67 events for a count of 5.
    assert describe_counts(counts)[1] == (
        "5 atypical in 2 mm2: 2.5 per mm2 (95 % CI 0.81-5.8, counting error only)"
    )


def test_a_searched_slide_without_figures_has_a_density_and_no_share() -> None:
    counts = Counts(0, 0, 0, 0, area_mm2=2.0, in_area=0, atypical_in_area=0)
    (line,) = describe_counts(counts)
    assert line.startswith("0 atypical in 2 mm2: 0 per mm2 (95 % CI 0-1.8")
    assert describe_counts(Counts(0, 0, 0, 0)) == []


def test_the_hotspot_says_that_its_place_was_chosen() -> None:
    counts = Counts(20, 5, 0, 0, area_mm2=2.0, in_area=20, atypical_in_area=5)
    assert describe_hotspot(HotspotCounts(counts, 1200.0, 400.0, 7110.4, 5332.8)) == [
        "hotspot at x 1200, y 400 (7110 x 5333 px, 2 mm2 of it searched): 20 figures, 10 per mm2",
        "5 of these atypical: 25 % (95 % CI 11-47 %), 2.5 per mm2 (95 % CI 0.81-5.8); intervals "
        "conditional on having chosen the densest place",
    ]
    assert describe_hotspot(None) == []
