"""The console's streams: whatever is printed, they take it."""

from __future__ import annotations

import codecs
import io
import os
import re
import sys
from pathlib import Path
from typing import TextIO

# What atypia and rich print beyond ASCII, in characters that every console has.
_PLAIN = {"–": "-", "−": "-", "•": "*", "…": "...", "·": "-", "±": "+/-"}
# Control characters except tab and line end, and those that turn the direction of writing: names
# of files may hold them.
_CONTROLS = "\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069"
_CONTROL = re.compile(f"[{_CONTROLS}]")
# On a terminal rich draws colours and bars with sequences that begin with ESC and a bracket.
_CONTROL_ON_TERMINAL = re.compile(rf"\x1b(?!\[)|(?![\x1b\r])[{_CONTROLS}]")


class _ConsoleStream(io.TextIOWrapper):
    """A stream that spells out what a console cannot show, and outlives the console's end."""

    def write(self, text: str) -> int:
        control = _CONTROL_ON_TERMINAL if self.isatty() else _CONTROL
        try:
            super().write(control.sub(lambda match: _escape(match[0]), text))
        except BrokenPipeError:
            self._discard()
        return len(text)

    def flush(self) -> None:
        try:
            super().flush()
        except BrokenPipeError:
            self._discard()

    def _discard(self) -> None:
        """Let nobody read (`atypia ... | head -1`), so that the work goes on."""
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, self.fileno())
        os.close(null)


def open_streams() -> None:
    """Make standard output and error take every text, also where they are closed or no UTF-8."""
    codecs.register_error("atypia", _spell_out)
    # Where one is closed (`2>&-`), the next file opened would get its number, and with it the
    # messages of libraries. Numbers are given out from the lowest on.
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    sys.stdout, sys.stderr = _wrap_stream(sys.stdout), _wrap_stream(sys.stderr)


def _wrap_stream(stream: TextIO | None) -> TextIO:
    """Return a stream around the same file; nothing is shown where there is none."""
    if stream is None:
        return Path(os.devnull).open("w", encoding="utf-8", errors="atypia")
    if type(stream) is not io.TextIOWrapper:  # somebody else's, or wrapped already
        return stream
    return _ConsoleStream(
        stream.buffer,
        encoding=stream.encoding,
        errors="atypia",
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )


def _spell_out(fault: UnicodeError) -> tuple[str, int]:
    """Replace what an encoding lacks: by its like in ASCII, else by its number."""
    if not isinstance(fault, UnicodeEncodeError):
        raise fault
    lacking = fault.object[fault.start : fault.end]
    return "".join(_PLAIN.get(letter) or _escape(letter) for letter in lacking), fault.end


def _escape(letter: str) -> str:
    return letter.encode("unicode_escape").decode("ascii")
