"""Mistakes a user can correct: one line each, never a traceback."""

from __future__ import annotations


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
