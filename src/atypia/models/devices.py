"""The device that a network runs on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from atypia.errors import OptionError

if TYPE_CHECKING:
    import torch

Device = Literal["auto", "cpu", "cuda"]


def choose_device(device: Device) -> torch.device:
    """Return the device asked for; `auto` takes a GPU where there is one.

    Raises:
        OptionError: a GPU is asked for and there is none that torch can use.
    """
    import torch  # options name the type of a device where no torch is installed

    usable = torch.cuda.is_available()
    if device == "cuda" and not usable:
        raise OptionError(
            "device",
            device,
            "torch finds no GPU it can use; use --device cpu, or see `atypia doctor`",
        )
    return torch.device("cuda" if usable and device != "cpu" else "cpu")
