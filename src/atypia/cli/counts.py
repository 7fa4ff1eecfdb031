"""The counts of a case in words, for `slide`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from atypia.data.case_summary import Counts, HotspotCounts


def describe_counts(counts: Counts) -> list[str]:
    """Return a line on the share of atypical figures, and one on their density if it is known."""
    lines = []
    share = counts.share_interval()
    if share is not None:
        low, high = (f"{100 * end:.0f}" for end in share)
        lines.append(
            f"{counts.atypical} of {counts.figures} figures atypical: "
            f"{100 * counts.atypical / counts.figures:.0f} % (95 % CI {low}-{high} %, counting "
            "error only)"
        )
    density = counts.density_interval()
    if density is not None and counts.area_mm2 is not None:
        low, high = (f"{end:.2g}" for end in density)
        lines.append(
            f"{counts.atypical_in_area} atypical in {counts.area_mm2:.3g} mm2: "
            f"{counts.density:.2g} per mm2 (95 % CI {low}-{high}, counting error only)"
        )
    return lines


def describe_hotspot(hotspot: HotspotCounts | None) -> list[str]:
    """Return two lines on the hotspot: where it is, and what is there; none of none."""
    if hotspot is None:
        return []
    counts = hotspot.counts
    place = f"x {hotspot.left_px:.0f}, y {hotspot.top_px:.0f}"
    size = f"{hotspot.width_px:.0f} x {hotspot.height_px:.0f} px"
    shares, densities = counts.share_interval(), counts.density_interval()
    if shares is None or densities is None or counts.share is None:
        return []
    share = f"{100 * counts.share:.0f} % (95 % CI {100 * shares[0]:.0f}-{100 * shares[1]:.0f} %)"
    density = f"{counts.density:.2g} per mm2 (95 % CI {densities[0]:.2g}-{densities[1]:.2g})"
    return [
        f"hotspot at {place} ({size}, {counts.area_mm2:.3g} mm2 of it searched): "
        f"{counts.figures} figures, {counts.figures_per_mm2:.2g} per mm2",
        f"{counts.atypical} of these atypical: {share}, {density}; intervals conditional on having "
        "chosen the densest place",
    ]
