"""Files: written whole or not at all, hashed, kept inside their folder, never replacing a user's.

What atypia writes for a user is an output: its hash is kept in a folder `.atypia` beside it, so
that a later run replaces only what atypia wrote and nobody has changed since.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PureWindowsPath
from typing import Any

from atypia.errors import AtypiaError
from atypia.platform import flush_to_disk

#: Folder beside outputs, with the hashes of what atypia wrote there.
NOTES_FOLDER = ".atypia"
_MOST_LINES = 10


def require_outputs(
    outputs: Iterable[Path], *, inputs: Iterable[Path] = (), overwrite: bool = False
) -> None:
    """Refuse, before any work, outputs that would replace a user's file or cannot be written.

    Args:
        outputs: all files that the run may write for its user.
        inputs: files and folders that it reads; none of them may be an output, even with
            `overwrite`.
        overwrite: also replace files that atypia did not write, or that have changed since.

    Raises:
        AtypiaError: one line for each output that is an input, a folder, not atypia's own, given
            twice, or in a place that cannot be written.
    """
    outputs, read = list(outputs), {_file_identity(path) for path in inputs} - {None}
    faults = [
        f"{path}: two results would be written to this file; rename one"
        for path, count in Counter(outputs).items()
        if count > 1
    ]
    foreign = []
    for path in dict.fromkeys(outputs):
        if path.is_dir():
            faults.append(f"{path}: is a folder; give the name of a file")
        elif _file_identity(path) in read:
            faults.append(f"{path}: is an input of this run; choose another place for the results")
        elif os.path.lexists(path) and not is_ours(path):
            foreign.append(path)
    if not overwrite:
        faults += [f"{path}: {_FOREIGN}" for path in foreign]
    if faults:
        more = len(faults) - _MOST_LINES
        listed = faults[:_MOST_LINES] + ([f"... and {more} more files"] if more > 0 else [])
        raise AtypiaError("\n".join(listed))
    for folder in dict.fromkeys(path.parent for path in outputs):
        require_folder(folder)
    for path in foreign:
        note_output(path, sha256(path))


_FOREIGN = (
    "was not written by atypia, or has changed since; move it, choose another place for the "
    "results, or replace it with --overwrite"
)


def require_folder(folder: Path) -> None:
    """Check that files can be written in a folder, or that it can be made; leave nothing there.

    Raises:
        AtypiaError: they cannot be written there.
    """
    above = next(
        (parent for parent in (folder, *folder.absolute().parents) if os.path.lexists(parent)),
        folder,
    )
    try:
        with tempfile.TemporaryFile(dir=above):
            pass
    except OSError as fault:
        reason = f"{above} is not a folder" if above.is_file() else fault.strerror
        raise AtypiaError(
            f"{folder}: cannot be written ({reason}); choose another place for the results"
        ) from fault


def is_ours(path: Path) -> bool:
    """Tell whether atypia wrote a file and nobody has changed it since."""
    return path.is_file() and sha256(path) in _read_notes(path)


def is_noted(path: Path, digest: str) -> bool:
    """Tell whether atypia wrote `path` with this hash; for folders, which are not files."""
    return digest in _read_notes(path)


def remove_ours(path: Path) -> None:
    """Remove a file if atypia wrote it and nobody has changed it since."""
    if is_ours(path):
        path.unlink(missing_ok=True)
        _notes_path(path).unlink(missing_ok=True)


@contextmanager
def create_output(path: Path) -> Iterator[Path]:
    """As `write_whole`, for a file that a user asked for: it never replaces one of theirs.

    Raises:
        AtypiaError: a file lies there that atypia did not write, or that has changed since; or
            the file cannot be written.
    """
    if path.is_dir():
        raise AtypiaError(f"{path}: cannot be written (is a folder); give the name of a file")
    if os.path.lexists(path) and not is_ours(path):
        raise AtypiaError(f"{path}: {_FOREIGN}")
    with write_whole(path) as partial:
        yield partial
        note_output(path, sha256(partial))


def write_output(path: Path, text: str) -> None:
    """Write `text` as UTF-8 to an output, as `create_output`."""
    with create_output(path) as partial:
        partial.write_text(text, encoding="utf-8", errors="backslashreplace")


def note_output(path: Path, digest: str) -> None:
    """Note that `path` with this SHA-256 is atypia's; the hash noted before it stays noted.

    Between this note and the renaming that follows, the old file is still in place.
    """
    known = [*_read_notes(path)[-1:], digest]
    write_text(_notes_path(path), "".join(f"{line}\n" for line in dict.fromkeys(known)))


def _read_notes(path: Path) -> list[str]:
    try:
        return _notes_path(path).read_text(encoding="ascii").split()
    except (OSError, UnicodeDecodeError):
        return []


def _notes_path(path: Path) -> Path:
    return path.parent / NOTES_FOLDER / f"{path.name}.sha256"


def _file_identity(path: Path) -> tuple[int, int] | None:
    """Return what identifies a file under any name; None if it does not exist."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


