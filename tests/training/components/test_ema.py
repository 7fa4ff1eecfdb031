"""Averaged weights: those of timm, of what is trained alone, and taken out again."""

from __future__ import annotations

import pytest
import torch
from timm.utils.model_ema import ModelEmaV3

from atypia.models.adapters import AdapterConfig
from atypia.models.classifier import Classifier, build_classifier
from atypia.training.components.ema import Averaging


def _classifier(kind: str) -> Classifier:
    torch.manual_seed(0)
    config = AdapterConfig(kind=kind, dropout=0)  # type: ignore[arg-type]
    return build_classifier("lite", config, pretrained=False)


def _move(classifier: Classifier) -> None:
    with torch.no_grad():
        for parameter in classifier.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter) * 0.1)
    classifier.train()(torch.rand(4, 3, 32, 32))  # moves batch statistics where they are trained


@pytest.mark.parametrize("kind", ["full", "lora"])
def test_it_is_the_average_of_the_whole_network_and_leaves_the_live_weights(kind: str) -> None:
    classifier = _classifier(kind)
    averaging = Averaging(classifier, 0.9)
    whole = ModelEmaV3(classifier, decay=0.9, use_warmup=True)
    for step in range(6):
        _move(classifier)
        averaging.update(step)
        whole.update(classifier, step)
    live = {name: tensor.clone() for name, tensor in classifier.state_dict().items()}
    with averaging.use_average() as kept:
        assert kept is classifier
        for name, tensor in whole.module.state_dict().items():
            torch.testing.assert_close(classifier.state_dict()[name], tensor, msg=name)
    changed = 0
    for name, tensor in classifier.state_dict().items():
        assert torch.equal(tensor, live[name]), name
        changed += not torch.equal(tensor, whole.module.state_dict()[name])
    assert changed > 4


def test_it_keeps_nothing_of_a_frozen_backbone() -> None:
    classifier = _classifier("lora")
    kept = Averaging(classifier, 0.9).state()
    trained = sum(one.numel() for one in classifier.parameters() if one.requires_grad)
    assert sum(tensor.numel() for tensor in kept.values()) == trained


def test_the_live_weights_come_back_after_a_fault() -> None:
    classifier = _classifier("lora")
    averaging = Averaging(classifier, 0.9)
    _move(classifier)
    live = classifier.head.weight.clone()
    with pytest.raises(ZeroDivisionError), averaging.use_average():
        raise ZeroDivisionError
    assert torch.equal(classifier.head.weight, live)


def test_without_decay_the_live_weights_are_kept() -> None:
    classifier = _classifier("lora")
    averaging = Averaging(classifier, 0.0)
    _move(classifier)
    averaging.update(3)
    live = classifier.head.weight.clone()
    with averaging.use_average() as kept:
        assert torch.equal(kept.head.weight, live)
    assert averaging.state() == {}
