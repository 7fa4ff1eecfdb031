"""The messages of the library on standard error: a line each."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager


class _Lines(logging.Handler):
    """Prints to whatever standard error is at the time: bars of progress take its place."""

    def emit(self, record: logging.LogRecord) -> None:
        note = "note: " if record.levelno == logging.INFO else ""
        print(f"{note}{record.getMessage()}", file=sys.stderr)


@contextmanager
def print_messages() -> Iterator[None]:
    """Print what the library logs, from INFO on, until the end of the command."""
    logger = logging.getLogger("atypia")
    level, handler = logger.level, _Lines()
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
