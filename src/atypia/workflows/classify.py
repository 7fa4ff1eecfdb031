"""Classify: a predictor and the figures of some sources in, rows and the run's record out."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path

from atypia.bundle.load import Bundle
from atypia.data.predictions import CALLS
from atypia.inference.crops import Failure
from atypia.inference.options import PredictOptions
from atypia.inference.predictor import Predictor
from atypia.inference.record import RunRecord, SourceRecord
from atypia.inference.sinks import Write
from atypia.inference.sources import Source
from atypia.version import __version__

OnProgress = Callable[[str, int, int, str], None]
Say = Callable[[str], None]


def to_stderr(line: str) -> None:
    """Print a line to standard error."""
    print(line, file=sys.stderr)


def load_predictor(
    options: PredictOptions, say: Say = to_stderr, bundle: Bundle | None = None
) -> Predictor:
    """Load the bundle that classifies.

    Args:
        options: which bundle, and how it runs.
        say: is given a line where a file exported from it cannot be used, and torch is.
        bundle: that the options name, if it is loaded already.

    Raises:
        AtypiaError: as `Predictor.load`.
    """
    return Predictor.load(bundle, options, warn=lambda line: say(f"warning: {line}"))


def classify_sources(
    predictor: Predictor,
    sources: Sequence[Source],
    write: Write,
    out: Path,
    *,
    mpp: float | None,
    say: Say,
    on_progress: OnProgress | None,
    unread: Sequence[Failure] = (),
) -> RunRecord:
    """Classify all figures of some sources.

    Args:
        predictor: the bundle, and how it runs.
        sources: in the order of the output.
        write: receives the rows.
        out: where the rows go to; stands in the record.
        mpp: as given by the user.
        say: is given a line for each figure that fails, and for an assumed mpp.
        on_progress: is given how far it is.
        unread: figures that failed before; they count as figures.

    Returns:
        The record, which is not written yet.
    """
    for source in sources:
        for note in source.notes:
            say(f"note: {source.path}: {note}")
    mpp_from = Counter(chain.from_iterable(source.mpp_sources for source in sources))
    total = mpp_from.total()
    assumed = predictor.manifest.assumed_mpp if mpp_from["assumed"] else None
    if assumed is not None:
        say(
            f"warning: the mpp of {mpp_from['assumed']} of {total} figures is not known; "
            f"{assumed:g} um/px, as the bundle was trained at, is assumed (set it with --mpp)"
        )

    started, begun = datetime.now(UTC), time.perf_counter()
    failures = list(unread)
    done, atypical, referred = len(unread), 0, 0
    reading_s = network_s = 0.0
    of = len(unread) + total
    figures = chain.from_iterable(source.figures() for source in sources)
    for scored in predictor.stream(figures):
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
            on_progress("figures", done, of, "")
    seconds = time.perf_counter() - begun
    predicted = done - len(failures)
    runtime = predictor.runtime
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
        failures=tuple(failures),
        mpp_from={str(origin): count for origin, count in mpp_from.items()},
        mpp_given=mpp,
        mpp_assumed=assumed,
        prevalence=predictor.options.prevalence,
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
