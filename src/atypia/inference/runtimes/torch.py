"""Torch: the reference, and the only one on a GPU; needs no exported file.

A bundle becomes networks here, and nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import torch
from torch import nn

from atypia.bundle.load import Bundle
from atypia.bundle.manifest import BundleManifest
from atypia.bundle.members import read_member
from atypia.errors import AtypiaError, BundleError
from atypia.files import sha256
from atypia.inference.options import Precision, PredictOptions
from atypia.inference.runtimes.base import FloatArray, Outputs, Runtime, join_outputs
from atypia.models.backbones.registry import BackboneSpec, backbone_spec
from atypia.models.classifier import Classifier, build_classifier, build_heads
from atypia.models.cpu import cpu_has_bf16
from atypia.models.devices import choose_device
from atypia.models.folding import FoldedMembers
from atypia.models.weights import find_weights
from atypia.platform import keep_freed_memory


class TorchRuntime(Runtime):
    """Computed by torch. Attributes: `Runtime`."""

    key = "torch"
    extra = "train"
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
        """Return "" where torch is installed: it can compute every bundle."""
        return cls.why_not_installed()

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
        """Compute the outputs of all members.

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
            phases = [
                each.phase.float().softmax(dim=1) for each in outputs if each.phase is not None
            ]
            return Outputs(
                torch.stack([each.logit.float() for each in outputs]).cpu().numpy(),
                torch.stack(phases).mean(dim=0).cpu().numpy() if phases else None,
            )


def load_members(
    bundle: Bundle, weights: Path | None = None, count: int | None = None
) -> tuple[Classifier, ...]:
    """Load the members of a bundle as networks.

    Args:
        bundle: as `load_bundle` gives it: its files are as they were saved.
        weights: file or folder of the backbone's weights, where the bundle holds an adapter; none
            takes them from the package or the local Hugging Face cache.
        count: load the first `count` members; none loads all of them.

    Returns:
        In evaluation mode, float32, on the CPU; several are an ensemble. With a linear adapter they
        share one backbone.

    Raises:
        BundleError: the weights do not fit the network, or the backbone's weights are others than
            those it was trained on.
        AtypiaError: the backbone or its weights are not known here, or the bundle has fewer
            members.
    """
    names = bundle.manifest.first_members(count)
    return load_networks(bundle, [bundle.folder / name for name in names], weights)


def load_networks(
    bundle: Bundle, files: Sequence[Path], weights: Path | None = None
) -> tuple[Classifier, ...]:
    """Load networks of the kind that a bundle describes.

    Args:
        bundle: describes them.
        files: their tensors, safetensors; nothing in them is executed.
        weights: as for `load_members`.

    Raises:
        AtypiaError: as `load_members`.
    """
    folder, manifest = bundle.folder, bundle.manifest
    spec = backbone_spec(manifest.backbone)
    if manifest.pooling != spec.pooling:
        raise BundleError(
            f"{folder}: embeddings are pooled as {manifest.pooling!r}, but here {spec.key} pools "
            f"as {spec.pooling!r}; use the atypia that made the bundle, or train it again"
        )
    file = _find_backbone_weights(folder, manifest, spec, weights)
    members: list[Classifier] = []
    for path in files:
        # Heads on a frozen backbone share it: a large one would not fit into memory five times.
        shared = members[0].backbone if members and not manifest.adapter.trains_backbone else None
        members.append(_load_member(path, manifest, file, shared))
    return tuple(members)


def _find_backbone_weights(
    folder: Path, manifest: BundleManifest, spec: BackboneSpec, path: Path | None
) -> Path | None:
    """Return the file of the backbone's weights, none where none is needed."""
    if manifest.adapter.keeps_backbone:
        if path is not None:
            raise AtypiaError(f"{path}: {folder} holds all its weights; leave out --weights")
        return None
    file = find_weights(spec, path)
    if file is not None and manifest.weights_sha256:
        digest = sha256(file)
        if digest != manifest.weights_sha256:
            raise BundleError(
                f"{folder}: was trained on other weights of {spec.key} than {file} (sha256 "
                f"{manifest.weights_sha256[:12]}..., this is {digest[:12]}...); give those with "
                "--weights, or train the bundle again"
            )
    return file


def _load_member(
    path: Path, manifest: BundleManifest, weights: Path | None, backbone: nn.Module | None
) -> Classifier:
    tensors = {name: torch.from_numpy(array) for name, array in read_member(path).items()}
    if backbone is None:
        member = build_classifier(
            manifest.backbone,
            manifest.adapter,
            dropout=manifest.dropout,
            # With `full`, every tensor comes from the bundle.
            pretrained=not manifest.adapter.keeps_backbone,
            phases=len(manifest.phases),
            input_px=manifest.input_px,
            weights=weights,
        )
    else:
        dropout, phases = manifest.dropout, len(manifest.phases)
        member = build_heads(manifest.backbone, dropout=dropout, phases=phases)
        member.backbone = backbone
    try:
        member.load_saved_state(tensors)
    except BundleError as fault:
        raise BundleError(f"{path}: {fault}") from fault
    member.mean.copy_(torch.tensor(manifest.mean).view(1, 3, 1, 1))
    member.std.copy_(torch.tensor(manifest.std).view(1, 3, 1, 1))
    member.views = manifest.views
    return member.eval()


RUNTIME = TorchRuntime
