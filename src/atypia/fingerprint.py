"""Fingerprints: what decides a result, compared wherever something is cached or resumed.

A fingerprint is a JSON text of named parts, so that a refusal can name the part that differs.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from atypia.errors import AtypiaError
from atypia.files import parse_json, sha256, write_text

if TYPE_CHECKING:
    import pandas as pd

# A file that was written this shortly before it was hashed may have been written again since
# without another time: file systems keep times as coarse as this.
_DOUBT_NS = 2_000_000_000


def settings_part(values: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that are not at their default, sorted by name.

    A setting that a later version adds is then at its default in earlier fingerprints.

    Args:
        values: plain values by name.
        defaults: likewise; a name that is not in it has none.
    """
    return {
        name: values[name]
        for name in sorted(values)
        if name not in defaults or values[name] != defaults[name]
    }


def table_part(frame: pd.DataFrame, columns: Collection[str]) -> str:
    """Return the SHA-256 of some columns of a table, 64 hexadecimal digits.

    Absent and empty columns are left out, and their order does not matter.

    Args:
        frame: the table, one row a figure.
        columns: names of those that decide a result.
    """
    known = sorted(
        name
        for name in columns
        if name in frame and not (frame[name].isna() | (frame[name] == "")).all()
    )
    return hash_text(frame[known].to_csv(index=False))


def hash_text(text: str) -> str:
    """Return the SHA-256 of a text, 64 hexadecimal digits."""
    return hashlib.sha256(text.encode()).hexdigest()


def hash_parts(parts: Iterable[object]) -> str:
    """Return the SHA-256 of parts written as text, in order, 64 hexadecimal digits."""
    return hash_text("\n".join(map(str, parts)))


def fingerprint(
    *,
    recipe: Mapping[str, Any] | None = None,
    figures: str = "",
    images: str | None = None,
    folds: str = "",
    weights: str = "",
    adapt_to: str | None = None,
    teachers: str | None = None,
) -> str:
    """Return what decides the weights of a member as one JSON text; empty parts are left out.

    Args:
        recipe: its settings that are not at their default, see `settings_part`.
        figures: hash of the table, see `table_part`.
        images: hash of the content of all images; none where it is not known.
        folds: which figures are not trained on.
        weights: SHA-256 of the backbone's published weights; "" where they are not a file.
        adapt_to: hash of figures to adapt to, with their images.
        teachers: hash of the networks that teach.
    """
    parts = {
        "recipe": recipe,
        "figures": figures,
        "images": images,
        "folds": folds,
        "weights": weights,
        "adapt_to": adapt_to,
        "teachers": teachers,
    }
    return json.dumps({name: part for name, part in parts.items() if part}, sort_keys=True)


_OTHERS = {
    "recipe": "another recipe",
    "figures": "other figures",
    "images": "other images",
    "folds": "other folds",
    "weights": "other weights of the backbone",
    "adapt_to": "other unlabelled figures",
    "teachers": "other teachers",
}


def require_same(path: Path, recorded: str, present: str) -> None:
    """Refuse a result that was made from other inputs.

    Args:
        path: the result.
        recorded: its fingerprint.
        present: that of the present run.

    Raises:
        AtypiaError: the two differ; the message names the parts.
    """
    if recorded == present:
        return
    try:
        old, new = parse_json(recorded), parse_json(present)
        parts = [_OTHERS[name] for name in _OTHERS if old.get(name) != new.get(name)]
    except (ValueError, AttributeError):
        parts = []
    raise AtypiaError(
        f"{path}: was made from {' and '.join(parts) or 'something else, or by another version'}; "
        "give another --out, or delete the folder to start anew"
    )


class ImageHashes:
    """Hashes of image files, cached in a file so that an unchanged image is not read again.

    A cached hash is valid for a file of the same size and modification time. A file written so
    shortly before it was hashed that a later change might not show in its time is hashed again.

    Attributes:
        changed: files whose content differs from the cached hash.
    """

    def __init__(self, path: Path) -> None:
        """Read the cache.

        Args:
            path: JSON file; it need not exist.
        """
        self._path = path
        self.changed: list[Path] = []
        try:
            cache = parse_json(path.read_text(encoding="utf-8"))
            self._known = {
                str(file): (str(stamp), sure is True, str(digest))
                for file, (stamp, sure, digest) in cache.items()
            }
        except (OSError, ValueError, AttributeError, TypeError):
            self._known = {}

    def hash_files(
        self, files: Sequence[Path], progress: Callable[[int, int], None] | None = None
    ) -> list[str]:
        """Return the SHA-256 of each file; "absent" for one that cannot be read.

        Args:
            files: N images.
            progress: called with (done, N) from time to time.
        """
        digests = []
        for done, file in enumerate(files, start=1):
            digests.append(self._hash(file))
            if progress is not None and (done % 500 == 0 or done == len(files)):
                progress(done, len(files))
        return digests

    def keep(self) -> None:
        """Write the cache."""
        write_text(self._path, json.dumps(self._known, indent=0) + "\n")

    def _hash(self, file: Path) -> str:
        known = self._known.get(str(file))
        try:
            status = file.stat()
            stamp = f"{status.st_size} {status.st_mtime_ns}"
            if known is not None and known[:2] == (stamp, True):
                return known[2]
            sure = time.time_ns() - status.st_mtime_ns > _DOUBT_NS
            digest = sha256(file)
        except OSError:
            return "absent"
        if known is not None and known[2] != digest:
            self.changed.append(file)
        self._known[str(file)] = (stamp, sure, digest)
        return digest
