"""What torch finds on a machine, with and without a GPU."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest
import torch

from atypia.models.machine import inspect_machine, load_torchvision


def test_a_gpu_is_named_with_its_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert inspect_machine().gpu == ""
    card = SimpleNamespace(name="NVIDIA H100", total_memory=80 * 2**30)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: card)
    assert inspect_machine().gpu.startswith("NVIDIA H100, 80 GiB, CUDA ")
    assert inspect_machine().threads == torch.get_num_threads()


def test_a_torchvision_for_another_torch_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_torchvision()[0].isdigit()
    monkeypatch.setitem(sys.modules, "torchvision.ops", None)
    with pytest.raises(ImportError):
        load_torchvision()
