"""Names and numbers on the terminal: names are shown as they are, numbers whole."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from atypia.cli.tables import print_table

NAMES = ["[/lab] A", "[red] B", ":smile: C", "ends with \\", "病理科"]


def _printed(width: int, *arguments: object, **options: object) -> str:
    console = Console(file=io.StringIO(), width=width, color_system=None)
    print_table(console, *arguments, **options)  # type: ignore[arg-type]
    return console.file.getvalue()  # type: ignore[attr-defined]


@pytest.mark.parametrize("width", [80, 20])
def test_names_are_shown_as_they_are(width: int) -> None:
    rows = [[name, "1", "2"] for name in NAMES]
    printed = _printed(width, ["[b]domain", "[i]n", "m"], rows, title="[u]title")
    for name in [*NAMES, "[i]n", "[u]title"]:
        assert name in printed


@pytest.mark.parametrize("width", [120, 80, 60, 40, 20])
def test_numbers_are_whole_however_narrow_the_console(width: int) -> None:
    numbers = ["12,345", "0.123", "0.456", "0.789", "0.987", "0.654"]
    heads = ["domain", "figures", "BA", "AUROC", "sens.", "spec.", "ECE"]
    long = "a laboratory with a long name, scanner of a long name too"
    printed = _printed(width, heads, [[long, *numbers], ["all", *numbers]], sums=1)
    assert all(len(line) <= width for line in printed.splitlines())
    for number in numbers:
        assert len(re.findall(rf"(?<!\S){re.escape(number)}(?=[\s,])", printed)) == 2
    assert "…" not in printed
    if width < 80:
        assert long in " ".join(printed.split())
