"""The slide among DICOM files is found by what they say of themselves, not by their names."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import BasicTextSRStorage, ExplicitVRLittleEndian, generate_uid

from atypia.data.slides import open_slide
from atypia.errors import ImageError
from slide_files import HIGH, WIDE, pixels, write_dicom, write_dicom_level

LEVEL0 = pixels()


def _write_report(path: Path) -> None:
    path.parent.mkdir(exist_ok=True)
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = BasicTextSRStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    report = Dataset()
    report.file_meta = meta
    report.SOPClassUID = BasicTextSRStorage
    report.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    report.SeriesInstanceUID = generate_uid()
    report.save_as(path, enforce_file_format=True)


def _is_the_slide(path: Path) -> bool:
    slide = open_slide(path)
    window = slide.window(400, 300, side_um=8, level=0)
    same = np.array_equal(window, LEVEL0[284:316, 384:416])
    slide.close()
    return same and slide.level_px == ((WIDE, HIGH), (WIDE // 2, HIGH // 2))


def test_a_slide_is_found_among_other_objects(tmp_path: Path) -> None:
    folder = write_dicom(tmp_path / "study", LEVEL0)
    _write_report(folder / "0.dcm")
    series = generate_uid()
    label = LEVEL0[:128, :128]
    write_dicom_level(
        folder / "1.dcm", label, 9.0, series, ("ORIGINAL", "PRIMARY", "LABEL", "NONE")
    )
    (folder / "2.dcm").write_bytes(b"\0" * 128 + b"DICM" + b"\xff" * 40)
    (folder / "DICOMDIR").write_bytes(b"no DICOM")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert _is_the_slide(folder)


def test_files_need_no_ending_and_may_lie_further_inside(tmp_path: Path) -> None:
    folder = write_dicom(tmp_path / "series", LEVEL0)
    for number, path in enumerate(sorted(folder.iterdir())):
        path.rename(folder / f"IM00{number}")
    study = tmp_path / "study"
    study.mkdir()
    folder.rename(study / "series")
    _write_report(study / "a")
    assert _is_the_slide(study)


def test_two_slides_are_named_and_each_opens_by_a_file(tmp_path: Path) -> None:
    study = tmp_path / "study"
    study.mkdir()
    write_dicom(study / "one", LEVEL0)
    write_dicom(study / "two", LEVEL0[:512, :512])
    with pytest.raises(ImageError) as refused:
        open_slide(study)
    line = str(refused.value)
    assert line.startswith(f"{study}: holds 2 slides, expected one; give one by any of its files: ")
    assert f"one/b.dcm ({WIDE} x {HIGH} px)" in line
    assert "two/b.dcm (512 x 512 px)" in line
    assert _is_the_slide(study / "one" / "b.dcm")


def test_what_is_there_is_named_where_no_slide_is(tmp_path: Path) -> None:
    _write_report(tmp_path / "study" / "a.dcm")
    label = ("ORIGINAL", "PRIMARY", "LABEL", "NONE")
    write_dicom_level(tmp_path / "study" / "b.dcm", LEVEL0[:128, :128], 9.0, generate_uid(), label)
    with pytest.raises(ImageError, match=r"\(they are 1 Basic Text SR Storage, 1 label\)"):
        open_slide(tmp_path / "study")
    with pytest.raises(ImageError, match=r"a DICOM file without .* \(Basic Text SR Storage\)"):
        open_slide(tmp_path / "study" / "a.dcm")
