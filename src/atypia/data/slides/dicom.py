"""The slide among the DICOM files of a folder, by what each file says of itself."""

from __future__ import annotations

import struct
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pydicom
from pydicom.errors import InvalidDicomError
from pydicom.uid import UID, VLWholeSlideMicroscopyImageStorage

from atypia.data.codecs import silence_warnings
from atypia.data.folders import files_below
from atypia.errors import ImageError

_TAGS = [
    *("SOPClassUID", "SeriesInstanceUID", "ImageType"),
    *("TotalPixelMatrixColumns", "TotalPixelMatrixRows"),
]
# What pydicom raises on a file that is damaged, not on a mistake of ours.
_DAMAGE = (
    *(OSError, ValueError, LookupError, TypeError, AttributeError, EOFError, ArithmeticError),
    *(NotImplementedError, RuntimeError, struct.error),
)


@dataclass(frozen=True)
class _Header:
    """What a DICOM file says of itself.

    Attributes:
        path: of the file.
        kind: in words; "" where it holds pixels of a slide.
        series: which all levels of a slide share.
        size_px: width and height of the level.
    """

    path: Path
    kind: str
    series: str
    size_px: tuple[int, int]


def find_dicom_slide(folder: Path) -> Path:
    """Return the file with the finest level of the one slide below a folder.

    Its other levels, label and overview belong to its series; reports, annotations and other
    objects may lie beside it, also in folders further inside, and names need no ending.

    Raises:
        ImageError: there is no slide, or there are several.
        OSError: the folder cannot be read.
    """
    next(folder.iterdir(), None)
    headers = [header for path in files_below(folder) if (header := _read_header(path))]
    slides: dict[str, _Header] = {}
    for header in headers:
        finest = slides.get(header.series)
        if not header.kind and (finest is None or finest.size_px < header.size_px):
            slides[header.series] = header
    if not headers:
        raise ImageError(
            f"{folder}: is a folder without .dcm files, expected a slide; give the slide's file "
            "(of MRXS the .mrxs beside the folder)"
        )
    if not slides:
        kinds = Counter(header.kind for header in headers)
        what = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common(6))
        raise ImageError(
            f"{folder}: holds DICOM files, but none with a slide's pixels (they are {what}); give "
            "the folder of the slide"
        )
    if len(slides) > 1:
        which = ", ".join(
            f"{header.path.relative_to(folder)} ({header.size_px[0]} x {header.size_px[1]} px)"
            for header in list(slides.values())[:6]
        )
        more = f" and {len(slides) - 6} more" if len(slides) > 6 else ""
        raise ImageError(
            f"{folder}: holds {len(slides)} slides, expected one; give one by any of its files: "
            f"{which}{more}"
        )
    return next(iter(slides.values())).path


def dicom_kind(path: Path) -> str:
    """Return in words what a DICOM file is that holds no pixels of a slide; "" of other files."""
    header = _read_header(path)
    return header.kind if header else ""


def _read_header(path: Path) -> _Header | None:
    """Read the header of a DICOM file; None of another file."""
    if not path.is_file():
        return None
    try:
        with silence_warnings():
            read = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=list(_TAGS))
            size = (
                int(read.get("TotalPixelMatrixColumns") or 0),
                int(read.get("TotalPixelMatrixRows") or 0),
            )
            image_type = [str(value).upper() for value in read.get("ImageType") or ()]
            stored = UID(str(read.get("SOPClassUID", "")))
            kind = stored.name or "of no stated kind"
            if stored == VLWholeSlideMicroscopyImageStorage:
                kind = "" if "VOLUME" in image_type else (image_type[2:3] or ["other"])[0].lower()
            return _Header(path, kind, str(read.get("SeriesInstanceUID", "")), size)
    except InvalidDicomError:
        return None
    except _DAMAGE:
        return _Header(path, "damaged", "", (0, 0))
