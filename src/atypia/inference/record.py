"""The record of a prediction run: what was classified, by what, how fast, and what failed."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from atypia.files import write_output
from atypia.inference.crops import Failure


@dataclass(frozen=True)
class SourceRecord:
    """One source of a run: its path as given, its kind in words, and its number of figures."""

    path: str
    kind: str
    figures: int


@dataclass(frozen=True)
class RunRecord:
    """A run, as it stands beside its predictions.

    Attributes:
        atypia: version.
        runtime: what computed the network, with its version.
        started: UTC, ISO 8601.
        ended: likewise.
        bundle: folder as given.
        bundle_name: from its manifest.
        bundle_sha256: identifies it.
        members: networks of it that were used.
        sources: in order.
        out: the predictions table.
        figures: how many were given.
        predicted: rows of the predictions table.
        atypical: of these, called atypical.
        referred: of these, for a person to look at.
        out_of_scope: of these, not to be classified, by the reason.
        failures: figures without a row, each with the reason.
        mpp_from: number of figures for each origin of mpp: table, layout, given, assumed.
        mpp_given: um/px given for all figures, if any.
        mpp_assumed: um/px taken where none was known, if that happened.
        prevalence: share of atypical figures that P(atypical) was moved to, if that was asked for.
        align_to: predictions of a laboratory to which P(atypical) was aligned, if asked for.
        aligned_by: what that added to the logit of P(atypical).
        device: cpu or the GPU's name.
        precision: of the network.
        threads: CPU threads.
        batch_size: figures in a batch.
        seconds: from the first image to the last row.
        reading_s: reading and cropping, summed over threads.
        network_s: in the network, summed over threads.
        crops_per_s: predicted / seconds.
    """

    atypia: str
    runtime: str
    started: str
    ended: str
    bundle: str
    bundle_name: str
    bundle_sha256: str
    members: int
    sources: tuple[SourceRecord, ...]
    out: str
    figures: int
    predicted: int
    atypical: int
    referred: int
    out_of_scope: dict[str, int]
    failures: tuple[Failure, ...]
    mpp_from: dict[str, int]
    mpp_given: float | None
    mpp_assumed: float | None
    prevalence: float | None
    align_to: str | None
    aligned_by: float | None
    device: str
    precision: str
    threads: int
    batch_size: int
    seconds: float
    reading_s: float
    network_s: float
    crops_per_s: float


def record_path(out: Path) -> Path:
    """Return where the record of `out` lies: `predictions.run.json` beside `predictions.csv`."""
    return out.with_suffix(".run.json")


def write_record(record: RunRecord, path: Path) -> None:
    """Write a record as JSON, whole or not at all."""
    write_output(path, json.dumps(asdict(record), indent=2, ensure_ascii=False) + "\n")
