"""Save a bundle: the whole folder appears at once, or nothing of it."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors.numpy import save_file

from atypia.bundle.manifest import (
    CALIBRATION_NAME,
    CARD_NAME,
    MANIFEST_NAME,
    SUMS_NAME,
    BundleManifest,
)
from atypia.bundle.seen import write_seen
from atypia.bundle.verify import bundle_faults, bundle_hash, write_sums
from atypia.errors import AtypiaError, BundleError
from atypia.evaluation.calibration import Calibration
from atypia.files import is_noted, note_output, remove_partials, usual_mode
from atypia.platform import flush_to_disk


def save_bundle(
    folder: Path,
    manifest: BundleManifest,
    states: Sequence[Mapping[str, npt.ArrayLike]],
    calibration: Calibration,
    card: str,
    images: Sequence[Path] = (),
) -> None:
    """Write a bundle to `folder`; one that atypia wrote there is replaced as a whole.

    Args:
        folder: where to; its parent is created.
        manifest: names one member for each of `states`, in the same order.
        states: for each member its tensors by name, arrays or torch's on the CPU, as
            `Classifier.saved_state` gives them.
        calibration: fitted on the mean logit of the members.
        card: the model card, Markdown.
        images: that the members were trained on; kept as salted hashes (see `bundle/seen.py`).

    Raises:
        ValueError: the manifest's members are not as many as the states.
        BundleError: something else lies at `folder` that `require_replaceable` refuses.
        AtypiaError: the disk is full or the place cannot be written.
    """
    if len(states) != len(manifest.members):
        raise ValueError(f"{len(manifest.members)} members in the manifest, {len(states)} states")
    _require_ours(folder)
    remove_partials(folder)
    partial = folder.with_name(f".{folder.name}.partial-{os.getpid()}")
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        for member, state in zip(manifest.members, states, strict=True):
            path = partial / member
            path.parent.mkdir(exist_ok=True)
            # safetensors writes memory as it lies: an array must be whole and in order.
            save_file({name: np.asarray(array, order="C") for name, array in state.items()}, path)
        _write_json(partial / MANIFEST_NAME, manifest.model_dump(mode="json"))
        _write_json(partial / CALIBRATION_NAME, calibration.to_dict())
        (partial / CARD_NAME).write_text(card, encoding="utf-8")
        if images:
            write_seen(partial, manifest.members, images)
        write_sums(partial)
        for path in partial.rglob("*"):
            if path.is_file():
                path.chmod(usual_mode())  # safetensors writes for the owner alone
                flush_to_disk(path)
        note_output(folder, bundle_hash(partial))
        put_in_place(partial, folder, folder.with_name(f".{folder.name}.partial-old-{os.getpid()}"))
    except OSError as fault:
        reason = fault.strerror or str(fault)
        raise AtypiaError(
            f"{folder}: cannot be written ({reason}); free some space or choose another place"
        ) from fault
    except Exception as fault:
        # safetensors has its own error for a failed write, which wraps the system's.
        if type(fault).__module__.startswith("safetensors"):
            raise AtypiaError(
                f"{folder}: cannot be written ({fault}); free some space or choose another place"
            ) from fault
        raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def require_replaceable(folder: Path, *, overwrite: bool = False) -> None:
    """Refuse to replace what is not a bundle, or one that atypia did not write at this place.

    Args:
        folder: where a bundle is to be written.
        overwrite: a bundle that came from elsewhere, or that has changed since, may be replaced.

    Raises:
        BundleError: naming what lies there.
    """
    if overwrite and (folder / MANIFEST_NAME).is_file() and (folder / SUMS_NAME).is_file():
        note_output(folder, bundle_hash(folder))
    _require_ours(folder)
    if not overwrite and (folder / MANIFEST_NAME).exists() and bundle_faults(folder):
        raise BundleError(f"{folder}: {_FOREIGN}")


def _require_ours(folder: Path) -> None:
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise BundleError(f"{folder}: is not a folder; choose another folder for the bundle")
    if not folder.is_dir() or not any(folder.iterdir()):
        return
    if not (folder / MANIFEST_NAME).exists():
        raise BundleError(
            f"{folder}: contains files but is not a bundle; choose an empty or a new folder"
        )
    if not (folder / SUMS_NAME).is_file() or not is_noted(folder, bundle_hash(folder)):
        raise BundleError(f"{folder}: {_FOREIGN}")


_FOREIGN = (
    "is a bundle that was not written here, or has changed since; move it, choose another folder, "
    "or replace it with --overwrite"
)


def put_in_place(partial: Path, folder: Path, old: Path) -> None:
    """Rename a folder that is whole to its place; what lay there is kept until it is there.

    Args:
        partial: to rename.
        folder: its place.
        old: where what lay there waits meanwhile; a place that nothing else uses.

    Raises:
        OSError: it cannot be renamed; what lay at its place lies there again.
    """
    if not folder.exists():
        partial.rename(folder)
        return
    folder.rename(old)
    try:
        partial.rename(folder)
    except OSError:
        old.rename(folder)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _write_json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n", encoding="utf-8")
