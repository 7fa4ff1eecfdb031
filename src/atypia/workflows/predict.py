"""Predict: images and a bundle in, the predictions table and the run's record out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Literal, Unpack

from atypia.data.readers.open_figures import Source
from atypia.files import remove_partials, require_outputs
from atypia.inference.label_studio import (
    find_addresses,
    name_model,
    open_tasks,
    require_tasks_name,
)
from atypia.inference.options import PredictKeywords, PredictOptions
from atypia.inference.predictor import Predictor
from atypia.inference.record import RunRecord, record_path, write_record
from atypia.inference.sinks import Write, open_sink, require_suffix
from atypia.inference.sources import Source as FigureSource
from atypia.inference.sources import open_sources
from atypia.progress import OnProgress, opens_bars, show_bars
from atypia.workflows.classify import classify_sources

Format = Literal["table", "label-studio"]


@opens_bars
def predict(
    paths: Source | Sequence[Source],
    out: Path | str,
    options: PredictOptions | None = None,
    *,
    format: Format = "table",
    mpp: float | None = None,
    layout: str | None = None,
    mapping: Mapping[str, str] | None = None,
    overwrite: bool = False,
    on_progress: OnProgress = show_bars,
    **keywords: Unpack[PredictKeywords],
) -> RunRecord:
    """Classify all figures of some sources.

    Figures that cannot be read are named and left out; all others are in the table, in order.

    Args:
        paths: images, folders of images, TIFFs of many pages, figure tables (also open ones and
            data frames), known layouts; or one of these.
        out: predictions table, by its ending CSV, Parquet or JSON; the record lies beside it.
        options: which bundle, and how it runs; none takes the one that comes with atypia.
        format: a predictions table, or pre-annotated tasks for Label Studio (.json).
        mpp: um/px of the images for which no table states it, in 0.05..5.
        layout: key of the folders' layout; detected automatically if None.
        mapping: our column name -> theirs, for figure tables with other names.
        overwrite: replace files at `out` that atypia did not write.
        on_progress: called after each batch; without it, bars in a terminal or notebook.
        **keywords: options by their names, such as `device="cpu"`; their help: `PredictOptions`.

    Returns:
        The record, which was also written.

    Raises:
        AtypiaError: a source, the bundle or an argument is faulty, or a file cannot be written.

    Example:
        >>> import atypia
        >>> from atypia.data.phantom.cohort import make_phantom
        >>> cohort = make_phantom("cohort", figures=6, domains=1)
        >>> record = atypia.predict(cohort, "predictions.csv", members=1)
        >>> record.predicted, record.out
        (6, 'predictions.csv')
    """
    options = (options or PredictOptions()).updated(keywords)
    out = Path(out)
    tasks = format == "label-studio"
    (require_tasks_name if tasks else require_suffix)(out)
    sources = open_sources(paths, mpp=mpp, layout=layout, mapping=mapping)
    return predict_sources(
        sources,
        out,
        options,
        mpp=mpp,
        overwrite=overwrite,
        on_progress=on_progress,
        open_rows=_open_tasks(sources, out) if tasks else None,
    )


OpenRows = Callable[[Predictor], AbstractContextManager[Write]]
"""Opens what receives the rows, once the bundle is loaded."""


def _open_tasks(sources: Sequence[FigureSource], out: Path) -> OpenRows:
    """Return what opens the tasks; refuse images that Label Studio could not show, before that."""
    addresses = find_addresses(sources, out)
    return lambda predictor: open_tasks(
        out, addresses, name_model(predictor.manifest.name, predictor.bundle.sha256)
    )


def predict_sources(
    sources: Sequence[FigureSource],
    out: Path,
    options: PredictOptions,
    *,
    mpp: float | None,
    overwrite: bool,
    on_progress: OnProgress,
    open_rows: OpenRows | None = None,
) -> RunRecord:
    """Classify all figures of open sources; otherwise as `predict`.

    `open_rows` opens what receives the rows; none writes a predictions table.

    Raises:
        AtypiaError: as `predict`.
    """
    outputs = (out, record_path(out))
    require_outputs(
        outputs,
        inputs=[*(source.path for source in sources), *options.read_files],
        overwrite=overwrite,
    )
    remove_partials(*outputs)
    predictor = Predictor.load(options=options)
    with open_sink(out) if open_rows is None else open_rows(predictor) as write:
        record = classify_sources(predictor, sources, write, out, mpp=mpp, on_progress=on_progress)
    write_record(record, record_path(out))
    return record
