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

# Errors that Pillow and its codecs raise on a damaged file.
DAMAGE = (OSError, SyntaxError, ValueError, EOFError, TypeError, LookupError, ArithmeticError)

# Pillow logs what it then raises; without a handler the log goes to the user's screen.
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

    Pillow has no option for it; where its libtiff cannot be reached this way, its lines stay.
    """
    library = ctypes.CDLL(_imaging.__file__)
    for name in ("TIFFSetErrorHandler", "TIFFSetWarningHandler"):
        with suppress(AttributeError):
            getattr(library, name)(None)
