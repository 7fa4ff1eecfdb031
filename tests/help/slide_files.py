"""Small slides in the forms that scanners and programs write: two levels, tiles of 128 px."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

WIDE, HIGH, TILE = 1024, 768, 128
_DICOM_SLIDE = "1.2.840.10008.5.1.4.1.1.77.1.6"
Write = Callable[..., Path]


def pixels(seed: int = 0) -> np.ndarray:
    """Noise, uint8 (HIGH, WIDE, 3): no two windows are alike."""
    return np.random.default_rng(seed).integers(0, 256, (HIGH, WIDE, 3), dtype=np.uint8)


def halved(level: np.ndarray) -> np.ndarray:
    """The level below: means of 2 x 2 px."""
    high, wide = level.shape[:2]
    return level.reshape(high // 2, 2, wide // 2, 2, 3).mean(axis=(1, 3)).astype(np.uint8)


def resolution(mpp: float | None) -> dict[str, Any]:
    """Tags that say how large a pixel is."""
    if mpp is None:
        return {}
    return {"resolution": (1e4 / mpp, 1e4 / mpp), "resolutionunit": "CENTIMETER"}


def write_aperio(
    path: Path, level0: np.ndarray, mpp: float | str | None = 0.25, **more: Any
) -> Path:
    """What OpenSlide takes for a scanner's file."""
    said = "" if mpp is None else f"|MPP = {mpp}"
    tiles = {"tile": (TILE, TILE), "photometric": "rgb", "metadata": None, **more}
    with tifffile.TiffWriter(path) as file:
        description = f"Aperio Image Library v12\n{WIDE}x{HIGH}|AppMag = 40{said}"
        file.write(level0, description=description, **tiles)
        file.write(halved(level0), subfiletype=1, **tiles)
    return path


def write_plain(path: Path, level0: np.ndarray, mpp: float | None = 0.25, **more: Any) -> Path:
    """A tiled pyramid, its levels one after the other."""
    tiles = {"tile": (TILE, TILE), "photometric": "rgb", "metadata": None}
    with tifffile.TiffWriter(path, bigtiff=more.pop("bigtiff", False)) as file:
        file.write(level0, **{**tiles, **resolution(mpp), **more})
        file.write(halved(level0), subfiletype=1, **{**tiles, **more})
    return path


def write_ome(
    path: Path, level0: np.ndarray, mpp: float | None = 0.25, unit: str = "µm", **more: Any
) -> Path:
    """An OME-TIFF, its second level in a SubIFD."""
    said: dict[str, Any] = {"axes": "YXS"}
    if mpp is not None:
        for axis in "XY":
            said |= {f"PhysicalSize{axis}": mpp, f"PhysicalSize{axis}Unit": unit}
    tiles = {"tile": (TILE, TILE), "photometric": "rgb", **more}
    with tifffile.TiffWriter(path, ome=True) as file:
        file.write(level0, subifds=1, metadata=said, **tiles)
        file.write(halved(level0), subfiletype=1, **tiles)
    return path


def write_planes(
    path: Path, level0: np.ndarray, mpp: float | None = 0.25, names: Sequence[str] = ()
) -> Path:
    """An OME-TIFF with red, green and blue in pages of their own, each with its second level."""
    said: dict[str, Any] = {"axes": "CYX", **({"Channel": {"Name": list(names)}} if names else {})}
    if mpp is not None:
        said |= {"PhysicalSizeX": mpp, "PhysicalSizeY": mpp}
    tiles = {"tile": (TILE, TILE), "photometric": "minisblack", "compression": "deflate"}
    with tifffile.TiffWriter(path, ome=True) as file:
        file.write(np.moveaxis(level0, -1, 0), subifds=1, metadata=said, **tiles)
        file.write(np.moveaxis(halved(level0), -1, 0), subfiletype=1, **tiles)
    return path


def write_big(path: Path, level0: np.ndarray) -> Path:
    return write_plain(path, level0, bigtiff=True)


