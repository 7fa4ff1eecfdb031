"""What every backbone of the registry must do; a new one is picked up by being there."""

from __future__ import annotations

import copy
import functools
import json
import re
from pathlib import Path

import peft
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from atypia.errors import AtypiaError, BundleError
from atypia.models.adapters import AdapterConfig, adapt, merge
from atypia.models.backbones.registry import (
    BackboneSpec,
    backbone_keys,
    backbone_spec,
    register,
)
from atypia.models.classifier import Classifier
from atypia.models.vit import POOLING_WORDS
from atypia.models.weights import find_weights, pretrained_backbone

KEYS = backbone_keys()
# Two blocks: what one block hands on to the next is there, and the largest takes 0.25 GB.
DEPTH = 2
# Four by four patches; a network without patches gets a side that all of its strides divide.
PATCHES = 4
FREE_PX = 64
# Published numbers are rounded: 1.13 billion stands for 1,134,774,272 (H-optimus-0).
PUBLISHED_SHARE = 0.005
# Batches of other sizes are multiplied in blocks of other sizes, so that sums round otherwise;
# a mistake (statistics of the batch, pooling over it) differs by whole units.
BATCH_SHARE = 1e-4
# W + BA/r is rounded once, W x + B(A x) twice.
MERGE_SHARE = 1e-4
RANK = 4


def small_px(spec: BackboneSpec) -> int:
    """The side of a small crop that the backbone takes."""
    return PATCHES * spec.patch_px if spec.patch_px > 1 else FREE_PX


def small_crops(spec: BackboneSpec, count: int) -> torch.Tensor:
    """Crops as a network sees them, float32 (count, 3, P, P)."""
    side = small_px(spec)
    return torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(count))


def lively(network: nn.Module) -> nn.Module:
    """Draw all weights anew, so that every layer matters (layer scale starts near zero)."""
    drawn = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for parameter in network.parameters():
            width = parameter[0].numel() if parameter.ndim > 1 else 4
            most = (3 / width) ** 0.5
            parameter.uniform_(-most, most, generator=drawn)
    return network.eval()


def shrunk(key: str) -> nn.Module:
    """A copy of a network of two blocks, the same weights each time; a packaged one is whole."""
    return copy.deepcopy(_shrunk(key))


@functools.lru_cache(maxsize=1)  # the tests of a key come together; drawing weights is slow
def _shrunk(key: str) -> nn.Module:
    spec = backbone_spec(key)
    if spec.packaged is not None:
        return pretrained_backbone(spec, None).eval()
    return lively(spec.create(small_px(spec), DEPTH))


def _close(found: torch.Tensor, expected: torch.Tensor, share: float) -> None:
    assert torch.isfinite(expected).all()
    assert expected.std() > 0
    assert (found - expected).abs().max() <= share * expected.abs().max()


def _whole(key: str) -> nn.Module:
    """The whole network, without memory."""
    with torch.device("meta"):
        return backbone_spec(key).create()


def _adaptable(network: nn.Module) -> dict[str, nn.Module]:
    kinds = (nn.Linear, nn.Conv2d)
    return {name: one for name, one in network.named_modules() if isinstance(one, kinds)}


def _size(layer: nn.Module, rank: int) -> int:
    """How many parameters LoRA adds: A is (r, in), B is (out, r); a kernel belongs to A."""
    assert isinstance(layer, nn.Linear | nn.Conv2d)
    outputs = layer.weight.shape[0]
    return rank * (outputs + layer.weight[0].numel())


def _classifier(backbone: nn.Module, spec: BackboneSpec, adapter: AdapterConfig) -> Classifier:
    adapted = adapt(backbone, spec, adapter)
    return Classifier(adapted, spec.embedding, spec.mean, spec.std, 0.0).eval()


def _trained(network: Classifier) -> Classifier:
    """Change what is trained, as training would; LoRA's B is zero before."""
    drawn = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.requires_grad:
                parameter.add_(0.05 * torch.randn(parameter.shape, generator=drawn))
    return network


