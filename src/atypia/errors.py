"""Mistakes a user can correct: one line each, never a traceback."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class AtypiaError(Exception):
    """A mistake a user can correct.

    The message is one line: it names the file or value, says what was expected and what to do.
    The command line prints it and exits with `exit_code` (2: wrong usage).

    Example:
        >>> from atypia.data.readers.open_figures import open_figures
        >>> try:
        ...     open_figures("figures.cvs")
        ... except AtypiaError as error:
        ...     print(error)
        figures.cvs: there is no such file or folder; give a table or a folder
    """

    exit_code = 2


class OptionError(AtypiaError):
    """An option has an unusable value.

    Attributes:
        typed: the message for the command line, where it was typed: `--batch-size 0: ...`.
    """

    def __init__(self, name: str, value: object, problem: str) -> None:
        """Name the option as in Python, its value, and what is wrong with it."""
        super().__init__(f"{name} {value}: {problem}")
        self.typed = f"--{name.replace('_', '-')} {value}: {problem}"


class ImageError(AtypiaError):
    """One image cannot be used; the others are processed (exit code 1)."""

    exit_code = 1


class TableError(AtypiaError):
    """A figure table, predictions table or public layout is faulty."""


class RecipeError(AtypiaError):
    """A recipe has an unknown key or a value out of range, or cannot work on this table."""


class BundleError(AtypiaError):
    """A bundle is incomplete, changed or not understood."""


def abbreviate(value: object) -> str:
    """Return a value as text for a message, cut to 60 characters."""
    try:
        text = value if isinstance(value, str) else repr(value)
    except (RecursionError, ValueError):  # Python writes at most 4,300 digits of an integer
        return "something too deep or too long to write"
    text = text if len(text) <= 60 else f"{text[:60]}..."
    return repr(text) if isinstance(value, str) else text


def describe_fault(fault: BaseException) -> str:
    """Return what a library reported, on one line of at most 200 characters.

    Returns:
        Text that UTF-8 can encode; the name of the exception if it comes without a message.
    """
    text = " ".join(str(fault).split())[:200] or type(fault).__name__
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def find_nearest(name: str, names: Iterable[str], cutoff: float = 0.6) -> str | None:
    """Return the one of `names` most like `name` in any case, or None.

    Args:
        name: as the user wrote it.
        names: those that exist.
        cutoff: the least similarity, 0 to 1, as `difflib.SequenceMatcher.ratio` measures it.
    """
    by_lower = {known.lower(): known for known in names}
    nearest = get_close_matches(name.lower(), by_lower, n=1, cutoff=cutoff)
    return by_lower[nearest[0]] if nearest else None


def suggest_name(name: str, names: Iterable[str], cutoff: float = 0.6) -> str:
    """Return "; did you mean NAME?", to end a message, or "" where `find_nearest` finds none."""
    nearest = find_nearest(name, names, cutoff)
    return "" if nearest is None else f"; did you mean {nearest}?"
