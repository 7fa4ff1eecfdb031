"""Export: a bundle as one ONNX file, compared with torch before it is kept."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import nn

from atypia.bundle.load import Bundle, load_bundle
from atypia.bundle.members import load_members
from atypia.errors import AtypiaError
from atypia.files import create_output, remove_partials, require_outputs
from atypia.inference.exported import (
    BUNDLE_KEY,
    FORMAT,
    FORMAT_KEY,
    GRAPH_KEY,
    INPUT,
    LOGITS,
    PHASE,
    SHA256_KEY,
    ExportedRuntime,
    P,
    exported_path,
    graph_hash,
)
from atypia.inference.options import runtime_keys
from atypia.inference.runtimes.choice import runtime_class
from atypia.models.classifier import Classifier
from atypia.models.ensemble import Ensemble
from atypia.models.folding import FoldedMembers

LARGEST_DIFFERENCE = 1e-3
"""Between a logit of the file and torch's in float32, for logits up to 1; in proportion beyond."""

_TRIED = (1, 5)  # crops in a batch: the size must stay free


def export_onnx(
    folder: Path,
    out: Path | None = None,
    weights: Path | None = None,
    members: int | None = None,
    overwrite: bool = False,
) -> Path:
    """Write a bundle as one ONNX file: crops in, logits and calibrated P(atypical) out.

    Args:
        folder: of the bundle.
        out: the file; none takes the place where `predict` looks for it.
        weights: file or folder of the backbone's weights, where the bundle holds an adapter to it.
        members: the first so many networks of an ensemble; none takes all of them.
        overwrite: replace a file that lies there and that atypia did not write.

    Returns:
        The file. Input: `crops`, float32 (B, 3, P, P), RGB in [0, 1]. Outputs: `logits`, float32
        (members, B); `p_atypical`, float32 (B,); `phase`, float32 (B, phases), where the bundle
        knows phases.

    Raises:
        BundleError: the bundle is at fault.
        AtypiaError: what exports is not installed, the network cannot be exported, the file would
            answer otherwise than torch, or it cannot be written.
    """
    path = exported_path(folder) if out is None else out
    require_outputs([path], overwrite=overwrite)
    remove_partials(path)
    known = [runtime_class(key) for key in runtime_keys()]
    runtimes = [one for one in known if issubclass(one, ExportedRuntime) and one.is_installed()]
    if find_spec("onnxscript") is None or not runtimes:
        raise AtypiaError(
            "export: needs onnx, onnxscript and a runtime to try it; pip install 'atypia[onnx]'"
        )
    bundle = load_bundle(folder)
    networks = load_members(bundle, weights, members)
    side = bundle.manifest.input_px
    generator = torch.Generator().manual_seed(0)
    tries = [torch.rand(count, 3, side, side, generator=generator) for count in _TRIED]
    with torch.inference_mode():
        expected = [Ensemble(networks)(crops).numpy() for crops in tries]
    try:
        content = _model_of(bundle, networks).SerializeToString()
    except Exception as fault:  # torch, onnxscript and protobuf each have their own
        reason = " ".join(str(fault).split())[:200]
        raise AtypiaError(
            f"{folder}: cannot be exported ({type(fault).__name__}: {reason}); predict with torch"
        ) from fault
    for each in runtimes:
        runtime = each(content, "fp32", torch.get_num_threads())
        for crops, logits in zip(tries, expected, strict=True):
            outputs = runtime.infer(crops.numpy())
            largest = np.max(np.abs(outputs.logits - logits) / np.maximum(np.abs(logits), 1))
            if not largest <= LARGEST_DIFFERENCE:
                raise AtypiaError(
                    f"{folder}: exported, {runtime.version_text} differs from torch by "
                    f"{largest:.2g} in a logit, at most {LARGEST_DIFFERENCE:g} is allowed; predict "
                    "with torch"
                )
    with create_output(path) as partial:
        partial.write_bytes(content)
    return path


class _Whole(nn.Module):
    """All that a bundle computes of crops."""

    def __init__(self, bundle: Bundle, members: Sequence[Classifier]) -> None:
        super().__init__()
        self.folded = FoldedMembers(members, bundle.manifest.input_px, even_padding=False)
        self.calibration = bundle.calibration

    def forward(self, crops: torch.Tensor) -> tuple[torch.Tensor, ...]:
        outputs = self.folded(crops)
        logits = torch.stack([one.logit for one in outputs])
        scaled = logits.mean(dim=0) / self.calibration.temperature + self.calibration.bias
        phases = [one.phase.softmax(dim=1) for one in outputs if one.phase is not None]
        known = (torch.stack(phases).mean(dim=0),) if phases else ()
        return (logits, scaled.sigmoid(), *known)


def _model_of(bundle: Bundle, members: Sequence[Classifier]) -> onnx.ModelProto:
    """Trace the members of a bundle, which are folded in place."""
    manifest = bundle.manifest
    whole = _Whole(bundle, members).eval().to(memory_format=torch.channels_last)
    probe = torch.zeros(2, 3, manifest.input_px, manifest.input_px)
    outputs = [LOGITS, P, *([PHASE] if manifest.phases else [])]
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), torch.no_grad():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            whole,
            (probe,),
            dynamo=True,
            input_names=[INPUT],
            output_names=outputs,
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            external_data=False,
            verbose=False,
        )
    if program is None:
        raise AtypiaError("torch exported nothing")
    model = program.model_proto
    # What torch notes of each node names files of this machine.
    for part in (*model.graph.node, *model.graph.input, *model.graph.output, model.graph):
        del part.metadata_props[:]
        part.doc_string = ""
    for part in (*model.graph.value_info, *model.graph.initializer):
        del part.metadata_props[:]
    facts = {
        FORMAT_KEY: FORMAT,
        BUNDLE_KEY: manifest.name,
        SHA256_KEY: bundle.sha256,
        GRAPH_KEY: graph_hash(model),
        "atypia.crop_um": f"{manifest.crop_um:g}",
        "atypia.input_px": str(manifest.input_px),
        "atypia.members": str(len(members)),
        "atypia.phases": " ".join(manifest.phases),
    }
    onnx.helper.set_model_props(model, facts)
    return model
