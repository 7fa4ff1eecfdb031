"""Overview: a slide seen as a whole, with every figure marked at its place."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from PIL import Image, ImageDraw

from atypia.data.points.qupath_results import ATYPICAL, REFER
from atypia.data.slides import Slide
from atypia.errors import ImageError
from atypia.evaluation.calibration import Calibration
from atypia.inference.drawing import (
    CLASSES,
    FAINT,
    INK,
    MARGIN_PX,
    PAPER,
    Drawn,
    bold,
    facts,
    foot,
    header,
    name_classes,
    require_jpeg,
    save_jpeg,
    stack_pictures,
)
from atypia.inference.slides import COLOURS

LONGEST_PX = 2000

# A header needs room; what is smaller is drawn larger.
_LEAST_WIDE_PX, _LEAST_LONG_PX = 720, 900
# Markers cover about this share of the picture, whatever their number, within limits.
_COVERED = 0.03
_RADIUS_PX = (2.5, 14.0)
_LEGEND_PX = (4.5, 8.0)
# Rings smaller than this are filled.
_HOLLOW_FROM_PX = 5.0
_FINER = 8
# A scale bar is at most this share of the picture's width.
_BAR = 0.2


def write_overview(
    path: Path,
    slide: Slide,
    figures: pd.DataFrame,
    xy: npt.NDArray[np.float64],
    *,
    calibration: Calibration | None = None,
    bundle_name: str = "",
    longest_px: int = LONGEST_PX,
) -> Drawn:
    """Draw a slide as a whole, with a ring in the colour of its class around every figure.

    Atypical figures are drawn last, and a little larger; thousands of figures get small dots.
    Where the slide cannot be read as a whole, its outline stands for it and the header says so.

    Args:
        path: ending in .jpg.
        slide: is left open.
        figures: predictions table, N rows.
        xy: (N, 2), places of the figures, px of level 0 from the slide's origin.
        calibration: by which they were called, for the header.
        bundle_name: for the header.
        longest_px: longer side of the slide in the picture.

    Returns:
        The file, and a line where the slide could not be read.

    Raises:
        AtypiaError: the path's ending is another, or it cannot be written.
    """
    require_jpeg(path)
    classes = name_classes(figures)
    failures, remarks = [], []
    try:
        pixels, mpp = slide.overview(longest_px)
        tissue = Image.fromarray(pixels)
    except ImageError as fault:
        failures.append(" ".join(str(fault).split()))
        reason = failures[0].removeprefix(f"{slide.path}: ")
        remarks.append(f"The slide is not drawn, only its outline: it {reason}.")
        tissue, mpp = _outline(slide, longest_px)
    enlarged = max(1.0, _LEAST_LONG_PX / max(tissue.size))
    if enlarged > 1:
        size = (round(tissue.width * enlarged), round(tissue.height * enlarged))
        mpp *= tissue.width / size[0]
        tissue = tissue.resize(size, Image.Resampling.BICUBIC)
    places = np.asarray(xy, dtype=np.float64).reshape(-1, 2) * (slide.mpp / mpp)
    inside = ((places >= 0) & (places <= tissue.size)).all(axis=1)
    if not inside.all():
        count = int((~inside).sum())
        remarks.append(
            f"{count:,} {'figure lies' if count == 1 else 'figures lie'} outside of this picture."
        )
    radius = _radius_px(tissue.width * tissue.height, len(places))
    _mark(tissue, figures["p_atypical"].to_numpy(dtype=np.float64), classes, places, radius)
    width = max(tissue.width, _LEAST_WIDE_PX) + 2 * MARGIN_PX
    legend_px = min(max(radius, _LEGEND_PX[0]), _LEGEND_PX[1])
    head = header(
        width,
        title=slide.path.name,
        aside=_size_in_words(slide),
        classes=classes,
        marks={name: _marker(name, legend_px) for name in CLASSES},
        details=facts(calibration, bundle_name),
        remarks=remarks,
    )
    body = Image.new("RGB", (width, tissue.height), PAPER)
    body.paste(tissue, ((width - tissue.width) // 2, 0))
    below = foot(width)
    _draw_scale_bar(below, (width - tissue.width) // 2, mpp, tissue.width)
    save_jpeg(stack_pictures([head, body, below]), path)
    return Drawn((path,), tuple(failures))


def scale_bar_mm(mpp: float, width_px: int) -> float:
    """Return the longest of 1, 2 or 5 times a power of ten, mm, that is a fifth of a width."""
    most = width_px * mpp / 1000 * _BAR
    power = 10.0 ** math.floor(math.log10(most))
    return max(step * power for step in (1, 2, 5) if step * power <= most * (1 + 1e-9))


def _draw_scale_bar(picture: Image.Image, x: int, mpp: float, width_px: int) -> None:
    length_mm = scale_bar_mm(mpp, width_px)
    end = x + round(length_mm * 1000 / mpp) - 1
    draw = ImageDraw.Draw(picture)
    draw.rectangle((x, 22, end, 26), INK)
    for edge in (x, end - 1):
        draw.rectangle((edge, 18, edge + 1, 30), INK)
    label = f"{length_mm:g} mm" if length_mm >= 0.1 else f"{length_mm * 1000:g} µm"
    draw.text((end + 10, 29), label, INK, bold(14), anchor="ls")


def _size_in_words(slide: Slide) -> str:
    wide, high = (size * slide.mpp / 1000 for size in slide.extent_px)
    return f"{wide:.3g} × {high:.3g} mm"


def _outline(slide: Slide, longest_px: int) -> tuple[Image.Image, float]:
    """Return a white sheet of the slide's shape, with an edge, and its um/px."""
    shrink = max(1.0, max(slide.extent_px) / longest_px)
    wide, high = (max(1, int(size / shrink)) for size in slide.extent_px)
    sheet = Image.new("RGB", (wide, high), PAPER)
    ImageDraw.Draw(sheet).rectangle((0, 0, wide - 1, high - 1), outline=FAINT, width=2)
    return sheet, slide.mpp * shrink


