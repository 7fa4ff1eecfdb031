"""JSON is read as json reads it, and every file that is damaged gets one line."""

from __future__ import annotations

import gzip
import json
import struct
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atypia.data.points.document import Features, _parse_document, read_document
from atypia.errors import TableError

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


def _plain(document: Any) -> Any:
    return list(document) if isinstance(document, Features) else document


@given(
    st.lists(VALUES, max_size=4),
    st.dictionaries(st.text(max_size=5), VALUES),
    st.booleans(),
    st.sampled_from([None, 1]),
)
def test_features_are_what_json_says_wherever_they_stand(
    features: list[Any], others: dict[str, Any], first: bool, indent: int | None
) -> None:
    mine = {"features": features}
    whole = {**mine, **others} if first else {**others, **mine}
    assert _plain(_parse_document(json.dumps(whole, indent=indent))) == whole["features"]
    bare = _parse_document(json.dumps(features, indent=indent))
    assert _plain(bare) == features
    assert [bare[number] for number in range(len(bare))] == features


@given(st.dictionaries(st.text(max_size=5), VALUES))
def test_other_documents_are_what_json_says(members: dict[str, Any]) -> None:
    if not isinstance(members.get("features"), list) and members.get("type") != "Feature":
        assert _parse_document(json.dumps(members)) == members


COLLECTION = json.dumps(
    {
        "type": "FeatureCollection",
        "features": [
            {"type": "Feature", "geometry": {"type": "Point", "coordinates": [n, 2.5]}}
            for n in range(3)
        ],
        "more": {"a": [1, 2]},
    }
)


@pytest.mark.parametrize("change", ["", " ", ",", "]", "}", "x", '"'])
def test_damage_anywhere_is_damage_to_json_too(change: str) -> None:
    for place in range(len(COLLECTION)):
        text = COLLECTION[:place] + change + COLLECTION[place + 1 :]
        try:
            document = json.loads(text)
            expected = document.get("features", document) if isinstance(document, dict) else None
        except ValueError:
            expected = None
        try:
            found = _plain(_parse_document(text))
        except json.JSONDecodeError:
            found = None
        assert found == expected, text


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
@pytest.mark.parametrize("form", ["geojson", "gz", "zip"])
def test_a_file_cut_in_the_middle_is_refused_in_one_line(
    form: str, share: float, tmp_path: Path
) -> None:
    path = tmp_path / f"a.{form}"
    path.write_text(COLLECTION)
    if form == "gz":
        path.write_bytes(gzip.compress(COLLECTION.encode()))
    if form == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("a.geojson", COLLECTION)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(TableError, match="export it again") as refused:
        read_document(path)
    assert str(refused.value).startswith(f"{path}: ")
    assert "\n" not in str(refused.value)


def test_a_packed_file_that_is_damaged_or_locked_is_refused(tmp_path: Path) -> None:
    packed = bytearray(gzip.compress(COLLECTION.encode()))
    packed[12:40] = b"\xff" * 28
    path = tmp_path / "a.geojson.gz"
    path.write_bytes(packed)
    with pytest.raises(TableError, match="cannot be read"):
        read_document(path)
    locked = tmp_path / "a.zip"
    with zipfile.ZipFile(locked, "w") as archive:
        archive.writestr("a.geojson", COLLECTION)
    data = bytearray(locked.read_bytes())
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        place = data.index(signature) + flags
        data[place : place + 2] = struct.pack("<H", 1)  # says that it wants a password
    locked.write_bytes(data)
    with pytest.raises(TableError, match="is packed with a password"):
        read_document(locked)


def test_what_json_takes_and_python_does_not_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(f'[{{"geometry": {{"type": "Point", "coordinates": [{"9" * 5000}, 1]}}}}]')
    with pytest.raises(TableError, match="contains an invalid number"):
        read_document(path)


def test_what_is_not_there_is_not_called_unreadable(tmp_path: Path) -> None:
    with pytest.raises(TableError, match=r"none\.geojson: there is no such file"):
        read_document(tmp_path / "none.geojson")
    (tmp_path / "folder.json").mkdir()
    with pytest.raises(TableError, match=r"folder\.json: is a folder"):
        read_document(tmp_path / "folder.json")
