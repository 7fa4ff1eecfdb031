"""Predict: sources and a bundle in, the predictions table and the run's record out."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import torch

from atypia import __version__
from atypia.errors import AtypiaError
from atypia.evaluation.predictions import CALLS
from atypia.inference.predictor import Device, Predictor
from atypia.inference.reading import Failure
from atypia.inference.record import RunRecord, SourceRecord, record_path, write_record
from atypia.inference.runtime import Precision
from atypia.inference.sinks import Write, open_sink, require_suffix
from atypia.inference.sources import Source, open_sources

if TYPE_CHECKING:
    from atypia.data.points.qupath import ObjectType
    from atypia.data.slides import Origin

OnProgress = Callable[[str, int, int, str], None]


def _to_stderr(line: str) -> None:
    print(line, file=sys.stderr)


def default_bundle() -> Path:
    """Return the bundle used where none is named.

    Raises:
        AtypiaError: always, as long as no bundle comes with atypia.
    """
    raise AtypiaError(
        "no bundle is named, and none comes with this version; "
        "give --bundle DIR, the folder that `atypia train` wrote"
    )


def predict(
    paths: Sequence[Path | str],
    out: Path | str,
    *,
    bundle: Path | str | None = None,
    mpp: float | None = None,
    layout: str | None = None,
    batch_size: int | None = None,
    threads: int | None = None,
    members: int | None = None,
    weights: Path | str | None = None,
    device: Device = "auto",
    precision: Literal["auto"] | Precision = "auto",
    say: Callable[[str], None] = _to_stderr,
    on_progress: OnProgress | None = None,
) -> RunRecord:
    """Classify all figures of some sources.

    Figures that cannot be read are told and left out; all others are in the table, in order.

    Args:
        paths: images, folders of images, TIFFs of many pages, figure tables, known layouts.
        out: predictions table, by its ending CSV, Parquet or JSON; the record lies beside it.
        bundle: folder of the bundle.
        mpp: um/px of every image, in 0.05..5; it overrides what a table says.
        layout: key of the layout of the folders, where it is not to be found out.
        batch_size: figures the network sees at once.
        threads: of the CPU; none takes as many as torch would.
        members: use the first so many networks of an ensemble; none takes all.
        weights: file or folder of the backbone's weights, where the bundle holds an adapter to it;
            none takes them from the package or the local Hugging Face cache.
        device: auto, cpu or cuda.
        precision: auto, fp32 or bf16.
        say: is given a line for each figure that fails and for an assumed mpp, at once.
        on_progress: is given the task's name, done, all, and a note, after each batch.

    Returns:
        The record, which was also written.

    Raises:
        AtypiaError: a source, the bundle or an argument is faulty, or a file cannot be written.
    """
    out = Path(out)
    require_suffix(out)
    sources = open_sources([Path(path) for path in paths], mpp=mpp, layout=layout)
    folder = default_bundle() if bundle is None else Path(bundle)
    predictor = Predictor.load(
        folder,
        device=device,
        precision=precision,
        threads=threads,
        members=members,
        weights=weights,
    )
    return _classified(
        predictor,
        folder,
        sources,
        open_sink(out),
        out,
        mpp=mpp,
        batch_size=batch_size,
        say=say,
        on_progress=on_progress,
    )


def predict_slide(
    slide: Path | str,
    points: Path | str,
    out: Path | str,
    *,
    names: Sequence[str] = (),
    object_type: ObjectType | None = None,
    origin: Origin = "bounds",
    bundle: Path | str | None = None,
    mpp: float | None = None,
    batch_size: int | None = None,
    threads: int | None = None,
    members: int | None = None,
    weights: Path | str | None = None,
    device: Device = "auto",
    precision: Literal["auto"] | Precision = "auto",
    say: Callable[[str], None] = _to_stderr,
    on_progress: OnProgress | None = None,
) -> RunRecord:
    """Classify points on a slide.

    Args:
        slide: a file that OpenSlide reads.
        points: QuPath GeoJSON, MIDOG JSON, or a table.
        out: .geojson or .geojson.gz for QuPath, or a predictions table as `predict` writes it; the
            record lies beside it.
        names: classify points of these classes only; none takes all of them.
        object_type: annotation or detection; none leaves QuPath's objects what they are.
        origin: where points count from, see `open_slide`.
        bundle: as for `predict`.
        mpp: um/px of the slide's level 0; none takes it from the slide's metadata.
        batch_size: as for `predict`.
        threads: as for `predict`.
        members: as for `predict`.
        weights: as for `predict`.
        device: as for `predict`.
        precision: as for `predict`.
        say: as for `predict`.
        on_progress: as for `predict`.

    Returns:
        The record, which was also written.

    Raises:
        AtypiaError: the slide, the points, the bundle or an argument is faulty, or a file cannot
            be written.
    """
    try:
        from atypia.data.points.opening import open_points
        from atypia.data.points.qupath import Objects
        from atypia.data.slides import open_slide
        from atypia.inference.slides import is_qupath, open_qupath_sink, slide_source
    except ImportError as fault:
        raise AtypiaError(
            f"slides need {fault.name}, which is not installed; pip install 'atypia[slides]'"
        ) from fault

    out = Path(out)
    if not is_qupath(out):
        require_suffix(out)
    opened = open_slide(Path(slide), mpp=mpp, origin=origin)
    found = open_points(Path(points), opened.path, mpp=opened.mpp, names=names)
    own = found.points if isinstance(found, Objects) else found
    folder = default_bundle() if bundle is None else Path(bundle)
    predictor = Predictor.load(
        folder,
        device=device,
        precision=precision,
        threads=threads,
        members=members,
        weights=weights,
    )
    manifest = predictor.manifest
    source = slide_source(opened, own, crop_um=manifest.crop_um, input_px=manifest.input_px)
    qupath = open_qupath_sink(out, opened.path.name, found, object_type)
    for line in own.failures:
        say(line)
    try:
        return _classified(
            predictor,
            folder,
            [source],
            qupath if is_qupath(out) else open_sink(out),
            out,
            mpp=mpp,
            batch_size=batch_size,
            say=say,
            on_progress=on_progress,
            unread=[Failure("", str(points), line) for line in own.failures],
        )
    finally:
        opened.close()


def _classified(
    predictor: Predictor,
    folder: Path,
    sources: Sequence[Source],
    sink: AbstractContextManager[Write],
    out: Path,
    *,
    mpp: float | None,
    batch_size: int | None,
    say: Callable[[str], None],
    on_progress: OnProgress | None,
    unread: Sequence[Failure] = (),
) -> RunRecord:
    """Classify all figures of some sources into a sink, and write the record.

    Args:
        predictor: of the bundle.
        folder: of the bundle.
        sources: in the order of the output.
        sink: receives the rows.
        out: what the sink writes.
        mpp: as given by the user.
        batch_size: figures the network sees at once.
        say: is given a line for each figure that fails.
        on_progress: is given how far it is.
        unread: figures that failed before; they count as figures.
    """
    mpp_from = Counter(chain.from_iterable(source.mpp_sources for source in sources))
    total = mpp_from.total()
    assumed = predictor.manifest.assumed_mpp if mpp_from["assumed"] else None
    if assumed is not None:
        say(
            f"warning: the mpp of {mpp_from['assumed']} of {total} figures is not known; "
            f"{assumed:g} um/px, as the bundle was trained at, is assumed (say it with --mpp)"
        )

    started, begun = datetime.now(UTC), time.perf_counter()
    failures = list(unread)
    done, atypical, referred = len(unread), 0, 0
    reading_s = network_s = 0.0
    figures = chain.from_iterable(source.figures() for source in sources)
    with sink as write:
        for scored in predictor.stream(figures, batch_size=batch_size):
            write(scored.frame)
            for failure in scored.failures:
                say(failure.message)
            failures.extend(scored.failures)
            done += scored.figures
            atypical += int((scored.frame["call"] == CALLS[1]).sum())
            referred += int(scored.frame["refer"].sum())
            reading_s += scored.reading_s
            network_s += scored.network_s
            if on_progress is not None:
                on_progress("figures", done, total, "")
    seconds = time.perf_counter() - begun
    predicted = done - len(failures)
    record = RunRecord(
        atypia=__version__,
        torch=torch.__version__,
        started=started.isoformat(timespec="seconds"),
        ended=datetime.now(UTC).isoformat(timespec="seconds"),
        bundle=str(folder),
        bundle_name=predictor.manifest.name,
        bundle_sha256=predictor.sha256,
        members=predictor.members,
        sources=tuple(_source_record(source) for source in sources),
        out=str(out),
        figures=done,
        predicted=predicted,
        atypical=atypical,
        referred=referred,
        failures=tuple(failures),
        mpp_from={str(said): count for said, count in mpp_from.items()},
        mpp_given=mpp,
        mpp_assumed=assumed,
        device=_device_name(predictor.device),
        precision=predictor.precision,
        threads=predictor.threads,
        batch_size=predictor.batch_size if batch_size is None else batch_size,
        seconds=round(seconds, 3),
        reading_s=round(reading_s, 3),
        network_s=round(network_s, 3),
        crops_per_s=round(predicted / seconds, 1),
    )
    write_record(record, record_path(out))
    return record


def _source_record(source: Source) -> SourceRecord:
    return SourceRecord(str(source.path), source.kind, len(source))


def _device_name(device: torch.device) -> str:
    return "cpu" if device.type == "cpu" else torch.cuda.get_device_name(device)
