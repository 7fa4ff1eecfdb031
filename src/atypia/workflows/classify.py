"""Classify: a predictor and the figures of some sources in, rows and the run's record out."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Literal

from atypia.bundle.default import default_bundle
from atypia.evaluation.predictions import CALLS
from atypia.inference.answers import Device, Precision, RuntimeKey
from atypia.inference.predictor import Predictor
from atypia.inference.reading import Failure
from atypia.inference.record import RunRecord, SourceRecord
from atypia.inference.sinks import Write
from atypia.inference.sources import Source
from atypia.version import __version__

OnProgress = Callable[[str, int, int, str], None]
Say = Callable[[str], None]


def to_stderr(line: str) -> None:
    """Print a line to standard error."""
    print(line, file=sys.stderr)


@dataclass(frozen=True)
class Running:
    """Which bundle classifies, and how it runs.

    Attributes:
        bundle: its folder; none takes the one that comes with atypia.
        threads: of the CPU; none takes as many as torch would.
        members: use the first so many networks of an ensemble; none takes all.
        weights: file or folder of the backbone's weights, where the bundle holds an adapter to it;
            none takes them from the package or the local Hugging Face cache.
        device: auto, cpu or cuda.
        precision: auto, fp32 or bf16.
        batch_size: figures the network sees at once; none takes what suits the device.
        prevalence: share of atypical figures for which P shall hold; none takes that of training.
        runtime: auto, torch, onnx or openvino.
    """

    bundle: Path | None = None
    threads: int | None = None
    members: int | None = None
    weights: Path | None = None
    device: Device = "auto"
    precision: Literal["auto"] | Precision = "auto"
    batch_size: int | None = None
    prevalence: float | None = None
    runtime: RuntimeKey = "auto"

    @property
    def folder(self) -> Path:
        """Folder of the bundle."""
        return default_bundle() if self.bundle is None else self.bundle

    def load(self, say: Say = to_stderr) -> Predictor:
        """Load the bundle.

        Args:
            say: is given a line where a file exported from it cannot be used, and torch is.

        Raises:
            AtypiaError: as `Predictor.load`.
        """
        return Predictor.load(
            self.folder,
            device=self.device,
            precision=self.precision,
            threads=self.threads,
            members=self.members,
            weights=self.weights,
            prevalence=self.prevalence,
            runtime=self.runtime,
            warn=lambda line: say(f"warning: {line}"),
        )


def classified(
    predictor: Predictor,
    running: Running,
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
        predictor: what `running` loads.
        running: the bundle, and how it runs.
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
            f"{assumed:g} um/px, as the bundle was trained at, is assumed (say it with --mpp)"
        )

    started, begun = datetime.now(UTC), time.perf_counter()
    failures = list(unread)
    done, atypical, referred = len(unread), 0, 0
    reading_s = network_s = 0.0
    of = len(unread) + total
    figures = chain.from_iterable(source.figures() for source in sources)
    for scored in predictor.stream(figures, batch_size=running.batch_size):
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
    return RunRecord(
        atypia=__version__,
        runtime=predictor.network.told,
        started=started.isoformat(timespec="seconds"),
        ended=datetime.now(UTC).isoformat(timespec="seconds"),
        bundle=str(running.folder),
        bundle_name=predictor.manifest.name,
        bundle_sha256=predictor.sha256,
        members=predictor.network.members,
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
        prevalence=running.prevalence,
        device=predictor.network.device_name,
        precision=predictor.network.precision,
        threads=predictor.threads,
        batch_size=running.batch_size or predictor.batch_size,
        seconds=round(seconds, 3),
        reading_s=round(reading_s, 3),
        network_s=round(network_s, 3),
        crops_per_s=round(predicted / seconds, 1),
    )


def _source_record(source: Source) -> SourceRecord:
    return SourceRecord(str(source.path), source.kind, len(source))
