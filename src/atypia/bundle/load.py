"""Load a bundle: hashes first; nothing of it is ever executed. Its weights: `members.py`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from atypia.bundle.calibration import read_calibration
from atypia.bundle.manifest import BundleManifest, read_manifest
from atypia.bundle.verify import require_intact
from atypia.evaluation.calibration import Calibration


@dataclass(frozen=True)
class Bundle:
    """A bundle of which every file is as it was saved.

    Attributes:
        folder: where it lies.
        manifest: which network it is and how a crop must be presented to it.
        calibration: from the mean logit of the members to P(atypical), call and referral.
        sha256: identifies the bundle, 64 hexadecimal digits.
    """

    folder: Path
    manifest: BundleManifest
    calibration: Calibration
    sha256: str

    @property
    def short_name(self) -> str:
        """Its name and the beginning of its hash, for those who want to know whose a call is."""
        return f"{self.manifest.name} {self.sha256[:12]}"

    def __repr__(self) -> str:
        manifest, count = self.manifest, len(self.manifest.members)
        return (
            f"Bundle {manifest.name}: {count} member{'s' if count > 1 else ''} on "
            f"{manifest.backbone}, crops of {manifest.crop_um:g} um at {manifest.input_px} px, "
            f"in {self.folder}"
        )


def load_bundle(folder: Path) -> Bundle:
    """Load a bundle after comparing every file of it with its hash.

    Raises:
        BundleError: a file is changed, missing or not listed, a field is faulty, or the format is
            newer than this atypia.
    """
    sha256 = require_intact(folder)
    return Bundle(folder, read_manifest(folder), read_calibration(folder), sha256)
