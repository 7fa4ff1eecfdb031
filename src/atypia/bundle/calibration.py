"""The calibration of a bundle, as it is read from its file."""

from __future__ import annotations

from pathlib import Path

from atypia.bundle.manifest import CALIBRATION_NAME
from atypia.errors import AtypiaError, BundleError
from atypia.evaluation.calibration import Calibration
from atypia.files import parse_json


def read_calibration(folder: Path) -> Calibration:
    """Read a bundle's calibration; its hash is not compared.

    Raises:
        BundleError: the file is missing, is no JSON, or a value in it is faulty.
    """
    path = folder / CALIBRATION_NAME
    try:
        content = parse_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as fault:
        raise BundleError(
            f"{path}: cannot be read as JSON; fetch or train the bundle again"
        ) from fault
    if not isinstance(content, dict):
        raise BundleError(f"{path}: must hold one JSON object; fetch or train the bundle again")
    try:
        return Calibration.from_dict(content)
    except AtypiaError as fault:
        raise BundleError(f"{path}: {fault}; fetch or train the bundle again") from fault
