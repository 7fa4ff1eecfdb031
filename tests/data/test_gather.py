from __future__ import annotations

import os
from pathlib import Path

import pandas as pd
import pytest

from atypia.data.gather import gather
from atypia.data.table import figures_from_frame, read_table
from atypia.errors import AtypiaError, TableError


def _table(root: Path, images: list[str]) -> pd.DataFrame:
    return pd.DataFrame({"figure_id": [f"f{i}" for i in range(len(images))], "image": images})


def test_the_gathered_folder_needs_nothing_outside_it(tmp_path: Path) -> None:
    root = tmp_path / "from"
    for name in ("a/1.png", "b/1.png"):
        (root / name).parent.mkdir(parents=True)
        (root / name).write_bytes(name.encode())
    table = figures_from_frame(_table(root, ["a/1.png", "b/1.png", "a/1.png"]), root)
    gathered, faults = gather(table, tmp_path / "to")
    assert faults == [] and len(gathered) == 3
    (tmp_path / "from").rename(tmp_path / "gone")
    read = read_table(tmp_path / "to" / "figures.csv")
    assert [path.read_bytes() for path in read.image_paths()] == [
        b"a/1.png",
        b"b/1.png",
        b"a/1.png",
    ]


def test_what_cannot_be_read_is_named_and_the_rest_comes(tmp_path: Path) -> None:
    root = tmp_path / "from"
    root.mkdir()
    (root / "a.png").write_bytes(b"a")
    (root / "link.png").symlink_to(tmp_path / "gone.png")
    os.mkfifo(root / "pipe.png")
    table = figures_from_frame(_table(root, ["a.png", "none.png", "link.png", "pipe.png"]), root)
    gathered, faults = gather(table, tmp_path / "to")
    assert list(gathered.frame["figure_id"]) == ["f0"]
    assert [
        name in str(fault) for name, fault in zip(["none", "link", "pipe"], faults, strict=True)
    ] == [True] * 3


def test_links_and_back_slashes_end_as_plain_files(tmp_path: Path) -> None:
    root = tmp_path / "from"
    (tmp_path / "store").mkdir()
    root.mkdir()
    (tmp_path / "store" / "a.png").write_bytes(b"a")
    (root / "crops").symlink_to(tmp_path / "store")
    gathered, faults = gather(
        figures_from_frame(_table(root, ["crops\\a.png"]), root), tmp_path / "to"
    )
    assert not faults
    assert list(gathered.frame["image"]) == ["images/crops/a.png"]
    copy = tmp_path / "to" / "images" / "crops" / "a.png"
    assert copy.read_bytes() == b"a"
    assert not copy.is_symlink()


def test_a_table_in_place_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"a")
    (tmp_path / "figures.csv").write_text("mine")
    with pytest.raises(TableError, match="is there already"):
        gather(figures_from_frame(_table(tmp_path, ["a.png"]), tmp_path), tmp_path)
    assert (tmp_path / "figures.csv").read_text() == "mine"


def test_nothing_to_copy_is_an_error_and_leaves_no_table(tmp_path: Path) -> None:
    table = figures_from_frame(_table(tmp_path, ["none.png"]), tmp_path)
    with pytest.raises(TableError, match="none of 1 images"):
        gather(table, tmp_path / "to")
    assert not (tmp_path / "to" / "figures.csv").exists()


def test_a_place_that_cannot_be_written_is_told_in_words(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"a")
    (tmp_path / "file").write_text("")
    with pytest.raises(AtypiaError, match="cannot be written"):
        gather(figures_from_frame(_table(tmp_path, ["a.png"]), tmp_path), tmp_path / "file" / "to")
