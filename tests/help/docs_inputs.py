"""What a reader of the pages has at hand: crops, figures, slides with points, a challenge's stack.

Names and columns are those of the pages, figures are phantoms.
"""

from __future__ import annotations

import csv
import io
import itertools
import json
import shutil
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image

from atypia.data.phantom import make_phantom
from store_files import mitosis, write_store

FIGURES, TESTED, MORE, MPP = 24, 12, 36, 0.25
SIDE, ACROSS, DOWN = 128, 8, 3
LABORATORIES = (("Utrecht", "XR"), ("Graz", "S360"), ("Porto", "XR"))


def write_inputs(folder: Path, files: dict[str, str]) -> None:
    """Write what the commands take.

    Args:
        folder: the reader's, empty.
        files: the tables that the pages show, by name; rows are added to `figures.csv`.
    """
    cohort = folder.parent / "cohort"
    table = make_phantom(cohort, figures=FIGURES + TESTED + MORE, domains=2, size_px=SIDE, seed=0)
    every = [cohort / name for name in table.frame["image"]]
    images = every[:FIGURES]
    for row, image in enumerate([*images, *every[-MORE:]]):
        name = "atypical" if _is_atypical(row) else "normal"
        _copy(image, folder / "my_crops" / name / image.name)
    for image in images[:6]:
        _copy(image, folder / "other_crops" / image.name)
    _copy(images[0], folder / "a.png")
    _copy(images[1], folder / "b.png")
    rows = _figure_rows(files["figures.csv"], folder, every)
    _write_table(folder / "figures.csv", rows[:FIGURES])
    _write_table(folder / "test_figures.csv", rows[FIGURES:])
    make_phantom(folder / "public", figures=8, domains=1, slides_per_domain=4, size_px=64, seed=1)
    new = ["figure_id,image,mpp,laboratory"]
    new += [f"n{row},other_crops/{image.name},{MPP},New" for row, image in enumerate(images[:6])]
    (folder / "new_laboratory.csv").write_text("\n".join(new) + "\n")

    _write_slide(folder / "case.svs", images)
    _write_points(folder / "mitoses.geojson")
    for name in ("corrected", "anna", "ben"):
        _write_points(folder / f"{name}.geojson", ("Normal mitosis", "Atypical mitosis"))
    (folder / "slides.csv").write_text(files["slides.csv"])
    for row in csv.DictReader(io.StringIO(files["slides.csv"])):
        _write_slide(folder / row["slide"], images)
        _write_points(folder / row["points"])
    _write_detections(folder / "detections" / "case.db")
    (folder / "detected.csv").write_text(files["detected.csv"])
    write_stack(folder / "case", images[:16])


def _copy(image: Path, to: Path) -> None:
    to.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(image, to)


def _is_atypical(row: int) -> bool:
    return row % 5 < 2


def _figure_rows(shown: str, folder: Path, images: list[Path]) -> list[dict[str, str]]:
    """Return the row that the README shows, and more of the same columns."""
    (first,) = csv.DictReader(io.StringIO(shown))
    experts = [name for name in first if name.startswith("vote_")]
    rows = []
    for row, image in enumerate(images):
        laboratory, scanner = LABORATORIES[row % 3]
        majority, other = ("yes", "no") if _is_atypical(row) else ("no", "yes")
        votes = [other if row % 4 == 0 else majority] + [majority] * (len(experts) - 1)
        values = {
            "figure_id": f"f{row + 1}",
            "image": f"crops/f{row + 1}.png",
            "slide": f"S-{row % 12 + 1:03}",
            "laboratory": laboratory,
            "scanner": scanner,
            **dict(zip(experts, votes, strict=True)),
        }
        rows.append(first | values if row else first)
        _copy(image, folder / values["image"])
    return rows


def _write_table(path: Path, rows: list[dict[str, str]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def _write_slide(path: Path, images: list[Path]) -> None:
    """Crops side by side: an Aperio slide, or an OME-TIFF by its ending."""
    path.parent.mkdir(parents=True, exist_ok=True)
    crops = np.stack([np.asarray(Image.open(image).convert("RGB")) for image in images])
    rows = crops.reshape(DOWN, ACROSS, SIDE, SIDE, 3).swapaxes(1, 2)
    level = np.ascontiguousarray(rows.reshape(DOWN * SIDE, ACROSS * SIDE, 3))
    if path.name.endswith(".ome.tif"):
        size = {f"PhysicalSize{axis}": MPP for axis in "XY"}
        units = {f"PhysicalSize{axis}Unit": "µm" for axis in "XY"}
        tifffile.imwrite(
            path, level, ome=True, tile=(SIDE, SIDE), photometric="rgb",
            metadata={"axes": "YXS", **size, **units},
        )  # fmt: skip
    else:
        high, wide = level.shape[:2]
        about = f"Aperio Image Library v12\n{wide}x{high}|AppMag = 40|MPP = {MPP}"
        tifffile.imwrite(
            path, level, tile=(SIDE, SIDE), photometric="rgb", description=about, metadata=None
        )


def _write_points(path: Path, classes: tuple[str, ...] = ("Mitosis",)) -> None:
    """Mitoses in the middle of each crop, as QuPath exports them, and a hotspot around some."""
    path.parent.mkdir(parents=True, exist_ok=True)
    wide, high = ACROSS * SIDE // 2, DOWN * SIDE // 2
    hotspot = [[0, 0], [wide, 0], [wide, high], [0, high], [0, 0]]
    features = [_feature("Polygon", [hotspot], "Hotspot")]
    for row, column in itertools.product(range(DOWN), range(ACROSS)):
        place = [(column + 0.5) * SIDE, (row + 0.5) * SIDE]
        features.append(_feature("Point", place, classes[column % len(classes)]))
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))


def _write_detections(path: Path) -> None:
    """Mitoses in the middle of each crop, as TIAToolbox stores them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    places = itertools.product(range(DOWN), range(ACROSS))
    rows = [
        mitosis(number, int((column + 0.5) * SIDE), int((row + 0.5) * SIDE), 0.9)
        for number, (row, column) in enumerate(places)
    ]
    write_store(path, rows)


def _feature(kind: str, coordinates: list, name: str) -> dict:
    return {
        "type": "Feature",
        "geometry": {"type": kind, "coordinates": coordinates},
        "properties": {"objectType": "annotation", "classification": {"name": name}},
    }


def write_stack(case: Path, images: list[Path]) -> None:
    """A stack as the challenge hands it over."""
    slug = "stacked-histopathology-roi-cropouts"
    folder = case / "input" / "images" / slug
    folder.mkdir(parents=True)
    first, *more = (Image.open(image).convert("RGB") for image in images)
    first.save(folder / "stack.tif", save_all=True, append_images=more)
    (case / "input" / "inputs.json").write_text(json.dumps([{"interface": {"slug": slug}}]))
