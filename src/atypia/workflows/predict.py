"""Predict: images and a bundle in, the predictions table and the run's record out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from atypia.data.table import FigureTable
from atypia.files import remove_partials, require_outputs
from atypia.inference.answers import Device, Precision, RuntimeKey
from atypia.inference.record import RunRecord, record_path, write_record
from atypia.inference.sinks import open_sink, require_suffix
from atypia.inference.sources import open_sources
from atypia.workflows.classify import OnProgress, Running, Say, classified, to_stderr


def predict(
    paths: Path | str | FigureTable | Sequence[Path | str | FigureTable],
    out: Path | str,
    *,
    bundle: Path | str | None = None,
    mpp: float | None = None,
    layout: str | None = None,
    mapping: Mapping[str, str] | None = None,
    batch_size: int | None = None,
    threads: int | None = None,
    members: int | None = None,
    weights: Path | str | None = None,
    device: Device = "auto",
    precision: Literal["auto"] | Precision = "auto",
    prevalence: float | None = None,
    runtime: RuntimeKey = "auto",
    overwrite: bool = False,
    say: Say = to_stderr,
    on_progress: OnProgress | None = None,
) -> RunRecord:
    """Classify all figures of some sources.

    Figures that cannot be read are told and left out; all others are in the table, in order.

    Args:
        paths: images, folders of images, TIFFs of many pages, figure tables (also open ones),
            known layouts; or one of these.
        out: predictions table, by its ending CSV, Parquet or JSON; the record lies beside it.
        bundle: folder of the bundle.
        mpp: um/px of the images for which no table states it, in 0.05..5.
        layout: key of the layout of the folders, where it is not to be found out.
        mapping: our column name -> theirs, for figure tables with other names.
        batch_size: figures the network sees at once.
        threads: of the CPU; none takes as many as torch would.
        members: use the first so many networks of an ensemble; none takes all.
        weights: file or folder of the backbone's weights, where the bundle holds an adapter to it;
            none takes them from the package or the local Hugging Face cache.
        device: auto, cpu or cuda.
        precision: auto, fp32 or bf16.
        prevalence: share of atypical figures for which P shall hold; none takes that of training.
        runtime: auto, torch, onnx or openvino.
        overwrite: replace files at `out` that atypia did not write.
        say: is given a line for each figure that fails, for an assumed mpp, and for an exported
            file that cannot be used, at once.
        on_progress: is given the task's name, done, all, and a note, after each batch.

    Returns:
        The record, which was also written.

    Raises:
        AtypiaError: a source, the bundle or an argument is faulty, or a file cannot be written.
    """
    out = Path(out)
    require_suffix(out)
    sources = open_sources(paths, mpp=mpp, layout=layout, mapping=mapping)
    outputs = (out, record_path(out))
    require_outputs(outputs, inputs=[source.path for source in sources], overwrite=overwrite)
    remove_partials(*outputs)
    running = Running(
        bundle=None if bundle is None else Path(bundle),
        threads=threads,
        members=members,
        weights=None if weights is None else Path(weights),
        device=device,
        precision=precision,
        batch_size=batch_size,
        prevalence=prevalence,
        runtime=runtime,
    )
    predictor = running.load(say)
    with open_sink(out) as write:
        record = classified(
            predictor, running, sources, write, out, mpp=mpp, say=say, on_progress=on_progress
        )
    write_record(record, record_path(out))
    return record
