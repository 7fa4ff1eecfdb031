"""What `atypia bundle export` writes: one file that says what it is and answers as torch does."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from atypia.bundle.default import default_bundle
from atypia.bundle.manifest import read_manifest
from atypia.errors import AtypiaError, BundleError
from atypia.inference import export
from atypia.inference.export import export_onnx
from atypia.inference.predictor import Predictor
from atypia.models.export import halve_weights


def test_an_export_that_differs_from_torch_is_not_kept(
    small_bundle: Path, small_export: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "_build_model", lambda *_: onnx.load(small_export))
    computed = export.compute_logits
    monkeypatch.setattr(export, "compute_logits", lambda *given: computed(*given) + 0.01)
    with pytest.raises(AtypiaError, match=r"differs from torch by .*; predict with torch$"):
        export_onnx(small_bundle, tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []


def test_fewer_members_are_exported_for_who_asks_for_fewer(
    exported_copy: Path, crop_folder: Path
) -> None:
    export_onnx(exported_copy, members=1, overwrite=True)
    paths = sorted(crop_folder.iterdir())[:3]
    reference = Predictor.load(exported_copy, precision="fp32", runtime="torch", members=1)
    predictor = Predictor.load(exported_copy, members=1, precision="fp32")
    assert predictor.runtime.version_text.startswith("onnxruntime")
    assert predictor.runtime.members == 1
    np.testing.assert_allclose(
        predictor.predict(paths, mpp=0.25)["p_atypical"],
        reference.predict(paths, mpp=0.25)["p_atypical"],
        atol=1e-3,
    )
    with pytest.raises(BundleError, match="computes 1 members, not 2"):
        Predictor.load(exported_copy, runtime="onnx")


def test_weights_of_16_bits_halve_the_file_and_answer_nearly_the_same(
    small_bundle: Path, small_export: Path, tmp_path: Path
) -> None:
    out = export_onnx(small_bundle, tmp_path / "half.onnx", half=True)
    assert out.stat().st_size < 0.55 * small_export.stat().st_size
    crops = np.random.default_rng(1).random((6, 3, 32, 32), dtype=np.float32)
    half, full = (
        onnxruntime.InferenceSession(path).run(["p_atypical"], {"crops": crops})[0]
        for path in (out, small_export)
    )
    assert 0 < np.abs(half - full).max() <= export.LARGEST_OF_HALF


def test_weights_of_16_bits_are_compared_with_torch_too(
    small_bundle: Path, small_export: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "_build_model", lambda *_: onnx.load(small_export))
    monkeypatch.setattr(export, "LARGEST_OF_HALF", 0.0)
    with pytest.raises(AtypiaError, match=r"in P\(atypical\), at most 0 is allowed"):
        export_onnx(small_bundle, tmp_path / "half.onnx", half=True)


def test_a_weight_too_large_for_16_bits_is_named() -> None:
    large = onnx.numpy_helper.from_array(np.full(300, 1e6, dtype=np.float32), "w")
    model = onnx.ModelProto(graph=onnx.GraphProto(initializer=[large]))
    with pytest.raises(AtypiaError, match=r"1e\+06 is too large for 16 bits"):
        halve_weights(model)


def test_tritons_configuration_in_the_docs_fits_an_exported_file(small_export: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "triton.md").read_text(encoding="utf-8")
    declared = re.findall(r'name: "(\w+)", data_type: (\w+), dims: \[ ([-\d, ]+) \]', page)
    assert [name for name, *_ in declared] == ["crops", "p_atypical", "logits"]
    session = onnxruntime.InferenceSession(small_export)
    tensors = {each.name: each for each in (*session.get_inputs(), *session.get_outputs())}
    facts = session.get_modelmeta().custom_metadata_map
    # The page is of the bundle that comes with atypia.
    manifest = read_manifest(default_bundle())
    assert f"3, {manifest.input_px}, {manifest.input_px} ]" in page
    assert f"[ {len(manifest.members)}, -1 ]" in page
    own = {
        str(manifest.input_px): int(facts["atypia.input_px"]),
        str(len(manifest.members)): int(facts["atypia.members"]),
        "3": 3,
    }
    for name, kind, dims in declared:
        assert (kind, tensors[name].type) == ("TYPE_FP32", "tensor(float)")
        for size, is_of in zip(dims.split(", "), tensors[name].shape, strict=True):
            assert isinstance(is_of, str) if size == "-1" else is_of == own[size]
