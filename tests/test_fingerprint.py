"""What decides a result is recognised, and nothing else."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pandas as pd
import pytest

from atypia.errors import AtypiaError
from atypia.files import sha256
from atypia.fingerprint import (
    ImageHashes,
    fingerprint,
    require_same,
    settings_part,
    table_part,
)

OLD_NS = time.time_ns() - 10**12


def test_a_new_setting_at_its_default_changes_nothing() -> None:
    before = settings_part({"a": 1, "b": 2}, {"a": 1, "b": 0})
    after = settings_part({"b": 2, "a": 1, "new": 5}, {"a": 1, "b": 0, "new": 5})
    assert before == after == {"b": 2}
    assert settings_part({"a": 1, "b": 2, "new": 6}, {"a": 1, "b": 0, "new": 5}) != before


def test_a_table_is_its_deciding_columns_that_hold_something() -> None:
    frame = pd.DataFrame({"figure_id": ["a", "b"], "label": [0, 1], "remark": ["x", "y"]})
    known = ["figure_id", "label", "phase"]
    wider = frame.assign(phase="", remark="z")[["label", "phase", "figure_id", "remark"]]
    assert table_part(frame, known) == table_part(wider, known)
    assert table_part(frame, known) != table_part(frame.assign(label=[1, 1]), known)
    assert table_part(frame, known) != table_part(frame.assign(phase=["ring", ""]), known)


def test_a_refusal_names_the_parts_that_differ(tmp_path: Path) -> None:
    here = fingerprint(recipe={"seed": 1}, images="aa", weights="")
    require_same(tmp_path, here, here)
    with pytest.raises(AtypiaError, match="made from other images; give another --out"):
        require_same(tmp_path, fingerprint(recipe={"seed": 1}, images="bb"), here)
    with pytest.raises(AtypiaError, match="another recipe and other images"):
        require_same(tmp_path, fingerprint(recipe={}, images="bb"), here)
    with pytest.raises(AtypiaError, match="another version"):
        require_same(tmp_path, "0f" * 32, here)


def test_an_unchanged_image_is_not_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = tmp_path / "a.png"
    image.write_bytes(b"one")
    os.utime(image, ns=(OLD_NS, OLD_NS))
    first = ImageHashes(tmp_path / "known.json")
    assert first.hash_files([image]) == [sha256(image)]
    first.keep()
    read: list[Path] = []
    monkeypatch.setattr("atypia.fingerprint.sha256", lambda path: read.append(path) or "new")
    assert ImageHashes(tmp_path / "known.json").hash_files([image]) == first.hash_files([image])
    assert not read
    os.utime(image, ns=(OLD_NS + 1, OLD_NS + 1))
    again = ImageHashes(tmp_path / "known.json")
    assert again.hash_files([image]) == ["new"] and again.changed == [image]


def test_an_image_that_was_just_written_is_hashed_again(tmp_path: Path) -> None:
    image = tmp_path / "a.png"
    image.write_bytes(b"one")
    when = time.time_ns()
    os.utime(image, ns=(when, when))
    first = ImageHashes(tmp_path / "known.json")
    first.hash_files([image])
    first.keep()
    image.write_bytes(b"two")  # of the same size, in the same tick of the clock
    os.utime(image, ns=(when, when))
    assert ImageHashes(tmp_path / "known.json").hash_files([image]) == [sha256(image)]


@pytest.mark.parametrize("text", ["", "[]", "{", '{"a": 1}', '{"a": [1, 2]}', "\x00"])
def test_a_memory_that_cannot_be_read_is_made_anew(tmp_path: Path, text: str) -> None:
    (tmp_path / "known.json").write_text(text)
    (tmp_path / "a.png").write_bytes(b"one")
    assert ImageHashes(tmp_path / "known.json").hash_files([tmp_path / "a.png"]) == [
        sha256(tmp_path / "a.png")
    ]
    assert ImageHashes(tmp_path / "known.json").hash_files([tmp_path / "missing.png"]) == ["absent"]


@pytest.mark.parametrize("there", ["[" * 100_000, "9" * 5000, "[]", "3", "{"])
def test_what_is_no_fingerprint_was_made_by_another_version(tmp_path: Path, there: str) -> None:
    with pytest.raises(AtypiaError, match="another version"):
        require_same(tmp_path, there, fingerprint(images="aa"))


def test_remembered_hashes_that_are_nested_too_deeply_are_forgotten(tmp_path: Path) -> None:
    image = tmp_path / "a.png"
    image.write_bytes(b"one")
    (tmp_path / "known.json").write_text("[" * 100_000)
    assert ImageHashes(tmp_path / "known.json").hash_files([image]) == [sha256(image)]
