"""An exported file is refused where it is not that of the bundle beside it."""

from __future__ import annotations

import json
from pathlib import Path

import onnx
import pytest

from atypia.bundle.verify import bundle_hash
from atypia.errors import BundleError
from atypia.files import sha256
from atypia.inference.exported import exported_path, read_exported
from atypia.inference.predictor import Predictor


def test_a_changed_file_is_refused(exported_copy: Path) -> None:
    path = exported_path(exported_copy)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(BundleError, match="has changed since it was exported"):
        Predictor.load(exported_copy, runtime="onnx")
    path.unlink()
    path.mkdir()
    with pytest.raises(BundleError, match=r"network\.onnx: cannot be read \(.*\); make it again"):
        read_exported(exported_copy, bundle_hash(exported_copy), 2)


def test_a_file_that_points_to_others_is_refused(exported_copy: Path, tmp_path: Path) -> None:
    path = exported_path(exported_copy)
    model = onnx.load(path)
    onnx.save(model, path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    about = path.with_name("network.json")
    values = json.loads(about.read_text()) | {"sha256": sha256(path)}
    about.write_text(json.dumps(values))
    with pytest.raises(BundleError, match="points to other files, which are not read"):
        Predictor.load(exported_copy, runtime="onnx")
