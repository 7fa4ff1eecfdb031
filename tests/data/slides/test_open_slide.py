"""Whatever is given as a slide opens, or gets one line that says what is wrong and what to do."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from atypia.data.slides import open_slide
from atypia.errors import ImageError
from slide_files import FORMS, pixels, write_aperio, write_dicom, write_ome, write_plain

LEVEL0 = pixels()


def refused(path: Path, mpp: float | None = None) -> str:
    """Open, and return the one line that comes."""
    with pytest.raises(ImageError) as fault:
        open_slide(path, mpp=mpp)
    line = str(fault.value)
    assert line.startswith(str(path))
    assert "\n" not in line
    return line


@pytest.mark.parametrize("write", [write_aperio, write_plain, write_ome])
def test_mpp_may_be_given_and_must_be_right(write: Callable[..., Path], tmp_path: Path) -> None:
    path = write(tmp_path / "s.tif", LEVEL0)
    given = open_slide(path, mpp=0.5)
    assert (given.mpp, given.mpp_source) == (0.5, "given")
    for wrong in (0.0, 1000.0, float("nan")):
        assert "--mpp is " in refused(path, mpp=wrong)
        assert "expected 0.05 to 5" in refused(path, mpp=wrong)
    silent = write(tmp_path / "silent.tif", LEVEL0, mpp=None)
    assert "has no pixel size in its metadata; give --mpp" in refused(silent)
    assert open_slide(silent, mpp=0.25).mpp == 0.25
    coarse = write(tmp_path / "coarse.tif", LEVEL0, mpp=1000)
    assert "the slide says that a pixel is 1000 um, expected 0.05 to 5" in refused(coarse)
    assert open_slide(coarse, mpp=0.25).mpp == 0.25


@pytest.mark.parametrize("write", [write_aperio, write_ome])
def test_a_slide_that_says_0_is_refused(write: Callable[..., Path], tmp_path: Path) -> None:
    assert "that a pixel is 0 um" in refused(write(tmp_path / "s.tif", LEVEL0, mpp=0))


def test_pixels_that_are_not_square_are_refused(tmp_path: Path) -> None:
    tags = {"resolution": (40000, 20000), "resolutionunit": "CENTIMETER"}
    path = write_plain(tmp_path / "s.tif", LEVEL0, mpp=None, **tags)
    assert "pixels of 0.25 x 0.5 um are not square" in refused(path)


@pytest.mark.parametrize("form", ["aperio", "plain", "ome", "strips", "flat"])
@pytest.mark.parametrize("share", [1e-6, 1e-4, 0.01, 0.5, 0.99])
def test_a_slide_cut_off_is_refused_or_read_where_it_is_whole(
    form: str, share: float, tmp_path: Path
) -> None:
    write, name, _ = FORMS[form]
    whole = write(tmp_path / name, LEVEL0)
    path = tmp_path / f"cut-{name}"
    path.write_bytes(whole.read_bytes()[: int(whole.stat().st_size * share)])
    try:
        slide = open_slide(path)
    except ImageError:
        refused(path)
        return
    assert form == "aperio", "tifffile's handle must see it at once: JPEGs would be grey from there"
    np.testing.assert_array_equal(slide.window(64, 64, side_um=8, level=0), LEVEL0[48:80, 48:80])
    if share < 0.7:
        with pytest.raises(ImageError, match=r"cannot be read at x 900, y 700 \(.+\); copy the"):
            slide.window(900, 700, side_um=8, level=0)


@pytest.fixture
def open_to_all() -> Iterator[Path]:
    """A folder that any user may enter; pytest's own is its user's alone."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    for path in folder.iterdir():
        path.chmod(0o755)  # who is not root cannot remove what is locked
    shutil.rmtree(folder)


@pytest.fixture
def without_rights() -> Iterator[None]:
    """Let root be nobody for a while: root may read everything."""
    if not hasattr(os, "geteuid"):
        pytest.skip("no users of POSIX here")
    if os.geteuid() != 0:
        yield
        return
    try:
        os.seteuid(65534)
    except OSError:
        pytest.skip("root here, without the right to be somebody else")
    try:
        yield
    finally:
        os.seteuid(0)


def _locked(folder: Path) -> dict[str, Path]:
    (folder / "s.svs").write_bytes(write_plain(folder / "whole.tif", LEVEL0).read_bytes())
    write_dicom(folder / "dicom", LEVEL0)
    locked = {"file": folder / "s.svs", "folder": folder / "dicom"}
    for path in locked.values():
        path.chmod(0)
    return locked


@pytest.fixture
def locked(open_to_all: Path) -> dict[str, Path]:
    return _locked(open_to_all)


@pytest.mark.parametrize("what", ["file", "folder"])
def test_a_locked_slide_is_refused(
    what: str, locked: dict[str, Path], without_rights: None
) -> None:
    assert "cannot be read (Permission denied); check its permissions" in refused(locked[what])


def test_what_is_no_slide_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.tif").write_text("nothing")
    (tmp_path / "empty.tif").touch()
    (tmp_path / "mirax").mkdir()
    assert "nor a TIFF; give the slide file" in refused(tmp_path / "text.tif")
    assert "is empty" in refused(tmp_path / "empty.tif")
    assert "no such file" in refused(tmp_path / "absent.tif")
    assert "is a folder without .dcm files" in refused(tmp_path / "mirax")


def test_a_dicom_slide_opens_by_its_folder_and_by_any_of_its_files(tmp_path: Path) -> None:
    folder = write_dicom(tmp_path / "case", LEVEL0)
    (folder / "0.txt").write_text("no part of it")
    for path in (folder, folder / "a.dcm", folder / "b.dcm"):
        slide = open_slide(path)
        assert slide.path == path
        assert slide.level_mpp == pytest.approx((0.25, 0.5))
        window = slide.window(400, 300, side_um=8, level=0)
        np.testing.assert_array_equal(window, LEVEL0[284:316, 384:416])
