"""Which MIDOG slide came from where: the domains by slide number, and the scanners' mpp.

Names are spelt as in the MIDOG++ and MIDOG 2025 tables, so that AMi-Br's and MIDOG's figures of
one domain carry one name.

Slide ranges: MIDOG 2021, MIDOG++ and MIDOG 2025 number their slides in one row. Scan resolutions:
0.23 um/px for both Hamamatsu scanners and 0.25 um/px for the others, as the README beside the
AMi-Br figures states for the MIDOG 2021 slides ("about": the exact value varies by a percent
between machines); the 3DHistech scanner is taken at its nominal 0.25.
"""

from __future__ import annotations

from dataclasses import dataclass

XR = "Hamamatsu XR"
S360 = "Hamamatsu S360"
CS2 = "Aperio CS2"
PANNORAMIC = "3D Histech"


@dataclass(frozen=True)
class Origin:
    """Where a range of slides came from."""

    tumour: str
    scanner: str
    laboratory: str
    species: str


BREAST = "human breast cancer"
SLIDE_RANGES: tuple[tuple[int, int, Origin], ...] = (
    (1, 50, Origin(BREAST, XR, "UMC Utrecht", "human")),
    (51, 100, Origin(BREAST, S360, "UMC Utrecht", "human")),
    (101, 150, Origin(BREAST, CS2, "UMC Utrecht", "human")),
    (201, 244, Origin("canine lung cancer", PANNORAMIC, "VMU Vienna", "canine")),
    (245, 299, Origin("canine lymphoma", PANNORAMIC, "VMU Vienna", "canine")),
    (300, 349, Origin("canine cutaneous mast cell tumor", CS2, "FU Berlin", "canine")),
    (350, 404, Origin("human neuroendocrine tumor", XR, "UMC Utrecht", "human")),
    (405, 489, Origin("canine soft tissue sarcoma", PANNORAMIC, "AMC New York", "canine")),
    (490, 504, Origin("canine soft tissue sarcoma", PANNORAMIC, "VMU Vienna", "canine")),
    (505, 553, Origin("human melanoma", XR, "UMC Utrecht", "human")),
)


def origin_of(slide_number: int) -> Origin | None:
    """Return where a MIDOG slide came from, by its number; None outside the known ranges."""
    for first, last, origin in SLIDE_RANGES:
        if first <= slide_number <= last:
            return origin
    return None


def spelt_once(scanner: str) -> str:
    """Return a scanner's name in one spelling: the MIDOG tables also write "Hamammatsu"."""
    return " ".join(scanner.split()).replace("Hamammatsu", "Hamamatsu")


def scanner_mpp(scanner: str) -> float | None:
    """Return um/px of a scanner of the MIDOG family, by its name; None if it is not known."""
    name = scanner.lower()
    if name.startswith("hamamatsu"):
        return 0.23
    if any(part in name for part in ("aperio", "leica", "histech", "pannoramic")):
        return 0.25
    return None
