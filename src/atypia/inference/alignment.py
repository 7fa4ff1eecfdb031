"""A laboratory's own figures, without labels: how far its scores lie from those of training."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from atypia.bundle.load import Bundle
from atypia.data.predictions import read_predictions
from atypia.errors import AtypiaError, OptionError, TableError
from atypia.evaluation.calibration import Calibration
from atypia.files import parse_json
from atypia.inference.record import record_path

LEAST_FIGURES = 50
"""Fewer are a matter of chance: docs/operating-point.md measures alignment from this many on."""


def align(calibration: Calibration, table: Path, bundle: Bundle) -> Calibration:
    """Return a calibration aligned to the laboratory whose figures were predicted.

    Args:
        calibration: the bundle's, at the prevalence that was asked for.
        table: predictions of the bundle, their record beside them.
        bundle: as it was loaded.

    Raises:
        OptionError: the table or its record cannot be read, are of another bundle or aligned
            themselves, or hold too few figures; or the bundle is older than alignment.
    """
    try:
        p = read_predictions(table)["p_atypical"].to_numpy(dtype=np.float64)
    except TableError as fault:
        raise _error(table, str(fault).splitlines()[0].removeprefix(f"{table}: ")) from fault
    if len(p) < LEAST_FIGURES:
        raise _error(
            table, f"holds {len(p)} figures, expected {LEAST_FIGURES} or more of the laboratory"
        )
    mean_logit = float(_read_calibration(table, bundle).logit(p).mean())
    try:
        return calibration.aligned_to(mean_logit)
    except AtypiaError as fault:
        raise _error(table, str(fault)) from fault


def _read_calibration(table: Path, bundle: Bundle) -> Calibration:
    """Return the calibration that gave the P(atypical) of a table, by the record beside it."""
    path = record_path(table)
    try:
        record = parse_json(path.read_text(encoding="utf-8"))
        digest, prevalence = record["bundle_sha256"], record["prevalence"]
        aligned = record.get("align_to")
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as fault:
        raise _error(
            table,
            f"the record of its run, {path}, cannot be read; predict the figures again with "
            "`atypia predict`, which writes it",
        ) from fault
    if digest != bundle.sha256:
        raise _error(
            table,
            "was predicted by another bundle; predict its figures again with "
            f"{bundle.manifest.name}, without --align-to",
        )
    if aligned is not None:
        raise _error(table, "was aligned itself; predict its figures again without --align-to")
    calibration = bundle.calibration
    return calibration if prevalence is None else calibration.at_prevalence(prevalence)


def _error(table: Path, problem: str) -> OptionError:
    return OptionError("align_to", str(table), problem)
