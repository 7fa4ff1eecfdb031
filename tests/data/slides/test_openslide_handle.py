"""OpenSlide's own ways do not reach a user: after one fault the rest of a slide is still read."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import openslide
import pytest
import tifffile

from atypia.data.slides import Slide, open_slide
from atypia.errors import ImageError
from slide_files import TILE, pixels, write_aperio

LEVEL0 = pixels()


@pytest.fixture
def holed(tmp_path: Path) -> Iterator[Slide]:
    """A slide whose second tile is garbage."""
    path = write_aperio(tmp_path / "s.svs", LEVEL0, compression="deflate")
    with tifffile.TiffFile(path) as file:
        page = file.pages[0]
        start, length = page.dataoffsets[1], page.databytecounts[1]
    data = bytearray(path.read_bytes())
    data[start : start + length] = b"\xa5" * length
    path.write_bytes(data)
    slide = open_slide(path)
    yield slide
    slide.close()


def _reads(slide: Slide, x: int) -> bool:
    """Tell whether a window is right (True) or refused (False)."""
    try:
        window = slide.window(x, 64, side_um=8, level=0)
    except ImageError as fault:
        assert "cannot be read at x" in str(fault)
        assert "\n" not in str(fault)
        return False
    np.testing.assert_array_equal(window, LEVEL0[48:80, x - 16 : x + 16])
    return True


def test_what_lies_beside_a_damaged_tile_is_read(holed: Slide) -> None:
    bad, good = TILE + 64, 64
    assert [_reads(holed, x) for x in (good, bad, good, bad, bad, good)] == [
        *(True, False, True, False, False, True)
    ]


def test_a_slide_is_opened_again_once_a_fault(
    holed: Slide, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = []
    real = openslide.OpenSlide
    monkeypatch.setattr(openslide, "OpenSlide", lambda path: opened.append(path) or real(path))
    assert not _reads(holed, TILE + 64)
    assert all(_reads(holed, 64) for _ in range(5))
    assert len(opened) == 2  # to ask once more where the fault was, and to go on


def test_one_threads_fault_is_not_anothers(holed: Slide) -> None:
    places = [64 + TILE * (n % 4) for n in range(80)]
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda x: _reads(holed, x), places))
    assert found == [x // TILE != 1 for x in places]
