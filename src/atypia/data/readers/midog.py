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

from atypia.data.columns import DOMAIN_COLUMNS
from atypia.data.domains import spell_as

XR = "Hamamatsu XR"
S360 = "Hamamatsu S360"
CS2 = "Aperio CS2"
PANNORAMIC = "3D Histech"


@dataclass(frozen=True)
class SlideOrigin:
    """Where a range of slides came from."""

    tumour: str
    scanner: str
    laboratory: str
    species: str


BREAST = "human breast cancer"
HUMAN, CANINE = "human", "canine"
SLIDE_RANGES: tuple[tuple[int, int, SlideOrigin], ...] = (
    (1, 50, SlideOrigin(BREAST, XR, "UMC Utrecht", HUMAN)),
    (51, 100, SlideOrigin(BREAST, S360, "UMC Utrecht", HUMAN)),
    (101, 150, SlideOrigin(BREAST, CS2, "UMC Utrecht", HUMAN)),
    (201, 244, SlideOrigin("canine lung cancer", PANNORAMIC, "VMU Vienna", CANINE)),
    (245, 299, SlideOrigin("canine lymphoma", PANNORAMIC, "VMU Vienna", CANINE)),
    (300, 349, SlideOrigin("canine cutaneous mast cell tumor", CS2, "FU Berlin", CANINE)),
    (350, 404, SlideOrigin("human neuroendocrine tumor", XR, "UMC Utrecht", HUMAN)),
    (405, 489, SlideOrigin("canine soft tissue sarcoma", PANNORAMIC, "AMC New York", CANINE)),
    (490, 504, SlideOrigin("canine soft tissue sarcoma", PANNORAMIC, "VMU Vienna", CANINE)),
    (505, 553, SlideOrigin("human melanoma", XR, "UMC Utrecht", HUMAN)),
)


def midog_origin(slide_number: int) -> SlideOrigin | None:
    """Return where a MIDOG slide came from, by its number; None outside the known ranges."""
    for first, last, origin in SLIDE_RANGES:
        if first <= slide_number <= last:
            return origin
    return None


_KNOWN = {
    part: sorted({getattr(origin, part) for _, _, origin in SLIDE_RANGES})
    for part in DOMAIN_COLUMNS
}


def spell_as_known(part: str, name: str) -> str:
    """Return a part of a domain as it is spelt here: one name for what all readers know.

    What names the same thing as a name of `SLIDE_RANGES` (`domains.spelling_keys`) becomes that
    name; so do "tumour" for "tumor", and "Hamammatsu", which the MIDOG tables write too. Other
    names stay, blanks put right.

    Args:
        part: tumour, scanner, laboratory or species.
        name: as a public table has it.
    """
    spelt = " ".join(name.split())
    plain = spelt.lower().replace("hamammatsu", "hamamatsu").replace("tumour", "tumor")
    known = spell_as(plain, _KNOWN[part])
    return known if known in _KNOWN[part] else spelt.replace("Hamammatsu", "Hamamatsu")


def scanner_mpp(scanner: str) -> float | None:
    """Return um/px of a scanner of the MIDOG family, by its name; None if it is not known."""
    name = scanner.lower()
    if name.startswith("hamamatsu"):
        return 0.23
    if any(part in name for part in ("aperio", "leica", "histech", "pannoramic")):
        return 0.25
    return None
