"""The nearest figures of other slides, by the angle between their embeddings."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]


def find_neighbours(
    asked: FloatArray,
    known: FloatArray,
    asked_slides: npt.NDArray[np.object_],
    known_slides: npt.NDArray[np.object_],
    count: int,
) -> tuple[IntArray, FloatArray]:
    """Return the nearest known figures of other slides; exact, all pairs are compared.

    Figures of one slide look alike for its stain, and a figure is its own nearest one.

    Args:
        asked: (A, D) embeddings.
        known: (K, D) embeddings.
        asked_slides: (A,) slide of each.
        known_slides: (K,) slide of each.
        count: how many of each.

    Returns:
        Rows of `known`, int64 (A, count), nearest first, and the cosine of each angle, float32
        in [-1, 1]; -1 and NaN where there are fewer figures of other slides.
    """
    rows = np.full((len(asked), count), -1, dtype=np.int64)
    cosines = np.full((len(asked), count), np.nan, dtype=np.float32)
    if not len(known):
        return rows, cosines
    unit = [part / np.maximum(np.linalg.norm(part, axis=1, keepdims=True), 1e-12)
            for part in (asked, known)]  # fmt: skip
    for place, (embedding, slide) in enumerate(zip(unit[0], asked_slides, strict=True)):
        cosine = np.where(known_slides == slide, -np.inf, unit[1] @ embedding)
        nearest = np.argsort(-cosine, kind="stable")[:count]
        nearest = nearest[np.isfinite(cosine[nearest])]
        rows[place, : len(nearest)] = nearest
        cosines[place, : len(nearest)] = cosine[nearest]
    return rows, cosines
