"""The challenge's input: one stack in its place, or one line that says what is there instead."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile

from atypia.challenges.midog25.stack import STACK_SLUG, find_stack, stack_figures
from atypia.errors import AtypiaError, ImageError

RGB = np.random.default_rng(0).integers(0, 256, (3, 128, 128, 3), dtype=np.uint8)


def _tree(root: Path, slug: str = STACK_SLUG, word: str = "interface", entries: int = 1) -> Path:
    images = root / "images" / STACK_SLUG
    images.mkdir(parents=True)
    entry = {"image": {"name": "a"}, word: {"slug": slug}}
    (root / "inputs.json").write_text(json.dumps([entry] * entries))
    return images


def _write(path: Path, pages: np.ndarray) -> Path:
    tifffile.imwrite(path, pages, photometric="rgb" if pages.shape[-1] in (3, 4) else "minisblack")
    return path


@pytest.mark.parametrize("word", ["interface", "socket"])
def test_the_one_stack_is_found(tmp_path: Path, word: str) -> None:
    stack = _write(_tree(tmp_path, word=word) / "7.TIFF", RGB)
    assert find_stack(tmp_path) == stack


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda root: (root / "inputs.json").unlink(), "no such file"),
        (lambda root: (root / "inputs.json").write_text("[{"), "not a JSON file"),
        (lambda root: (root / "inputs.json").write_text("[" * 100_000), "not a JSON file"),
        (lambda root: (root / "inputs.json").write_text('{"a": 1}'), "found none"),
        (lambda root: (root / "inputs.json").write_text("[3]"), "found an entry without one"),
        (lambda root: _write(root / "images" / STACK_SLUG / "b.tif", RGB), r"found a\.tif, b\.tif"),
        (lambda root: (root / "images" / STACK_SLUG / "a.tif").unlink(), "found none"),
    ],
)
def test_another_input_is_refused_in_one_line(tmp_path: Path, change, message: str) -> None:
    _write(_tree(tmp_path) / "a.tif", RGB)
    change(tmp_path)
    with pytest.raises(AtypiaError, match=message) as caught:
        find_stack(tmp_path)
    assert "\n" not in str(caught.value)


def test_another_interface_or_a_second_entry_is_refused(tmp_path: Path) -> None:
    _write(_tree(tmp_path / "other", slug="a-whole-slide") / "a.tif", RGB)
    with pytest.raises(AtypiaError, match="found a-whole-slide"):
        find_stack(tmp_path / "other")
    _write(_tree(tmp_path / "two", entries=2) / "a.tif", RGB)
    with pytest.raises(AtypiaError, match="expected one entry"):
        find_stack(tmp_path / "two")


def test_a_link_out_of_the_input_is_not_followed(tmp_path: Path) -> None:
    outside = _write(tmp_path / "secret.tif", RGB)
    (_tree(tmp_path / "input") / "a.tif").symlink_to(outside)
    with pytest.raises(AtypiaError, match="lies outside"):
        find_stack(tmp_path / "input")


@pytest.mark.parametrize("pages", [RGB, RGB[:1]], ids=["three pages", "one page"])
@pytest.mark.parametrize("suffix", [".tif", ".mha"])
def test_pages_come_in_order_with_their_pixels(
    tmp_path: Path, pages: np.ndarray, suffix: str
) -> None:
    path = tmp_path / f"a{suffix}"
    if suffix == ".mha":
        sitk = pytest.importorskip("SimpleITK")
        flat = pages if len(pages) > 1 else pages[0]
        image = sitk.GetImageFromArray(flat, isVector=True)
        sitk.WriteImage(image, str(path), useCompression=True)
    else:
        _write(path, pages)
    figures = list(stack_figures(path, 0.25))
    assert [figure.figure_id for figure in figures] == [str(n + 1) for n in range(len(pages))]
    for figure, page in zip(figures, pages, strict=True):
        np.testing.assert_array_equal(figure.pixels(), page)


@pytest.mark.parametrize(
    ("page", "message"),
    [
        (RGB[0, :100], "128 x 100 px, expected 128 x 128"),
        (RGB[0, ..., 0], "greyscale"),
        (RGB[0].astype(np.uint16) * 257, "more than 8 bits"),
        (np.dstack([RGB[0], np.full((128, 128), 9, np.uint8)]), "transparent"),
    ],
    ids=["size", "grey", "16 bit", "alpha"],
)
def test_a_page_of_another_kind_is_named_and_the_others_stay(
    tmp_path: Path, page: np.ndarray, message: str
) -> None:
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as file:
        for one in (RGB[0], page, RGB[2]):
            colour = "rgb" if one.ndim == 3 else "minisblack"
            alpha = ["unassalpha"] if one.ndim == 3 and one.shape[2] == 4 else None
            file.write(one, photometric=colour, extrasamples=alpha)
    first, second, third = stack_figures(path, 0.25)
    with pytest.raises(ImageError, match=message) as caught:
        second.pixels()
    assert str(caught.value).startswith(f"{path}, page 2: ")
    np.testing.assert_array_equal(first.pixels(), RGB[0])
    np.testing.assert_array_equal(third.pixels(), RGB[2])
