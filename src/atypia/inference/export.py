"""Export: the network of a bundle as ONNX, compared with torch before it is kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx

from atypia.bundle.load import Bundle, load_bundle
from atypia.errors import AtypiaError, describe_fault
from atypia.files import create_output, remove_partials, require_outputs
from atypia.inference.exported import (
    EMBEDDING,
    INPUT,
    LOGITS,
    PHASE,
    ExportedRuntime,
    P,
    require_replaceable_export,
    usual_threads,
    write_exported,
)
from atypia.inference.options import runtime_keys
from atypia.inference.runtimes.choice import runtime_class
from atypia.inference.runtimes.torch import load_members
from atypia.models.classifier import Classifier
from atypia.models.export import FloatArray, compute_logits, halve_weights, trace_members

LARGEST_DIFFERENCE = 1e-3
"""Between a logit of the file and torch's in float32, for logits up to 1; in proportion beyond."""

LARGEST_OF_HALF = 0.01
"""Between P(atypical) of the file with weights in 16 bits, and torch's in float32."""

_TRIED = (1, 5)  # crops in a batch: its size must stay free


def export_onnx(
    folder: Path,
    out: Path | None = None,
    weights: Path | None = None,
    members: int | None = None,
    overwrite: bool = False,
    half: bool = False,
) -> Path:
    """Write the network of a bundle as ONNX: crops in, logits and calibrated P(atypical) out.

    Args:
        folder: of the bundle.
        out: the file; none writes `exported/` in the bundle, where `predict` looks for it.
        weights: file or folder of the backbone's weights, where the bundle holds an adapter to it.
        members: the first so many networks of an ensemble; none takes all of them.
        overwrite: replace what lies there and what atypia did not write.
        half: store the weights in 16 bits: half the size; P(atypical) may differ by up to
            `LARGEST_OF_HALF`.

    Returns:
        The file. Input: `crops`, float32 (B, 3, P, P), RGB in [0, 1]. Outputs: `logits`, float32
        (members, B); `p_atypical`, float32 (B,); `embedding`, float32 (members, B, D); `phase`,
        float32 (B, phases), where the bundle knows phases.

    Raises:
        BundleError: the bundle is at fault.
        AtypiaError: what exports is not installed, the network cannot be exported, the file would
            answer otherwise than torch, or it cannot be written.
    """
    if out is not None:
        require_outputs([out], overwrite=overwrite)
    elif not overwrite:
        require_replaceable_export(folder)
    remove_partials(folder if out is None else out)
    known = [runtime_class(key) for key in runtime_keys()]
    runtimes = [kind for kind in known if issubclass(kind, ExportedRuntime) and kind.is_installed()]
    bundle = load_bundle(folder)
    networks = load_members(bundle, weights, members)
    side = bundle.manifest.input_px
    generator = np.random.default_rng(0)
    batches = [generator.random((count, 3, side, side), dtype=np.float32) for count in _TRIED]
    expected = [compute_logits(networks, crops) for crops in batches]
    try:
        model = _build_model(bundle, networks)
        content = model.SerializeToString()
    except Exception as fault:  # torch, onnxscript and protobuf each have their own
        raise AtypiaError(
            f"{folder}: cannot be exported ({type(fault).__name__}: {describe_fault(fault)}); "
            "predict with torch"
        ) from fault
    check = _Check(folder, runtimes, list(zip(batches, expected, strict=True)))
    check.require(content, "a logit", _difference_of_logits, LARGEST_DIFFERENCE)
    if half:
        try:
            halve_weights(model)
        except AtypiaError as fault:
            raise AtypiaError(f"{folder}: {fault}") from fault
        content = model.SerializeToString()
        p_of = bundle.calibration.probability
        check.require(
            content,
            "P(atypical)",
            lambda own, torchs: np.abs(p_of(own.mean(axis=0)) - p_of(torchs.mean(axis=0))).max(),
            LARGEST_OF_HALF,
        )
    if out is None:
        return write_exported(folder, content, bundle.sha256, len(networks))
    with create_output(out) as partial:
        partial.write_bytes(content)
    return out


def _difference_of_logits(own: FloatArray, torchs: FloatArray) -> float:
    return float(np.max(np.abs(own - torchs) / np.maximum(np.abs(torchs), 1)))


@dataclass(frozen=True)
class _Check:
    """Of a graph against torch: by each runtime, on batches of crops and torch's logits of them."""

    folder: Path
    runtimes: Sequence[type[ExportedRuntime]]
    batches: Sequence[tuple[FloatArray, FloatArray]]

    def require(
        self,
        content: bytes,
        of: str,
        difference: Callable[[FloatArray, FloatArray], float],
        allowed: float,
    ) -> None:
        """Raise an AtypiaError if the answers differ by more than is allowed."""
        for kind in self.runtimes:
            runtime = kind(content, "fp32", usual_threads())
            for crops, logits in self.batches:
                largest = difference(runtime.infer(crops).logits, logits)
                if not largest <= allowed:
                    raise AtypiaError(
                        f"{self.folder}: exported, {runtime.version_text} differs from torch by "
                        f"{largest:.2g} in {of}, at most {allowed:g} is allowed; predict with torch"
                    )


def _build_model(bundle: Bundle, members: Sequence[Classifier]) -> onnx.ModelProto:
    """Trace the members of a bundle, which are folded in place, and note whose they are."""
    manifest, calibration = bundle.manifest, bundle.calibration
    model = trace_members(
        members,
        manifest.input_px,
        temperature=calibration.temperature,
        bias=calibration.bias,
        input_name=INPUT,
        output_names=[LOGITS, P, EMBEDDING, *([PHASE] if manifest.phases else [])],
    )
    facts = {
        "atypia.bundle": manifest.name,
        "atypia.bundle_sha256": bundle.sha256,
        "atypia.crop_um": f"{manifest.crop_um:g}",
        "atypia.input_px": str(manifest.input_px),
        "atypia.members": str(len(members)),
        "atypia.phases": " ".join(manifest.phases),
    }
    onnx.helper.set_model_props(model, facts)
    return model
