"""Torch: the reference, and the only one on a GPU; needs no exported file."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import torch

from atypia.bundle.load import Bundle
from atypia.bundle.members import load_members
from atypia.errors import AtypiaError
from atypia.inference.options import Precision, PredictOptions
from atypia.inference.runtimes.base import FloatArray, Outputs, Runtime, join_outputs
from atypia.models.cpu import cpu_has_bf16, keep_freed_memory
from atypia.models.devices import choose_device
from atypia.models.folding import FoldedMembers


class TorchRuntime(Runtime):
    """Computed by torch. Attributes: `Runtime`."""

    key = "torch"
    extra = ""
    modules = ("torch",)
    precisions = ("fp32", "bf16")

    def __init__(
        self, members: FoldedMembers, device: torch.device, precision: Precision, threads: int = 1
    ) -> None:
        """Move folded members to a device, where they run in a precision."""
        self.on_gpu = device.type == "cuda"
        self.device_name = torch.cuda.get_device_name(device) if self.on_gpu else "cpu"
        self.version_text = f"torch {torch.__version__}"
        self.precision = precision
        self.members = len(members.members)
        self.threads = threads
        self._device = device
        self._folded = members.to(device).to(memory_format=torch.channels_last)

    @classmethod
    def why_not(cls, folder: Path, options: PredictOptions) -> str:
        """Say nothing: it can compute every bundle."""
        return ""

    @classmethod
    def choose_precision(cls, options: PredictOptions) -> Precision:
        """Return the precision asked for; `auto` is bf16 where the device is faster in it."""
        if options.precision != "auto":
            return options.precision
        if choose_device(options.device).type == "cuda":
            return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
        return "bf16" if cpu_has_bf16() else "fp32"

    @classmethod
    def load(cls, bundle: Bundle, options: PredictOptions) -> Self:
        """Load the members of a bundle and fold them.

        Raises:
            BundleError: the weights are not those of the bundle's network.
            AtypiaError: there is no such device, or the backbone's weights are not here.
        """
        device = choose_device(options.device)
        members = load_members(bundle, options.weights, options.members)
        if device.type == "cpu":
            keep_freed_memory()
        precision = cls.choose_precision(options)
        folded = FoldedMembers(members, bundle.manifest.input_px, bf16=precision == "bf16")
        return cls(folded, device, precision, options.threads or torch.get_num_threads())

    def infer(self, crops: FloatArray) -> Outputs:
        """Return what every member says.

        A batch that does not fit into the GPU's memory is halved until it does.

        Args:
            crops: float32 (B, 3, P, P), RGB in [0, 1].

        Raises:
            AtypiaError: not even one crop fits into the GPU's memory.
        """
        try:
            return self._infer_whole(crops)
        except torch.OutOfMemoryError as fault:
            if len(crops) == 1:
                raise AtypiaError(
                    f"{self._device}: not enough memory for one crop; use --device cpu"
                ) from fault
        # Outside the handler: the failed batch is let go before the next is tried.
        torch.cuda.empty_cache()
        middle = len(crops) // 2
        return join_outputs([self.infer(crops[:middle]), self.infer(crops[middle:])])

    @contextmanager
    def pool(self) -> Iterator[ThreadPoolExecutor]:
        """Give threads that may each call `infer`, and share the CPU between them."""
        before = torch.get_num_threads()
        each = max(1, self.threads // self.workers)
        try:
            with ThreadPoolExecutor(
                self.workers, "network", initializer=torch.set_num_threads, initargs=(each,)
            ) as pool:
                yield pool
        finally:
            torch.set_num_threads(before)

    def _infer_whole(self, crops: FloatArray) -> Outputs:
        half = self.precision == "bf16"
        with (
            torch.inference_mode(),
            torch.autocast(self._device.type, torch.bfloat16, enabled=half),
        ):
            batch = torch.from_numpy(crops).to(self._device, memory_format=torch.channels_last)
            outputs = self._folded(batch)
            phases = [one.phase.float().softmax(dim=1) for one in outputs if one.phase is not None]
            return Outputs(
                torch.stack([one.logit.float() for one in outputs]).cpu().numpy(),
                torch.stack(phases).mean(dim=0).cpu().numpy() if phases else None,
            )


RUNTIME = TorchRuntime
