from __future__ import annotations

import re
from html import unescape

import pytest
from markdown_it import MarkdownIt

from atypia.evaluation.markdown import markdown_table, plain_markdown

READER = MarkdownIt("commonmark").enable(["table", "strikethrough"])
NAMES = [
    "a|b",
    "`code`",
    "<script>alert(1)</script>",
    "**bold** and _slanted_, snake_case",
    "[/lab] A",
    "[text](http://somewhere)",
    "&lt; & Co",
    "ends with \\",
    "\\|",
    "~~gone~~",
    "# no heading",
]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_shown_as_it_is(name: str) -> None:
    rendered = READER.render(markdown_table(["name", "n"], [[plain_markdown(name), "1"]]))
    assert _text(rendered).split("\n") == ["name", "n", name, "1"]


def test_a_name_stays_in_its_line_and_can_be_written() -> None:
    assert plain_markdown("two\nlines\udcff").encode() == b"two lines\\\\udcff"


def test_plain_names_are_not_touched() -> None:
    for name in ("Scanner A, lung (human)", "snake_case_name", "+.012 [+.001, +.023]", "5 % ± 1"):
        assert plain_markdown(name) == name


def _text(html: str) -> str:
    """Return the words of each cell, one a line; a tag inside a cell is left there."""
    return "\n".join(unescape(cell) for cell in re.findall(r"<t[hd]>(.*?)</t[hd]>", html))
