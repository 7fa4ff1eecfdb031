"""The classes that points have in their files: which of them are classified as figures."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from atypia.errors import TableError, suggest_name

#: What atypia calls the hotspot that it outlines; in a file that is read again it is no figure.
HOTSPOT = "Mitotic hotspot"

_MOST_NAMED = 8
_MITOSIS = r"(?:mito\w+|mf)(?: figures?| cells?)?"
_LOOKALIKE = r"(?:imposters?|impostors?|look ?alikes?)"
# What files call a cell that looks like a mitosis and is none: MIDOG's "hard negative" and
# "non-mitotic figure", and what pathologists write into QuPath.
_NO_MITOSIS = re.compile(
    rf"hard negatives?(?: {_LOOKALIKE}| {_MITOSIS}| figures?| cells?)*"
    rf"|(?:{_MITOSIS} )?{_LOOKALIKE}(?: figures?| cells?)?"
    rf"|(?:non|not?)(?: an?)? ?{_MITOSIS}"
    r"|mito\w+ like(?: figures?| cells?)?"
    r"|apopto\w+(?: bod(?:y|ies)| cells?)?"
    r"|pykno\w+(?: nucle(?:us|i)| cells?)?"
    r"|false positives?"
)


@cache
def is_no_mitosis(name: str) -> bool:
    """Return whether the name of a class says that its objects are not mitotic figures."""
    plain = re.sub(r"[\W_]+", " ", name).strip().lower()
    return _NO_MITOSIS.fullmatch(plain) is not None


def format_counts(counts: Mapping[str, int]) -> str:
    """Return classes with the number of their points, the most frequent first."""
    ordered = sorted(
        ((name, count) for name, count in counts.items() if count), key=lambda of: (-of[1], of[0])
    )
    named = [f"{name!r}: {count}" if name else f"no class: {count}" for name, count in ordered]
    more = [f"{len(named) - _MOST_NAMED} more classes"] if len(named) > _MOST_NAMED else []
    return ", ".join(named[:_MOST_NAMED] + more) or "none"


@dataclass(frozen=True)
class ClassFilter:
    """Which points of a file are classified, by the class that they have in it.

    Attributes:
        names: these classes only; without any, all but `area` and those that are no mitosis.
        area: class of the outlines of the searched tissue.
        searched: whether somebody said which tissue was searched; then a file that has outlines
            but no point of `names` means that there is no figure.
    """

    names: tuple[str, ...] = ()
    area: str | None = None
    searched: bool = False

    def takes(self, name: str) -> bool:
        """Return whether points of a class are classified."""
        if self.names:
            return name in self.names
        return name not in (self.area, HOTSPOT) and not is_no_mitosis(name)

    def remarks(
        self, path: Path, counts: Mapping[str, int], outlines: Mapping[str, int]
    ) -> tuple[str, ...]:
        """Return what a user should know of the classes of a file.

        Args:
            path: of the file.
            counts: number of points of each class on the slide, whether they are taken or not. A
                class of 0 is known to the file, and has no point on this slide.
            outlines: how many of them are outlined areas, and may be something else than a figure.

        Raises:
            TableError: there are points, but none is of the classes asked for.
        """
        present = {name: count for name, count in counts.items() if count}
        if not self.names:
            negative = {name: count for name, count in present.items() if is_no_mitosis(name)}
            if not negative:
                return ()
            ask = " ".join(
                f"--class {name!r}" for name in present if name not in (self.area, HOTSPOT)
            )
            return (
                f"warning: {path}: {sum(negative.values())} of {sum(present.values())} points are "
                f"no mitosis by their class ({format_counts(negative)}) and are left out; to "
                f"classify them as well, give {ask}",
            )
        absent = [name for name in self.names if name not in counts]
        if not absent or not present:
            return ()
        candidates = [name for name in present if name != self.area and not is_no_mitosis(name)]
        suggestion = next(filter(None, (self._suggest(name, present) for name in absent)), "")
        line = (
            f"{path}: has no point of class {', '.join(absent)}; its classes are "
            f"{format_counts(present)}{suggestion}"
        )
        if len(absent) < len(self.names):
            return (f"warning: {line}",)
        others = sum(present[name] - outlines.get(name, 0) for name in candidates)
        if suggestion or others or (candidates and not self.searched):
            raise TableError(line)
        return (f"warning: {line}; the slide counts as searched, without a figure",)

    def _suggest(self, name: str, classes: Iterable[str]) -> str:
        """Return the class that was perhaps meant, in words; mitosis never means non-mitosis."""
        kind = is_no_mitosis(name)
        alike = [other for other in classes if other != self.area and is_no_mitosis(other) == kind]
        return suggest_name(name, alike)
