"""An exported bundle answers as torch does, starts without torch, and is refused where it is not
that of the bundle beside it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from atypia.bundle.load import load_bundle
from atypia.bundle.manifest import BundleManifest, member_names
from atypia.bundle.save import save_bundle
from atypia.bundle.verify import bundle_faults, bundle_hash, write_sums
from atypia.errors import AtypiaError, BundleError
from atypia.evaluation.calibration import Calibration
from atypia.inference import export, opening
from atypia.inference.export import LARGEST_DIFFERENCE, export_onnx
from atypia.inference.exported import EXPORTED, exported_path, read_exported
from atypia.inference.predictor import Predictor
from atypia.inference.runtime import Network
from atypia.models.adapters import AdapterConfig
from atypia.models.backbones.registry import backbone_spec
from atypia.models.classifier import build_classifier
from atypia.models.cpu import cpu_has_bf16


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


@pytest.fixture(scope="module", params=["linear", "full", "lora"])
def exported(
    request: pytest.FixtureRequest, small_bundle: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A bundle with its exported file beside it, one for each kind of adapter."""
    folder = tmp_path_factory.mktemp("exported") / "bundle"
    if request.param == "linear":
        shutil.copytree(small_bundle, folder)
    else:
        with_phases(folder, request.param)
    export_onnx(folder)
    return folder


