"""An exported file is refused where it is not that of the bundle beside it."""

from __future__ import annotations

import json
from pathlib import Path

import onnx
import pytest

from atypia.bundle.verify import bundle_hash
from atypia.errors import AtypiaError, BundleError
from atypia.files import sha256
from atypia.inference.exported import (
    exported_faults,
    exported_path,
    read_exported,
    write_exported,
)
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


@pytest.mark.parametrize("name", ["", "network.onnx", "network.json"])
def test_a_link_is_refused_even_to_the_same_content(
    exported_copy: Path, tmp_path: Path, name: str
) -> None:
    place = exported_path(exported_copy).parent / name
    place.rename(tmp_path / "elsewhere")
    place.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(BundleError, match="is a link; a bundle must contain plain files only"):
        Predictor.load(exported_copy, runtime="onnx")
    assert len(exported_faults(exported_copy)) == 1


def test_what_lay_there_stays_if_another_cannot_take_its_place(
    exported_copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest, path = bundle_hash(exported_copy), exported_path(exported_copy)
    before, rename = path.read_bytes(), Path.rename

    def refuse(self: Path, target: Path) -> Path:
        if Path(target).name == "exported" and "exported-old" not in self.name:
            raise PermissionError(13, "Permission denied")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(AtypiaError, match="exported: cannot be written"):
        write_exported(exported_copy, b"another", digest, 2)
    assert path.read_bytes() == before
    assert exported_faults(exported_copy) == []


def test_a_file_that_points_to_others_is_refused(exported_copy: Path, tmp_path: Path) -> None:
    path = exported_path(exported_copy)
    model = onnx.load(path)
    onnx.save(model, path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    about = path.with_name("network.json")
    values = json.loads(about.read_text()) | {"sha256": sha256(path)}
    about.write_text(json.dumps(values))
    with pytest.raises(BundleError, match="points to other files, which are not read"):
        Predictor.load(exported_copy, runtime="onnx")
