"""Contracts of every runtime: a new one is picked up by being in `inference/runtimes/`."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from atypia.bundle.load import load_bundle
from atypia.bundle.manifest import BundleManifest, member_names
from atypia.bundle.save import save_bundle
from atypia.bundle.verify import bundle_faults, bundle_hash
from atypia.errors import OptionError
from atypia.evaluation.calibration import Calibration
from atypia.inference.export import LARGEST_DIFFERENCE, export_onnx
from atypia.inference.exported import exported_path
from atypia.inference.options import PredictOptions, runtime_keys
from atypia.inference.predictor import Predictor
from atypia.inference.runtimes import choice
from atypia.inference.runtimes.choice import REFERENCE, choose_runtime, runtime_class
from atypia.inference.runtimes.torch import load_members
from atypia.models.adapters import AdapterConfig
from atypia.models.backbones.registry import backbone_spec
from atypia.models.classifier import build_classifier

ROOT = Path(__file__).resolve().parents[2]
RUNTIMES = [runtime_class(key) for key in runtime_keys()]
EVERY = pytest.mark.parametrize("runtime", RUNTIMES, ids=runtime_keys())
FP32 = PredictOptions(precision="fp32", device="cpu", threads=2)


def crops(count: int) -> np.ndarray:
    return np.random.default_rng(count).random((count, 3, 32, 32), dtype=np.float32)


def with_phases(folder: Path, kind: str) -> Path:
    """Save a bundle of two members with a phase head, each with a backbone of its own."""
    spec, adapter = backbone_spec("lite"), AdapterConfig(kind=kind, rank=2)
    states = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        member = build_classifier("lite", adapter, phases=3)
        with torch.no_grad():
            for parameter in member.parameters():
                if parameter.requires_grad:
                    parameter.add_(0.02 * torch.randn_like(parameter))
        states.append(member.saved_state())
    manifest = BundleManifest(
        name=kind,
        backbone="lite",
        adapter=adapter,
        pooling=spec.pooling,
        crop_um=8.0,
        input_px=32,
        views=2 if kind == "lora" else 1,
        training_mpp=(0.2, 0.3),
        mean=spec.mean,
        std=spec.std,
        phases=("early", "middle", "late"),
        members=member_names(2),
    )
    save_bundle(folder, manifest, states, Calibration(1.5, 0.1, 0.5, 0.4, 0.6, "nothing"), "# x\n")
    return folder


# In the quick suite: models/test_folding.py compares these with torch, docs export one of them.
_OTHERS = [pytest.param(kind, marks=pytest.mark.slow) for kind in ("full", "lora")]


@pytest.fixture(scope="module", params=["linear", *_OTHERS])
def exported(
    request: pytest.FixtureRequest,
    small_export: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """A bundle with its exported network, one for each kind of adapter."""
    folder = tmp_path_factory.mktemp("exported") / "bundle"
    if request.param == "linear":
        shutil.copytree(small_export.parents[1], folder)
    else:
        export_onnx(with_phases(folder, request.param))
    return folder


@EVERY
def test_it_says_what_it_is_and_what_brings_it(runtime: type[choice.Runtime]) -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    assert runtime_class(runtime.key) is runtime
    assert runtime.modules
    assert set(runtime.precisions) <= {"fp32", "bf16"}
    assert "fp32" in runtime.precisions
    assert runtime.extra == "" or runtime.extra in extras


@EVERY
def test_it_answers_as_torch_does(exported: Path, runtime: type[choice.Runtime]) -> None:
    bundle = load_bundle(exported)
    reference, other = (each.load(bundle, FP32) for each in (runtime_class(REFERENCE), runtime))
    assert (other.members, other.precision, other.threads) == (2, "fp32", 2)
    assert other.device_name == "cpu"
    assert not other.on_gpu
    for count in (1, 7, 19):
        expected, outputs = reference.infer(crops(count)), other.infer(crops(count))
        assert outputs.logits.dtype == np.float32
        assert outputs.logits.shape == (2, count)
        bound = LARGEST_DIFFERENCE * np.maximum(np.abs(expected.logits), 1)
        assert (np.abs(outputs.logits - expected.logits) <= bound).all()
        assert (outputs.phase is None) == (expected.phase is None)
        if outputs.phase is not None and expected.phase is not None:
            np.testing.assert_allclose(outputs.phase, expected.phase, atol=1e-3)


@EVERY
def test_its_predictions_are_those_of_torch(
    exported_copy: Path, crop_folder: Path, runtime: type[choice.Runtime]
) -> None:
    paths = sorted(crop_folder.iterdir())
    reference = Predictor.load(exported_copy, FP32, runtime=REFERENCE).predict(paths, mpp=0.25)
    predictor = Predictor.load(exported_copy, FP32, runtime=runtime.key)
    frame = predictor.predict(paths, mpp=0.25, batch_size=5)
    assert predictor.runtime.version_text.startswith(runtime.key)
    for name in ("p_atypical", "spread"):
        np.testing.assert_allclose(frame[name], reference[name], atol=1e-3)
    assert list(frame["call"]) == list(reference["call"])


@EVERY
def test_its_bundle_is_also_a_torch_module(
    exported_copy: Path, runtime: type[choice.Runtime]
) -> None:
    predictor = Predictor.load(exported_copy, FP32, runtime=runtime.key)
    with torch.inference_mode():
        logits = predictor.module(torch.from_numpy(crops(3)))
    np.testing.assert_allclose(
        logits, predictor.runtime.infer(crops(3)).logits, rtol=1e-3, atol=1e-3
    )
    assert predictor.module is predictor.module
    assert not predictor.module.training


@EVERY
def test_first_looks_of_many_threads_at_once_end(
    exported_copy: Path, runtime: type[choice.Runtime]
) -> None:
    code = (
        "import sys, threading, numpy; from pathlib import Path\n"
        "from atypia.bundle.load import load_bundle\n"
        "from atypia.inference.options import PredictOptions\n"
        "from atypia.inference.runtimes.choice import runtime_class\n"
        "sys.setswitchinterval(1e-6)\n"
        f"bundle = load_bundle(Path({str(exported_copy)!r}))\n"
        "options = PredictOptions(precision='fp32', threads=4, device='cpu')\n"
        f"runtime, together = runtime_class({runtime.key!r}).load(bundle, options), "
        "threading.Barrier(8)\n"
        "def look():\n"
        "    together.wait()\n"
        "    runtime.infer(numpy.zeros((1, 3, 32, 32), numpy.float32))\n"
        "threads = [threading.Thread(target=look, daemon=True) for _ in range(8)]\n"
        "for thread in threads: thread.start()\n"
        "for thread in threads: thread.join()\n"
    )
    # Threads that wait for one another do so for ever.
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


@EVERY
def test_where_it_is_not_installed_its_extra_is_named(
    exported_copy: Path, runtime: type[choice.Runtime], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime, "modules", ("no_such_module",))
    brings = rf"'atypia\[{runtime.extra}\]'" if runtime.extra else "atypia"
    other = "" if runtime.key == REFERENCE else ", or use --runtime torch"
    with pytest.raises(
        OptionError,
        match=rf"^runtime {runtime.key}: is not installed; pip install {brings}{other}$",
    ):
        choose_runtime(exported_copy, PredictOptions(runtime=runtime.key))
    if runtime.key != REFERENCE:
        assert choose_runtime(exported_copy, FP32) is not runtime


@EVERY
def test_its_file_imports_no_torch(runtime: type[choice.Runtime]) -> None:
    if runtime.key == REFERENCE:
        return
    code = (
        "import sys; from atypia.inference.runtimes.choice import runtime_class\n"
        f"runtime_class({runtime.key!r}); sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_measured_order_names_runtimes_that_are_there() -> None:
    for key, precision in choice._MEASURED:
        assert precision in runtime_class(key).precisions


def test_the_file_holds_calibrated_p_and_says_what_it_is(exported: Path) -> None:
    session = onnxruntime.InferenceSession(exported_path(exported))
    names = ["logits", "p_atypical", "embedding"]
    logits, p, embedding = session.run(names, {"crops": crops(5)})
    members = load_members(load_bundle(exported))
    with torch.inference_mode():
        expected = torch.stack([member(torch.from_numpy(crops(5))).embedding for member in members])
    np.testing.assert_allclose(embedding, expected, atol=1e-3 * float(expected.abs().max()))
    np.testing.assert_allclose(p, 1 / (1 + np.exp(-(logits.mean(axis=0) / 1.5 + 0.1))), atol=1e-5)
    said = session.get_modelmeta().custom_metadata_map
    assert said["atypia.bundle_sha256"] == bundle_hash(exported)
    assert (said["atypia.crop_um"], said["atypia.input_px"]) == ("8", "32")
    assert bundle_faults(exported) == []
    assert str(Path(torch.__file__).parent).encode() not in exported_path(exported).read_bytes()
