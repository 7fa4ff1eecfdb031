"""Summary of a case: number, share and density per mm2 of its atypical figures.

The intervals (95 %) cover the counting error only, neither wrong calls nor the sampling of the
tumour by a slide.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from atypia.data.count_intervals import poisson_interval, wilson_interval


@dataclass(frozen=True)
class Counts:
    """Figures of a slide, or of all slides of a case.

    Attributes:
        figures: that were classified.
        atypical: of these, called atypical, the referred ones among them.
        referred: of these, for a person to look at.
        failed: that could not be classified.
        area_mm2: area of the searched tissue; None where it is not known.
        in_area: classified figures in that area; None where it is not known.
        atypical_in_area: of these, called atypical; None where the area is not known.
    """

    figures: int
    atypical: int
    referred: int
    failed: int
    area_mm2: float | None = None
    in_area: int | None = None
    atypical_in_area: int | None = None

    @property
    def share(self) -> float | None:
        """Atypical figures as a share of all, in [0, 1]; None without figures."""
        return self.atypical / self.figures if self.figures else None

    def share_interval(self) -> tuple[float, float] | None:
        """Return the interval of the share (Wilson 1927); None without figures."""
        if not self.figures:
            return None
        return wilson_interval(self.atypical, self.figures)

    @property
    def density(self) -> float | None:
        """Atypical figures per mm2; None where the area is not known."""
        if self.area_mm2 is None or self.atypical_in_area is None:
            return None
        return self.atypical_in_area / self.area_mm2

    @property
    def figures_per_mm2(self) -> float | None:
        """Classified figures per mm2, atypical or not; None where the area is not known."""
        if self.area_mm2 is None or self.in_area is None:
            return None
        return self.in_area / self.area_mm2

    def density_interval(self) -> tuple[float, float] | None:
        """Return the interval of the density (exact for Poisson counts, Garwood 1936)."""
        if self.area_mm2 is None or self.atypical_in_area is None:
            return None
        low, high = poisson_interval(self.atypical_in_area)
        return low / self.area_mm2, high / self.area_mm2


@dataclass(frozen=True)
class HotspotCounts:
    """Figures where they are densest on a slide; all intervals are conditional on that choice.

    Attributes:
        counts: of the figures there; its area is what was searched of the rectangle.
        left_px: of the rectangle, px of level 0; as are the others.
        top_px: likewise.
        width_px: likewise.
        height_px: likewise.
    """

    counts: Counts
    left_px: float
    top_px: float
    width_px: float
    height_px: float


def choose_hotspot(hotspots: Iterable[HotspotCounts | None]) -> HotspotCounts | None:
    """Return the hotspot of a case: the one with the most figures, of equal ones the first."""
    known = [hotspot for hotspot in hotspots if hotspot is not None]
    return max(known, key=lambda hotspot: hotspot.counts.figures, default=None)


def add_counts(parts: Iterable[Counts]) -> Counts:
    """Return the counts of a case of several slides; its area is known if that of each slide is."""
    parts = list(parts)
    known = bool(parts) and all(part.area_mm2 is not None for part in parts)

    def total(name: str) -> Any:
        return sum(getattr(part, name) or 0 for part in parts)

    return Counts(
        figures=total("figures"),
        atypical=total("atypical"),
        referred=total("referred"),
        failed=total("failed"),
        area_mm2=total("area_mm2") if known else None,
        in_area=total("in_area") if known else None,
        atypical_in_area=total("atypical_in_area") if known else None,
    )
