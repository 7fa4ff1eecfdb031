"""Contact sheet: all figures of a slide at readable size, the most atypical first."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from PIL import Image, ImageDraw

from atypia.data.slides import Slide
from atypia.errors import AtypiaError
from atypia.evaluation.calibration import Calibration
from atypia.inference.crops import map_in_order
from atypia.inference.drawing import (
    CLASSES,
    FAINT,
    INK,
    MARGIN_PX,
    PAPER,
    RULE,
    WORDS,
    Drawn,
    bold,
    drawable,
    facts,
    foot,
    header,
    ink_on,
    letters,
    name_classes,
    require_jpeg,
    save_jpeg,
    shorten_text,
    square,
    stack_pictures,
    wrap_text,
)
from atypia.inference.slides import COLOURS

THUMBNAIL_PX = 128
COLUMNS = 10
PER_PAGE = 20 * COLUMNS
# Beyond these are the surest normal ones; so many pages nobody turns.
MOST_PAGES = 10
MOST_FIGURES = MOST_PAGES * PER_PAGE

_FRAME_PX = 4
_BAND_PX = 20
_LINE_PX = 16
_GAP_PX = 14
_CELL_PX = THUMBNAIL_PX + 2 * _FRAME_PX
_TEXT_PX = _CELL_PX - 4
_WIDTH_PX = 2 * MARGIN_PX + COLUMNS * (_CELL_PX + _GAP_PX) - _GAP_PX
_EMPTY = (238, 239, 241)
# Figures this near to one another lie on the same tiles of a slide's file.
_NEIGHBOURS_UM = 256
_THREADS = 4


def write_contact_sheet(
    path: Path,
    slide: Slide,
    figures: pd.DataFrame,
    xy: npt.NDArray[np.float64],
    *,
    calibration: Calibration | None = None,
    bundle_name: str = "",
    window_um: float = 32.0,
    per_page: int = PER_PAGE,
    most: int = MOST_FIGURES,
) -> Drawn:
    """Draw the figures of a slide, the highest P(atypical) first, ties in the table's order.

    Each has a frame in the colour of its class, its probability, its class in words, its phase
    where there is one, its row in the table (the first is 1) and its place. Only one page is in
    memory.

    Args:
        path: of the first page, ending in .jpg; the others are called `name-2.jpg` and so on.
        slide: is left open.
        figures: predictions table, N rows.
        xy: (N, 2), places of the figures, px of level 0 from the slide's origin.
        calibration: by which they were called, for the header.
        bundle_name: for the header.
        window_um: side of the tissue that is shown of each, um.
        per_page: figures on a page.
        most: figures that are drawn; the header tells of the others.

    Returns:
        The pages, at least one, and a line for each figure that could not be read; its cell says
        so.

    Raises:
        AtypiaError: the path's ending is another, or a page cannot be written.
    """
    require_jpeg(path)
    p = figures["p_atypical"].to_numpy(dtype=np.float64)
    order = np.argsort(-p, kind="stable")
    classes = name_classes(figures)
    table = pd.DataFrame(
        {
            "number": np.arange(1, len(p) + 1),
            "p": p,
            "name": classes,
            "phase": figures["phase"].to_numpy(),
            "x": xy[:, 0],
            "y": xy[:, 1],
        }
    )
    chosen = table.iloc[order[:most]]
    remarks = []
    if len(order) > most:
        remarks.append(
            f"Shown are the {most:,} figures of highest P(atypical); the other "
            f"{len(order) - most:,} have {p[order[most]]:.2f} or less."
        )
    count = max(1, -(-len(chosen) // per_page))
    paths, failures = [], []
    for number in range(1, count + 1):
        head = header(
            _WIDTH_PX,
            title=slide.path.name,
            aside=f"page {number} of {count}" if count > 1 else "",
            classes=classes,
            marks={name: square(name) for name in CLASSES},
            details=[
                *facts(calibration, bundle_name),
                "highest P(atypical) first",
                f"each picture is {window_um:g} µm wide",
                "no.: row in the table",
                "x, y: px of level 0",
            ],
            remarks=remarks,
        )
        page = chosen.iloc[(number - 1) * per_page : number * per_page]
        grid, faults = _grid(slide, page, window_um)
        failures += faults
        paths.append(path if number == 1 else path.with_name(f"{path.stem}-{number}{path.suffix}"))
        save_jpeg(stack_pictures([head, grid, foot(_WIDTH_PX)]), paths[-1])
    return Drawn(tuple(paths), tuple(failures))


def _grid(slide: Slide, page: pd.DataFrame, window_um: float) -> tuple[Image.Image, list[str]]:
    """Draw the figures of a page, and say which could not be read."""
    phases = [_few_lines(phase) for phase in page["phase"]]
    lines = 2 + max(map(len, phases), default=0)
    step = _CELL_PX + _BAND_PX + lines * _LINE_PX + _GAP_PX + 4
    rows = max(1, -(-len(page) // COLUMNS))
    picture = Image.new("RGB", (_WIDTH_PX, rows * step), PAPER)
    ImageDraw.Draw(picture).line([(MARGIN_PX, 0), (_WIDTH_PX - MARGIN_PX - 1, 0)], RULE)
    failures = []
    places = page[["x", "y"]].to_numpy()
    near = _by_neighbourhood(places, slide.mpp)

    def read(cell: int) -> Image.Image | str:
        x, y = places[cell].tolist()
        return _thumbnail(slide, x, y, window_um)

    with ThreadPoolExecutor(_THREADS, "thumbnails") as pool:
        thumbnails = map_in_order(pool, read, near, ahead=2 * _THREADS)
        for cell, thumbnail in zip(near, thumbnails, strict=True):
            row = page.iloc[cell]
            if isinstance(thumbnail, str):
                failures.append(thumbnail)
            place = f"x {row['x']:.0f}  y {row['y']:.0f}"
            words = [f"no. {row['number']}", place, *phases[cell]]
            seen = _nothing() if isinstance(thumbnail, str) else thumbnail
            drawn = _cell(seen, row["name"], row["p"], words)
            x = MARGIN_PX + cell % COLUMNS * (_CELL_PX + _GAP_PX)
            picture.paste(drawn, (x, cell // COLUMNS * step + _GAP_PX))
    return picture, failures


def _cell(thumbnail: Image.Image, name: str, p: float, words: Sequence[str]) -> Image.Image:
    """Draw a figure with its frame and its captions."""
    bottom, colour = _CELL_PX + _BAND_PX, COLOURS[name]
    picture = Image.new("RGB", (_CELL_PX, bottom + len(words) * _LINE_PX + 4), PAPER)
    draw = ImageDraw.Draw(picture)
    draw.rectangle((0, 0, _CELL_PX - 1, bottom - 1), colour)
    picture.paste(thumbnail, (_FRAME_PX, _FRAME_PX))
    ink, line = ink_on(colour), bottom - 7
    draw.text((6, line), f"{p:.2f}", ink, bold(15), anchor="ls")
    draw.text((_CELL_PX - 6, line), WORDS[name], ink, letters(13), anchor="rs")
    for number, text in enumerate(words):
        at = (1, bottom + 14 + number * _LINE_PX)
        caption, font = drawable(text, letters(12))
        cut = shorten_text(caption, font, _TEXT_PX)
        draw.text(at, cut, INK if number == 0 else FAINT, font, anchor="ls")
    return picture


def _few_lines(phase: str) -> list[str]:
    """Return a phase in the lines that it needs, two at most."""
    lines = wrap_text(phase, letters(12), _TEXT_PX)
    return (
        lines
        if len(lines) <= 2
        else [lines[0], shorten_text(f"{lines[1]}…", letters(12), _TEXT_PX)]
    )


def _nothing() -> Image.Image:
    """Return what stands for a thumbnail that there is none."""
    picture = Image.new("RGB", (THUMBNAIL_PX, THUMBNAIL_PX), _EMPTY)
    middle = (THUMBNAIL_PX / 2, THUMBNAIL_PX / 2)
    words = "cannot be\nread here"
    ImageDraw.Draw(picture).multiline_text(
        middle, words, INK, letters(13), anchor="mm", align="center"
    )
    return picture


def _by_neighbourhood(xy: npt.NDArray[np.float64], mpp: float) -> list[int]:
    """Return the positions of (N, 2) places, one neighbourhood after the other."""
    block = np.floor(xy * mpp / _NEIGHBOURS_UM)
    return [int(at) for at in np.lexsort((block[:, 0], block[:, 1]))]


def _thumbnail(slide: Slide, x: float, y: float, window_um: float) -> Image.Image | str:
    """Read a window of a slide, RGB (`THUMBNAIL_PX`, `THUMBNAIL_PX`), or say why there is none."""
    level = slide.level_for(window_um / THUMBNAIL_PX)
    try:
        pixels = slide.window(x, y, side_um=window_um, level=level)
    except AtypiaError as fault:
        return " ".join(str(fault).split())
    edge = (len(pixels) - window_um / slide.level_mpp[level]) / 2
    box = (edge, edge, len(pixels) - edge, len(pixels) - edge)
    size = (THUMBNAIL_PX, THUMBNAIL_PX)
    return Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS, box)
