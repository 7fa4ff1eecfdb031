"""Which of the slides that a file of points names is the slide at hand."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path, PurePosixPath

_TIFF = (".ome.tiff", ".ome.tif", ".tiff", ".tif")


def match_slide_names(names: Iterable[str], slide: Path) -> set[str]:
    """Return which names mean a slide; more than one where they differ in how they are written.

    Folders do not count, as they are others on another machine, unless two names differ in nothing
    else. Capitals and the spellings of .tif count only where a name fits to the letter.

    Args:
        names: with or without folders (divided by / or back-slashes) and ending; QuPath's "NAME -
            IMAGE" of a file with several images is known as well.
        slide: its file or folder.

    Raises:
        ValueError: two of them fit, in different folders.
    """
    slide = slide.absolute()  # the slide may be given as "." or ".."
    paths = {name: PurePosixPath(name.strip().replace("\\", "/")) for name in set(names)}
    ways = (
        lambda name: name in (slide.name, slide.stem) or name.startswith(f"{slide.name} - "),
        lambda name: _plain(name) in (_plain(slide.name), _plain(slide.stem)),
    )
    for fits in ways:
        fitting = {name: path for name, path in paths.items() if fits(path.name)}
        if fitting:
            return _match_folder(fitting, slide)
    return set()


def _plain(name: str) -> str:
    """Return a name in lower case, without the ending of a TIFF."""
    lower = name.lower()
    return next((lower.removesuffix(end) for end in _TIFF if lower.endswith(end)), lower)


def _match_folder(fitting: dict[str, PurePosixPath], slide: Path) -> set[str]:
    folders = {name: path.parts[:-1] for name, path in fitting.items()}
    if len(set(folders.values())) > 1:
        own = slide.parts[:-1]
        common = {name: _count_common_end(parts, own) for name, parts in folders.items()}
        best = max(common.values())
        folders = {name: folders[name] for name, length in common.items() if length == best}
    if len(set(folders.values())) > 1:
        raise ValueError(f"{' and '.join(sorted(folders)[:2])} may both be the slide {slide.name}")
    return set(folders)


def _count_common_end(path: tuple[str, ...], other: tuple[str, ...]) -> int:
    """Return how many parts at the end of two paths are the same."""
    length = 0
    for left, right in zip(reversed(path), reversed(other), strict=False):
        if left != right:
            break
        length += 1
    return length
