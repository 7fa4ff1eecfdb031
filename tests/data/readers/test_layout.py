from __future__ import annotations

from pathlib import Path

import pytest

from atypia.data.readers.layout import list_image_names


def test_images_of_a_public_layout_that_cannot_be_read_are_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("a.png", "b.gif", "c.gif", "list.csv"):
        (tmp_path / name).write_bytes(b"\0")
    assert list_image_names(tmp_path) == ["a.png"]
    assert [record.getMessage().split(";")[0] for record in caplog.records] == [
        f"{tmp_path}: 2 files left out, 2 .gif"
    ]
