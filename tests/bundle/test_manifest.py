"""The manifest of a bundle: what it may say, and how a fault is named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from atypia.bundle.load import load_bundle
from atypia.bundle.manifest import read_manifest
from atypia.bundle.verify import write_sums
from atypia.errors import BundleError


@pytest.mark.parametrize(
    "name", ["../0.safetensors", "members/../x.safetensors", "/etc/passwd", "members/0.pt"]
)
def test_members_cannot_lie_elsewhere(bundle: Path, name: str) -> None:
    path = bundle / "bundle.json"
    found = json.loads(path.read_text()) | {"members": [name]}
    path.write_text(json.dumps(found))
    write_sums(bundle)
    with pytest.raises(BundleError, match=r"must look like 'members/0.safetensors'"):
        load_bundle(bundle)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"format_version": 2},
            "has format version 2, but this atypia reads up to 1; install a newer",
        ),
        ({"surprise": 1}, "surprise: Extra inputs"),
        ({"crop_um": -1}, "crop_um"),
        ({"classes": ["atypical", "normal"]}, "classes"),
        ({"training_mpp": [0.5, 0.25]}, "training_mpp"),
        ({"std": [0, 1, 1]}, "std"),
        ({"members": []}, "members"),
    ],
)
def test_a_faulty_manifest_is_one_line(
    bundle: Path, change: dict[str, object], message: str
) -> None:
    path = bundle / "bundle.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(BundleError, match=message) as caught:
        read_manifest(bundle)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_newer_format_is_named_in_few_words(bundle: Path) -> None:
    (bundle / "bundle.json").write_text('{"format_version": ' + "9" * 4000 + "}")
    with pytest.raises(BundleError, match="has format version 999") as refused:
        read_manifest(bundle)
    assert len(str(refused.value)) < 400
