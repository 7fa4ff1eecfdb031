"""A bundle is saved whole, or not at all."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from atypia.bundle.members import read_member
from atypia.bundle.save import save_bundle
from atypia.bundle.verify import bundle_faults
from atypia.errors import AtypiaError, BundleError
from atypia.files import NOTES_FOLDER
from atypia.models.classifier import Classifier
from small_bundles import CALIBRATION, make_manifest

Contents = Callable[[Path], dict[str, bytes]]


def test_a_bundle_is_replaced_whole(
    bundle: Path, contents: Contents, members: list[Classifier]
) -> None:
    save_bundle(bundle, make_manifest(1), [members[1].saved_state()], CALIBRATION, "# new\n")
    assert set(contents(bundle)) == {
        "bundle.json",
        "calibration.json",
        "card.md",
        "members/0.safetensors",
        "sha256sums",
    }
    assert bundle_faults(bundle) == []
    assert {path.name for path in bundle.parent.iterdir()} == {"bundle", NOTES_FOLDER}


def test_whoever_may_read_the_folder_may_read_the_members(bundle: Path, tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.touch()
    modes = {path.stat().st_mode for path in bundle.rglob("*") if path.is_file()}
    assert modes == {own.stat().st_mode}


def test_a_full_disk_leaves_the_old_bundle(
    bundle: Path, contents: Contents, members: list[Classifier], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = contents(bundle)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("atypia.bundle.save.write_sums", full)
    with pytest.raises(AtypiaError, match=r"No space left on device.*free some space") as caught:
        save_bundle(bundle, make_manifest(1), [members[0].saved_state()], CALIBRATION, "new")
    assert "\n" not in str(caught.value)
    assert contents(bundle) == before
    assert {path.name for path in bundle.parent.iterdir()} == {"bundle", NOTES_FOLDER}


def test_a_folder_of_other_files_is_never_replaced(
    tmp_path: Path, members: list[Classifier]
) -> None:
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(BundleError, match="contains files but is not a bundle"):
        save_bundle(tmp_path, make_manifest(1), [members[0].saved_state()], CALIBRATION, "card")
    assert (tmp_path / "thesis.txt").read_text() == "precious"


def test_what_is_not_one_block_of_memory_is_written_as_it_reads(tmp_path: Path) -> None:
    """A transposed view, of which safetensors alone would write another order."""
    whole = np.arange(6, dtype=np.float32).reshape(2, 3)
    state = {"weight": whole.T, "step": np.asarray(7)}
    save_bundle(tmp_path / "b", make_manifest(1), [state], CALIBRATION, "# card\n")
    read = read_member(tmp_path / "b" / "members" / "0.safetensors")
    np.testing.assert_array_equal(read["weight"], whole.T)
    assert read["step"].shape == ()
