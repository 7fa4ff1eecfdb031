"""Images of a folder: every one is listed once, and what is left out gets a word."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from atypia.data.folders import count_images, list_images


def _touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"\x89PNG\0")


def test_images_in_all_folders_are_listed_hidden_ones_are_not(tmp_path: Path) -> None:
    shown = ["a.png", "b.JFIF", "c.jpe", "sub/d.tif", "x.png/e.bmp"]
    _touch(*(tmp_path / name for name in [*shown, ".e.png", ".git/f.png", "sub/.g/h.png"]))
    assert sorted(list_images(tmp_path)) == shown


def test_links_are_followed_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    top = tmp_path / "top"
    _touch(top / "own" / "a.png", tmp_path / "store" / "deep" / "b.png", tmp_path / "c.png")
    (top / "again").symlink_to(top / "own")
    (top / "far").symlink_to(tmp_path / "store")
    (top / "one.png").symlink_to(tmp_path / "c.png")
    (tmp_path / "store" / "round").symlink_to(tmp_path / "store")
    assert sorted(list_images(top)) == ["far/deep/b.png", "one.png", "own/a.png"]
    assert not caplog.text


@pytest.mark.parametrize("where", ["top", ".", "top/own"])
def test_a_link_back_is_named_and_not_followed(
    where: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    top = tmp_path / "top"
    _touch(top / "own" / "a.png", tmp_path / "outside.png")
    (top / "own" / "back").symlink_to(tmp_path / where)
    assert list_images(top) == ["own/a.png"]
    assert ("own/back: a link back" in caplog.text) == (where != "top/own")


def test_dead_links_and_pipes_are_not_lost(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "a.png").symlink_to(tmp_path / "gone.png")
    (tmp_path / "crops").symlink_to(tmp_path / "gone")
    for name in ("b.png", "c"):
        os.mkfifo(tmp_path / name)
    assert sorted(list_images(tmp_path)) == ["a.png", "b.png"]
    assert f"{tmp_path / 'crops'}: a link whose target does not exist" in caplog.text


def test_what_looks_like_an_image_is_counted_by_ending(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    _touch(*(tmp_path / name for name in ("a.heic", "b.HEIC", "s/c.svs", "d.dcm", "0001")))
    (tmp_path / "README").write_text("no image")
    for name in ("t.csv", "t.json", "x.XML", "Thumbs.db", ".DS_Store", "notes.txt"):
        (tmp_path / name).write_bytes(b"\0")
    assert list_images(tmp_path) == []
    (line,) = caplog.messages
    assert line.startswith(f"{tmp_path}: 5 files left out, 2 .heic, ")
    assert all(part in line for part in ("1 .svs", "1 .dcm", "1 without an ending", ".jfif"))


def test_a_folder_of_texts_gets_no_word(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    _touch(tmp_path / "a.png", tmp_path / "figures.csv", tmp_path / "p.parquet")
    list_images(tmp_path)
    assert not caplog.text


def test_the_word_reaches_the_screen_as_a_plain_line(tmp_path: Path) -> None:
    _touch(tmp_path / "a.gif")
    program = (
        "import sys, pathlib; from atypia.data.folders import list_images; "
        "list_images(pathlib.Path(sys.argv[1]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert done.stderr.startswith(f"{tmp_path}: 1 file left out, 1 .gif; ")
    assert done.stderr.count("\n") == 1


def test_images_are_counted_by_folder(tmp_path: Path) -> None:
    _touch(
        *(tmp_path / name for name in ("a.png", "in/b.png", "in/x/c.png", "out/d.png", ".h/e.png"))
    )
    (tmp_path / "empty").mkdir()
    assert count_images(tmp_path, [tmp_path / "out"]) == {".": 1, "in/": 2}