@pytest.fixture
def copy(tmp_path: Path, small_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the small bundle, exported, that a test may spoil."""
    kept = tmp_path_factory.getbasetemp() / "kept.onnx"
    folder = tmp_path / "bundle"
    shutil.copytree(small_bundle, folder)
    if not kept.exists():
        export_onnx(folder, kept)
    shutil.copy(kept, exported_path(folder))
    return folder


@pytest.mark.parametrize("key", sorted(EXPORTED))
def test_every_runtime_answers_as_torch(exported: Path, key: str) -> None:
    bundle = load_bundle(exported)
    network = Network(bundle.members, 32, torch.device("cpu"), "fp32")
    fast = EXPORTED[key](read_exported(exported_path(exported), bundle.sha256, 2), "fp32", 2, 2)
    assert fast.members == 2
    for count in (1, 7, 19):
        expected, found = network.look_at(crops(count)), fast.look_at(crops(count))
        assert found.logits.dtype == np.float32
        assert found.logits.shape == (2, count)
        bound = LARGEST_DIFFERENCE * np.maximum(np.abs(expected.logits), 1)
        assert (np.abs(found.logits - expected.logits) <= bound).all()
        assert (found.phase is None) == (expected.phase is None)
        if found.phase is not None and expected.phase is not None:
            np.testing.assert_allclose(found.phase, expected.phase, atol=1e-3)


@pytest.mark.parametrize("key", sorted(EXPORTED))
def test_first_looks_of_many_threads_at_once_end(copy: Path, key: str) -> None:
    code = (
        "import sys, threading, numpy; from pathlib import Path\n"
        "from atypia.inference.exported import EXPORTED\n"
        "sys.setswitchinterval(1e-6)\n"
        f"content = Path({str(exported_path(copy))!r}).read_bytes()\n"
        f"network, together = EXPORTED[{key!r}](content, 'fp32', 4, 4), threading.Barrier(8)\n"
        "def look():\n"
        "    together.wait()\n"
        "    network.look_at(numpy.zeros((1, 3, 32, 32), numpy.float32))\n"
        "threads = [threading.Thread(target=look, daemon=True) for _ in range(8)]\n"
        "for thread in threads: thread.start()\n"
        "for thread in threads: thread.join()\n"
    )
    # Threads that wait for one another do so for ever.
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_the_file_holds_calibrated_p_and_says_what_it_is(exported: Path) -> None:
    session = onnxruntime.InferenceSession(exported_path(exported))
    logits, p = session.run(["logits", "p_atypical"], {"crops": crops(5)})
    np.testing.assert_allclose(p, 1 / (1 + np.exp(-(logits.mean(axis=0) / 1.5 + 0.1))), atol=1e-5)
    said = session.get_modelmeta().custom_metadata_map
    assert said["atypia.bundle_sha256"] == bundle_hash(exported)
    assert (said["atypia.crop_um"], said["atypia.input_px"]) == ("8", "32")
    assert bundle_faults(exported) == []
    assert str(Path(torch.__file__).parent).encode() not in exported_path(exported).read_bytes()


@pytest.mark.parametrize("key", ["onnx", "openvino"])
def test_predictions_are_those_of_torch(copy: Path, crop_folder: Path, key: str) -> None:
    paths = sorted(crop_folder.iterdir())
    reference = Predictor.load(copy, precision="fp32", runtime="torch").predict(paths, mpp=0.25)
    predictor = Predictor.load(copy, precision="fp32", runtime=key, threads=2)
    frame = predictor.predict(paths, mpp=0.25, batch_size=5)
    assert predictor.network.told.startswith(key)
    for name in ("p_atypical", "spread"):
        np.testing.assert_allclose(frame[name], reference[name], atol=1e-3)
    assert list(frame["call"]) == list(reference["call"])


def test_predict_finds_the_file_says_so_and_never_imports_torch(
    copy: Path, crop_folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "predictions.csv"
    code = (
        "import sys; from atypia.workflows.predict import predict\n"
        f"predict([{str(crop_folder)!r}], {str(out)!r}, bundle={str(copy)!r}, mpp=0.25, "
        "precision='fp32')\n"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
    record = json.loads(out.with_suffix(".run.json").read_text(encoding="utf-8"))
    assert record["runtime"].startswith("onnxruntime ")
    assert (record["precision"], record["members"]) == ("fp32", 2)


@pytest.mark.parametrize(
    ("cpu_has_it", "asked", "chosen"),
    [
        (True, "auto", ("openvino", "bf16")),
        (False, "auto", ("onnxruntime", "fp32")),
        (True, "fp32", ("onnxruntime", "fp32")),
        (False, "bf16", ("openvino", "bf16")),
    ],
)
def test_the_fastest_runtime_is_taken(
    copy: Path, monkeypatch: pytest.MonkeyPatch, cpu_has_it: bool, asked: str, chosen: tuple
) -> None:
    monkeypatch.setattr(opening, "openvino_has_bf16", lambda: cpu_has_it)
    network = Predictor.load(copy, precision=asked, device="cpu").network
    assert (network.told.split()[0], network.precision) == chosen


def test_a_file_of_another_bundle_is_not_used(copy: Path) -> None:
    (copy / "card.md").write_text("# another\n", encoding="utf-8")
    write_sums(copy)
    with pytest.raises(BundleError, match="exported from another bundle than lies here; make it"):
        Predictor.load(copy, runtime="onnx")
    with pytest.warns(UserWarning, match="from another bundle .* torch is used instead"):
        assert Predictor.load(copy).network.told.startswith("torch ")


def test_a_changed_file_is_refused(copy: Path) -> None:
    path = exported_path(copy)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(BundleError, match="has changed since it was exported"):
        Predictor.load(copy, runtime="onnx")
    path.write_bytes(content[:1000])
    with pytest.raises(BundleError, match="cannot be read as ONNX; make it again"):
        Predictor.load(copy, runtime="onnx")


def test_a_file_that_points_to_others_is_refused(copy: Path, tmp_path: Path) -> None:
    path = exported_path(copy)
    model = onnx.load(path)
    onnx.save(model, path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    with pytest.raises(BundleError, match="points to other files, which are not read"):
        Predictor.load(copy, runtime="onnx")


def test_an_export_that_differs_from_torch_is_not_kept(
    small_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "LARGEST_DIFFERENCE", -1.0)
    with pytest.raises(AtypiaError, match=r"differs from torch by .*; predict with torch$"):
        export_onnx(small_bundle, tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []


def test_what_a_runtime_cannot_do_is_said(copy: Path, small_bundle: Path) -> None:
    for wrong, message in (
        ({"runtime": "onnx", "precision": "bf16"}, "does not compute bf16 on a CPU"),
        (
            {"runtime": "onnx", "members": 1},
            r"computes 2 members, not 1; make it again with `atypia bundle export --members 1`",
        ),
        ({"runtime": "openvino", "device": "cuda"}, "runs on the CPU only"),
        ({"members": 0}, "members 0: .* holds 1 to 2"),
        ({"runtime": "onnx", "members": 3}, "members 3: .* holds 1 to 2"),
    ):
        with pytest.raises(AtypiaError, match=message):
            Predictor.load(copy, **wrong)
    with pytest.raises(AtypiaError, match="make it with `atypia bundle export"):
        Predictor.load(small_bundle, runtime="onnx")
    # What an exported file cannot do, torch does.
    with pytest.warns(UserWarning, match="computes 2 members, not 1; .* torch is used instead"):
        assert Predictor.load(copy, members=1).network.told.startswith("torch ")


def test_fewer_members_are_exported_for_who_asks_for_fewer(copy: Path, crop_folder: Path) -> None:
    export_onnx(copy, members=1, overwrite=True)
    paths = sorted(crop_folder.iterdir())[:3]
    reference = Predictor.load(copy, precision="fp32", runtime="torch", members=1)
    predictor = Predictor.load(copy, members=1, precision="fp32")
    assert predictor.network.told.startswith("onnxruntime")
    assert predictor.network.members == 1
    np.testing.assert_allclose(
        predictor.predict(paths, mpp=0.25)["p_atypical"],
        reference.predict(paths, mpp=0.25)["p_atypical"],
        atol=1e-3,
    )
    with pytest.raises(BundleError, match="computes 1 members, not 2"):
        Predictor.load(copy, runtime="onnx")


def test_bf16_errs_as_torch_does_in_bf16(copy: Path) -> None:
    model = read_exported(exported_path(copy), bundle_hash(copy), 2)
    shown = crops(16)
    exact, rough = (
        EXPORTED["openvino"](model, precision, 1, 1).look_at(shown).logits
        for precision in ("fp32", "bf16")
    )
    bundle = load_bundle(copy)
    torchs = Network(bundle.members, bundle.manifest.input_px, torch.device("cpu"), "bf16")
    usual = np.sqrt(np.mean((np.asarray(torchs.look_at(shown).logits) - exact) ** 2))
    error = np.sqrt(np.mean((rough - exact) ** 2))
    assert error < 1.5 * usual
    if cpu_has_bf16():  # else it may compute in float32
        assert error > 0.1 * usual
