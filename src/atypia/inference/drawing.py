"""What pictures of a classified slide share: classes, letters, header and foot, how they are saved.

They are meant to be read without zoom: letters are 12 px or more, and every class is told by a
word as well as by its colour.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image, ImageDraw, ImageFont

from atypia.data.points.qupath_results import ATYPICAL, NORMAL, REFER
from atypia.errors import AtypiaError
from atypia.evaluation.calibration import Calibration
from atypia.files import create_output
from atypia.inference.slides import COLOURS, name_class

Colour = tuple[int, int, int]

PAPER: Colour = (255, 255, 255)
INK: Colour = (28, 30, 34)
FAINT: Colour = (104, 109, 117)
RULE: Colour = (214, 217, 222)
MARGIN_PX = 24
# Their names in a legend.
CLASSES = (ATYPICAL, REFER, NORMAL)
WORDS = {ATYPICAL: "Atypical", REFER: "Refer", NORMAL: "Normal"}

_SUFFIXES = (".jpg", ".jpeg")
_JPEG_QUALITY = 88
_FOOT = "For research. Not for diagnosis."


@dataclass(frozen=True)
class Drawn:
    """What was drawn.

    Attributes:
        paths: files, in order.
        failures: what of the slide could not be read and why, one line each.
    """

    paths: tuple[Path, ...]
    failures: tuple[str, ...]


def require_jpeg(path: Path) -> None:
    """Refuse a file that is not called as a JPEG.

    Raises:
        AtypiaError: naming what it could be called.
    """
    if path.suffix.lower() not in _SUFFIXES:
        raise AtypiaError(
            f"{path}: the ending {path.suffix or '(none)'} is not one of {', '.join(_SUFFIXES)}; "
            f"call it {path.with_suffix('.jpg').name}"
        )


def save_jpeg(picture: Image.Image, path: Path) -> None:
    """Write a picture, whole or not at all; thin lines keep their colours (4:4:4)."""
    with create_output(path) as partial:
        picture.save(partial, format="JPEG", quality=_JPEG_QUALITY, subsampling=0, optimize=True)


def name_classes(figures: pd.DataFrame) -> list[str]:
    """Return the class of each row of a predictions table, one of `CLASSES`."""
    return [
        name_class(str(call), bool(refer))
        for call, refer in zip(figures["call"], figures["refer"], strict=True)
    ]


def facts(calibration: Calibration | None, bundle_name: str) -> list[str]:
    """Say by what figures were classified, in a few words each; what is not known is left out."""
    facts = []
    if calibration is not None:
        low, high = calibration.refer_low, calibration.refer_high
        facts.append(f"operating point {calibration.operating_point:.2f}")
        if low < high:
            facts.append(f"refer {low:.2f} to {high:.2f}")
    if bundle_name:
        facts.append(f"bundle {bundle_name}")
    return facts


def letters(size_px: int) -> ImageFont.FreeTypeFont:
    """Return the font for text."""
    return _dejavu("DejaVuSans.ttf", size_px)


def bold(size_px: int) -> ImageFont.FreeTypeFont:
    """Return the font for headings."""
    return _dejavu("DejaVuSans-Bold.ttf", size_px)


@cache
def _dejavu(file: str, size_px: int) -> ImageFont.FreeTypeFont:
    """Return a font that comes with matplotlib: Pillow's own has no accents, no Greek."""
    import matplotlib

    path = Path(matplotlib.get_data_path(), "fonts", "ttf", file)
    return ImageFont.truetype(path, size_px)


def drawable(text: str, font: ImageFont.FreeTypeFont) -> tuple[str, ImageFont.FreeTypeFont]:
    """Return a text and a font that has its letters.

    Where the font lacks some, it is the first of this machine's that has all; where none has, they
    are spelt out by their numbers.
    """
    lacking = {letter for letter in text if ord(letter) not in _read_letters(str(font.path))}
    if not lacking:
        return text, font
    other = _font_with(frozenset(map(ord, text)))
    if other is not None:
        return text, ImageFont.truetype(other, font.size)
    escaped = {ord(letter): letter.encode("unicode_escape").decode() for letter in lacking}
    return text.translate(escaped), font


@cache
def _font_with(letters: frozenset[int]) -> str | None:
    from matplotlib.font_manager import findSystemFonts

    return next(
        (path for path in sorted(findSystemFonts()) if letters <= _read_letters(path)), None
    )


@cache
def _read_letters(path: str) -> frozenset[int]:
    """Return the code points that a font has; none where it has no outlines or cannot be read."""
    from matplotlib.ft2font import FT2Font

    try:
        font = FT2Font(path)
    except (OSError, RuntimeError):
        return frozenset()
    return frozenset(font.get_charmap()) if font.scalable else frozenset()


