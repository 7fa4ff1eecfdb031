"""Folded members compute what the classifiers compute."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from torch import nn

from atypia.bundle.load import load_bundle
from atypia.inference.runtimes.torch import load_members
from atypia.models import folding
from atypia.models.adapters import AdapterConfig
from atypia.models.classifier import Classifier, build_classifier
from atypia.models.folding import FoldedMembers, fold_in_training


def crops(count: int = 4, side: int = 32) -> torch.Tensor:
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(1))


def logits_of(network: FoldedMembers) -> np.ndarray:
    with torch.inference_mode():
        return torch.stack([one.logit for one in network(crops())]).numpy()


def test_fp32_gives_the_members_own_logits(small_bundle: Path) -> None:
    members = load_members(load_bundle(small_bundle))
    with torch.inference_mode():
        expected = torch.stack([member(crops()).logit for member in members])
    found = logits_of(FoldedMembers(members, 32))
    assert found.shape == (2, 4)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_all_normalisation_of_lite_is_folded(small_bundle: Path) -> None:
    members = load_members(load_bundle(small_bundle))
    assert sum(isinstance(m, nn.BatchNorm2d) for m in members[0].modules()) == 49
    network = FoldedMembers(members, 32, bf16=True)
    convolutions = [m for m in network.modules() if isinstance(m, nn.Conv2d)]
    assert len(convolutions) == 49
    assert not any(isinstance(m, nn.BatchNorm2d) for m in network.modules())


def test_members_on_one_frozen_backbone_ask_it_once(small_bundle: Path) -> None:
    members = load_members(load_bundle(small_bundle))
    assert members[0].backbone is members[1].backbone
    network = FoldedMembers(members, 32)
    asked: list[int] = []
    network.common.register_forward_hook(lambda *_: asked.append(1))
    assert not any(list(member.backbone.modules())[1:] for member in network.members)
    logits = logits_of(network)
    assert len(asked) == 1
    assert not np.allclose(logits[0], logits[1])


def test_lora_is_merged_and_folded_with_the_same_logits() -> None:
    torch.manual_seed(0)
    member = build_classifier("lite", AdapterConfig(kind="lora", rank=2)).eval()
    with torch.inference_mode():
        nn.init.normal_(member.head.weight, std=0.1)
        published = member(crops()).logit
        for name, parameter in member.named_parameters():
            if "lora_B" in name:
                nn.init.normal_(parameter, std=0.02)
        expected = member(crops()).logit
    assert (expected - published).abs().max() > 0.01
    network = FoldedMembers([member], 32)
    found = logits_of(network)[0]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    left = [type(m).__module__ for m in network.modules()]
    assert not [name for name in left if name.startswith("peft")]
    assert not any(isinstance(m, nn.BatchNorm2d) for m in network.modules())


@pytest.mark.parametrize("views", [1, 2])
def test_members_share_the_first_layers_that_lora_leaves_alone(views: int) -> None:
    torch.manual_seed(0)
    late = AdapterConfig(kind="lora", rank=2, target=r"blocks\.[5-6]\.\d+\.conv_pwl?|conv_head")
    members = [build_classifier("lite", late).eval() for _ in range(3)]
    with torch.inference_mode():
        for member in members:
            member.views = views
            nn.init.normal_(member.head.weight, std=0.1)
            for name, parameter in member.named_parameters():
                if "lora_B" in name:
                    nn.init.normal_(parameter, std=0.02)
        expected = torch.stack([member(crops()).logit for member in members])
    network = FoldedMembers(members, 32)
    strided: list[int] = []
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and module.stride == (2, 2):
            module.register_forward_hook(lambda *_: strided.append(1))
    found = logits_of(network)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    assert np.abs(found[0] - found[1]).min() > 1e-3
    # The stem and three blocks halve the map before block 5, which does it in each member.
    assert len(strided) == views * (4 + 3)


@pytest.mark.parametrize("even_padding", [True, False])
@pytest.mark.parametrize("side", [32, 33, 47, 64])
def test_every_image_size_pads_as_before(side: int, even_padding: bool) -> None:
    backbone = timm.create_model("tf_efficientnet_lite0", num_classes=0).eval()
    images = crops(2, side) - 0.5
    with torch.inference_mode():
        folded = folding._fold_if_equal(backbone, side, even_padding)
        torch.testing.assert_close(folded(images), backbone(images), rtol=1e-3, atol=1e-4)


def test_layers_declared_out_of_order_are_not_folded_wrongly() -> None:
    class Crossed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Conv2d(3, 3, 1)
            self.last = nn.BatchNorm2d(3)
            nn.init.constant_(self.last.bias, 5.0)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            there: torch.Tensor = self.first(self.last(images)).relu()
            return there

    network = Crossed().eval()
    assert folding._fold_if_equal(network, 8, True) is network


def lora_classifier(**adapter: object) -> Classifier:
    torch.manual_seed(0)
    config = AdapterConfig.model_validate({"kind": "lora", "rank": 2, "dropout": 0.0, **adapter})
    network = build_classifier("lite", config, dropout=0.0)
    for name, parameter in network.named_parameters():
        if "lora_B" in name or name == "head.weight":
            nn.init.normal_(parameter, std=0.02)
    return network


def step(network: Classifier) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Return the logits of a pass in training and the gradients of all that is trained."""
    network.train().zero_grad()
    logit = network(crops(4, 64)).logit
    logit.square().sum().backward()
    return logit.detach(), {
        name: parameter.grad.clone()
        for name, parameter in network.named_parameters()
        if parameter.grad is not None
    }


