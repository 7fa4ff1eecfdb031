"""Ctrl-C and SIGTERM: each raises an exception where the program stands, but never in an import.

What a library runs while it is imported may be called by C++ that no exception may pass: the
process then aborts (exit code 134, seen with torch), and nothing is tidied up.
"""

from __future__ import annotations

import signal
from types import FrameType

from atypia.platform import call_again

_AGAIN_S = 0.05


class Terminated(KeyboardInterrupt):
    """SIGTERM came.

    Where a KeyboardInterrupt itself leaves an `exec` of source text, as dataclasses have one,
    Python ends with 130 whatever exit code is asked for.
    """


class Stop:
    """Takes Ctrl-C and SIGTERM from when it is made; SIGINT only where nobody ignores it.

    Attributes:
        terminated: SIGTERM came.
    """

    def __init__(self) -> None:
        self.terminated = False
        signal.signal(signal.SIGTERM, self._stop)
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, self._stop)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self.terminated = self.terminated or number == signal.SIGTERM
        if _is_importing(frame) and call_again(_AGAIN_S, lambda later: self._stop(number, later)):
            return
        if number == signal.SIGTERM:
            signal.signal(number, signal.SIG_IGN)  # once is enough: files are being tidied up
            raise Terminated
        raise KeyboardInterrupt


def _is_importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename == "<frozen importlib._bootstrap>":
            return True
        frame = frame.f_back
    return False
