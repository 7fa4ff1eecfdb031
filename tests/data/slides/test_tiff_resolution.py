from __future__ import annotations

from pathlib import Path

import pytest
import tifffile

from atypia.data.slides import open_slide
from atypia.errors import ImageError
from slide_files import (
    pixels,
    resolution,
    write_ome,
    write_plain,
)

LEVEL0 = pixels()


@pytest.mark.parametrize(
    ("unit", "size", "mpp"),
    [
        ("µm", 0.25, 0.25),
        ("\u03bcm", 0.25, 0.25),
        ("nm", 250, 0.25),
        ("mm", 0.00025, 0.25),
        ("Å", 2500, 0.25),
        ("pixel", 0.25, None),
        ("reference frame", 0.25, None),
    ],
)
def test_ome_says_mpp_in_many_units(
    unit: str, size: float, mpp: float | None, tmp_path: Path
) -> None:
    path = write_ome(tmp_path / "s.ome.tif", LEVEL0, size, unit)
    if mpp is None:
        with pytest.raises(ImageError, match="has no pixel size"):
            open_slide(path)
    else:
        assert open_slide(path).mpp == pytest.approx(mpp)


def test_ome_goes_before_the_tags_which_count_without_it(tmp_path: Path) -> None:
    both = write_ome(tmp_path / "both.ome.tif", LEVEL0, 0.25, **resolution(0.5))
    assert open_slide(both).mpp == 0.25
    tags = write_ome(tmp_path / "tags.ome.tif", LEVEL0, None, **resolution(0.5))
    assert open_slide(tags).mpp == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("unit", "per_unit", "mpp"),
    [
        *((name, 4, 0.25) for name in ("um", "micron", "microns", "\\u00B5m")),
        *(("nm", 0.004, 0.25), ("nanometer", 0.004, 0.25), ("mm", 4000, 0.25), ("cm", 40000, 0.25)),
        *(("inch", 50800, 0.5), ("pixel", 4, None), ("", 4, None)),
    ],
)
def test_imagej_names_the_unit_in_its_description(
    unit: str, per_unit: float, mpp: float | None, tmp_path: Path
) -> None:
    path = tmp_path / "s.tif"
    tifffile.imwrite(
        path,
        LEVEL0,
        photometric="rgb",
        description=f"ImageJ=1.54f\nunit={unit}\nmin=0.0\n" if unit else "ImageJ=1.54f\n",
        metadata=None,
        resolution=(per_unit, per_unit),
        resolutionunit="NONE",
    )
    if mpp is None:
        with pytest.raises(ImageError, match="has no pixel size"):
            open_slide(path)
    else:
        assert open_slide(path).mpp == pytest.approx(mpp)


def test_imagejs_pixels_may_be_longer_than_wide(tmp_path: Path) -> None:
    path = tmp_path / "s.tif"
    tifffile.imwrite(path, LEVEL0, imagej=True, resolution=(4, 2), metadata={"unit": "um"})
    with pytest.raises(ImageError, match=r"pixels of 0\.25 x 0\.5 um are not square"):
        open_slide(path)
    assert open_slide(path, mpp=0.25).mpp == 0.25


@pytest.mark.parametrize(("unit", "per", "mpp"), [("INCH", 50800, 0.5), ("NONE", 40000, None)])
def test_tags_count_in_cm_and_inch_only(
    unit: str, per: float, mpp: float | None, tmp_path: Path
) -> None:
    said = {"resolution": (per, per), "resolutionunit": unit}
    path = write_plain(tmp_path / "s.tif", LEVEL0, None, **said)
    if mpp is None:
        with pytest.raises(ImageError, match="has no pixel size"):
            open_slide(path)
    else:
        assert open_slide(path).mpp == pytest.approx(mpp)
