"""Weights of a backbone: where they are looked for, what is read, what is refused, and why."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from atypia.errors import AtypiaError
from atypia.models.adapters import AdapterConfig
from atypia.models.backbones.registry import BackboneSpec
from atypia.models.classifier import build_classifier
from atypia.models.weights import cached_weights, find_weights, pretrained_backbone, read_tensors

CROPS = torch.rand(2, 3, 64, 64)


@pytest.fixture
def published(stand_in: BackboneSpec) -> nn.Module:
    torch.manual_seed(0)
    return stand_in.create().eval()


def _says(network: nn.Module) -> torch.Tensor:
    with torch.inference_mode():
        found: torch.Tensor = network.eval()(CROPS)
    return found


def test_a_file_a_folder_and_the_cache_give_the_same_network(
    stand_in: BackboneSpec, published: nn.Module, tmp_path: Path, no_hub: Path
) -> None:
    file = tmp_path / "weights" / "model.safetensors"
    file.parent.mkdir()
    save_file(published.state_dict(), file)
    assert cached_weights(stand_in) is None
    snapshot = no_hub / "models--someone--stand-in" / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    shutil.copy(file, snapshot)
    refs = snapshot.parents[1] / "refs"
    refs.mkdir()
    (refs / "main").write_text("0" * 40)
    for found in (
        find_weights(stand_in, file),
        find_weights(stand_in, file.parent),
        find_weights(stand_in),
    ):
        assert torch.equal(_says(pretrained_backbone(stand_in, found)), _says(published))
    assert find_weights(stand_in) == snapshot / "model.safetensors"


def test_safetensors_is_preferred_to_a_pickle(stand_in: BackboneSpec, tmp_path: Path) -> None:
    for name in reversed(stand_in.files):
        (tmp_path / name).touch()
        found = find_weights(stand_in, tmp_path)
        assert found == tmp_path / name
    assert found == tmp_path / "model.safetensors"


def test_missing_weights_are_one_line_that_says_what_to_do(stand_in: BackboneSpec) -> None:
    with pytest.raises(AtypiaError) as refused:
        build_classifier("stand-in", AdapterConfig(kind="lora"))
    told = str(refused.value)
    for part in (
        "https://huggingface.co/someone/stand-in",
        "`atypia models fetch stand-in --out DIR`",
        "--weights DIR",
    ):
        assert part in told
    assert "\n" not in told


def test_a_path_that_leads_nowhere_is_refused(stand_in: BackboneSpec, tmp_path: Path) -> None:
    with pytest.raises(AtypiaError, match=r"nothing: not found"):
        find_weights(stand_in, tmp_path / "nothing")
    with pytest.raises(
        AtypiaError, match=r"contains none of model\.safetensors, pytorch_model\.bin"
    ):
        find_weights(stand_in, tmp_path)


@pytest.mark.parametrize("prefix", ["", "module.", "model.", "backbone.", "module.backbone."])
@pytest.mark.parametrize("name", ["a.safetensors", "a.bin", "a.pth", "a.pt"])
def test_prefixes_of_training_programs_and_classifiers_are_left_out(
    stand_in: BackboneSpec, published: nn.Module, tmp_path: Path, prefix: str, name: str
) -> None:
    state = {f"{prefix}{own}": tensor.half() for own, tensor in published.state_dict().items()}
    state["head.weight"] = torch.zeros(10, 96)
    state["classifier.bias"] = torch.zeros(10)
    file = tmp_path / name
    if file.suffix == ".safetensors":
        save_file(state, file)
    else:
        torch.save(state, file)
    network = pretrained_backbone(stand_in, file)
    assert all(parameter.dtype == torch.float32 for parameter in network.parameters())
    torch.testing.assert_close(_says(network), _says(published), rtol=0, atol=1e-2)


def test_weights_of_another_network_are_named(
    stand_in: BackboneSpec, published: nn.Module, tmp_path: Path
) -> None:
    state = published.state_dict()
    for block in range(2):
        for layer in ("norm1", "norm2"):
            del state[f"blocks.{block}.{layer}.weight"]
    state["norm.bias"] = torch.zeros(3)
    state["surprise"] = torch.zeros(1)
    save_file(state, tmp_path / "a.safetensors")
    with pytest.raises(AtypiaError) as refused:
        pretrained_backbone(stand_in, tmp_path / "a.safetensors")
    assert str(refused.value).endswith(
        "these are not the weights of stand-in: tensors 4 missing (blocks.0.norm1.weight, "
        "blocks.0.norm2.weight, blocks.1.norm1.weight, ...); 1 unexpected (surprise); "
        "1 of a different shape (norm.bias)"
    )


class _Code:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return Path.touch, (Path("executed"),)


def test_a_pickle_that_holds_code_is_refused_and_not_executed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"head.weight": _Code()}, tmp_path / "pytorch_model.bin")
    with pytest.raises(AtypiaError, match="contains Python objects besides tensors"):
        read_tensors(tmp_path / "pytorch_model.bin")
    assert not Path("executed").exists()


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.safetensors", b"", "cannot be read"),
        ("a.safetensors", b"not that at all, but long enough", "cannot be read"),
        ("a.bin", b"", "cannot be read"),
        ("a.onnx", b"", "weights are .safetensors, .bin, .pth, .pt"),
    ],
)
def test_a_broken_file_is_refused(tmp_path: Path, name: str, content: bytes, told: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(AtypiaError, match=told):
        read_tensors(tmp_path / name)


def test_what_is_no_table_of_tensors_is_refused(tmp_path: Path) -> None:
    for content in ([torch.zeros(1)], {"epoch": 3}, torch.zeros(1)):
        torch.save(content, tmp_path / "a.pt")
        with pytest.raises(AtypiaError, match="not a file of named tensors"):
            read_tensors(tmp_path / "a.pt")
