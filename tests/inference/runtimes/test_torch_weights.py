"""A bundle of an adapter needs the backbone's weights, and those it was trained on."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from typer.testing import CliRunner

from atypia.bundle.load import load_bundle
from atypia.bundle.manifest import MANIFEST_NAME, BundleManifest, member_names
from atypia.bundle.save import save_bundle
from atypia.bundle.verify import write_sums
from atypia.cli.main import app
from atypia.errors import AtypiaError, BundleError
from atypia.evaluation.calibration import Calibration
from atypia.files import sha256
from atypia.inference.predictor import Predictor
from atypia.inference.runtimes.torch import load_members
from atypia.models.adapters import AdapterConfig
from atypia.models.backbones.registry import BackboneSpec
from atypia.models.classifier import Classifier, build_classifier

# Not the side the backbone was trained for: its positions are resampled.
INPUT_PX = 96


@pytest.fixture
def weights(stand_in: BackboneSpec, tmp_path: Path) -> Path:
    """A folder with the stand-in's published weights."""
    torch.manual_seed(0)
    folder = tmp_path / "weights"
    folder.mkdir()
    save_file(stand_in.create().state_dict(), folder / "model.safetensors")
    return folder


def _saved(folder: Path, network: Classifier, kind: str, weights_sha256: str) -> Path:
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.requires_grad:
                parameter.add_(0.1 * torch.randn(parameter.shape))
    manifest = BundleManifest(
        name="small",
        backbone="stand-in",
        adapter=AdapterConfig(kind=kind),  # type: ignore[arg-type]
        pooling="token+mean",
        crop_um=16.0,
        input_px=INPUT_PX,
        training_mpp=(0.25, 0.25),
        mean=(0.5, 0.5, 0.5),
        std=(0.2, 0.2, 0.2),
        weights_sha256=weights_sha256,
        members=member_names(1),
    )
    calibration = Calibration(1.5, 0.1, 0.5, 0.4, 0.6, "nothing: a test")
    save_bundle(folder, manifest, [network.saved_state()], calibration, "# small\n")
    return folder


@pytest.fixture
def bundle(weights: Path, tmp_path: Path) -> Path:
    network = build_classifier(
        "stand-in", AdapterConfig(kind="lora"), input_px=INPUT_PX, weights=weights
    )
    return _saved(tmp_path / "b", network, "lora", sha256(weights / "model.safetensors"))


def test_it_is_loaded_with_its_weights_and_holds_none_of_them(bundle: Path, weights: Path) -> None:
    images = [np.random.default_rng(0).integers(0, 256, (80, 80, 3), dtype=np.uint8)]
    exact = Predictor.load(bundle, weights=weights, precision="fp32", threads=1)
    rough = Predictor.load(bundle, weights=str(weights), precision="bf16", threads=1)
    found = [one.predict(images, mpp=0.25)["p_atypical"][0] for one in (exact, rough)]
    assert found[0] == pytest.approx(found[1], abs=0.02)
    assert (bundle / "members" / "0.safetensors").stat().st_size < 100_000
    shown = CliRunner().invoke(app, ["bundle", "show", str(bundle)]).stdout
    assert sha256(weights / "model.safetensors") in shown.replace("\n", "").replace(" ", "")


def test_without_its_weights_it_says_how_to_get_them(bundle: Path) -> None:
    with pytest.raises(AtypiaError, match="atypia models fetch stand-in"):
        load_members(load_bundle(bundle))


def test_other_weights_are_refused(bundle: Path, stand_in: BackboneSpec, weights: Path) -> None:
    torch.manual_seed(9)
    save_file(stand_in.create().state_dict(), weights / "model.safetensors")
    with pytest.raises(BundleError, match="trained on other weights of stand-in"):
        load_members(load_bundle(bundle), weights)


def test_a_bundle_that_holds_all_weights_needs_none(stand_in: BackboneSpec, tmp_path: Path) -> None:
    network = build_classifier("stand-in", AdapterConfig(), pretrained=False, input_px=INPUT_PX)
    folder = _saved(tmp_path / "full", network, "full", "")
    crops = torch.rand(2, 3, INPUT_PX, INPUT_PX)
    found = load_members(load_bundle(folder))[0]
    network.mean.fill_(0.5)
    network.std.fill_(0.2)
    assert torch.equal(found(crops).logit, network.eval()(crops).logit)
    with pytest.raises(AtypiaError, match="leave out --weights"):
        load_members(load_bundle(folder), tmp_path)


def test_a_bundle_from_before_there_were_such_fields_still_loads(
    small_bundle: Path, tmp_path: Path
) -> None:
    old = tmp_path / "old"
    shutil.copytree(small_bundle, old)
    manifest = json.loads((old / MANIFEST_NAME).read_text())
    del manifest["weights_sha256"]
    manifest["pooling"] = "mean over positions of the last feature map"
    (old / MANIFEST_NAME).write_text(json.dumps(manifest))
    write_sums(old)
    crops = torch.rand(2, 3, 32, 32)
    for before, now in zip(
        load_members(load_bundle(old)), load_members(load_bundle(small_bundle)), strict=True
    ):
        assert torch.equal(before(crops).logit, now(crops).logit)
