"""Figures of a study from points on slides: crops to vote on, and where their slides lie."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from atypia.data.points.crops import cut_crops
from atypia.data.points.on_slide import require_on_slide
from atypia.data.points.open_points import open_points
from atypia.data.slide_list import ListedSlide
from atypia.data.slides import open_slide
from atypia.data.table import FigureTable, figures_from_frame
from atypia.errors import AtypiaError, TableError
from atypia.progress import OnProgress, opens_bars, show_bars
from atypia.study.pictures import SLIDE_FILE, SLIDE_MPP


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
        columns = (points.frame[column].tolist() for column in ("point_id", "x", "y"))
        rows, lost = cut_crops(slide, listed.name, zip(*columns, strict=True), folder)
        faults += lost
        where = {SLIDE_FILE: str(listed.slide.resolve()), SLIDE_MPP: slide.mpp}
        return [{**row, "case": listed.case, **listed.domain, **where} for row in rows.values()]
    finally:
        slide.close()
