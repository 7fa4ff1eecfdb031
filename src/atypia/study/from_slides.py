"""Figures of a study from points on slides: crops to vote on, and where their slides lie."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from atypia.data.pictures import encode_png
from atypia.data.points.on_slide import require_on_slide
from atypia.data.points.open_points import open_points
from atypia.data.slide_list import ListedSlide
from atypia.data.slides import open_slide
from atypia.data.table import FigureTable, figures_from_frame
from atypia.errors import AtypiaError, TableError
from atypia.progress import OnProgress, opens_bars, show_bars
from atypia.study.pictures import SLIDE_FILE, SLIDE_MPP

SIDE_UM = 64.0
"""Side of the crops: what can be seen of a figure where its slide is not."""

MPP = 0.25
"""Resolution of the crops, um/px, where the slide has it."""


@opens_bars
def cut_figures(
    slides: Sequence[ListedSlide], folder: Path, *, on_progress: OnProgress = show_bars
) -> tuple[FigureTable, list[str]]:
    """Cut the crops of all points on slides.

    Args:
        slides: with their points, as `read_slide_list` gives them.
        folder: where the crops are written, below `images`.
        on_progress: called often; without it, bars in a terminal or notebook.

    Returns:
        The figures, named SLIDE/POINT, with columns that say where their slides lie; and one line
        for each slide or point that cannot be used.

    Raises:
        TableError: no point can be used.
    """
    rows: list[dict[str, object]] = []
    faults: list[str] = []
    for done, listed in enumerate(slides, start=1):
        try:
            if listed.fault:
                raise TableError(listed.fault)
            rows += _cut(listed, folder, faults)
        except AtypiaError as fault:
            faults.append(f"{listed.name}: left out: {fault}")
        on_progress("cutting crops", done, len(slides), listed.name)
    if not rows:
        raise TableError(f"no point of any slide can be shown; {faults[0] if faults else ''}")
    return figures_from_frame(pd.DataFrame(rows), folder), faults


def _cut(listed: ListedSlide, folder: Path, faults: list[str]) -> list[dict[str, object]]:
    slide = open_slide(listed.slide, mpp=listed.mpp)
    try:
        points = open_points(
            listed.points, slide.path, mpp=slide.mpp, origin_px=slide.origin_px
        ).points
        require_on_slide(points, slide)
        faults += [f"left out: {line}" for line in points.failures]
        level = slide.level_for(MPP)
        home = folder / "images" / listed.name
        home.mkdir(parents=True, exist_ok=True)
        rows: list[dict[str, object]] = []
        places = points.frame[["x", "y"]].to_numpy().tolist()
        for number, (point, (x, y)) in enumerate(
            zip(points.frame["point_id"], places, strict=True)
        ):
            name = f"{listed.name}/{point}"
            try:
                crop = slide.window(x, y, side_um=SIDE_UM, level=level)
            except AtypiaError as fault:
                faults.append(f"{name}: left out: {fault}")
                continue
            (home / f"{number}.png").write_bytes(encode_png(crop))
            rows.append(
                {
                    "figure_id": name,
                    "image": f"images/{listed.name}/{number}.png",
                    "slide": listed.name,
                    "case": listed.case,
                    "x": x,
                    "y": y,
                    "mpp": slide.level_mpp[level],
                    SLIDE_FILE: str(listed.slide.resolve()),
                    SLIDE_MPP: slide.mpp,
                }
            )
        return rows
    finally:
        slide.close()
