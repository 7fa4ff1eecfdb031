"""Which runtime computes a bundle: the one asked for, the fastest, and what is said of misfits."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from atypia.bundle import verify
from atypia.bundle.verify import write_sums
from atypia.errors import AtypiaError, BundleError
from atypia.files import sha256
from atypia.inference.predictor import Predictor
from atypia.inference.runtimes import openvino


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
    exported_copy: Path,
    monkeypatch: pytest.MonkeyPatch,
    cpu_has_it: bool,
    asked: str,
    chosen: tuple,
) -> None:
    monkeypatch.setattr(openvino, "cpu_has_bf16", lambda: cpu_has_it)
    runtime = Predictor.load(exported_copy, precision=asked, device="cpu").runtime
    assert (runtime.version_text.split()[0], runtime.precision) == chosen


def test_a_file_of_another_bundle_is_not_used(
    exported_copy: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (exported_copy / "card.md").write_text("# another\n", encoding="utf-8")
    write_sums(exported_copy)
    with pytest.raises(BundleError, match="exported from another bundle than lies here; make it"):
        Predictor.load(exported_copy, runtime="onnx")
    assert Predictor.load(exported_copy).runtime.version_text.startswith("torch ")
    assert re.search("from another bundle .* torch is used instead", caplog.text)


def test_what_a_runtime_cannot_do_is_said(
    exported_copy: Path, small_bundle: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for wrong, message in (
        ({"runtime": "onnx", "precision": "bf16"}, "does not compute bf16 on a CPU"),
        (
            {"runtime": "onnx", "members": 1},
            r"computes 2 members, not 1; make it again with `atypia bundle export --members 1`",
        ),
        ({"runtime": "openvino", "device": "cuda"}, "runs on the CPU only"),
        ({"members": 4}, "members 4: .* holds 1 to 2"),
        ({"runtime": "onnx", "members": 3}, "members 3: .* holds 1 to 2"),
    ):
        with pytest.raises(AtypiaError, match=message):
            Predictor.load(exported_copy, **wrong)
    with pytest.raises(AtypiaError, match="make it with `atypia bundle export"):
        Predictor.load(small_bundle, runtime="onnx")
    # What an exported file cannot do, torch does.
    assert Predictor.load(exported_copy, members=1).runtime.version_text.startswith("torch ")
    assert re.search("computes 2 members, not 1; .* torch is used instead", caplog.text)


def test_predict_finds_the_file_says_so_and_never_imports_torch(
    exported_copy: Path, crop_folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "predictions.csv"
    code = (
        "import sys; from atypia.workflows.predict import predict\n"
        f"predict([{str(crop_folder)!r}], {str(out)!r}, bundle={str(exported_copy)!r}, mpp=0.25, "
        "precision='fp32')\n"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
    record = json.loads(out.with_suffix(".run.json").read_text(encoding="utf-8"))
    assert record["runtime"].startswith("onnxruntime ")
    assert (record["precision"], record["members"]) == ("fp32", 2)


@pytest.mark.parametrize("runtime", ["torch", "onnx", "auto"])
def test_no_file_of_a_bundle_is_hashed_twice(
    exported_copy: Path, monkeypatch: pytest.MonkeyPatch, runtime: str
) -> None:
    hashed: list[str] = []

    def count(path: Path) -> str:
        hashed.append(path.name)
        return sha256(path)

    monkeypatch.setattr(verify, "sha256", count)
    # The exported network is of two members: `auto` finds it, and takes torch.
    Predictor.load(exported_copy, runtime=runtime, members=None if runtime == "onnx" else 1)
    files = [one for one in exported_copy.rglob("*") if one.is_file()]
    listed = [one.name for one in files if one.parent.name != "exported"]
    assert sorted(hashed) == sorted(listed)
