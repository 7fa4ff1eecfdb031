"""Pillow and its codecs, kept from writing to the user's screen."""

from __future__ import annotations

import ctypes
import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache

from PIL import _imaging

# What Pillow and its codecs raise on a file that is damaged, not on a mistake of ours.
DAMAGE = (OSError, SyntaxError, ValueError, EOFError, TypeError, LookupError, ArithmeticError)

# Pillow logs what it then raises: without a handler that goes to the user's screen.
logging.getLogger("PIL").addHandler(logging.NullHandler())

_warnings_lock = threading.Lock()


@contextmanager
def silence_warnings() -> Iterator[None]:
    """Keep Pillow's warnings (large image, odd metadata) off the user's screen.

    The filters are the whole process's, so one thread at a time may change them.
    """
    with _warnings_lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@lru_cache
def hush_libtiff() -> None:
    """Keep libtiff from writing to the screen what Pillow then raises.

    Pillow does not offer it; where its libtiff cannot be reached this way, lines stay.
    """
    library = ctypes.CDLL(_imaging.__file__)
    for name in ("TIFFSetErrorHandler", "TIFFSetWarningHandler"):
        with suppress(AttributeError):
            getattr(library, name)(None)
