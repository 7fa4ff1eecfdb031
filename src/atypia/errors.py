"""What goes wrong by a user's hand: one line each, never a traceback."""

from __future__ import annotations


class AtypiaError(Exception):
    """A mistake a user can mend.

    The message is one line: it names the file or value, says what was expected and what to do.
    The command line prints it and exits with `exit_code` (2: wrong usage).
    """

    exit_code = 2


class OptionError(AtypiaError):
    """An option has a value that cannot be used.

    Attributes:
        typed: the message for who typed the option on a command line: `--batch-size 0: ...`.
    """

    def __init__(self, name: str, value: object, problem: str) -> None:
        """Say that the value of an option, by its name in Python, has a problem."""
        super().__init__(f"{name} {value}: {problem}")
        self.typed = f"--{name.replace('_', '-')} {value}: {problem}"


class ImageError(AtypiaError):
    """One image cannot be used; the others go on (exit code 1)."""

    exit_code = 1


class TableError(AtypiaError):
    """A figure table, predictions table or public layout is faulty."""


class RecipeError(AtypiaError):
    """A recipe has an unknown key or a value out of range, or cannot work on this table."""


class BundleError(AtypiaError):
    """A bundle is incomplete, changed or not understood."""


def abbreviate(value: object) -> str:
    """Return how a value is written, for a message: at most 60 characters of it."""
    try:
        text = value if isinstance(value, str) else repr(value)
    except (RecursionError, ValueError):  # of whole numbers, Python writes 4,300 digits at most
        return "something too deep or too long to write"
    text = text if len(text) <= 60 else f"{text[:60]}..."
    return repr(text) if isinstance(value, str) else text
