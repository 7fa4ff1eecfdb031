"""Images in a folder, whatever it holds: those that can be read, and a word on those that cannot.

What is left out is logged, one line a folder: it reaches the screen from every verb, and Python's
logging from a program.
"""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from atypia.data.images import IMAGE_SUFFIXES
from atypia.data.table_checks import format_count

_log = logging.getLogger(__name__)

# Tables, texts and documents beside images: nobody expects them to be classified.
_NO_IMAGES = (
    *(".csv", ".tsv", ".txt", ".md", ".rst", ".json", ".jsonl", ".geojson", ".xml", ".html"),
    *(".htm", ".css", ".js", ".yaml", ".yml", ".toml", ".ini", ".cfg", ".log", ".bib", ".tex"),
    *(".xls", ".xlsx", ".ods", ".doc", ".docx", ".odt", ".ppt", ".pptx", ".rtf", ".parquet"),
    *(".sqlite", ".db", ".lock", ".sha256", ".md5", ".xmp", ".py", ".r", ".m", ".sh", ".bat"),
    *(".ipynb", ".groovy", ".ijm", ".qpproj", ".qpdata", ".url", ".lnk", ".webloc"),
)


def list_images(folder: Path) -> list[str]:
    """Return the paths of the images below `folder`, relative to it, not sorted.

    Links are followed; each folder is read once. Hidden files and folders are left out; a file
    that has the name of an image and is none (a dead link, a pipe) is in the list: reading it says
    what it is. Files that look like images and have another ending are counted in the log.
    """
    names: list[str] = []
    others: list[Path] = []
    for path in files_below(folder):
        if path.suffix.lower() in IMAGE_SUFFIXES:
            names.append(path.relative_to(folder).as_posix())
        elif not path.exists():
            _log.warning("%s: a link to what is not there; mend or remove it", path)
        else:
            others.append(path)
    log_left_out(folder, others)
    return names


def log_left_out(folder: Path, others: Iterable[Path]) -> None:
    """Log how many files of a folder look like images and cannot be read, by their endings.

    Args:
        folder: for the message.
        others: files whose endings are none of `IMAGE_SUFFIXES`.
    """
    endings = [path.suffix.lower() for path in others if _seems_an_image(path)]
    if endings:
        _log.warning(
            "%s: %s left out, %s; expected %s: save them as PNG to have them read",
            *(
                folder,
                format_count(len(endings), "file"),
                _format_endings(endings),
                ", ".join(IMAGE_SUFFIXES),
            ),
        )


def count_images(folder: Path, but: Iterable[Path]) -> dict[str, int]:
    """Return how many images lie in each folder right inside `folder`; ".", beside the folders.

    Args:
        folder: to look in.
        but: folders right inside it that are left out.
    """
    leave = set(but)
    counts = Counter({".": sum(_is_image(path) for path in folder.iterdir())})
    for inner in sorted(folder.iterdir()):
        if inner.is_dir() and inner not in leave and not inner.name.startswith("."):
            counts[f"{inner.name}/"] = sum(map(_is_image, files_below(inner)))
    return {name: count for name, count in counts.items() if count}


def files_below(top: Path) -> Iterator[Path]:
    """Yield what is no folder, below a folder and below the folders that links lead to.

    Each folder is read once, links last. Hidden files and folders are left out. A folder that
    cannot be read is logged.
    """
    waiting, read = [top], set()
    while waiting:
        for parent, folders, files in os.walk(waiting.pop(0), onerror=_log_unreadable):
            folder = Path(parent)
            if folder.resolve() in read:
                folders.clear()
                continue
            read.add(folder.resolve())
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for link in (folder / name for name in folders if (folder / name).is_symlink()):
                if top.resolve().is_relative_to(link.resolve()):
                    _log.warning("%s: a link back to a folder around it; not followed", link)
                else:
                    waiting.append(link)
            yield from (folder / name for name in sorted(files) if not name.startswith("."))


def _is_image(path: Path) -> bool:
    return (
        path.suffix.lower() in IMAGE_SUFFIXES
        and not path.name.startswith(".")
        and not path.is_dir()
    )


def _log_unreadable(fault: OSError) -> None:
    _log.warning(
        "%s: cannot be read (%s), its images are left out; check its permissions",
        *(fault.filename, fault.strerror),
    )


def _seems_an_image(path: Path) -> bool:
    """Whether a file could be an image by its ending; without one, as it is no text."""
    if path.suffix or not path.is_file():  # opening a pipe would wait for ever
        return path.suffix.lower() not in ("", *_NO_IMAGES)
    try:
        with path.open("rb") as file:
            return b"\0" in file.read(1024)
    except OSError:
        return True


def _format_endings(endings: list[str]) -> str:
    counts = Counter(endings).most_common()
    words = [f"{count} {ending or 'without an ending'}" for ending, count in counts[:6]]
    rest = sum(count for _, count in counts[6:])
    return ", ".join([*words, *([f"{rest} others"] if rest else [])])
