"""Crops of points on a slide, for figures that are to be seen where the slide is not."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from atypia.data.pictures import encode_png
from atypia.data.slides import Slide
from atypia.errors import AtypiaError

SIDE_UM = 64.0
"""Side of the crops: what can be seen of a figure, and more than any training looks at."""

MPP = 0.25
"""Resolution of the crops, um/px, where the slide has it."""


def cut_crops(
    slide: Slide, name: str, points: Iterable[tuple[str, float, float]], folder: Path
) -> tuple[dict[str, dict[str, object]], list[str]]:
    """Write the crops of points below `folder/images`.

    Args:
        slide: that the points are on.
        name: of the slide, a file name.
        points: id, unique on this slide, x and y, px of level 0.
        folder: where figures are gathered.

    Returns:
        Id of a point -> `figure_id` (NAME/ID), `image` (relative to the folder), `slide`, `x`, `y`
        and `mpp`; and a line for each point that cannot be cut.
    """
    level = slide.level_for(MPP)
    home = folder / "images" / name
    home.mkdir(parents=True, exist_ok=True)
    rows: dict[str, dict[str, object]] = {}
    faults: list[str] = []
    for number, (point, x, y) in enumerate(points):
        figure = f"{name}/{point}"
        try:
            crop = slide.window(x, y, side_um=SIDE_UM, level=level)
        except AtypiaError as fault:
            faults.append(f"{figure}: left out: {fault}")
            continue
        (home / f"{number}.png").write_bytes(encode_png(crop))
        rows[point] = {
            "figure_id": figure,
            "image": f"images/{name}/{number}.png",
            "slide": name,
            "x": x,
            "y": y,
            "mpp": slide.level_mpp[level],
        }
    return rows, faults