@contextmanager
def write_whole(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` when the block succeeds.

    A reader sees the old file or the new one, never half of it, also after a kill or on a full
    disk. For files that atypia keeps for itself; what a user asked for is a `create_output`.

    Raises:
        AtypiaError: the disk is full or the folder cannot be written.
    """
    partial = path.with_name(f"{_partial_prefix(path)}{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        flush_to_disk(partial)
        partial.chmod(usual_mode())  # some libraries write files that only their owner may read
        partial.replace(path)
    except OSError as fault:
        reason = fault.strerror or f"{fault}; the disk may be full"
        raise AtypiaError(
            f"{path}: cannot be written ({reason}); free some space or choose another place"
        ) from fault
    finally:
        with suppress(OSError):  # the fault above is the one to report
            partial.unlink(missing_ok=True)


def remove_partials(*paths: Path) -> None:
    """Remove partial outputs, files or folders, of processes that were killed.

    Those of processes that still run on this machine stay.
    """
    paths = (*paths, *map(_notes_path, paths))
    for folder in dict.fromkeys(path.parent for path in paths):
        prefixes = tuple(_partial_prefix(path) for path in paths if path.parent == folder)
        entries = list(folder.iterdir()) if folder.is_dir() else []
        _remove_dead(entry for entry in entries if entry.name.startswith(prefixes))


def remove_partials_below(folder: Path) -> None:
    """As `remove_partials`, of all that atypia writes anywhere below a folder of its own."""
    _remove_dead(list(folder.rglob(".*.partial-*")))


def _remove_dead(partials: Iterable[Path]) -> None:
    for partial in partials:
        if not is_alive(partial.name.rpartition("-")[2]):
            if partial.is_dir():
                shutil.rmtree(partial, ignore_errors=True)
            else:
                partial.unlink(missing_ok=True)


def is_alive(number: str) -> bool:
    """Tell whether another process of this machine has this number.

    Args:
        number: the process id, as part of a file name; anything but a number is not alive.
    """
    if os.name == "nt" or not number.isdecimal() or int(number) == os.getpid():
        return False  # Windows keeps a file that is being written from being removed
    try:
        os.kill(int(number), 0)
    except PermissionError:
        return True
    except (OSError, OverflowError):
        return False
    return True


def shipped_folder(name: str) -> Path | None:
    """Return a folder of data that comes with atypia; None if it is not installed.

    It lies in the installed package or, in a checkout, beside `src`.
    """
    package = Path(__file__).resolve().parent
    held = (parent / name for parent in (package, package.parents[1]))
    return next((folder for folder in held if folder.is_dir()), None)


def _partial_prefix(path: Path) -> str:
    return f".{path.name}.partial-"


def usual_mode() -> int:
    """Return the permissions that this process gives to a new file."""
    umask = os.umask(0)
    os.umask(umask)
    return 0o666 & ~umask


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8 to `path`, whole or not at all; what is not UTF-8 is escaped."""
    with write_whole(path) as partial:
        partial.write_text(text, encoding="utf-8", errors="backslashreplace")


def escape_text(text: str) -> str:
    """Return a text that UTF-8 can encode; what it cannot encode is written as an escape.

    JSON strings may contain half characters (lone surrogates), and Python decodes bytes of a file
    name that are not UTF-8 to such halves.
    """
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def escape_document(document: Any) -> Any:
    """Return lists and dictionaries of plain values with their texts escaped (`escape_text`)."""
    if isinstance(document, str):
        return escape_text(document)
    if isinstance(document, dict):
        return {escape_document(key): escape_document(of) for key, of in document.items()}
    if isinstance(document, list | tuple):
        return [escape_document(of) for of in document]
    return document


def parse_json(text: str) -> Any:
    """Parse JSON from any source.

    Its strings may contain half characters (lone surrogates): `escape_text` makes them writable.

    Raises:
        ValueError: it is not JSON, is nested too deeply, or contains an integer of more digits than
            Python reads (4,300).
    """
    try:
        return json.loads(text)
    except RecursionError as fault:
        raise ValueError("nested too deeply") from fault


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, as 64 hexadecimal digits."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def join_inside(root: Path, relative: str) -> Path:
    """Return `root / relative`; links that the user made below `root` may lead anywhere.

    A backslash separates folders, as on Windows, unless a file has one in its name.

    Raises:
        AtypiaError: the path is absolute (POSIX or Windows), empty, or holds '..', which a link
            before it would turn into any folder.
    """
    as_on_windows = PureWindowsPath(relative)
    odd = "\0" in relative or not as_on_windows.parts
    if odd or as_on_windows.anchor or ".." in as_on_windows.parts:
        raise AtypiaError(
            f"{relative}: lies outside {root}; give paths relative to that folder, without '..'"
        )
    path = root / relative
    if "\\" in relative and not os.path.lexists(path):
        return root.joinpath(*as_on_windows.parts)
    return path


def resolve_inside(root: Path, relative: str) -> Path:
    """As `join_inside`, for untrusted folders: no link may lead out of `root`.

    Raises:
        AtypiaError: as `join_inside`; or a link leads out of `root`.
    """
    path = join_inside(root, relative)
    if not path.resolve().is_relative_to(root.resolve()):
        raise AtypiaError(
            f"{path}: lies outside {root} (a link leads there); put the file itself into it"
        )
    return path
