"""A bundle is loaded as it was saved, or refused in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from atypia.bundle.load import load_bundle
from atypia.errors import BundleError


def test_loading_refuses_a_changed_bundle_and_names_the_file(bundle: Path) -> None:
    path = bundle / "members" / "1.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(BundleError, match=r"1\.safetensors: has changed since") as caught:
        load_bundle(bundle)
    assert "\n" not in str(caught.value)


def test_a_folder_that_is_no_bundle_is_named(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="is not a bundle"):
        load_bundle(tmp_path / "nothing")
