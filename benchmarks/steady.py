"""How steady the answer for a figure is: turned, mirrored, shifted, at another scale, compressed.

python benchmarks/steady.py atnorm-md --model bundles/atypia-lite
python benchmarks/steady.py ami-br atnorm-md --model runs/lite

The model is a bundle, or the folder of a training: then each figure is scored by the networks that
were trained without its fold. Figures that a bundle has seen would be answered too steadily: none
may be among them. P and calls are those of the calibration in the bundle.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from atypia.bundle.seen import count_seen
from atypia.data.images import read_image
from atypia.data.readers.open_figures import open_figures
from atypia.data.table import FigureTable
from atypia.inference.crops import CropSpec, make_crop, stack_crops
from atypia.inference.runtimes.torch import load_networks
from atypia.models.export import compute_logits
from atypia.workflows.training.teachers import TeacherSource, open_teachers

Pixels = npt.NDArray[np.uint8]
Change = Callable[[Pixels, float], tuple[Pixels, float]]
"""Takes an image and its mpp; returns both changed."""

BATCH = 64


def turned(quarters: int, *, mirrored: bool = False) -> Change:
    def change(image: Pixels, mpp: float) -> tuple[Pixels, float]:
        turned_image = np.rot90(image[:, ::-1] if mirrored else image, quarters)
        return np.ascontiguousarray(turned_image), mpp

    return change


def shifted(down: int, right: int) -> Change:
    def change(image: Pixels, mpp: float) -> tuple[Pixels, float]:
        padded = np.pad(image, ((1, 1), (1, 1), (0, 0)), mode="reflect")
        height, width = image.shape[:2]
        moved = padded[1 - down : 1 - down + height, 1 - right : 1 - right + width]
        return np.ascontiguousarray(moved), mpp

    return change


def scaled(factor: float) -> Change:
    return lambda image, mpp: (image, mpp * factor)


def compressed(image: Pixels, mpp: float) -> tuple[Pixels, float]:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=80)
    return np.asarray(Image.open(file)), mpp


CHANGES: dict[str, tuple[Change, ...]] = {
    "quarter turn": (turned(1),),
    "mirror": (turned(0, mirrored=True),),
    "each of the other 7 symmetries": (
        *(turned(quarters) for quarters in (1, 2, 3)),
        *(turned(quarters, mirrored=True) for quarters in range(4)),
    ),
    "1 px of shift, each of 4": (*(shifted(*by) for by in ((0, 1), (0, -1), (1, 0), (-1, 0))),),
    "5 % larger": (scaled(1.05),),
    "5 % smaller": (scaled(1 / 1.05),),
    "JPEG, quality 80": (compressed,),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("figures", type=Path, nargs="+", help="tables or folders")
    parser.add_argument("--model", type=Path, required=True, help="bundle, or folder of a training")
    parser.add_argument("--members", type=int, help="the first so many networks of an ensemble")
    parser.add_argument("--figures-of-each", type=int, metavar="N", help="N figures of each part")
    asked = parser.parse_args()
    table = open_figures(asked.figures)
    (source,) = open_teachers([str(asked.model)])
    parts = parts_of(source, table)
    random = np.random.default_rng(0)
    if asked.figures_of_each:
        parts = [
            (files, random.permutation(rows)[: asked.figures_of_each]) for files, rows in parts
        ]
    names = ["as it is", *CHANGES]
    found: dict[str, list[npt.NDArray[np.float64]]] = {name: [] for name in names}
    for files, rows in parts:
        own = p_of(source, files[: asked.members], table, rows, None)
        found["as it is"].append(own[None])
        for name, changes in CHANGES.items():
            seen = [p_of(source, files[: asked.members], table, rows, change) for change in changes]
            found[name].append(np.stack(seen))
    own = np.concatenate([one[0] for one in found.pop("as it is")])
    point = source.bundle.calibration.operating_point
    print(f"{len(own)} figures that the networks have not seen, operating point {point:.3f}")
    print(f"{'change':32} mean change of P   calls changed")
    for name, each in found.items():
        p = np.concatenate(each, axis=1)
        moved, changed = np.abs(p - own).mean(), ((p > point) != (own > point)).mean()
        print(f"{name:32} {moved:16.4f} {100 * changed:13.2f} %")


def parts_of(
    source: TeacherSource, table: FigureTable
) -> list[tuple[list[Path], npt.NDArray[np.int64]]]:
    """Return which networks score which rows: those that were trained without them."""
    ids = table.frame["figure_id"].astype(str).to_numpy()
    if source.unseen is None:
        seen = count_seen(source.bundle.folder, table.image_paths())
        if seen:
            raise SystemExit(f"{source.bundle.folder} was trained on {seen} of these figures")
        return [(source.choose_files([]), np.arange(len(ids)))]
    folds = {figures for file, figures in source.unseen if file.parent.parent.name == "folds"}
    parts = []
    for figures in sorted(folds, key=min):
        rows = np.flatnonzero(np.isin(ids, sorted(figures)))
        parts.append((source.choose_files(sorted(figures)), rows))
    return parts


def p_of(
    source: TeacherSource,
    files: list[Path],
    table: FigureTable,
    rows: npt.NDArray[np.int64],
    change: Change | None,
) -> npt.NDArray[np.float64]:
    """Return P(atypical) of some figures, changed or as they are."""
    networks, spec = load_networks(source.bundle, files), CropSpec.of(source.bundle.manifest)
    paths, mpp = table.image_paths(), table.frame["mpp"].to_numpy(dtype=np.float64)
    logits = []
    for start in range(0, len(rows), BATCH):
        crops = []
        for row in rows[start : start + BATCH]:
            image, at_mpp = read_image(paths[row]), float(mpp[row])
            if change is not None:
                image, at_mpp = change(image, at_mpp)
            crops.append(make_crop(image, at_mpp, spec))
        logits.append(compute_logits(networks, stack_crops(crops)).mean(axis=0))
    return source.bundle.calibration.probability(np.concatenate(logits).astype(np.float64))


if __name__ == "__main__":
    main()
