"""What experts see of a figure: the same micrometres at the same size for all of them.

A picture is made anew from pixels and has one size, whatever file, scanner or slide it is from:
neither metadata nor resolution tells where a figure comes from.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from atypia.data.images import read_image
from atypia.data.pictures import Pixels, cut_picture
from atypia.errors import AtypiaError
from atypia.study.study import Study

if TYPE_CHECKING:
    from atypia.data.slides import Slide

_log = logging.getLogger(__name__)

SIDES_UM = (16, 24, 32, 48, 64, 96, 128, 192, 256)
"""Sides of the squares that experts may look at."""

MOST_FIRST_UM = 32
"""Most that is shown of a figure at first."""

PICTURE_PX = {side: 256 if side <= 32 else 512 for side in SIDES_UM}
SLIDE_FILE, SLIDE_MPP = "slide_file", "slide_mpp"
_KEPT = 200


def compute_reach_um(image: Pixels, mpp: float) -> float:
    """Return how far an image, uint8 (H, W, 3), reaches: its shorter side, in um."""
    # A border of a hundredth of the side cannot be seen.
    return float(min(image.shape[:2]) * mpp * 1.01)


def choose_first_um(reach_um: float) -> int:
    """Return the side of the square that is shown first, um, where all images reach so far.

    It is the same for all figures of a study, and none has a border that tells its origin, unless
    images are smaller than the smallest square.
    """
    return max([side for side in SIDES_UM if side <= min(reach_um, MOST_FIRST_UM)] or SIDES_UM[:1])


class Pictures:
    """The pictures of a study; threads may share them. The last ones are kept."""

    def __init__(self, study: Study) -> None:
        """Take the figures of a study; nothing is read yet."""
        self._table, self._first_um = study.table, study.settings.first_um
        self._rows = study.rows
        self._alone = threading.Lock()
        self._images: OrderedDict[str, Pixels] = OrderedDict()
        self._faults: dict[str, str] = {}
        self._slides: dict[str, Slide | None] = {}

    def list_sides(self, figure: str) -> list[int]:
        """Return the sides, um, of the squares that can be shown of a figure.

        As far as its image reaches, or its slide, where that is here.
        """
        row = self._row(figure)
        if self._open_slide(row) is not None:
            return list(SIDES_UM)
        reach = compute_reach_um(self._read_image(figure), float(row["mpp"]))
        return [side for side in SIDES_UM if side <= max(self._first_um, reach)]

    def draw(self, figure: str, side_um: int, side_px: int | None = None) -> Pixels:
        """Return the square around a figure, uint8 (P, P, 3).

        Args:
            figure: its id in the study's table.
            side_um: of `SIDES_UM`.
            side_px: of the picture; None takes `PICTURE_PX`.

        Raises:
            AtypiaError: the image cannot be read any more.
        """
        row = self._row(figure)
        size = side_px or PICTURE_PX[side_um]
        image, mpp = self._read_image(figure), float(row["mpp"])
        slide = self._open_slide(row)
        if slide is not None and min(image.shape[:2]) * mpp < side_um:
            level = slide.level_for(side_um / size)
            x, y = float(row["x"]), float(row["y"])
            image = slide.window(x, y, side_um=side_um, level=level)
            mpp = slide.level_mpp[level]
        return cut_picture(image, mpp, side_um, size)

    def list_faults(self) -> list[str]:
        """Return a line for each figure whose image could not be read when it was last asked for.

        They are for the lead: they name figures and files.
        """
        with self._alone:
            return sorted(self._faults.values())

    def close(self) -> None:
        """Close the slides."""
        with self._alone:
            for slide in self._slides.values():
                if slide is not None:
                    slide.close()
            self._slides.clear()

    def _row(self, figure: str) -> dict[str, Any]:
        return dict(self._table.frame.iloc[self._rows[figure]])

    def _read_image(self, figure: str) -> Pixels:
        with self._alone:
            if figure in self._images:
                self._images.move_to_end(figure)
                return self._images[figure]
        try:
            image = read_image(self._table.image_path(str(self._row(figure)["image"])))
        except AtypiaError as fault:
            with self._alone:
                if figure not in self._faults:
                    _log.warning("%s: cannot be shown: %s", figure, fault)
                self._faults[figure] = f"{figure}: {fault}"
            raise
        with self._alone:
            self._faults.pop(figure, None)
            self._images[figure] = image
            while len(self._images) > _KEPT:
                self._images.popitem(last=False)
        return image

    def _open_slide(self, row: dict[str, Any]) -> Slide | None:
        """Return the slide of a figure; None where it has none, or none that can be read here."""
        file = str(row.get(SLIDE_FILE) or "")
        if not file:
            return None
        with self._alone:
            if file not in self._slides:
                try:
                    from atypia.data.slides import open_slide  # of the extra `slides`

                    self._slides[file] = open_slide(Path(file), mpp=float(row[SLIDE_MPP]))
                except (AtypiaError, ModuleNotFoundError):
                    self._slides[file] = None
            return self._slides[file]
