"""OME metadata of a TIFF: how large its pixels are, and which pages hold which colours."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from dataclasses import dataclass

# How many um a unit of length has.
UM = {
    **{"\u00b5m": 1.0, "\u03bcm": 1.0, "um": 1.0},  # both ways that Unicode writes a micrometre
    **{"nm": 1e-3, "\u00c5": 1e-4, "\u212b": 1e-4, "mm": 1e3, "cm": 1e4, "dm": 1e5, "m": 1e6},
    **{"in": 25400.0, "pt": 25400 / 72},
}
_COLOURS = ("red", "green", "blue")
# What programs call a channel that nobody has named.
_NO_NAME = re.compile(r"(c|ch|channel|image)?[\W_\d]*(\d[\W_\d]*)?", re.IGNORECASE)


@dataclass(frozen=True)
class OmeImage:
    """One image of an OME-TIFF.

    Attributes:
        size_px: width and height.
        pixel_um: um/px in x and y; None where it is not said.
        planes: numbers of the pages (from 0) that hold red, green and blue, each alone; empty where
            the colours lie together, or cannot be told.
        planes_fault: why the colours of such planes cannot be told; "" where there is no fault.
    """

    size_px: tuple[int, int]
    pixel_um: tuple[float, float] | None
    planes: tuple[int, ...]
    planes_fault: str


def parse_ome(text: str | None) -> list[OmeImage]:
    """Return the images that OME metadata describes; none where it cannot be read.

    Args:
        text: the ImageDescription of a TIFF's first page.
    """
    if not text or ("<OME" not in text and ":OME" not in text):
        return []
    try:
        elements = [
            element
            for element in ET.fromstring(text.strip()).iter()
            if _local_name(element) == "Pixels"
        ]
    except ET.ParseError:
        return []
    images = []
    for pixels in elements:
        try:
            size = (int(pixels.attrib["SizeX"]), int(pixels.attrib["SizeY"]))
            planes, fault = _find_planes(pixels)
        except (KeyError, ValueError):
            continue
        images.append(OmeImage(size, _pixel_um(pixels), planes, fault))
    return images


def _local_name(element: ET.Element) -> str:
    return element.tag.rpartition("}")[2]


def _pixel_um(pixels: ET.Element) -> tuple[float, float] | None:
    """Return um/px in x and y; a micrometre is OME's unit where none is said."""
    try:
        x, y = (
            float(pixels.attrib[f"PhysicalSize{axis}"])
            * UM[pixels.attrib.get(f"PhysicalSize{axis}Unit", "um")]
            for axis in "XY"
        )
    except (KeyError, ValueError):
        return None
    return (x, y)


def _find_planes(pixels: ET.Element) -> tuple[tuple[int, ...], str]:
    """Return the pages of red, green and blue, or why they cannot be told."""
    sizes = [int(pixels.attrib.get(f"Size{axis}", 1)) for axis in "CZT"]
    channels = [element for element in pixels if _local_name(element) == "Channel"]
    if sizes[0] != 3 or any(int(element.get("SamplesPerPixel", 1)) != 1 for element in channels):
        return (), ""
    if sizes[1:] != [1, 1]:
        return (), f"{sizes[1]} focal planes and {sizes[2]} times, expected one of each"
    written_names = [element.get("Name", "").strip() for element in channels]
    names = [name.lower() for name in written_names]
    stained = any(
        "EmissionWavelength" in element.attrib or "Fluor" in element.attrib for element in channels
    )
    if sorted(names) == sorted(_COLOURS):
        order = [names.index(colour) for colour in _COLOURS]
    elif not stained and all(_NO_NAME.fullmatch(name) for name in names):
        order = [0, 1, 2]
    else:
        return (), f"its channels are {', '.join(written_names)}, expected red, green and blue"
    if (
        len(
            {element.get("FileName") for element in pixels.iter() if _local_name(element) == "UUID"}
        )
        > 1
    ):
        return (), "its channels lie in several files"
    pages: dict[int, int] = {}
    for block in (element for element in pixels if _local_name(element) == "TiffData"):
        count = int(block.get("PlaneCount", 1 if "IFD" in block.attrib else 3))
        first_page, first_channel = int(block.get("IFD", 0)), int(block.get("FirstC", 0))
        pages |= {first_channel + n: first_page + n for n in range(min(count, 3))}
    pages = pages or {0: 0, 1: 1, 2: 2}
    if not all(channel in pages for channel in order):
        return (), "its metadata does not say where each channel lies"
    return tuple(pages[channel] for channel in order), ""
