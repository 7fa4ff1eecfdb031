"""How large a TIFF's pixels are: from OME metadata, ImageJ's, or the tags of its resolution."""

from __future__ import annotations

from typing import Any

from atypia.data.ome import UM, parse_ome

_TAG_UNITS = {2: UM["in"], 3: UM["cm"]}
# What ImageJ also calls a unit; without an alias it is one of OME's.
_IMAGEJ_UNITS = {
    **dict.fromkeys(("micron", "microns", "micrometer", "micrometre", "\\u00b5m"), "um"),
    **{"inch": "in", "inches": "in", "nanometer": "nm", "millimeter": "mm", "centimeter": "cm"},
}


def pixel_um(file: Any, page: Any) -> tuple[float, float] | None:
    """Return um/px in x and y, or none where the file does not say it.

    OME's PhysicalSizeX and Y go before the tags, which writers of OME-TIFF may leave at a default.
    ImageJ writes the unit of the tags into its description, and none into ResolutionUnit.

    Args:
        file: tifffile.TiffFile.
        page: tifffile.TiffPage of it.
    """
    size = (page.imagewidth, page.imagelength)
    described = [image for image in parse_ome(file.ome_metadata) if image.size_px == size]
    if described and described[0].pixel_um:
        return described[0].pixel_um
    units = (
        _imagej_units(page.description)
        or [_TAG_UNITS.get(page.tags.valueof("ResolutionUnit", default=2))] * 2
    )
    resolutions = [page.tags.valueof(name) for name in ("XResolution", "YResolution")]
    try:
        x, y = (
            unit * below / above for unit, (above, below) in zip(units, resolutions, strict=True)
        )
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return (x, y)


def _imagej_units(description: str) -> list[float | None] | None:
    """Return um of the unit in x and in y that ImageJ counts in; None where it names none.

    A unit that is no length, such as the pixel, is None.
    """
    if not description.startswith("ImageJ="):
        return None
    entries = dict(line.partition("=")[::2] for line in description.splitlines())
    across = entries.get("unit", "").strip()
    if not across:
        return None
    names = [name.strip() for name in (across, entries.get("yunit", across))]
    return [UM.get(_IMAGEJ_UNITS.get(name.lower(), name)) for name in names]