def _radius_px(area_px: int, count: int) -> float:
    """Return the radius of markers, px."""
    low, high = _RADIUS_PX
    return min(high, max(low, math.sqrt(_COVERED * area_px / (math.pi * max(1, count)))))


def _mark(
    picture: Image.Image,
    p: npt.NDArray[np.float64],
    classes: list[str],
    places: npt.NDArray[np.float64],
    radius_px: float,
) -> None:
    """Draw markers, class by class, the least atypical first."""
    kinds = np.asarray(classes, dtype=object)
    for name in reversed(CLASSES):
        marker = _marker(name, radius_px)
        half = marker.width // 2
        rows = np.flatnonzero(kinds == name)
        for row in rows[np.argsort(p[rows], kind="stable")]:
            x, y = np.floor(places[row]).astype(int)
            picture.paste(marker, (int(x) - half, int(y) - half), marker)


def _marker(name: str, radius_px: float) -> Image.Image:
    """Return a ring with a white rim on both sides, RGBA, its centre in the middle pixel.

    That of a referred figure is a diamond: a dot of amber is too near to one of vermilion.
    """
    radius = radius_px * 1.25 if name == ATYPICAL else radius_px
    side = 2 * math.ceil(1.3 * (radius + 1.5)) + 1
    picture = Image.new("RGBA", (side * _FINER, side * _FINER), (*PAPER, 0))
    draw = ImageDraw.Draw(picture)
    centre = side * _FINER / 2
    turns = 4 if name == REFER else 60
    angles = np.arange(turns) * (2 * np.pi / turns)
    stretch = 1.3 if name == REFER else 1.0

    def fill(reach_px: float, colour: tuple[int, int, int, int]) -> None:
        reach = reach_px * stretch * _FINER
        corners = np.column_stack([np.sin(angles), np.cos(angles)]) * reach + (centre - 0.5)
        draw.polygon([(float(x), float(y)) for x, y in corners], colour)

    fill(radius + 1.5, (*PAPER, 255))
    fill(radius, (*COLOURS[name], 255))
    if radius_px >= _HOLLOW_FROM_PX:
        line = radius * 0.32
        fill(radius - line, (*PAPER, 255))
        fill(radius - line - 1, (*PAPER, 0))
    return picture.reduce(_FINER)
