"""Networks as an ONNX graph: crops in, logits and calibrated P(atypical) out."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import onnx
import torch
from torch import nn

from atypia.errors import AtypiaError
from atypia.models.classifier import Classifier
from atypia.models.ensemble import Ensemble
from atypia.models.folding import FoldedMembers

FloatArray = npt.NDArray[np.float32]

_FEW = 256  # numbers; tensors with fewer keep 32 bits: they are none of a file's size


def compute_logits(members: Sequence[Classifier], crops: FloatArray) -> FloatArray:
    """Return the logits that torch computes in float32: the reference for an exported graph.

    Args:
        members: of an ensemble, in evaluation mode, on the CPU.
        crops: float32 (B, 3, P, P), RGB in [0, 1].

    Returns:
        float32 (members, B).
    """
    with torch.inference_mode():
        logits: FloatArray = Ensemble(members)(torch.from_numpy(crops)).numpy()
    return logits


def trace_members(
    members: Sequence[Classifier],
    input_px: int,
    *,
    temperature: float,
    bias: float,
    input_name: str,
    output_names: Sequence[str],
) -> onnx.ModelProto:
    """Trace members as one graph that holds all its tensors and names no file of this machine.

    Args:
        members: of an ensemble; they are merged and folded in place.
        input_px: side P of a crop.
        temperature: P(atypical) = sigmoid(mean logit / temperature + bias).
        bias: likewise.
        input_name: of crops, float32 (B, 3, P, P), RGB in [0, 1]; B stays free.
        output_names: of logits, float32 (members, B); P(atypical), float32 (B,); embeddings,
            float32 (members, B, D); and, where the members have a phase head, mean probabilities
            of phases, float32 (B, phases).

    Raises:
        AtypiaError: torch exports nothing.
        Exception: whatever torch and onnxscript raise at what they cannot export.
    """
    whole = _Whole(members, input_px, temperature, bias).eval()
    whole = whole.to(memory_format=torch.channels_last)
    probe = torch.zeros(2, 3, input_px, input_px)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), torch.no_grad():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            whole,
            (probe,),
            dynamo=True,
            input_names=[input_name],
            output_names=list(output_names),
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
    return model


def halve_weights(model: onnx.ModelProto) -> None:
    """Store the weights of a graph in 16 bits, in place; it computes with them in float32.

    Args:
        model: whose tensors lie in it.

    Raises:
        AtypiaError: a weight is too large for 16 bits.
    """
    graph = model.graph
    tensors, casts = [], []
    for tensor in graph.initializer:
        values = onnx.numpy_helper.to_array(tensor)
        if values.dtype != np.float32 or values.size < _FEW:
            tensors.append(tensor)
            continue
        with np.errstate(over="ignore"):
            half = values.astype(np.float16)
        if not np.isfinite(half).all():
            raise AtypiaError(
                f"a weight of {np.abs(values).max():.3g} is too large for 16 bits; export without "
                "--half"
            )
        tensors.append(onnx.numpy_helper.from_array(half, f"{tensor.name}.half"))
        casts.append(
            onnx.helper.make_node(
                "Cast", [f"{tensor.name}.half"], [tensor.name], to=onnx.TensorProto.FLOAT
            )
        )
    nodes = list(graph.node)
    del graph.initializer[:], graph.node[:]
    graph.initializer.extend(tensors)
    graph.node.extend([*casts, *nodes])


class _Whole(nn.Module):
    """All that a bundle computes of crops."""

    def __init__(
        self, members: Sequence[Classifier], input_px: int, temperature: float, bias: float
    ) -> None:
        super().__init__()
        self.folded = FoldedMembers(members, input_px, even_padding=False)
        self.temperature = temperature
        self.bias = bias
        # torch spends 40 % of an export on taking operations in place apart; the graph is the same.
        for module in self.modules():
            if isinstance(module, nn.ReLU | nn.ReLU6 | nn.SiLU | nn.Hardtanh):
                module.inplace = False

    def forward(self, crops: torch.Tensor) -> tuple[torch.Tensor, ...]:
        outputs = self.folded(crops)
        logits = torch.stack([output.logit for output in outputs])
        scaled = logits.mean(dim=0) / self.temperature + self.bias
        phases = [output.phase.softmax(dim=1) for output in outputs if output.phase is not None]
        known = (torch.stack(phases).mean(dim=0),) if phases else ()
        embeddings = torch.stack([output.embedding for output in outputs])
        return (logits, scaled.sigmoid(), embeddings, *known)
