"""JSON files with points: a million features are held as their text, not as objects."""

from __future__ import annotations

import gzip
import json
import re
import zipfile
import zlib
from array import array
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from atypia.data.points.table import PointFailure
from atypia.errors import TableError, describe_fault

GEOJSON_SUFFIXES = (".geojson", ".json")
_MOST_BYTES = 2**32  # of an archive's content: a small file can hold a very large one

_RESERVE = 100

_DECODER = json.JSONDecoder()
_SPACE = re.compile(r"[ \t\n\r]*")
_COMMA = re.compile(r"[ \t\n\r]*,[ \t\n\r]*")
_COLON = re.compile(r"[ \t\n\r]*:[ \t\n\r]*")


class Features:
    """Features of a document, each decoded whenever it is asked for, and then the asker's own.

    Decoded, a million of QuPath's objects need 1.5 GB; their text needs 0.2.
    """

    def __init__(
        self, text: str, starts: array[int], translate: Callable[[Any], Any] | None = None
    ) -> None:
        """Hold a text, where in it each feature starts, and what makes QuPath's object of one."""
        self._text = text
        self._starts = starts
        self._translate = translate
        #: What else the collection holds, by name.
        self.members: dict[str, Any] = {}
        #: What could not be read of it; these are no features.
        self.failures: list[PointFailure] = []

    def __len__(self) -> int:
        return len(self._starts)

    def __iter__(self) -> Iterator[Any]:
        for start in self._starts:
            yield self._decode(start)

    def __getitem__(self, number: int) -> Any:
        return self._decode(self._starts[number])

    def _decode(self, start: int) -> Any:
        feature = _parse_value(self._text, start)[0]
        return feature if self._translate is None else self._translate(feature)

    def place(self, number: int) -> str:
        """Return where in its file a feature is, in words."""
        return f"feature {number + 1}"

    def translate(self, translate: Callable[[Any], Any]) -> Features:
        """Return the features as another program's are to be read, each translated when decoded."""
        features = Features(self._text, self._starts, translate)
        features.members = self.members
        return features


def read_document(path: Path) -> Any:
    """Read a JSON file.

    Args:
        path: .geojson or .json, plain, .gz, or .zip with one such file in it.

    Returns:
        Features of a GeoJSON (a FeatureCollection, a list, or a Feature alone); what else it is.

    Raises:
        TableError: it cannot be read.
    """
    again = "export it again"
    try:
        return _with_reserve(_parse_document, _read_bytes(path).decode("utf-8-sig"))
    except FileNotFoundError as fault:
        raise TableError(f"{path}: there is no such file; give the file with the points") from fault
    except IsADirectoryError as fault:
        raise TableError(f"{path}: is a folder; give the file with the points in it") from fault
    except (OSError, EOFError, zipfile.BadZipFile, zlib.error) as fault:
        raise TableError(f"{path}: cannot be read ({describe_fault(fault)}); {again}") from fault
    except UnicodeDecodeError as fault:
        raise TableError(f"{path}: is not text in UTF-8; {again}") from fault
    except json.JSONDecodeError as fault:
        raise TableError(
            f"{path}: is not valid JSON from line {fault.lineno}, column {fault.colno} on "
            f"({fault.msg}); {again}"
        ) from fault
    except ValueError as fault:
        raise TableError(
            f"{path}: contains an invalid number ({describe_fault(fault)}); {again}"
        ) from fault
    except RecursionError as fault:
        raise TableError(f"{path}: is nested too deeply; {again}") from fault
    except RuntimeError as fault:  # of zipfile
        raise TableError(
            f"{path}: is encrypted or compressed by an unsupported method; unpack it and "
            "give the file"
        ) from fault


def _read_bytes(path: Path) -> bytes:
    suffix = path.suffix.lower()
    if suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            inside = [
                entry for entry in archive.infolist() if entry.filename.endswith(GEOJSON_SUFFIXES)
            ]
            if len(inside) != 1:
                raise TableError(
                    f"{path}: holds {len(inside)} files that end in .geojson or .json, expected "
                    "one; unpack it and give the file"
                )
            if inside[0].file_size > _MOST_BYTES:
                raise TableError(f"{path}: unpacks to more than 4 GiB; unpack it and divide it")
            return archive.read(inside[0])
    if suffix == ".gz":
        with gzip.open(path) as file:
            text = file.read(_MOST_BYTES + 1)
        if len(text) > _MOST_BYTES:
            raise TableError(f"{path}: unpacks to more than 4 GiB; unpack it and divide it")
        return text
    return path.read_bytes()


def _with_reserve(read: Callable[[str], Any], text: str, frames: int = _RESERVE) -> Any:
    """Read a text from further down the stack than now.

    Features are decoded again later, by whoever asks for them: what only just fits on the stack
    here must fit there.
    """
    return _with_reserve(read, text, frames - 1) if frames else read(text)


def _parse_document(text: str) -> Any:
    """Decode a text but for its features, of which only the places are noted.

    Raises:
        json.JSONDecodeError: it is no JSON.
    """
    start = _skip(_SPACE, text, 0)
    document: Any
    if text.startswith("[", start):
        document, end = _parse_features(text, start)
    elif text.startswith("{", start):
        document, end = _parse_members(text, start)
        if isinstance(document.get("features"), Features):
            others = document
            document = others.pop("features")
            document.members = others
        elif document.get("type") == "Feature":
            document = Features(text, array("q", [start]))
    else:
        document, end = _parse_value(text, start)
    end = _skip(_SPACE, text, end)
    if end != len(text):
        raise json.JSONDecodeError("Extra data", text, end)
    return document


def _parse_features(text: str, start: int) -> tuple[Features, int]:
    """Go over an array, and return where it ends."""
    starts = array("q")
    at = _skip(_SPACE, text, start + 1)
    if text.startswith("]", at):
        return Features(text, starts), at + 1
    while True:
        starts.append(at)
        _, end = _parse_value(text, at)
        comma = _COMMA.match(text, end)
        if comma is None:
            return Features(text, starts), _require_closed(text, end, "]")
        at = comma.end()


def _parse_members(text: str, start: int) -> tuple[dict[str, Any], int]:
    """Decode an object, but for an array named `features`, and return where it ends."""
    members: dict[str, Any] = {}
    at = _skip(_SPACE, text, start + 1)
    if text.startswith("}", at):
        return members, at + 1
    while True:
        if not text.startswith('"', at):
            raise json.JSONDecodeError("Expecting property name in double quotes", text, at)
        name, end = _parse_value(text, at)
        colon = _COLON.match(text, end)
        if colon is None:
            raise json.JSONDecodeError("Expecting ':' delimiter", text, end)
        array_here = name == "features" and text.startswith("[", colon.end())
        members[name], end = (_parse_features if array_here else _parse_value)(text, colon.end())
        comma = _COMMA.match(text, end)
        if comma is None:
            return members, _require_closed(text, end, "}")
        at = comma.end()


def _parse_value(text: str, start: int) -> tuple[Any, int]:
    return _DECODER.raw_decode(text, start)


def _skip(pattern: re.Pattern[str], text: str, start: int) -> int:
    match = pattern.match(text, start)
    return start if match is None else match.end()


def _require_closed(text: str, end: int, bracket: str) -> int:
    """Return where an array or object ends that has no further part."""
    end = _skip(_SPACE, text, end)
    if not text.startswith(bracket, end):
        raise json.JSONDecodeError("Expecting ',' delimiter", text, end)
    return end + 1
