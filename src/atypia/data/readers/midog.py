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
class Origin:
    """Where a range of slides came from."""

    tumour: str
    scanner: str
    laboratory: str
    species: str


BREAST = "human breast cancer"
HUMAN, CANINE = "human", "canine"
SLIDE_RANGES: tuple[tuple[int, int, Origin], ...] = (
    (1, 50, Origin(BREAST, XR, "UMC Utrecht", HUMAN)),
    (51, 100, Origin(BREAST, S360, "UMC Utrecht", HUMAN)),
    (101, 150, Origin(BREAST, CS2, "UMC Utrecht", HUMAN)),
    (201, 244, Origin("canine lung cancer", PANNORAMIC, "VMU Vienna", CANINE)),
    (245, 299, Origin("canine lymphoma", PANNORAMIC, "VMU Vienna", CANINE)),
    (300, 349, Origin("canine cutaneous mast cell tumor", CS2, "FU Berlin", CANINE)),
    (350, 404, Origin("human neuroendocrine tumor", XR, "UMC Utrecht", HUMAN)),
    (405, 489, Origin("canine soft tissue sarcoma", PANNORAMIC, "AMC New York", CANINE)),
    (490, 504, Origin("canine soft tissue sarcoma", PANNORAMIC, "VMU Vienna", CANINE)),
    (505, 553, Origin("human melanoma", XR, "UMC Utrecht", HUMAN)),
)


def origin_of(slide_number: int) -> Origin | None:
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
