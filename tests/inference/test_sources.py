"""Sources: what is found in them, in which order, under which names."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
from PIL import Image

from atypia.errors import AtypiaError, ImageError
from atypia.inference.sources import natural_key, open_sources


def write_image(path: Path, value: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((20, 20, 3), value, np.uint8)).save(path)


def write_stack(path: Path, pages: int) -> None:
    images = [Image.fromarray(np.full((20, 20, 3), 10 * n, np.uint8)) for n in range(pages)]
    images[0].save(path, save_all=True, append_images=images[1:])


def test_a_folder_is_read_whole_in_natural_order(tmp_path: Path) -> None:
    for name in ("10.png", "2.png", "sub/1.PNG", "a.jpg", ".hidden.png", ".git/x.png"):
        write_image(tmp_path / name)
    (tmp_path / "notes.txt").write_text("x")
    (source,) = open_sources([tmp_path])
    assert list(source.ids) == ["2.png", "10.png", "a.jpg", "sub/1.PNG"]
    assert list(source.images) == [str(tmp_path / name) for name in source.ids]
    assert source.kind == "folder of images"


def test_natural_order_is_one_order() -> None:
    names = ["b", "a10", "a9", "A9", "a09", "1", "a"]
    backwards = list(reversed(names))
    names.sort(key=natural_key)
    backwards.sort(key=natural_key)
    assert names == backwards
    assert sorted(["x10", "x9"], key=natural_key) == ["x9", "x10"]


def test_mpp_is_given_or_to_be_assumed(tmp_path: Path) -> None:
    write_image(tmp_path / "1.png")
    (figure,) = open_sources([tmp_path], mpp=0.5)[0].figures()
    assert (figure.mpp, figure.mpp_source) == (0.5, "given")
    (figure,) = open_sources([tmp_path])[0].figures()
    assert (figure.mpp, figure.mpp_source) == (None, "assumed")


def test_a_tables_own_mpp_ids_and_images_are_kept(tmp_path: Path) -> None:
    write_image(tmp_path / "images" / "1.png", 7)
    write_image(tmp_path / "images" / "2.png", 9)
    table = tmp_path / "figures.csv"
    pd.DataFrame(
        {"figure_id": ["b", "a"], "image": ["images/2.png", "images/1.png"], "mpp": [0.5, None]}
    ).to_csv(table, index=False)
    (source,) = open_sources([table])
    first, second = source.figures()
    assert (first.figure_id, first.image, first.mpp, first.mpp_source) == (
        "b",
        "images/2.png",
        0.5,
        "table",
    )
    assert (second.mpp, second.mpp_source) == (None, "assumed")
    assert first.pixels()[0, 0, 0] == 9
    filled = open_sources([table], mpp=0.25)[0]
    assert [figure.mpp for figure in filled.figures()] == [0.5, 0.25]
    assert [figure.mpp_source for figure in filled.figures()] == ["table", "given"]
    assert "1 figure with another one" in filled.notes[0]
    # A folder with a table in it is that table.
    assert list(open_sources([tmp_path])[0].ids) == ["b", "a"]


def test_an_image_outside_the_tables_folder_is_never_read(tmp_path: Path) -> None:
    write_image(tmp_path / "secret.png")
    folder = tmp_path / "cohort"
    folder.mkdir()
    for image in ("../secret.png", "..\\secret.png", str(tmp_path / "secret.png")):
        pd.DataFrame({"figure_id": ["a"], "image": [image]}).to_csv(
            folder / "figures.csv", index=False
        )
        with pytest.raises(AtypiaError):
            next(open_sources([folder / "figures.csv"])[0].figures()).pixels()


@pytest.mark.parametrize("image", ["link.png", "crops/x.png", "crops\\x.png"])
def test_a_link_in_the_tables_folder_is_followed(image: str, tmp_path: Path) -> None:
    write_image(tmp_path / "store" / "x.png", 7)
    folder = tmp_path / "cohort"
    folder.mkdir()
    (folder / "link.png").symlink_to(tmp_path / "store" / "x.png")
    (folder / "crops").symlink_to(tmp_path / "store")
    table = pd.DataFrame({"figure_id": ["a"], "image": [image]})
    table.to_csv(folder / "figures.csv", index=False)
    (figure,) = open_sources(folder)[0].figures()
    assert figure.pixels()[0, 0, 0] == 7


def test_a_figure_without_an_image_is_told(tmp_path: Path) -> None:
    pd.DataFrame({"figure_id": ["a"], "slide": ["s"], "x": [1.0], "y": [2.0]}).to_csv(
        tmp_path / "figures.csv", index=False
    )
    (figure,) = open_sources([tmp_path / "figures.csv"])[0].figures()
    with pytest.raises(AtypiaError, match="a: has no image"):
        figure.pixels()


def test_pages_are_figures_counted_from_one(tmp_path: Path) -> None:
    write_stack(tmp_path / "stack.tif", 3)
    (source,) = open_sources([tmp_path / "stack.tif"])
    assert source.kind == "stack of pages"
    assert list(source.ids) == ["stack.tif#1", "stack.tif#2", "stack.tif#3"]
    assert [int(figure.pixels()[0, 0, 0]) for figure in source.figures()] == [0, 10, 20]
    # A second pass begins anew.
    assert [int(figure.pixels()[0, 0, 0]) for figure in source.figures()] == [0, 10, 20]


def test_a_tiff_of_one_page_is_an_image(tmp_path: Path) -> None:
    write_stack(tmp_path / "one.tif", 1)
    write_stack(tmp_path / "two.tif", 2)
    (source,) = open_sources([tmp_path])
    assert list(source.ids) == ["one.tif", "two.tif#1", "two.tif#2"]


def write_pages(path: Path, pages: list[tuple[int, int]]) -> None:
    """Pages of these sides, each with this NewSubfileType, valued 10, 20, ..."""
    with tifffile.TiffWriter(path) as file:
        for number, (side, kind) in enumerate(pages, start=1):
            page = np.full((side, side, 3), 10 * number, np.uint8)
            file.write(page, photometric="rgb", subfiletype=kind, metadata=None)


@pytest.mark.parametrize(
    ("pages", "figures"),
    [
        ([(64, 0), (32, 1)], {"a.tif": 10}),
        ([(64, 0), (32, 1), (16, 1)], {"a.tif": 10}),
        ([(32, 1), (64, 0)], {"a.tif": 20}),
        ([(64, 2), (32, 1), (64, 2)], {"a.tif#1": 10, "a.tif#3": 30}),
        ([(64, 2), (64, 2)], {"a.tif#1": 10, "a.tif#2": 20}),
        ([(64, 0), (48, 0)], {"a.tif#1": 10, "a.tif#2": 20}),
    ],
)
def test_what_a_tiff_holds_beside_its_figures_is_no_figure(
    pages: list[tuple[int, int]], figures: dict[str, int], tmp_path: Path
) -> None:
    write_pages(tmp_path / "a.tif", pages)
    (source,) = open_sources(tmp_path)
    (alone,) = open_sources(tmp_path / "a.tif")
    assert list(source.ids) == list(alone.ids) == list(figures)
    assert [figure.pixels()[0, 0, 0] for figure in source.figures()] == list(figures.values())


def test_a_pyramid_that_nobody_has_marked_is_one_failure(tmp_path: Path) -> None:
    write_pages(tmp_path / "a.tif", [(64, 0), (32, 0), (16, 0)])
    (figure,) = open_sources(tmp_path)[0].figures()
    with pytest.raises(ImageError, match=r"3 images of 64 x 64 and 32 x 32 and 16 x 16 px"):
        figure.pixels()


def test_one_path_is_one_source(tmp_path: Path) -> None:
    write_image(tmp_path / "1.png")
    for one in (tmp_path, str(tmp_path)):
        assert list(open_sources(one)[0].ids) == ["1.png"]


def test_images_that_are_not_taken_are_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_image(tmp_path / "a.png")
    for name in ("b.gif", "c.jp2", "d.jp2"):
        (tmp_path / name).write_bytes(b"x")
    assert list(open_sources(tmp_path)[0].ids) == ["a.png"]
    assert f"{tmp_path}: 3 files left out, 2 .jp2, 1 .gif; expected .png, " in caplog.text


def test_a_cut_off_stack_gives_one_failure_a_page(tmp_path: Path) -> None:
    path = tmp_path / "stack.tif"
    write_stack(path, 3)
    (source,) = open_sources([path])
    path.unlink()
    figures = list(source.figures())
    assert len(figures) == 3
    for figure in figures:
        with pytest.raises(AtypiaError, match=r"stack\.tif"):
            figure.pixels()


def test_same_names_in_two_folders_are_told_apart(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        write_image(tmp_path / folder / "1.png")
    first, second = open_sources([tmp_path / "a", tmp_path / "b"])
    assert list(first.ids) == [str(tmp_path / "a" / "1.png")]
    assert list(second.ids) == [str(tmp_path / "b" / "1.png")]


def test_the_same_figure_given_twice_is_refused(tmp_path: Path) -> None:
    write_image(tmp_path / "1.png")
    with pytest.raises(AtypiaError, match=r"1\.png' is in more than one of the sources"):
        open_sources([tmp_path, tmp_path / "1.png"])


def test_what_is_no_source_is_named(tmp_path: Path) -> None:
    with pytest.raises(AtypiaError, match="there is no such file or folder"):
        open_sources([tmp_path / "nothing"])
    with pytest.raises(AtypiaError, match="holds no images"):
        open_sources([tmp_path])
    (tmp_path / "x.txt").write_text("x")
    with pytest.raises(AtypiaError, match=r"x\.txt: neither an image"):
        open_sources([tmp_path / "x.txt"])
    with pytest.raises(AtypiaError, match="mpp 25: expected"):
        open_sources([tmp_path], mpp=25)


def test_a_name_that_is_no_unicode_can_be_written(tmp_path: Path) -> None:
    write_image(tmp_path / os.fsdecode(b"\xff.png"))
    (figure,) = open_sources([tmp_path])[0].figures()
    assert figure.figure_id.encode("utf-8").endswith(b".png")
    assert figure.pixels().shape == (20, 20, 3)
