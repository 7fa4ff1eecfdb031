"""How large a TIFF's pixels are: from OME metadata, or from the tags of its resolution."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import Any

# In um; both ways that Unicode writes a micrometre.
_OME_UNITS = {
    **{"\u00b5m": 1.0, "\u03bcm": 1.0, "um": 1.0},
    **{"nm": 1e-3, "\u00c5": 1e-4, "\u212b": 1e-4, "mm": 1e3, "cm": 1e4, "dm": 1e5, "m": 1e6},
    **{"in": 25400.0, "pt": 25400 / 72},
}
_TAG_UNITS = {2: 25400.0, 3: 1e4}  # inch, cm


def pixel_um(file: Any, page: Any) -> tuple[float, float] | None:
    """Return um/px in x and y, or none where the file does not say it.

    OME's PhysicalSizeX and Y go before the tags, which writers of OME-TIFF may leave at a default.

    Args:
        file: tifffile.TiffFile.
        page: tifffile.TiffPage of it.
    """
    return _from_ome(file.ome_metadata, page.imagewidth, page.imagelength) or _from_tags(page)


def _from_ome(text: str | None, wide: int, high: int) -> tuple[float, float] | None:
    """Return um/px of the image of this size; µm is OME's unit where none is said."""
    try:
        elements = list(ET.fromstring(text).iter()) if text else []
    except ET.ParseError:
        return None
    for element in elements:
        said = element.attrib
        size = (said.get("SizeX"), said.get("SizeY"))
        if not element.tag.endswith("Pixels") or size != (str(wide), str(high)):
            continue
        try:
            x, y = (
                float(said[f"PhysicalSize{axis}"])
                * _OME_UNITS[said.get(f"PhysicalSize{axis}Unit", "um")]
                for axis in "XY"
            )
        except (KeyError, ValueError):
            return None
        return (x, y)
    return None


def _from_tags(page: Any) -> tuple[float, float] | None:
    """Return um/px by the tags; a unit that is not cm or inch says nothing of um."""
    unit = page.tags.valueof("ResolutionUnit", default=2)
    said = [page.tags.valueof(name) for name in ("XResolution", "YResolution")]
    try:
        x, y = (_TAG_UNITS[unit] * below / above for above, below in said)
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None
    return (x, y)
