"""A network runs on the device asked for, or on what there is."""

from __future__ import annotations

import pytest
import torch

from atypia.errors import AtypiaError
from atypia.models.devices import choose_device


def test_auto_is_a_gpu_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    for usable, device in ((False, "cpu"), (True, "cuda")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda usable=usable: usable)
        assert choose_device("auto").type == device
        assert choose_device("cpu").type == "cpu"


def test_a_gpu_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(AtypiaError, match="device cuda: torch finds no GPU"):
        choose_device("cuda")
