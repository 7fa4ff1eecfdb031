"""The counts of a case in words, for `slide`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from atypia.data.case_summary import Counts


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