@pytest.mark.parametrize("key", KEYS, scope="class")
class TestBackbone:
    def test_has_as_many_parameters_as_published(self, key: str) -> None:
        count = sum(parameter.numel() for parameter in _whole(key).parameters())
        assert count == pytest.approx(backbone_spec(key).parameters, rel=PUBLISHED_SHARE)

    def test_embeds_with_the_width_it_states_whatever_the_batch(self, key: str) -> None:
        spec = backbone_spec(key)
        network, crops = shrunk(key), small_crops(spec, 5)
        with torch.inference_mode():
            together = network(crops)
            alone = torch.cat([network(crop[None]) for crop in crops])
        assert together.shape == (5, spec.embedding)
        assert (together[0] - together[1]).abs().max() > 0.01 * together.abs().max()
        _close(alone, together, BATCH_SHARE)

    def test_pools_over_its_patches_and_over_nothing_else(self, key: str) -> None:
        """Patches are told from prefix tokens by what a change of a patch's pixels reaches."""
        spec = backbone_spec(key)
        network, crops = shrunk(key), small_crops(spec, 2)
        with torch.inference_mode():
            features = network.forward_features(crops)  # type: ignore[operator]
            if features.ndim == 4:  # a convolutional network: (B, W, h, w), no prefix
                assert spec.pooling == "mean"
                _close(network(crops), features.mean(dim=(2, 3)), 1e-5)
                return
            prefix = features.shape[1] - (small_px(spec) // spec.patch_px) ** 2
            assert prefix == network.num_prefix_tokens
            patches = features[:, prefix:].mean(dim=1)
            expected = {
                "token": features[:, 0],
                "token+mean": torch.cat([features[:, 0], patches], dim=1),
                "mean": patches,
            }[spec.pooling]
            _close(network(crops), expected, 1e-5)
            assert isinstance(network.head, nn.Module)
            registers = features.clone()
            registers[:, 1:prefix] += 100
            assert torch.equal(network.head(registers), network.head(features))
            last = features.clone()
            last[:, -1] += 100
            moved = not torch.equal(network.head(last), network.head(features))
            assert moved == ("mean" in spec.pooling)

    def test_refuses_a_side_that_is_no_whole_number_of_patches(self, key: str) -> None:
        spec = backbone_spec(key)
        if spec.patch_px == 1:
            spec.require_input_px(97)
            return
        with pytest.raises(AtypiaError, match=rf"multiples of {spec.patch_px} px.*{spec.input_px}"):
            spec.create(spec.input_px + 1)
        with pytest.raises(AtypiaError, match=f"such as {spec.patch_px}, {2 * spec.patch_px} or"):
            spec.create(spec.patch_px - 1)

    def test_lora_touches_the_named_layers_and_nothing_else(self, key: str) -> None:
        spec = backbone_spec(key)
        layers = _adaptable(_whole(key))
        named = {name for name in layers if re.fullmatch(spec.lora_pattern, name)}
        assert len(named) >= 4
        with torch.device("meta"):
            adapted = adapt(
                spec.create(), spec, AdapterConfig(kind="lora", rank=RANK, dropout=0)
            ).network
        assert isinstance(adapted, nn.Module)
        touched = {
            name
            for name, one in adapted.named_modules()
            if isinstance(one, peft.tuners.lora.LoraLayer)
        }
        assert touched == named
        assert not any("patch_embed" in name for name in touched)
        trained = {name: p for name, p in adapted.named_parameters() if p.requires_grad}
        assert all(".lora_A." in name or ".lora_B." in name for name in trained)
        count = sum(parameter.numel() for parameter in trained.values())
        assert count == sum(_size(layers[name], RANK) for name in named)
        print(f"{key}: {len(named)} layers, {count:,} trained parameters at rank {RANK}")

    @pytest.mark.parametrize("kind", ["lora", "linear"])
    def test_saved_and_loaded_gives_the_same_logits(self, key: str, kind: str) -> None:
        spec, adapter = backbone_spec(key), AdapterConfig(kind=kind, rank=RANK)  # type: ignore[arg-type]
        crops = small_crops(spec, 2)
        published = shrunk(key)
        network = _trained(_classifier(copy.deepcopy(published), spec, adapter))
        again = _classifier(published, spec, adapter)
        with torch.inference_mode():
            before = network(crops).logit
            assert not torch.allclose(again(crops).logit, before)
            saved = network.saved_state()
            again.load_saved_state(saved)
            assert torch.equal(again(crops).logit, before)
        with pytest.raises(BundleError):
            again.load_saved_state(saved | {"head.weight": torch.zeros(1, 3)})

    def test_merged_says_what_unmerged_says(self, key: str) -> None:
        spec, crops = backbone_spec(key), small_crops(backbone_spec(key), 2)
        network = _classifier(shrunk(key), spec, AdapterConfig(kind="lora", rank=RANK))
        with torch.inference_mode():
            published = network(crops).embedding
            unmerged = _trained(network)(crops).embedding
            assert (unmerged - published).abs().max() > 0.01 * published.abs().max()
            merge(network.backbone)
            _close(network(crops).embedding, unmerged, MERGE_SHARE)

    def test_reads_its_weights_in_the_layout_of_the_hub(self, key: str, tmp_path: Path) -> None:
        spec = backbone_spec(key)
        if spec.packaged is not None:
            assert find_weights(spec) is None
            with pytest.raises(AtypiaError, match="leave out --weights"):
                find_weights(spec, tmp_path)
            return
        network, side = shrunk(key), small_px(spec)
        for name in spec.files:
            folder = tmp_path / name
            folder.mkdir()
            state = published_names(key, network.state_dict())
            if name.endswith(".safetensors"):
                save_file(state, folder / name)
            else:
                torch.save(state, folder / name)
            file = find_weights(spec, folder)
            assert file == folder / name
            again = pretrained_backbone(spec, file, input_px=side, depth=DEPTH).eval()
            assert not any(tensor.is_meta for tensor in [*again.parameters(), *again.buffers()])
            crops = small_crops(spec, 2)
            with torch.inference_mode():
                assert torch.equal(again(crops), network(crops))

    def test_looks_at_crops_of_another_side_with_the_same_weights(
        self, key: str, tmp_path: Path
    ) -> None:
        """Positions of patches are resampled, those of prefix tokens stay, all else is the same."""
        spec = backbone_spec(key)
        if spec.packaged is not None:
            assert shrunk(key)(torch.rand(1, 3, 96, 96)).shape == (1, spec.embedding)
            return
        state = shrunk(key).state_dict()
        if "pos_embed" in state:
            before = state["pos_embed"]
            before[:, -(PATCHES**2) :] = before[:, -1:]
        file = tmp_path / spec.files[0]
        saved = published_names(key, state)
        save_file(saved, file) if file.suffix == ".safetensors" else torch.save(saved, file)
        side = 2 * small_px(spec)
        larger = pretrained_backbone(spec, file, input_px=side, depth=DEPTH).eval()
        with torch.inference_mode():
            assert torch.isfinite(larger(torch.rand(1, 3, side, side))).all()
        for name, tensor in larger.state_dict().items():
            if name == "pos_embed":
                prefix = before.shape[1] - PATCHES**2
                assert tensor.shape[1] == prefix + 4 * PATCHES**2
                assert torch.equal(tensor[:, :prefix], before[:, :prefix])
                patches = tensor[:, prefix:]
                torch.testing.assert_close(patches, before[:, -1:].expand_as(patches))
            else:
                assert torch.equal(tensor, state[name])

    def test_says_what_a_user_must_know(self, key: str) -> None:
        spec = backbone_spec(key)
        for text in (spec.licence, spec.citation, POOLING_WORDS[spec.pooling], spec.architecture):
            assert len(text) > 3
        assert all(0 < value < 1 for value in (*spec.mean, *spec.std))
        assert all(0.05 <= mpp <= 5 for mpp in spec.mpp)
        assert spec.unverified <= set(vars(spec))
        assert (spec.access == "packaged") == (spec.packaged is not None) == (not spec.files)
        assert bool(spec.page) == bool(spec.repository) == bool(spec.files)


def published_names(key: str, state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Give timm's tensors the names that they have on the hub, where these are others."""
    state = {name: tensor.clone() for name, tensor in state.items()}
    if key != "phikon-v2":
        return state
    names = {"cls_token": "embeddings.cls_token", "pos_embed": "embeddings.position_embeddings"}
    found = {"embeddings.mask_token": torch.zeros(1, 1024)}
    for name, tensor in state.items():
        theirs = names.get(name, name).replace(
            "patch_embed.proj", "embeddings.patch_embeddings.projection"
        )
        theirs = re.sub(r"^norm\.", "layernorm.", theirs).replace("blocks.", "encoder.layer.")
        theirs = re.sub(r"ls([12])\.gamma", r"layer_scale\1.lambda1", theirs)
        theirs = theirs.replace("attn.proj", "attention.output.dense")
        if "attn.qkv" in theirs:
            for part, rows in zip(("query", "key", "value"), tensor.chunk(3), strict=True):
                part_name = theirs.replace("attn.qkv", f"attention.attention.{part}")
                found[part_name] = rows.clone()
        else:
            found[theirs] = tensor
    return found


def test_an_adapter_of_the_largest_backbone_is_small() -> None:
    """H-optimus-0 at rank 8 and full depth, float32: what a member of a bundle holds."""
    spec = backbone_spec("h-optimus-0")
    with torch.device("meta"):
        network = _classifier(spec.create(), spec, AdapterConfig(kind="lora", rank=8))
    own = dict(network.named_parameters())
    bytes_ = sum(4 * own[name].numel() for name in network.saved_names())
    assert 15e6 < bytes_ < 25e6


def test_phikon_says_what_transformers_says(tmp_path: Path) -> None:
    """Its tensors are renamed for timm; the network for which they were made is transformers'."""
    transformers = pytest.importorskip("transformers")
    spec = backbone_spec("phikon-v2")
    side = small_px(spec)
    config = transformers.Dinov2Config(
        hidden_size=1024,
        num_hidden_layers=DEPTH,
        num_attention_heads=16,
        patch_size=16,
        image_size=side,
        layerscale_value=1.0,
    )
    theirs = lively(transformers.Dinov2Model(config))
    theirs.save_pretrained(tmp_path)  # type: ignore[operator]
    assert json.loads((tmp_path / "config.json").read_text())["model_type"] == "dinov2"
    ours = pretrained_backbone(spec, find_weights(spec, tmp_path), input_px=side, depth=DEPTH)
    crops = small_crops(spec, 2)
    with torch.inference_mode():
        expected = theirs(crops).last_hidden_state[:, 0]
        _close(ours.eval()(crops), expected, 1e-4)


def test_lite_starts_from_imagenet_and_not_from_noise() -> None:
    """Published batch statistics are there; a network without them would start from noise."""
    spec = backbone_spec("lite")
    published = pretrained_backbone(spec, None).state_dict()
    random = spec.create().state_dict()
    means = [value for name, value in published.items() if name.endswith("running_mean")]
    assert means
    assert all(float(value.abs().sum()) > 0 for value in means)
    assert all(float(v.abs().sum()) == 0 for n, v in random.items() if n.endswith("running_mean"))


def test_a_key_is_taken_once() -> None:
    with pytest.raises(ValueError, match="'lite'"):
        register(backbone_spec("lite"))
