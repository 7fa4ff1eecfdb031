"""Classify: a predictor and the figures of some sources in, rows and the run's record out."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path

from atypia.data.predictions import CALLS
from atypia.inference.crops import Failure
from atypia.inference.predictor import Predictor
from atypia.inference.record import RunRecord, SourceRecord
from atypia.inference.sinks import Write
from atypia.inference.sources import Source
from atypia.progress import OnProgress
from atypia.version import __version__

_log = logging.getLogger(__name__)


def classify_sources(
    predictor: Predictor,
    sources: Sequence[Source],
    write: Write,
    out: Path,
    *,
    mpp: float | None,
    on_progress: OnProgress,
    unread: Sequence[Failure] = (),
    level: int = logging.WARNING,
) -> RunRecord:
    """Classify all figures of some sources.

    Args:
        predictor: the bundle, and how it runs.
        sources: in the order of the output.
        write: receives the rows.
        out: where the rows go to; stands in the record.
        mpp: as given by the user.
        on_progress: called after each batch.
        unread: figures that failed before; they count as figures.
        level: of the line logged for each figure that fails.

    Returns:
        The record, which is not written yet.
    """
    for source in sources:
        for note in source.notes:
            _log.info("%s: %s", source.path, note)
    mpp_from = Counter(chain.from_iterable(source.mpp_sources for source in sources))
    total = mpp_from.total()
    assumed = predictor.manifest.assumed_mpp if mpp_from["assumed"] else None
    if assumed is not None:
        _log.warning(
            "warning: the mpp of %d of %d figures is not known; %g um/px, as the bundle was "
            "trained at, is assumed (set it with --mpp)",
            *(mpp_from["assumed"], total, assumed),
        )

    started, begun = datetime.now(UTC), time.perf_counter()
    failures = list(unread)
    done, atypical, referred = len(unread), 0, 0
    out_of_scope: Counter[str] = Counter()
    reading_s = network_s = 0.0
    of = len(unread) + total
    figures = chain.from_iterable(source.figures() for source in sources)
    for scored in predictor.stream(figures):
        write(scored.frame)
        for failure in scored.failures:
            _log.log(level, failure.message)
        failures.extend(scored.failures)
        done += scored.figures
        atypical += int((scored.frame["call"] == CALLS[1]).sum())
        referred += int(scored.frame["refer"].sum())
        out_of_scope.update(scored.frame.loc[~scored.frame["in_scope"], "scope_reason"])
        reading_s += scored.reading_s
        network_s += scored.network_s
        on_progress("figures", done, of, "")
    seconds = time.perf_counter() - begun
    predicted = done - len(failures)
    runtime, aligned_to = predictor.runtime, predictor.options.align_to
    return RunRecord(
        atypia=__version__,
        runtime=runtime.version_text,
        started=started.isoformat(timespec="seconds"),
        ended=datetime.now(UTC).isoformat(timespec="seconds"),
        bundle=str(predictor.bundle.folder),
        bundle_name=predictor.manifest.name,
        bundle_sha256=predictor.bundle.sha256,
        members=runtime.members,
        sources=tuple(_record_source(source) for source in sources),
        out=str(out),
        figures=done,
        predicted=predicted,
        atypical=atypical,
        referred=referred,
        out_of_scope=dict(out_of_scope),
        failures=tuple(failures),
        mpp_from={str(origin): count for origin, count in mpp_from.items()},
        mpp_given=mpp,
        mpp_assumed=assumed,
        prevalence=predictor.options.prevalence,
        align_to=None if aligned_to is None else str(aligned_to),
        aligned_by=predictor.aligned_by,
        device=runtime.device_name,
        precision=runtime.precision,
        threads=runtime.threads,
        batch_size=predictor.batch_size,
        seconds=round(seconds, 3),
        reading_s=round(reading_s, 3),
        network_s=round(network_s, 3),
        crops_per_s=round(predicted / seconds, 1),
    )


def _record_source(source: Source) -> SourceRecord:
    return SourceRecord(str(source.path), source.kind, len(source))
