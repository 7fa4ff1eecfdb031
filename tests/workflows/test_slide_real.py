"""Real figures put together to a slide get the probabilities that they get as crops."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
import torch

from atypia.bundle.manifest import BundleManifest, member_names
from atypia.bundle.save import save_bundle
from atypia.data.images import read_image
from atypia.evaluation.calibration import Calibration
from atypia.inference.options import PredictOptions
from atypia.models.adapters import AdapterConfig
from atypia.models.backbones.registry import backbone_spec
from atypia.models.classifier import build_classifier
from atypia.workflows.predict import predict
from atypia.workflows.slide import predict_slide

COUNT, ACROSS, SIDE = 60, 10, 128


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle that knows 0.25 um/px, of a head that nobody trained; P varies widely."""
    spec, adapter = backbone_spec("lite"), AdapterConfig(kind="linear")
    torch.manual_seed(0)
    member = build_classifier("lite", adapter)
    torch.nn.init.normal_(member.head.weight, std=0.2)
    manifest = BundleManifest(
        name="real",
        backbone="lite",
        adapter=adapter,
        pooling=spec.pooling,
        crop_um=16.0,
        input_px=128,  # enlarged: the finer level would be sharper than training
        training_mpp=(0.25, 0.25),
        mean=spec.mean,
        std=spec.std,
        members=member_names(1),
    )
    folder = tmp_path_factory.mktemp("bundle") / "real"
    calibration = Calibration(1.0, 0.0, 0.5, 0.4, 0.6, "nothing: a test")
    save_bundle(folder, manifest, [member.saved_state()], calibration, "# real\n")
    return folder


@pytest.fixture(scope="module")
def crops(ami_br: Path) -> list[Path]:
    return sorted(ami_br.glob("patches/*/*"))[:: 2894 // COUNT][:COUNT]


def _slide(path: Path, crops: list[Path], *, finer: bool) -> Path:
    """Put crops side by side; the pyramid's first or second level has their 0.25 um/px."""
    rows = [
        np.hstack([read_image(crop) for crop in crops[first : first + ACROSS]])
        for first in range(0, COUNT, ACROSS)
    ]
    whole = np.vstack(rows)
    high, wide = whole.shape[:2]
    if finer:
        levels = [whole.repeat(2, axis=0).repeat(2, axis=1), whole]
    else:
        half = whole.reshape(high // 2, 2, wide // 2, 2, 3).mean(axis=(1, 3)).astype(np.uint8)
        levels = [whole, half]
    with tifffile.TiffWriter(path) as file:
        for number, level in enumerate(levels):
            per_cm = 1e4 / ((0.125 if finer else 0.25) * 2**number)
            file.write(
                level,
                tile=(256, 256),
                photometric="rgb",
                compression="deflate",
                subfiletype=int(number > 0),
                resolution=(per_cm, per_cm),
                resolutionunit="CENTIMETER",
            )
    return path


@pytest.mark.parametrize("finer", [False, True])
def test_a_slide_of_crops_gets_their_probabilities(
    finer: bool, bundle: Path, crops: list[Path], tmp_path: Path
) -> None:
    scale = 2 if finer else 1
    centres = [
        ((n % ACROSS + 0.5) * SIDE * scale, (n // ACROSS + 0.5) * SIDE * scale)
        for n in range(COUNT)
    ]
    slide = _slide(tmp_path / "case.tif", crops, finer=finer)
    points = tmp_path / "points.csv"
    points.write_text("\n".join(["x,y", *(f"{x},{y}" for x, y in centres)]) + "\n")
    options = PredictOptions(bundle=bundle, precision="fp32", threads=1)
    predict_slide(slide, points, [tmp_path / "slide.csv"], options=options)
    predict(crops, tmp_path / "crops.csv", bundle=bundle, mpp=0.25, precision="fp32", threads=1)
    found, wanted = (
        pd.read_csv(tmp_path / name)["p_atypical"] for name in ("slide.csv", "crops.csv")
    )
    assert wanted.std() > 0.1
    np.testing.assert_allclose(found, wanted, atol=1e-5)
