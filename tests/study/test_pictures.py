"""Pictures: the same micrometres at the same size, whatever a figure comes from."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from atypia.data.pictures import cut_picture, encode_jpeg, encode_png
from atypia.data.slide_list import read_slide_list
from atypia.data.table import figures_from_frame
from atypia.errors import AtypiaError, TableError
from atypia.study.create import create_study
from atypia.study.from_slides import cut_figures
from atypia.study.pictures import PICTURE_PX, SIDES_UM, Pictures, choose_first_um


def discs(side_px: int, radius_px: float) -> np.ndarray:
    grid = np.arange(side_px) - (side_px - 1) / 2
    inside = np.hypot(*np.meshgrid(grid, grid)) < radius_px
    return np.where(inside[..., None], 40, 220).astype(np.uint8).repeat(3, axis=2)


@pytest.mark.parametrize(("side_px", "mpp"), [(128, 0.25), (64, 0.5), (139, 0.23), (400, 0.25)])
def test_a_disc_of_8_um_has_the_same_size_at_any_resolution(side_px: int, mpp: float) -> None:
    picture = cut_picture(discs(side_px, 8 / mpp), mpp, 32, 256)
    assert picture.shape == (256, 256, 3)
    dark = (picture[..., 0] < 130).sum()
    assert np.sqrt(dark / np.pi) * 32 / 256 == pytest.approx(8, rel=0.02)
    rows, columns = np.nonzero(picture[..., 0] < 130)
    assert abs(rows.mean() - 127.5) < 1
    assert abs(columns.mean() - 127.5) < 1


def test_beyond_the_image_is_grey_and_all_metadata_is_gone() -> None:
    picture = cut_picture(np.full((64, 40, 3), 200, np.uint8), 0.25, 32, 256)
    assert (picture[0] == 128).all()
    assert (picture[:, 0] == 128).all()
    assert (picture[128, 128] == 200).all()
    for encode, kind in ((encode_png, "PNG"), (encode_jpeg, "JPEG")):
        with Image.open(io.BytesIO(encode(picture))) as image:
            assert image.format == kind
            assert not image.getexif()
            assert not {"icc_profile", "comment", "exif", "dpi"} & set(image.info)


def test_the_first_square_is_one_that_all_images_fill() -> None:
    assert choose_first_um(500) == 32
    assert choose_first_um(29.4) == 24
    assert choose_first_um(31.9 * 1.01) == 32
    assert choose_first_um(5) == SIDES_UM[0]


def test_a_figure_that_cannot_be_shown_is_named_and_shown_to_nobody(tmp_path: Path) -> None:
    for name in ("good", "other", "broken"):
        Image.fromarray(discs(128, 20)).save(tmp_path / f"{name}.png")
    (tmp_path / "broken.png").write_bytes((tmp_path / "broken.png").read_bytes()[:200])
    names = ["good", "other", "broken", "gone", "unsized", "none"]
    frame = pd.DataFrame(
        {
            "figure_id": names,
            "image": ["good.png", "other.png", "broken.png", "gone.png", "good.png", ""],
            "mpp": [0.25, 0.23, 0.25, 0.25, None, 0.25],
            **{"slide": "s", "x": 5.0, "y": 5.0},
        }
    )
    table = figures_from_frame(frame, tmp_path)
    made = create_study(table, tmp_path / "study", ["anna"], rule="all")
    assert list(made.study.table.frame["figure_id"]) == ["good", "other"]
    assert made.study.settings.first_um == 24
    assert [line.partition(":")[0] for line in made.left_out] == names[2:]
    assert "nobody says how large its pixels are" in made.left_out[2]
    pictures = Pictures(made.study)
    assert pictures.list_sides("good") == [16, 24, 32]
    assert pictures.list_sides("other") == [16, 24]
    for figure in ("good", "other"):
        assert pictures.draw(figure, 24).shape == (PICTURE_PX[24], PICTURE_PX[24], 3)
    with pytest.raises(TableError, match="no figure can be shown; broken: left out"):
        only = figures_from_frame(frame[2:4], tmp_path)
        create_study(only, tmp_path / "none", ["anna"], rule="all")


def test_points_on_slides_are_seen_as_far_as_the_slide_reaches(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 255, (1200, 1200, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "one.tif")
    (tmp_path / "one.csv").write_text("x,y\n600,600\n300,500\n9000,9\n")
    (tmp_path / "list.csv").write_text(
        "slide,points,case,mpp\none.tif,one.csv,case 1,0.25\ngone.tif,one.csv,case 2,0.25\n"
    )
    table, faults = cut_figures(read_slide_list(tmp_path / "list.csv"), tmp_path / "cut")
    assert len(faults) == 2
    assert "does not lie on the slide" in faults[0]
    assert "gone: left out" in faults[1]
    study = create_study(table, tmp_path / "study", ["anna"], rule="all").study
    frame = study.table.frame
    assert list(frame["case"]) == ["case 1"] * 2
    pictures = Pictures(study)
    first = frame["figure_id"].iloc[0]
    assert pictures.list_sides(first) == list(SIDES_UM)
    far = pictures.draw(first, 256)
    assert far.shape == (512, 512, 3)
    # 256 um are 1024 px of the slide, halved.
    cut = Image.fromarray(pixels[88:1112, 88:1112]).resize((512, 512), Image.Resampling.LANCZOS)
    assert np.abs(far.astype(int) - np.asarray(cut).astype(int)).mean() < 2
    pictures.close()
    (tmp_path / "one.tif").unlink()
    without = Pictures(study)  # the slide is not here now: as far as the crop reaches
    assert without.list_sides(first) == [16, 24, 32, 48, 64]
    assert without.draw(first, 64).shape == (512, 512, 3)
    image = study.table.image_path(frame["image"].iloc[0])
    image.unlink()
    with pytest.raises(AtypiaError, match="no such file"):
        Pictures(study).draw(first, 32)
