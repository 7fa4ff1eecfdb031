"""Any changed byte of a bundle is found, and so is whatever does not belong in it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from atypia.bundle.load import load_bundle
from atypia.bundle.save import save_bundle
from atypia.bundle.verify import bundle_faults, bundle_hash
from atypia.errors import BundleError
from atypia.models.classifier import Classifier
from small_bundles import CALIBRATION, make_manifest

Contents = Callable[[Path], dict[str, bytes]]


def test_a_changed_byte_is_found_in_every_file(bundle: Path, contents: Contents) -> None:
    for name, data in contents(bundle).items():
        for place in {0, len(data) // 2, len(data) - 1}:
            for flip in (0x01, 0x20, 0x80):
                changed = bytearray(data)
                changed[place] ^= flip
                (bundle / name).write_bytes(changed)
                assert bundle_faults(bundle), f"{name}, byte {place} ^ {flip}"
        (bundle / name).write_bytes(data)
    assert bundle_faults(bundle) == []


def test_every_byte_of_the_list_of_hashes_counts(bundle: Path) -> None:
    sums = bundle / "sha256sums"
    data = sums.read_bytes()
    for place in range(len(data)):
        changed = bytearray(data)
        changed[place] ^= 0x20
        sums.write_bytes(changed)
        assert bundle_faults(bundle), f"byte {place}: {bytes(changed[place : place + 1])!r}"


def test_the_list_of_hashes_is_that_of_coreutils(bundle: Path, contents: Contents) -> None:
    done = subprocess.run(
        ["sha256sum", "--check", "--strict", "sha256sums"],
        cwd=bundle,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) == len(contents(bundle)) - 1


def test_extra_missing_and_doubled_files_are_faults(bundle: Path) -> None:
    (bundle / "members" / "9.pt").write_bytes(b"x")
    assert any("9.pt: is not listed" in fault for fault in bundle_faults(bundle))
    (bundle / "members" / "9.pt").unlink()
    (bundle / "card.md").unlink()
    assert any("'card.md' is listed" in fault for fault in bundle_faults(bundle))
    sums = bundle / "sha256sums"
    sums.write_text(sums.read_text() + sums.read_text())
    assert any("a second time" in fault for fault in bundle_faults(bundle))
    sums.unlink()
    assert any("sha256sums: missing" in fault for fault in bundle_faults(bundle))


def test_links_are_refused(bundle: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "card.md"
    (bundle / "card.md").rename(elsewhere)
    (bundle / "card.md").symlink_to(elsewhere)
    assert any("is a link" in fault for fault in bundle_faults(bundle))
    with pytest.raises(BundleError, match="is a link"):
        load_bundle(bundle)


def test_a_pipe_is_named_and_never_read(bundle: Path) -> None:
    os.mkfifo(bundle / "pipe")
    assert any("pipe: is neither a file" in fault for fault in bundle_faults(bundle))


def test_the_hash_tells_bundles_apart(bundle: Path, members: list[Classifier]) -> None:
    before = bundle_hash(bundle)
    save_bundle(bundle, make_manifest(1), [members[0].saved_state()], CALIBRATION, "# card\n")
    assert bundle_hash(bundle) != before
