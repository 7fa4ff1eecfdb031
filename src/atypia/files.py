"""Files: written whole or not at all, hashed, and kept inside their folder."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from atypia.errors import AtypiaError


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` when the block succeeds.

    A reader sees the old file or the new one, never half of it, also after a kill or on a full
    disk.

    Raises:
        AtypiaError: the disk is full or the folder cannot be written.
    """
    partial = path.with_name(f"{_partial_prefix(path)}{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        with partial.open("rb") as handle:
            os.fsync(handle.fileno())
        partial.chmod(_usual_mode())  # some libraries write files that only their owner may read
        partial.replace(path)
    except OSError as fault:
        reason = fault.strerror or f"{fault}; the disk may be full"
        raise AtypiaError(
            f"{path}: cannot be written ({reason}); free some space or choose another place"
        ) from fault
    finally:
        with suppress(OSError):  # the fault above is the one to tell
            partial.unlink(missing_ok=True)


def remove_partials(*paths: Path) -> None:
    """Remove what processes that were killed left of writing files of one folder.

    Nobody may be writing these files.
    """
    prefixes = tuple(_partial_prefix(path) for path in paths)
    if paths[0].parent.is_dir():
        for left in paths[0].parent.iterdir():
            if left.name.startswith(prefixes):
                left.unlink(missing_ok=True)


def shipped_folder(name: str) -> Path | None:
    """Return a folder of data that comes with atypia, none where it is not here.

    It lies in the installed package; in a checkout, beside `src`.
    """
    package = Path(__file__).resolve().parent
    held = (parent / name for parent in (package, package.parents[1]))
    return next((folder for folder in held if folder.is_dir()), None)


def _partial_prefix(path: Path) -> str:
    return f".{path.name}.partial-"


def _usual_mode() -> int:
    umask = os.umask(0)
    os.umask(umask)
    return 0o666 & ~umask


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8 to `path`, whole or not at all; names that are no UTF-8 are escaped."""
    with written_whole(path) as partial:
        partial.write_text(text, encoding="utf-8", errors="backslashreplace")


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, as 64 hexadecimal digits."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def inside(root: Path, relative: str) -> Path:
    """Return `root / relative` if that lies inside `root`.

    Raises:
        AtypiaError: the path is absolute or leaves `root` (also through a link).
    """
    path = root / relative
    if Path(relative).is_absolute() or not path.resolve().is_relative_to(root.resolve()):
        raise AtypiaError(
            f"{relative}: lies outside {root}; give paths relative to that folder, without '..'"
        )
    return path
