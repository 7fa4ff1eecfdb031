"""Files are written whole or not at all, and stay inside their folder."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from atypia.errors import AtypiaError
from atypia.files import (
    escape_document,
    join_inside,
    parse_json,
    resolve_inside,
    shipped_folder,
    write_text,
    write_whole,
)


def test_a_failure_leaves_the_old_file_and_no_trace(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "old")
    with pytest.raises(RuntimeError), write_whole(path) as partial:
        partial.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_one_line_that_names_the_file(tmp_path: Path) -> None:
    told = pytest.raises(AtypiaError, match=r"a\.txt: cannot be written .*No space left")
    with told as caught, write_whole(tmp_path / "a.txt"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert "\n" not in str(caught.value)


def test_a_file_where_a_folder_is_wanted_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(AtypiaError, match="cannot be written"):
        write_text(tmp_path / "file" / "a.txt", "x")


def test_others_may_read_what_was_written(tmp_path: Path) -> None:
    with write_whole(tmp_path / "a") as partial:
        partial.touch(mode=0o600)
        partial.chmod(0o600)
    reference = tmp_path / "b"
    reference.touch()
    assert (tmp_path / "a").stat().st_mode == reference.stat().st_mode


@pytest.mark.parametrize(
    "path",
    [
        *("../x.png", "a/../../x.png", "link/../x.png", "/etc/passwd", "", "."),
        *(
            "..\\x.png",
            "a\\..\\x.png",
            "C:\\x.png",
            "C:x.png",
            "\\\\host\\share\\x.png",
            "\\x.png",
            "a\0b",
        ),
    ],
)
def test_a_path_that_leaves_its_folder_is_refused(path: str, tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "link").symlink_to(tmp_path)
    for find in (join_inside, resolve_inside):
        with pytest.raises(AtypiaError, match="lies outside"):
            find(root, path)


def test_a_link_out_of_a_folder_is_followed_only_where_it_may_be(tmp_path: Path) -> None:
    root, store = tmp_path / "root", tmp_path / "store"
    root.mkdir()
    store.mkdir()
    (root / "link").symlink_to(store)
    (root / "near").symlink_to(root / "b")
    assert join_inside(root, "link/x.png") == root / "link/x.png"
    assert resolve_inside(root, "near/x.png") == root / "near/x.png"
    with pytest.raises(AtypiaError, match=r"link/x\.png: lies outside .*a link leads there"):
        resolve_inside(root, "link/x.png")


def test_a_back_slash_parts_folders_unless_a_file_has_it_in_its_name(tmp_path: Path) -> None:
    assert join_inside(tmp_path, "a\\b\\c.png") == tmp_path / "a" / "b" / "c.png"
    (tmp_path / "a\\b.png").touch()
    assert join_inside(tmp_path, "a\\b.png") == tmp_path / "a\\b.png"


def test_what_comes_with_atypia_is_found_and_nothing_else() -> None:
    recipes = shipped_folder("recipes")
    assert recipes is not None and (recipes / "lite.toml").is_file()
    assert shipped_folder("no such folder") is None


def test_halves_of_characters_are_written_as_numbers_and_all_else_stays() -> None:
    document = {"a\ud800": ["ü\udcff", ("b", 1.5)], "c": None}
    assert escape_document(document) == {"a\\ud800": ["ü\\udcff", ["b", 1.5]], "c": None}


@pytest.mark.parametrize("text", ["[" * 100_000, "9" * 5000, "", "{", "\ufeff{}"])
def test_what_is_no_json_is_one_kind_of_fault(text: str) -> None:
    with pytest.raises(ValueError):
        parse_json(text)


def test_json_of_anybody_is_read_in_one_place() -> None:
    # json.loads raises RecursionError as well, which is forgotten wherever it is called.
    sources = (Path(__file__).parents[1] / "src").rglob("*.py")
    calls = [path.name for path in sources if "json.load" in path.read_text(encoding="utf-8")]
    assert calls == ["files.py"]