def shorten_text(text: str, font: ImageFont.FreeTypeFont, width_px: float) -> str:
    """Return text, cut with an ellipsis where it is wider than `width_px`."""
    if font.getlength(text) <= width_px:
        return text
    for length in range(len(text) - 1, 0, -1):
        cut = f"{text[:length].rstrip()}…"
        if font.getlength(cut) <= width_px:
            return cut
    return "…"


def wrap_text(text: str, font: ImageFont.FreeTypeFont, width_px: float) -> list[str]:
    """Return lines of at most `width_px`, broken between words."""
    lines: list[str] = []
    for word in text.split():
        joined = f"{lines[-1]} {word}" if lines else word
        if lines and font.getlength(joined) <= width_px:
            lines[-1] = joined
        else:
            lines.append(shorten_text(word, font, width_px))
    return lines


def ink_on(colour: Colour) -> Colour:
    """Return what letters on a colour are drawn in: white or dark, whichever is read better."""
    # Relative luminance and contrast of WCAG 2.2.
    share = np.asarray(colour) / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    light = float(linear @ (0.2126, 0.7152, 0.0722))
    return PAPER if 1.05 / (light + 0.05) > (light + 0.05) / 0.06 else INK


def header(
    width_px: int,
    *,
    title: str,
    aside: str,
    classes: Sequence[str],
    marks: Mapping[str, Image.Image],
    details: Sequence[str],
    remarks: Sequence[str],
) -> Image.Image:
    """Draw the head of a picture.

    Args:
        width_px: of the picture, margins included.
        title: name of the slide.
        aside: stands at the right of the title.
        classes: of all figures, which are counted.
        marks: how each class is marked in the picture, RGBA.
        details: in a few words each, what else is to be known.
        remarks: a sentence each: what is missing in the picture.

    Returns:
        RGB, as wide as asked for and as high as needed.
    """
    inner = width_px - 2 * MARGIN_PX
    small, strong = letters(13), bold(13)
    words, font = drawable(" · ".join(details), small)
    lines = [(line, font, FAINT) for line in wrap_text(words, font, inner)]
    for remark in remarks:
        words, font = drawable(remark, strong)
        lines += [(line, font, INK) for line in wrap_text(words, font, inner)]
    picture = Image.new("RGB", (width_px, 92 + 20 * len(lines)), PAPER)
    draw = ImageDraw.Draw(picture)
    draw.text((width_px - MARGIN_PX, 40), aside, FAINT, small, anchor="rs")
    room = inner - small.getlength(aside) - 16
    name, font = drawable(title, bold(22))
    draw.text((MARGIN_PX, 40), shorten_text(name, font, room), INK, font, anchor="ls")
    x = MARGIN_PX
    figures = f"{len(classes):,} {'figure' if len(classes) == 1 else 'figures'}"
    x = _run_of_text(draw, x, 70, figures, bold(15)) + 22
    for name in CLASSES:
        mark = marks[name]
        picture.paste(mark, (x, 65 - mark.height // 2), mark)
        count = f"{classes.count(name):,}"
        x = _run_of_text(draw, x + mark.width + 7, 70, count, bold(15)) + 5
        x = _run_of_text(draw, x, 70, WORDS[name].lower(), letters(15)) + 22
    for number, (line, font, colour) in enumerate(lines):
        draw.text((MARGIN_PX, 96 + 20 * number), line, colour, font, anchor="ls")
    return picture


def foot(width_px: int) -> Image.Image:
    """Draw the foot of a picture, RGB (48, `width_px`)."""
    picture = Image.new("RGB", (width_px, 48), PAPER)
    draw = ImageDraw.Draw(picture)
    draw.text((width_px - MARGIN_PX, 29), _FOOT, FAINT, letters(12), anchor="rs")
    return picture


def stack_pictures(parts: Sequence[Image.Image]) -> Image.Image:
    """Return pictures of one width, one below the other."""
    whole = Image.new("RGB", (parts[0].width, sum(part.height for part in parts)), PAPER)
    y = 0
    for part in parts:
        whole.paste(part, (0, y))
        y += part.height
    return whole


def square(name: str) -> Image.Image:
    """Return a square of a class's colour, RGBA."""
    return Image.new("RGBA", (15, 15), (*COLOURS[name], 255))


def _run_of_text(
    draw: ImageDraw.ImageDraw, x: int, y: int, text: str, font: ImageFont.FreeTypeFont
) -> int:
    """Write on a line and return where it ends."""
    draw.text((x, y), text, INK, font, anchor="ls")
    return x + round(font.getlength(text))