def write_strips(path: Path, level0: np.ndarray) -> Path:
    """One level, in compressed strips."""
    tifffile.imwrite(
        path, level0, photometric="rgb", rowsperstrip=16, compression="lzw", **resolution(0.25)
    )
    return path


def write_flat(path: Path, level0: np.ndarray) -> Path:
    """One level, not compressed, in one strip."""
    tifffile.imwrite(path, level0, photometric="rgb", **resolution(0.25))
    return path


def write_planar(path: Path, level0: np.ndarray) -> Path:
    """One level, its colours apart."""
    planes = np.moveaxis(level0, -1, 0)
    tifffile.imwrite(
        path,
        planes,
        photometric="rgb",
        planarconfig="separate",
        tile=(TILE, TILE),
        compression="deflate",
        **resolution(0.25),
    )
    return path


def write_alpha(path: Path, level0: np.ndarray) -> Path:
    """Opaque everywhere."""
    opaque = np.dstack([level0, np.full(level0.shape[:2], 255, np.uint8)])
    tifffile.imwrite(
        path,
        opaque,
        photometric="rgb",
        extrasamples=["UNASSALPHA"],
        tile=(TILE, TILE),
        **resolution(0.25),
    )
    return path


def write_dicom(path: Path, level0: np.ndarray, mpp: float = 0.25) -> Path:
    """A folder of two files, one a level; the coarser one comes first by its name."""
    path.mkdir()
    series = generate_uid()
    original = ("ORIGINAL", "PRIMARY", "VOLUME", "NONE")
    derived = ("DERIVED", "PRIMARY", "VOLUME", "RESAMPLED")
    write_dicom_level(path / "b.dcm", level0, mpp, series, original)
    write_dicom_level(path / "a.dcm", halved(level0), 2 * mpp, series, derived)
    return path


def write_dicom_level(
    path: Path, level: np.ndarray, mpp: float, series: str, image_type: tuple[str, ...]
) -> None:
    """One file of a DICOM slide."""
    high, wide = level.shape[:2]
    across, down = wide // TILE, high // TILE
    frames = level.reshape(down, TILE, across, TILE, 3).swapaxes(1, 2)
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = _DICOM_SLIDE
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    spacing = Dataset()
    spacing.PixelSpacing = [mpp / 1000, mpp / 1000]
    shared = Dataset()
    shared.PixelMeasuresSequence = [spacing]
    file = Dataset()
    file.file_meta = meta
    file.SOPClassUID = _DICOM_SLIDE
    file.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    file.SeriesInstanceUID = series
    file.ImageType = list(image_type)
    file.DimensionOrganizationType = "TILED_FULL"
    file.SharedFunctionalGroupsSequence = [shared]
    file.TotalPixelMatrixColumns, file.TotalPixelMatrixRows = wide, high
    file.Rows = file.Columns = TILE
    file.NumberOfFrames = across * down
    file.SamplesPerPixel, file.PhotometricInterpretation = 3, "RGB"
    file.PlanarConfiguration = file.PixelRepresentation = 0
    file.BitsAllocated = file.BitsStored = 8
    file.HighBit = 7
    file.PixelData = frames.tobytes()
    file.save_as(path, enforce_file_format=True)


# Each form, the name of its file, and whether it has a second level.
FORMS: dict[str, tuple[Write, str, bool]] = {
    "aperio": (write_aperio, "s.svs", True),
    "dicom": (write_dicom, "s", True),
    "plain": (write_plain, "s.tif", True),
    "big": (write_big, "big.tif", True),
    "ome": (write_ome, "s.ome.tif", True),
    "planes": (write_planes, "planes.ome.tif", True),
    "strips": (write_strips, "strips.tif", False),
    "flat": (write_flat, "flat.tif", False),
    "planar": (write_planar, "planar.tif", False),
    "alpha": (write_alpha, "alpha.tif", False),
}
