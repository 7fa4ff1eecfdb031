"""Names in pictures: letters that the font lacks come from another one, or are spelt out."""

from __future__ import annotations

from pathlib import Path

import matplotlib
import pytest

from atypia.inference import drawing
from atypia.inference.drawing import drawable, letters


@pytest.fixture
def fonts(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What this machine has, besides matplotlib's own; to be filled."""
    here: list[str] = []
    monkeypatch.setattr("matplotlib.font_manager.findSystemFonts", lambda: here)
    drawing._font_with.cache_clear()
    return here


def test_a_name_that_no_font_has_is_spelt_out(fonts: list[str]) -> None:
    fonts.append("no-font.ttf")
    own = letters(12)
    assert drawable("Ünïcode Σ", own) == ("Ünïcode Σ", own)
    assert drawable("病a", own) == ("\\u75c5a", own)
    assert drawable("\x1b", own)[0] == "\\x1b"


def test_another_font_of_this_machine_is_taken_where_it_has_the_letters(fonts: list[str]) -> None:
    # Of matplotlib's fonts, STIX has letters that DejaVu lacks.
    stix = str(Path(matplotlib.get_data_path(), "fonts", "ttf", "STIXGeneral.ttf"))
    fonts.append(stix)
    letter = chr(min(drawing._read_letters(stix) - drawing._read_letters(letters(12).path)))
    text, font = drawable(letter, letters(12))
    assert (text, font.path, font.size) == (letter, stix, 12)
