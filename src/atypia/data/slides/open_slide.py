"""Slides from whatever file they come in."""

from __future__ import annotations

from pathlib import Path

from atypia.data.columns import MPP_HIGH, MPP_LOW
from atypia.data.slides.dicom import dicom_kind, find_dicom_slide
from atypia.data.slides.openslide_handle import OpenSlideHandle, scanner_format
from atypia.data.slides.slide import Handle, Origin, Slide
from atypia.data.slides.tiff import TiffHandle, is_tiff
from atypia.errors import ImageError

# Pixels of which width and height differ by more than this are not what we are made for.
_SQUARE = 0.02


def open_slide(path: Path, *, mpp: float | None = None, origin: Origin = "bounds") -> Slide:
    """Open a slide.

    A file of a scanner's format is read by OpenSlide. Any other TIFF is read by tifffile, also
    where OpenSlide would read it as "generic": it does not see an OME-TIFF's mpp and levels, and
    makes 8-bit RGB of whatever the pixels are.

    Args:
        path: a file of a format that OpenSlide knows (a DICOM slide by any of its files), an
            OME-TIFF or a plain TIFF; or a folder with the DICOM files of one slide, among others.
        mpp: um/px of level 0, in 0.05 to 5; none takes it from the slide's metadata.
        origin: where points count from: the bounds that the scanner found tissue in, as QuPath
            does, or the corner of level 0.

    Raises:
        ImageError: it cannot be opened, or nobody says how large a pixel is.
    """
    handle = _open_handle(path, _find_file(path))
    try:
        own = _require_mpp_in_range(path, mpp if mpp is not None else _read_mpp(path, handle), mpp)
    except ImageError:
        handle.close()
        raise
    size = handle.level_px[0]
    bounds = handle.bounds_px if origin == "bounds" else (0, 0, *size)
    return Slide(
        path,
        own,
        "slide" if mpp is None else "given",
        size,
        bounds[:2],
        bounds[2:],
        tuple(own * scale for scale in handle.level_scales),
        handle.level_px,
        handle,
    )


def _find_file(path: Path) -> Path:
    """Return the file to open: it is there, may be read, and holds something."""
    try:
        file = find_dicom_slide(path) if path.is_dir() else path
        if not file.exists():
            raise ImageError(f"{path}: no such file; check the path")
        if not file.is_file():
            raise ImageError(f"{path}: is not a regular file; give a slide file")
        with file.open("rb") as opened:
            if not opened.read(1):
                raise ImageError(f"{path}: is empty; copy it again")
    except OSError as fault:
        reason = fault.strerror or type(fault).__name__
        raise ImageError(f"{path}: cannot be read ({reason}); check its permissions") from fault
    return file


def _open_handle(path: Path, file: Path) -> Handle:
    if scanner_format(file) is not None:
        return OpenSlideHandle(file)
    if is_tiff(file):
        return TiffHandle(file)
    kind = dicom_kind(file)
    if kind:
        raise ImageError(
            f"{path}: is a DICOM file without a slide's pixels ({kind}); give the slide"
        )
    raise ImageError(
        f"{path}: is no slide of a format that OpenSlide knows, and no TIFF; give the slide file"
    )


def _read_mpp(path: Path, handle: Handle) -> float:
    """Return um/px of level 0 as the slide says it."""
    if handle.mpp_xy is None:
        raise ImageError(
            f"{path}: does not say how large a pixel is; give --mpp (in a list of "
            "slides: the column mpp)"
        )
    wide, high = handle.mpp_xy
    if abs(wide - high) > _SQUARE * max(wide, high):
        raise ImageError(
            f"{path}: pixels of {wide:g} x {high:g} um are not square; give --mpp if that is wrong"
        )
    return (wide + high) / 2


def _require_mpp_in_range(path: Path, mpp: float, stated: float | None) -> float:
    if not MPP_LOW <= mpp <= MPP_HIGH:
        who = "--mpp" if stated is not None else "the slide says that a pixel"
        raise ImageError(
            f"{path}: {who} is {mpp:g} um, expected {MPP_LOW:g} to {MPP_HIGH:g}; give the right "
            "--mpp (a 40x scan is about 0.25)"
        )
    return mpp
