"""The input of a run of MIDOG 2025, track 2: one stack of crops below an input folder."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from atypia.challenges.midog25.mha import read_mha
from atypia.data.images import RGBImage, read_pages
from atypia.errors import AtypiaError, ImageError
from atypia.files import escape_text, parse_json, resolve_inside
from atypia.inference.sources import Figure

STACK_SLUG = "stacked-histopathology-roi-cropouts"
PAGE_PX = 128

_TIFF_SUFFIXES = (".tif", ".tiff")
_MHA_SUFFIX = ".mha"


def find_stack(folder: Path) -> Path:
    """Return the one stack of an input folder.

    Args:
        folder: holds `inputs.json`, with one entry, and the stack in
            `images/stacked-histopathology-roi-cropouts/`.

    Raises:
        AtypiaError: `inputs.json` is missing or names another interface, or there is not exactly
            one stack.
    """
    _require_interface(folder / "inputs.json")
    place = f"images/{STACK_SLUG}"
    images = resolve_inside(folder, place)
    names = sorted(
        path.name
        for path in (images.iterdir() if images.is_dir() else ())
        if path.suffix.lower() in (*_TIFF_SUFFIXES, _MHA_SUFFIX) and not path.name.startswith(".")
    )
    if len(names) != 1:
        names_text = ", ".join(names) or "none"
        raise AtypiaError(
            f"{images}: expected one stack (.tif, .tiff or .mha), found {names_text}; "
            "the challenge hands over one at a time"
        )
    return resolve_inside(folder, f"{place}/{names[0]}")


def stack_figures(stack: Path, mpp: float) -> Iterator[Figure]:
    """Give the figures of a stack, page by page.

    Args:
        stack: a TIFF or .mha of pages of 128 x 128 px, 8-bit RGB.
        mpp: um/px of every page.

    Returns:
        One figure a page, `figure_id` "1", "2", ... A page that cannot be used, or is of another
        size, is a figure whose pixels raise ImageError.

    Raises:
        ImageError: the file as a whole cannot be used.
        AtypiaError: the library that reads it is not installed.
    """
    pages = read_pages(stack) if stack.suffix.lower() in _TIFF_SUFFIXES else iter(read_mha(stack))
    for number, page in enumerate(pages, start=1):
        name = f"{escape_text(str(stack))}, page {number}"
        yield Figure(str(number), name, mpp, "given", partial(_require_size, page, name))


def _require_size(page: RGBImage | ImageError, name: str) -> RGBImage:
    if isinstance(page, ImageError):
        raise page
    high, wide = page.shape[:2]
    if (high, wide) != (PAGE_PX, PAGE_PX):
        raise ImageError(
            f"{name}: {wide} x {high} px, expected {PAGE_PX} x {PAGE_PX}; "
            "cut crops of that size around the figures"
        )
    return page


def _require_interface(path: Path) -> None:
    try:
        entries = parse_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise AtypiaError(
            f"{path}: there is no such file; give the folder that the challenge hands over "
            "(--input)"
        ) from None
    except (OSError, ValueError) as fault:
        raise AtypiaError(f"{path}: not a JSON file ({fault}); write it anew") from fault
    slugs = [_slug(entry) for entry in entries] if isinstance(entries, list) else []
    if slugs != [STACK_SLUG]:
        slugs_text = ", ".join(slugs) or "none"
        raise AtypiaError(
            f"{path}: expected one entry with the interface {STACK_SLUG}, found {slugs_text}; "
            "this program answers track 2 of MIDOG 2025 only"
        )


def _slug(entry: object) -> str:
    """Return the interface's slug of an entry; the platform's newer name for it is socket."""
    for word in ("interface", "socket"):
        socket = entry.get(word) if isinstance(entry, dict) else None
        if isinstance(socket, dict):
            return str(socket.get("slug"))
    return "an entry without one"
