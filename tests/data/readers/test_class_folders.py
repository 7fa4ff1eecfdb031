from __future__ import annotations

from pathlib import Path

import pytest
from layout_files import touch_files

from atypia.data.audit import audit
from atypia.data.describe import describe
from atypia.data.readers.open_figures import open_figures
from atypia.errors import TableError


def test_class_folders_count_every_image_as_a_slide_and_say_so(tmp_path: Path) -> None:
    touch_files(tmp_path, ["Atypical/1.png", "NORMAL/1.png", "NORMAL/more/2.TIF", "NORMAL/.x.png"])
    touch_files(tmp_path, ["NORMAL/notes.txt"])
    table = open_figures(tmp_path)
    assert list(table.frame["image"]) == ["NORMAL/1.png", "NORMAL/more/2.TIF", "Atypical/1.png"]
    assert list(table.frame["label"]) == [0, 0, 1]
    assert table.frame["slide"].nunique() == 3 and table.frame["mpp"].isna().all()
    assert any("slide of its own" in one.message for one in audit(table, images=False))
    assert any("name no slide" in remark for remark in describe(table).remarks)
    assert set(open_figures(tmp_path, mpp=0.25).frame["mpp"]) == {0.25}


def test_class_folders_may_have_the_names_that_tables_use(tmp_path: Path) -> None:
    touch_files(tmp_path, ["AMF/1.png", "nmf/2.png", "Normal/3.png", "normal/4.png"])
    frame = open_figures(tmp_path).frame
    labels = dict(zip(frame["image"], frame["label"], strict=True))
    assert labels == {"AMF/1.png": 1, "nmf/2.png": 0, "Normal/3.png": 0, "normal/4.png": 0}


def test_images_beside_the_class_folders_are_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    touch_files(tmp_path, ["normal/1.png", "atypical/2.png", "atypical/2.gif"])
    touch_files(tmp_path, ["unsure/3.png", "unsure/more/4.png", "loose.png", "report.html"])
    (tmp_path / "atypical" / "far").symlink_to(tmp_path / "unsure")
    assert len(open_figures(tmp_path)) == 4
    left_out = f"{tmp_path}: 3 images left out, 1 beside the folders, 2 in unsure/; only normal/"
    assert left_out in caplog.text
    assert f"{tmp_path / 'atypical'}: 1 file left out, 1 .gif" in caplog.text


def test_empty_class_folders_are_refused(tmp_path: Path) -> None:
    (tmp_path / "normal").mkdir()
    with pytest.raises(TableError, match="no image"):
        open_figures(tmp_path)
