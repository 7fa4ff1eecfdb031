"""Whether points are px of this slide: where points and slide first meet."""

from __future__ import annotations

import numpy as np

from atypia.data.points.table import Points, format_reasons
from atypia.data.slides import Slide
from atypia.errors import TableError

# So many points off the slide are a few, each of them refused by itself when its window is read.
_FEW, _FEW_SHARE = 10, 0.1


def require_on_slide(points: Points, slide: Slide) -> None:
    """Refuse a file whose points are evidently no px of level 0 of this slide, in one line.

    A file of another slide: all its points lie off this one, or more than 10 and more than a tenth
    of them do (then those that lie on it do so by chance). The border belongs to the slide.

    A file in mm: all its points lie in the corner that the whole slide fills when it is measured in
    mm, and one of them at least is not integral. At 0.25 um/px that is 1/4000 of each side, less
    than 10 um of 100,000 px: mm of this slide cannot lie elsewhere, and px of several figures, or
    of one that is not cut by the slide's corner, cannot lie there.

    Raises:
        TableError: it is such a file.
    """
    if not len(points):
        return
    places = points.frame[["x", "y"]].to_numpy()
    on_level_0 = places + slide.origin_px
    off = ((on_level_0 < 0) | (on_level_0 > slide.size_px)).any(axis=1)
    count = int(off.sum())
    if count == len(points) or count > max(_FEW, _FEW_SHARE * len(points)):
        x, y = places[off.argmax()]
        wide, high = slide.reach_px
        unusable = f" Besides, {format_reasons(points.reasons)}" if points.reasons else ""
        raise TableError(
            f"{points.path}: {count} of {len(points)} points do not lie on the slide of {wide} x "
            f"{high} px (the first: x {x:g}, y {y:g}); are they px of level 0, and of this slide?"
            f"{unusable}"
        )
    in_mm = np.asarray(slide.size_px) * slide.mpp / 1000
    if ((places >= 0) & (places <= in_mm)).all() and (places % 1 != 0).any():
        raise TableError(
            f"{points.path}: all points lie within {in_mm[0]:.3g} x {in_mm[1]:.3g} px of the "
            f"slide's corner: are they mm? Give px of level 0 (mm x {1000 / slide.mpp:g})"
        )
