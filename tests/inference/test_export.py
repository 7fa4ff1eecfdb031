"""What `atypia bundle export` writes: one file that says what it is and answers as torch does."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from atypia.errors import AtypiaError, BundleError
from atypia.inference import export
from atypia.inference.export import export_onnx
from atypia.inference.predictor import Predictor


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


def test_tritons_configuration_in_the_docs_fits_an_exported_file(small_export: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "triton.md").read_text(encoding="utf-8")
    declared = re.findall(r'name: "(\w+)", data_type: (\w+), dims: \[ ([-\d, ]+) \]', page)
    assert [name for name, *_ in declared] == ["crops", "p_atypical", "logits"]
    session = onnxruntime.InferenceSession(small_export)
    tensors = {each.name: each for each in (*session.get_inputs(), *session.get_outputs())}
    facts = session.get_modelmeta().custom_metadata_map
    # The page is of five members at 160 px.
    sizes = {"160": int(facts["atypia.input_px"]), "5": int(facts["atypia.members"]), "3": 3}
    for name, kind, dims in declared:
        assert (kind, tensors[name].type) == ("TYPE_FP32", "tensor(float)")
        for size, own in zip(dims.split(", "), tensors[name].shape, strict=True):
            assert isinstance(own, str) if size == "-1" else own == sizes[size]
