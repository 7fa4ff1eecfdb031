"""A bundle recognises the figures it was trained on, and nobody reads images out of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image, ImageOps

from atypia.bundle.seen import SEEN_NAME, count_seen, write_seen
from atypia.errors import BundleError


@pytest.fixture
def bundle(crop_folder: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "bundle"
    folder.mkdir()
    (folder / "member").write_bytes(b"weights")
    write_seen(folder, ["member"], [crop_folder / f"{number}.png" for number in range(1, 9)])
    return folder


def test_figures_are_recognised_by_their_pixels(
    bundle: Path, crop_folder: Path, tmp_path: Path
) -> None:
    images = [crop_folder / f"{number}.png" for number in range(1, 13)]
    assert count_seen(bundle, images) == 8
    copy, other = tmp_path / "renamed.tif", tmp_path / "other.png"
    with Image.open(images[0]) as image:
        image.save(copy)
        ImageOps.invert(image).save(other)
    assert count_seen(bundle, [copy, other, tmp_path / "missing.png"]) == 1


def test_the_same_bundle_has_the_same_list_and_another_has_nothing_in_common(
    bundle: Path, crop_folder: Path, tmp_path: Path
) -> None:
    images = [crop_folder / "1.png"]
    lists = []
    for name, weights in (("a", b"weights"), ("b", b"weights"), ("c", b"other")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "member").write_bytes(weights)
        write_seen(tmp_path / name, ["member"], images)
        lists.append(json.loads((tmp_path / name / SEEN_NAME).read_text()))
    assert lists[0] == lists[1]
    assert not set(lists[0]["images"]) & set(lists[2]["images"])
    assert len(lists[0]["images"][0]) == 16


def test_a_bundle_that_does_not_know_has_seen_none_and_a_damaged_list_is_refused(
    bundle: Path, crop_folder: Path, tmp_path: Path
) -> None:
    assert count_seen(tmp_path, [crop_folder / "1.png"]) == 0
    for text in ("", "[]", "{}", '{"salt": 1, "images": 2}', "[" * 100_000):
        (bundle / SEEN_NAME).write_text(text)
        with pytest.raises(BundleError, match=r"seen\.json: cannot be read"):
            count_seen(bundle, [crop_folder / "1.png"])
