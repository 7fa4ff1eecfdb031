"""Embed: figures in, what a backbone makes of each crop out."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Unpack

import numpy as np
import numpy.typing as npt
import pandas as pd

from atypia.data.readers.open_figures import Source
from atypia.errors import ImageError
from atypia.inference.crops import Failure, read_ahead, stack_crops
from atypia.inference.options import RuntimeKeywords
from atypia.inference.predictor import Predictor
from atypia.inference.sources import open_sources
from atypia.progress import OnProgress, opens_bars, show_bars

_log = logging.getLogger(__name__)


@opens_bars
def embed(
    sources: Source | Sequence[Source],
    bundle: Predictor | Path | str | None = None,
    *,
    mpp: float | None = None,
    on_progress: OnProgress = show_bars,
    **keywords: Unpack[RuntimeKeywords],
) -> pd.DataFrame:
    """Return the embedding of each figure by the backbone of a bundle, as prediction crops it.

    A figure whose image cannot be read is left out, with a warning on the log.

    Args:
        sources: N figures: as for `predict`.
        bundle: its folder, or a predictor; none takes the bundle that comes with atypia. Where
            members trained backbones of their own, the first member embeds.
        mpp: um/px of the images for which no table states it, in 0.05..5; none takes the middle of
            what the bundle was trained at.
        on_progress: called after each batch; without it, bars in a terminal or notebook.
        **keywords: options by their names, such as `weights`; see `PredictOptions`.

    Returns:
        Float32 (N, D), one row a figure in the order given, indexed by `figure_id`; columns e0 to
        e(D - 1).

    Raises:
        ImageError: no figure can be read.
        AtypiaError: a source or the bundle is faulty.

    Example:
        >>> import atypia
        >>> from atypia.data.phantom.cohort import make_phantom
        >>> cohort = make_phantom("cohort", figures=6, domains=1)
        >>> atypia.embed(cohort).shape
        (6, 1280)
    """
    opened = open_sources(sources, mpp=mpp)
    predictor = bundle if isinstance(bundle, Predictor) else Predictor.load(bundle, **keywords)
    from atypia.models.embedder import Embedder  # torch, which the other verbs may do without

    embedder = Embedder(predictor.module, predictor.options.device)
    of, size = sum(map(len, opened)), predictor.batch_size
    crops = read_ahead(
        (figure for source in opened for figure in source.figures()),
        predictor.crop_spec,
        threads=predictor.runtime.threads,
        ahead=2 * size,
    )
    ids: list[str] = []
    rows: list[npt.NDArray[np.float32]] = []
    done = 0
    while batch := list(islice(crops, size)):
        done += len(batch)
        figures, pixels = [], []
        for read in batch:
            if isinstance(read.crop, Failure):
                _log.warning(read.crop.message)
            else:
                figures.append(read.figure.figure_id)
                pixels.append(read.crop)
        if pixels:
            rows.append(embedder.embed(stack_crops(pixels)))
            ids += figures
        on_progress("embedding", done, of, "")
    if not rows:
        raise ImageError("none of the figures can be read; the log names each")
    table = np.concatenate(rows)
    columns = [f"e{number}" for number in range(table.shape[1])]
    return pd.DataFrame(table, index=pd.Index(ids, name="figure_id"), columns=columns)
