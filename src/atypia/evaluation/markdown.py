"""Markdown from texts of users."""

from __future__ import annotations

import re
from collections.abc import Sequence

from atypia.files import escape_text

# What Markdown takes for something else than text, inside a line. An underscore inside a word is
# one; a bracket is a link only together with others, and stays.
_MARKS = re.compile(r"[\\`*<|~]|\](?=[(\[:])|&(?=#?\w+;)|(?<!\w)_|_(?!\w)")


def plain_markdown(text: str) -> str:
    """Return Markdown that shows a text as it is, in one line.

    What cannot be written as UTF-8 is escaped.
    """
    one_line = " ".join(escape_text(text).split())
    return _MARKS.sub(lambda match: f"\\{match[0]}", one_line)


def markdown_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown of cells that are Markdown, without a line end."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
