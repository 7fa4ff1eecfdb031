"""A bundle is loaded as it was saved, or refused in one line."""

from __future__ import annotations

from dataclasses import replace
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


def test_a_bundle_is_printed_as_what_it_is(bundle: Path) -> None:
    loaded = load_bundle(bundle)
    manifest = loaded.manifest
    assert repr(loaded) == (
        f"Bundle {manifest.name}: 2 members on {manifest.backbone}, crops of "
        f"{manifest.crop_um:g} um at {manifest.input_px} px, in {bundle}"
    )
    first = manifest.model_copy(update={"members": manifest.members[:1]})
    assert ": 1 member on " in repr(replace(loaded, manifest=first))
