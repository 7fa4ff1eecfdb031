"""The weights of a member are read without torch, or refused."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from atypia.bundle.members import read_member
from atypia.errors import BundleError


def test_a_pickle_under_a_members_name_is_not_executed(bundle: Path, tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path.touch, (tmp_path / "executed",))

    (bundle / "members" / "0.safetensors").write_bytes(pickle.dumps(Trap()))
    with pytest.raises(BundleError, match="cannot be read as safetensors"):
        read_member(bundle / "members" / "0.safetensors")
    assert not (tmp_path / "executed").exists()


def test_values_that_are_not_finite_and_types_that_numpy_lacks_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "0.safetensors"
    save_file({"a": torch.zeros(2), "b": torch.tensor([1.0, torch.inf])}, path)
    with pytest.raises(BundleError, match=r"0\.safetensors: tensor 'b' holds .* not finite"):
        read_member(path)
    for odd in (torch.bfloat16, torch.float8_e4m3fn):
        save_file({"a": torch.zeros(2).to(odd)}, path)
        with pytest.raises(BundleError, match="cannot be read as safetensors"):
            read_member(path)
    import ml_dtypes  # noqa: F401  # onnx brings it, and then numpy has these types

    with pytest.raises(BundleError, match="cannot be read as safetensors"):
        read_member(path)


def test_a_bundle_is_written_and_read_without_torch(bundle: Path) -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from pathlib import Path\n"
        "from atypia.bundle.members import read_member\n"
        f"read_member(Path({str(bundle)!r}) / 'members' / '0.safetensors')\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
