"""Hashes of a bundle's files: written when it is saved, compared whenever it is loaded.

The file is in the format of coreutils, so `sha256sum --check sha256sums` says the same.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from atypia.bundle.manifest import EXPORTED_NAME, MANIFEST_NAME, SUMS_NAME
from atypia.errors import BundleError
from atypia.files import sha256

_LINE = re.compile(r"([0-9a-f]{64})  ([^\\\n]+)")


def write_sums(folder: Path) -> None:
    """Write the hashes of all files of `folder` into it.

    Raises:
        BundleError: the folder holds something that is not a plain file.
        OSError: the file cannot be written.
    """
    files, odd = _plain_files(folder)
    if odd:
        raise BundleError(odd[0])
    (folder / SUMS_NAME).write_text(
        "".join(f"{sha256(folder / name)}  {name}\n" for name in files), encoding="utf-8"
    )


def bundle_hash(folder: Path) -> str:
    """Return what identifies a bundle: the SHA-256 of its list of hashes, 64 digits."""
    return sha256(folder / SUMS_NAME)


def bundle_faults(folder: Path) -> list[str]:
    """Compare every file of a bundle with its hash.

    Returns:
        One line for each fault: a file that is changed, missing or not listed, a link, a line of
        the list that cannot be read. Empty where the bundle is as it was saved.

    Raises:
        BundleError: `folder` is not a bundle at all.
    """
    if not (folder / MANIFEST_NAME).exists() and not (folder / SUMS_NAME).exists():
        raise BundleError(
            f"{folder}: is not a bundle (no {MANIFEST_NAME} in it); "
            "give the folder of a bundle, as `atypia train` writes it"
        )
    files, faults = _plain_files(folder)
    sums = folder / SUMS_NAME
    if sums.is_symlink() or not sums.is_file():
        return [*faults, f"{sums}: missing; without it the bundle cannot be verified"]
    listed: dict[str, str] = {}
    # Any byte is a character in latin-1: a changed one must end as a fault, not as an exception.
    text = sums.read_bytes().decode("latin-1")
    if not text.endswith("\n"):
        faults.append(f"{sums}: its last line is cut off")
    for number, line in enumerate(text.split("\n")[:-1], start=1):
        match = _LINE.fullmatch(line)
        if match is None:
            faults.append(f"{sums}: line {number} is not a hash, two spaces and a file's name")
        elif match[2] in listed:
            faults.append(f"{sums}: line {number} lists {match[2]!r} a second time")
        else:
            listed[match[2]] = match[1]
    for name in listed.keys() - set(files):
        faults.append(f"{folder}: {name!r} is listed in {SUMS_NAME} but missing from the folder")
    for name in files:
        if name not in listed:
            faults.append(f"{folder / name}: is not listed in {SUMS_NAME}")
        elif sha256(folder / name) != listed[name]:
            faults.append(f"{folder / name}: has changed since the bundle was saved")
    return faults


def require_intact(folder: Path) -> str:
    """Refuse a bundle that is not as it was saved; return its `bundle_hash`.

    Raises:
        BundleError: naming the first fault and how many there are.
    """
    faults = bundle_faults(folder)
    if faults:
        more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
        raise BundleError(
            f"{faults[0]}{more}; fetch the bundle again, `atypia bundle verify` lists all faults"
        )
    return bundle_hash(folder)


def _plain_files(folder: Path) -> tuple[list[str], list[str]]:
    """Return the names of all plain files but the list of hashes, sorted, and what is no file.

    The exported network has its own hash beside it (`inference/exported.py`). Links are refused
    even where they stay inside: what is hashed must be what lies here.
    """
    files: list[str] = []
    odd: list[str] = []
    for parent, folders, names in os.walk(folder):
        if Path(parent) == folder and EXPORTED_NAME in folders:
            folders.remove(EXPORTED_NAME)
        for name in [*folders, *names]:
            path = Path(parent) / name
            relative = path.relative_to(folder).as_posix()
            if path.is_symlink():
                odd.append(f"{path}: is a link; a bundle must contain plain files only")
            elif path.is_file():
                files.append(relative)
            elif not path.is_dir():
                odd.append(f"{path}: is neither a file nor a folder")
    files = [name for name in files if name != SUMS_NAME]
    return sorted(files), odd