def passes_through_normalisation(network: nn.Module, monkeypatch: pytest.MonkeyPatch) -> int:
    """Count the normalisations that a pass computes."""
    computed: list[int] = []
    original = torch.nn.functional.batch_norm

    def counted(*args: Any, **kwargs: Any) -> torch.Tensor:
        computed.append(1)
        return original(*args, **kwargs)

    with monkeypatch.context() as patched, torch.inference_mode():
        patched.setattr(torch.nn.functional, "batch_norm", counted)
        network(crops(4, 64))
    return len(computed)


@pytest.mark.parametrize("target", [None, r"blocks\.[5-6]\.\d+\.conv_pwl?|conv_head|conv_stem"])
def test_folded_in_training_it_is_the_same_network(
    target: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = lora_classifier(target=target)
    logit, gradients = step(network)
    names = [name for name, _ in network.named_modules()], list(network.state_dict())
    assert passes_through_normalisation(network, monkeypatch) == 49
    fold_in_training(network.backbone, 64)
    assert passes_through_normalisation(network, monkeypatch) == 0
    assert ([name for name, _ in network.named_modules()], list(network.state_dict())) == names
    folded_logit, folded_gradients = step(network)
    torch.testing.assert_close(folded_logit, logit, rtol=1e-4, atol=1e-4)
    assert gradients.keys() == folded_gradients.keys()
    for name, gradient in gradients.items():
        difference = (folded_gradients[name] - gradient).norm()
        assert difference <= 0.01 * gradient.norm(), name


def test_folded_in_training_it_follows_its_own_weights() -> None:
    network = lora_classifier()
    fold_in_training(network.backbone, 64)
    copied = copy.deepcopy(network)
    with torch.no_grad():
        before = copied(crops(4, 64)).logit
        for name, parameter in network.named_parameters():
            if "lora_B" in name:
                parameter.zero_()
        torch.testing.assert_close(copied(crops(4, 64)).logit, before, rtol=0, atol=0)
        assert not torch.allclose(network(crops(4, 64)).logit, before, atol=1e-3)


def test_folded_in_training_a_dropout_keeps_its_layers_as_they_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    network = lora_classifier(dropout=0.5, target=r"blocks\.[5-6]\.\d+\.conv_pwl?|conv_head")
    fold_in_training(network.backbone, 64)
    adapted = sum("lora_A.default.weight" in name for name in network.state_dict())
    assert passes_through_normalisation(network, monkeypatch) == adapted > 0


def test_folded_in_training_batch_statistics_in_training_are_left_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    network = build_classifier("lite", AdapterConfig(kind="full"), pretrained=False)
    fold_in_training(network.backbone, 64)
    assert passes_through_normalisation(network.eval(), monkeypatch) == 49
