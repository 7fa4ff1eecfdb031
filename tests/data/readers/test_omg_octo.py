from __future__ import annotations

from pathlib import Path

import pytest
from layout_files import touch_files

from atypia.data.readers.open_figures import open_figures
from atypia.errors import TableError


def test_omg_octo_is_found_by_its_columns_and_read(tmp_path: Path) -> None:
    (tmp_path / "OMG-Octo.csv").write_text(
        "image_id,filename,majority\na.png,s1.svs,AMF\nb.png,s1.svs,NMF\n"
    )
    (tmp_path / "notes.csv").write_text("x,y\n1,2\n")
    touch_files(tmp_path / "crops", ["a.png", "b.png"])
    frame = open_figures(tmp_path, mpp=0.25).frame
    assert list(frame["image"]) == ["crops/a.png", "crops/b.png"]
    assert list(frame["slide"]) == ["s1.svs", "s1.svs"] and list(frame["label"]) == [1, 0]
    text = ",image_id;filename;majority;;\r\n0;a.png;s1.svs;AMF;;\r\n".replace(",", ";")
    (tmp_path / "OMG-Octo.csv").write_text(text, encoding="utf-16")
    assert list(open_figures(tmp_path).frame["image"]) == ["crops/a.png"]
    (tmp_path / "second.csv").write_text("image_id,filename,majority\na.png,s1.svs,AMF\n")
    with pytest.raises(TableError, match=r"OMG-Octo.csv, second.csv"):
        open_figures(tmp_path)
