"""Small bundles for tests: untrained heads on `lite` at 32 px."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import torch

from atypia.bundle.manifest import BundleManifest, member_names
from atypia.bundle.save import save_bundle
from atypia.bundle.verify import write_sums
from atypia.evaluation.calibration import Calibration
from atypia.models.adapters import AdapterConfig
from atypia.models.backbones.registry import backbone_spec
from atypia.models.classifier import Classifier, build_classifier

CALIBRATION = Calibration(1.5, 0.1, 0.4, 0.3, 0.6, "a test")
LINEAR = AdapterConfig(kind="linear")


def make_manifest(members: int = 1, **changes: object) -> BundleManifest:
    spec = backbone_spec("lite")
    fields: dict[str, object] = {
        "name": "test",
        "backbone": "lite",
        "adapter": LINEAR,
        "pooling": spec.pooling,
        "crop_um": 8.0,
        "input_px": 32,
        "training_mpp": (0.23, 0.25),
        "mean": spec.mean,
        "std": spec.std,
        "members": member_names(members),
    }
    return BundleManifest.model_validate(fields | changes)


def make_member(seed: int, adapter: AdapterConfig = LINEAR) -> Classifier:
    """Build a member whose head answers: heads begin at zero."""
    torch.manual_seed(seed)
    network = build_classifier("lite", adapter, pretrained=not adapter.keeps_backbone).eval()
    torch.nn.init.normal_(network.head.weight)
    return network


def save_members(folder: Path, members: Sequence[Classifier]) -> Path:
    """Save members as a bundle, and return its folder."""
    states = [member.saved_state() for member in members]
    save_bundle(folder, make_manifest(len(members)), states, CALIBRATION, "# card\n")
    return folder


def copy_bundle(bundle: Path, folder: Path, **changes: float) -> Path:
    """Copy a bundle, with another calibration; return its folder."""
    shutil.copytree(bundle, folder)
    path = folder / "calibration.json"
    values = json.loads(path.read_text(encoding="utf-8")) | changes
    path.write_text(json.dumps(values), encoding="utf-8")
    write_sums(folder)
    return folder
