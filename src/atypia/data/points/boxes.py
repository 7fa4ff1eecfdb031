"""Boxes of JSON lists: corners as MIDOG writes them, or corner and size as COCO does."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

# No mitotic figure, with the margin that a box leaves around it, is larger.
MOST_FIGURE_UM = 100.0
_FAR_PX = 1e9
_NO_BOX = (math.nan,) * 4
_FORMS = ("x1, y1, x2, y2", "x, y, width, height")

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Centres:
    """Centres of boxes.

    Attributes:
        centres: of each box, x and y in px; or why it has none.
        warnings: how the boxes were understood, where they leave it open.
    """

    centres: list[tuple[float, float] | str]
    warnings: tuple[str, ...]


def read_centres(
    path: Path,
    annotations: Sequence[Any],
    images: Mapping[str, Mapping[str, Any]],
    taken: Sequence[Mapping[str, Any]],
    mpp: float | None,
) -> Centres:
    """Return the centre of the `bbox` of some annotations.

    All boxes of a file are of one form: the one in which more of them lie in their image and are
    not too large for a figure; where that leaves it open, the one in which more of them have the
    `area` that the file says, are all squares, or all of one size, in this order. What is then
    still open is COCO if the file has other members of COCO's, else MIDOG, and a warning says so.

    Args:
        path: for the warnings.
        annotations: of the file, which decide the form.
        images: by id, with `width` and `height` if the file has them.
        taken: of these the centres are returned.
        mpp: um/px of level 0, if it is known.
    """
    objects = [annotation for annotation in annotations if isinstance(annotation, dict)]
    boxes = np.array([_parse_box(annotation) for annotation in objects], dtype=np.float64).reshape(
        -1, 4
    )
    form, sure = _decide_form(boxes, objects, images, mpp)
    warnings: tuple[str, ...] = ()
    if not sure:
        other = _FORMS[1 - form]
        warnings = (
            f"warning: {path}: each bbox is read as {_FORMS[form]}, and could be {other} as well; "
            "if it is, give each annotation its 'area' in px",
        )
    return Centres([_box_centre(_parse_box(annotation), form) for annotation in taken], warnings)


def _parse_box(annotation: Mapping[str, Any]) -> tuple[float, float, float, float]:
    """Return the four numbers of a box, NaN where it has none."""
    numbers = annotation.get("bbox")
    if not isinstance(numbers, list) or len(numbers) != len(_NO_BOX):
        return _NO_BOX
    left, top, third, fourth = map(_parse_number, numbers)
    return left, top, third, fourth


def _box_centre(box: tuple[float, float, float, float], form: int) -> tuple[float, float] | str:
    left, top, third, fourth = box
    if not np.isfinite(box).all():
        return "has no bbox of four numbers"
    width, height = (third, fourth) if form else (third - left, fourth - top)
    if width < 0 or height < 0:
        return f"bbox {list(box)} is no box of the form {_FORMS[form]}, as the others are"
    return left + width / 2, top + height / 2


def _decide_form(
    boxes: Array,
    annotations: Sequence[Mapping[str, Any]],
    images: Mapping[str, Mapping[str, Any]],
    mpp: float | None,
) -> tuple[int, bool]:
    """Return the form, 0 for corners or 1 for corner and size, and whether that is sure."""
    finite = np.asarray(np.isfinite(boxes).all(axis=1))
    if not finite.any():
        return 0, True
    pairs = zip(annotations, finite, strict=True)
    annotations = [annotation for annotation, usable in pairs if usable]
    boxes = boxes[finite].clip(-_FAR_PX, _FAR_PX)  # else what is made of them may overflow
    corner = boxes[:, :2]
    sizes = (boxes[:, 2:] - corner, boxes[:, 2:])
    image = [images.get(str(annotation.get("image_id")), {}) for annotation in annotations]
    limit = np.array(
        [
            [_parse_number(annotation.get(side)) for side in ("width", "height")]
            for annotation in image
        ]
    )
    area = np.array([_parse_number(annotation.get("area")) for annotation in annotations])
    fitting = []
    for size in sizes:
        fits = (size >= 0).all(axis=1) & ~((corner + size) > limit + 1).any(axis=1)
        if mpp is not None:
            fits &= (size * mpp <= MOST_FIGURE_UM).all(axis=1)
        agrees = np.isclose(size.prod(axis=1), area, rtol=0.01, atol=1)
        fitting.append((int(fits.sum()), int(agrees.sum())))
    if fitting[0] != fitting[1]:
        return int(fitting[1] > fitting[0]), True
    for alike in (_are_squares, _are_of_one_size):
        verdicts = [alike(size) for size in sizes]
        if verdicts[0] != verdicts[1]:
            return int(verdicts[1]), True
    return int(
        any("iscrowd" in annotation or "segmentation" in annotation for annotation in annotations)
    ), False


def _parse_number(value: Any) -> float:
    """Return a number of JSON, also one that was written as text; NaN of anything else."""
    try:
        return float(value) if isinstance(value, int | float | str) else math.nan
    except (ValueError, OverflowError):
        return math.nan


def _are_squares(size: Array) -> bool:
    return bool((np.abs(size[:, 0] - size[:, 1]) <= 1).all())


def _are_of_one_size(size: Array) -> bool:
    return bool((np.ptp(size, axis=0) <= 1).all())
