"""The classifier keeps what training changed, and gives it back."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from atypia.errors import AtypiaError, BundleError
from atypia.models.adapters import (
    AdapterConfig,
    hold_in_bfloat16,
    merge,
    recompute_activations,
)
from atypia.models.backbones.registry import BackboneSpec
from atypia.models.classifier import Classifier, build_classifier


def _moved(network: Classifier) -> Classifier:
    """Change everything that is trained, as training would."""
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter) * 0.02)
    return network.eval()


@pytest.mark.parametrize("kind", ["full", "lora", "linear"])
def test_saved_and_loaded_gives_the_same_logits(kind: str) -> None:
    config = AdapterConfig(kind=kind)  # type: ignore[arg-type]
    network = _moved(build_classifier("lite", config))
    again = build_classifier("lite", config, pretrained=kind != "full").eval()
    crops = torch.rand(3, 3, 64, 64)
    assert not torch.allclose(again(crops).logit, network(crops).logit)
    again.load_saved_state(network.saved_state())
    torch.testing.assert_close(again(crops).logit, network(crops).logit, rtol=0, atol=0)


def test_a_new_classifier_says_nothing_and_pulls_at_no_feature() -> None:
    """Random logits would be noise, which a backbone stills by shrinking its embedding."""
    network = build_classifier("lite", AdapterConfig(), pretrained=False, phases=3)
    said = network(torch.rand(4, 3, 32, 32))
    assert said.phase is not None
    assert not said.logit.any()
    assert not said.phase.any()
    (said.logit.sum() + said.phase.sum()).backward()
    assert network.head.weight.grad is not None
    assert network.head.weight.grad.any()
    assert not any(p.grad.any() for p in network.backbone.parameters() if p.grad is not None)


@pytest.mark.parametrize(("views", "mirrored"), [(2, False), (4, False), (8, True)])
def test_logits_are_averaged_over_views_of_a_crop(views: int, mirrored: bool) -> None:
    network = _moved(build_classifier("lite", AdapterConfig(), phases=2))
    crops = torch.rand(2, 3, 64, 64)
    turns = [0, 2] if views == 2 else [0, 1, 2, 3]
    shown = [torch.rot90(crops, k, (2, 3)) for k in turns]
    shown += [view.flip(2) for view in shown] if mirrored else []
    single = [network(view) for view in shown]
    assert (single[0].logit - single[1].logit).abs().min() > 1e-3
    network.views = views
    said = network(crops)
    assert said.phase is not None
    for name in ("logit", "phase", "embedding"):
        mean = torch.stack([getattr(one, name) for one in single]).mean(dim=0)
        torch.testing.assert_close(getattr(said, name), mean, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(network(shown[-1]).logit, said.logit, rtol=1e-4, atol=1e-4)
    # In training a crop is looked at as it lies.
    network.train().dropout.eval()
    network.backbone.eval()
    torch.testing.assert_close(network(crops).logit, single[0].logit, rtol=1e-4, atol=1e-4)


def test_adapters_train_what_they_say_and_nothing_else() -> None:
    counts = {}
    for kind in ("full", "lora", "linear"):
        network = build_classifier("lite", AdapterConfig(kind=kind), pretrained=False)  # type: ignore[arg-type]
        trained = [name for name, p in network.named_parameters() if p.requires_grad]
        counts[kind] = sum(p.numel() for p in network.parameters() if p.requires_grad)
        if kind == "lora":
            assert all("lora_" in name or name.startswith("head.") for name in trained)
    assert counts["linear"] == 1281
    assert counts["full"] > 3_300_000
    assert counts["linear"] < counts["lora"] < counts["full"] / 5


@pytest.mark.parametrize("kind", ["lora", "linear"])
def test_a_frozen_backbone_does_not_drift_in_training(kind: str) -> None:
    network = build_classifier("lite", AdapterConfig(kind=kind), pretrained=False)  # type: ignore[arg-type]
    before = {n: b.clone() for n, b in network.named_buffers() if "running" in n}
    assert before
    network.train()
    network(torch.rand(4, 3, 64, 64))
    for name, buffer in network.named_buffers():
        if name in before:
            torch.testing.assert_close(buffer, before[name], rtol=0, atol=0)


def test_lora_starts_at_the_published_network_and_merges_into_it() -> None:
    crops = torch.rand(3, 3, 64, 64)
    plain = build_classifier("lite", AdapterConfig(kind="linear")).eval()
    lora = build_classifier("lite", AdapterConfig(kind="lora")).eval()
    torch.testing.assert_close(lora(crops).embedding, plain(crops).embedding)
    _moved(lora)
    unmerged = lora(crops).embedding
    assert not torch.allclose(unmerged, plain(crops).embedding, atol=1e-3)
    merge(lora.backbone)
    torch.testing.assert_close(lora(crops).embedding, unmerged, rtol=1e-3, atol=1e-3)


def test_weights_of_another_network_are_refused_by_name() -> None:
    network = build_classifier("lite", AdapterConfig(), pretrained=False)
    state = network.saved_state()
    state["head.weight"] = torch.zeros(2, 1280)
    with pytest.raises(BundleError, match=r"head.weight.*\(2, 1280\)"):
        network.load_saved_state(state)
    del state["head.weight"]
    with pytest.raises(BundleError, match=r"head\.weight"):
        network.load_saved_state(state)


def test_an_unknown_backbone_offers_the_nearest() -> None:
    with pytest.raises(AtypiaError, match="did you mean lite"):
        build_classifier("light", AdapterConfig())


def test_a_lora_target_that_matches_nothing_is_refused() -> None:
    with pytest.raises(AtypiaError, match="matches no layer"):
        build_classifier("lite", AdapterConfig(kind="lora", target="qkv"), pretrained=False)


def test_a_lora_target_that_is_a_grouped_convolution_is_refused() -> None:
    config = AdapterConfig(kind="lora", target=r"blocks\.0\..*|conv_head")
    with pytest.raises(AtypiaError, match=r"matches blocks\.0\.0\.conv_dw of lite, a grouped"):
        build_classifier("lite", config, pretrained=False)


@pytest.fixture
def transformer(stand_in: BackboneSpec, tmp_path: Path) -> Classifier:
    """LoRA, moved off its beginning, on a small transformer."""
    torch.manual_seed(0)
    save_file(stand_in.create().state_dict(), tmp_path / "model.safetensors")
    config = AdapterConfig(kind="lora", dropout=0)
    return _moved(build_classifier("stand-in", config, weights=tmp_path / "model.safetensors"))


def test_frozen_weights_in_bf16_say_the_same_under_autocast(transformer: Classifier) -> None:
    crops = torch.rand(3, 3, 64, 64)
    with torch.autocast("cpu", torch.bfloat16):
        before = transformer(crops)
        size = sum(p.nbytes for p in transformer.backbone.parameters())
        hold_in_bfloat16(transformer.backbone)
        after = transformer(crops)
    torch.testing.assert_close(after.embedding, before.embedding, rtol=0, atol=0)
    held = {name for name, p in transformer.named_parameters() if p.dtype == torch.bfloat16}
    assert any(name.endswith("mlp.fc1.weight") for name in held)
    assert not any("lora_" in name or "norm" in name or "head" in name for name in held)
    left = sum(p.nbytes for p in transformer.backbone.parameters())
    assert size - left == sum(p.nbytes for n, p in transformer.named_parameters() if n in held)


def test_activations_computed_again_give_the_same_gradients(transformer: Classifier) -> None:
    transformer.train()
    crops, calls = torch.rand(3, 3, 64, 64), []
    block = transformer.backbone.get_submodule("network.blocks.0.mlp")
    block.register_forward_pre_hook(lambda *_: calls.append(1))
    found = []
    for again in (False, True):
        if again:
            recompute_activations(transformer.backbone)
        transformer.zero_grad()
        transformer(crops).embedding.square().sum().backward()
        found.append(
            {n: p.grad.clone() for n, p in transformer.named_parameters() if p.grad is not None}
        )
    assert len(calls) == 1 + 2
    assert any("lora_A" in name for name in found[0])
    for name, gradient in found[0].items():
        torch.testing.assert_close(found[1][name], gradient, rtol=1e-5, atol=1e-6)
