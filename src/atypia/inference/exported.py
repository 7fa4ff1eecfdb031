"""The members of a bundle from an ONNX file, computed by onnxruntime or OpenVINO.

The file lies beside the bundle and names it by its hash: exporting changes no bundle, and a file of
another bundle is not used. All its tensors lie in it: one that points to other files is refused.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from atypia.errors import BundleError
from atypia.inference.answers import Answers, FloatArray, Precision, Runtime, joined

if TYPE_CHECKING:
    import onnx

FORMAT = "1"
FORMAT_KEY, BUNDLE_KEY, SHA256_KEY = "atypia.format", "atypia.bundle", "atypia.bundle_sha256"
GRAPH_KEY = "atypia.graph_sha256"
INPUT = "crops"
LOGITS, P, PHASE = "logits", "p_atypical", "phase"

# Crops that OpenVINO looks at together. Measured: it fuses more layers where their number is fixed,
# and more of them leave the CPU's cache.
_OPENVINO_BATCH = 8


def exported_path(folder: Path) -> Path:
    """Return where the exported file of a bundle lies: `bundle.onnx` beside `bundle`."""
    whole = folder.resolve()
    return whole.with_name(f"{whole.name}.onnx")


def graph_hash(model: onnx.ModelProto) -> str:
    """Return the SHA-256 of a model's graph with its tensors, 64 hexadecimal digits."""
    return hashlib.sha256(model.graph.SerializeToString(deterministic=True)).hexdigest()


def read_exported(path: Path, sha256: str, members: int) -> bytes:
    """Read an exported file, which must be that of a bundle and hold all its tensors.

    Args:
        path: of the file.
        sha256: identifies the bundle.
        members: so many it must compute.

    Raises:
        BundleError: it cannot be read, was exported from another bundle, in another format, or
            points to other files; it has changed since; or it computes more or fewer members.
    """
    import onnx

    again = "make it again with `atypia bundle export`"
    try:
        content = path.read_bytes()
        model = onnx.load_model_from_string(content)
    except Exception as fault:  # protobuf has its own, OSError is one of them
        raise BundleError(f"{path}: cannot be read as ONNX; {again}") from fault
    said = {entry.key: entry.value for entry in model.metadata_props}
    if said.get(FORMAT_KEY) != FORMAT:
        raise BundleError(f"{path}: was not exported by this version of atypia; {again}")
    if said.get(SHA256_KEY) != sha256:
        raise BundleError(f"{path}: was exported from another bundle than lies here; {again}")
    if any(onnx.external_data_helper.uses_external_data(one) for one in _tensors(model)):
        raise BundleError(f"{path}: points to other files, which are not read; {again}")
    if said.get(GRAPH_KEY) != graph_hash(model):
        raise BundleError(f"{path}: has changed since it was exported; {again}")
    logits = next(one for one in model.graph.output if one.name == LOGITS)
    computed = logits.type.tensor_type.shape.dim[0].dim_value
    if computed != members:
        raise BundleError(
            f"{path}: computes {computed} members, not {members}; make it again with "
            f"`atypia bundle export --members {members}`"
        )
    return content


class OnnxNetwork:
    """Computed by onnxruntime, in fp32. Attributes: `Runtime`."""

    on_gpu = False
    device_name = "cpu"

    def __init__(self, model: bytes, precision: Precision, workers: int, threads: int) -> None:
        """Prepare a model for `workers` threads that share `threads` of the CPU.

        Raises:
            ValueError: the precision is not fp32.
        """
        import onnxruntime

        if precision != "fp32":
            raise ValueError(f"precision {precision}: onnxruntime computes fp32 on a CPU")
        onnxruntime.disable_telemetry_events()  # for one that was imported before atypia
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = max(1, threads // workers)
        options.log_severity_level = 3  # errors
        self._session = onnxruntime.InferenceSession(
            model, options, providers=["CPUExecutionProvider"]
        )
        self.told = f"onnxruntime {onnxruntime.__version__}"
        self.precision: Precision = precision
        names = {one.name: one for one in self._session.get_outputs()}
        self.members = int(names[LOGITS].shape[0])
        self._asked = [name for name in (LOGITS, PHASE) if name in names]

    def look_at(self, crops: FloatArray) -> Answers:
        """Return what every member says of crops, float32 (B, 3, P, P), RGB in [0, 1]."""
        found = self._session.run(self._asked, {INPUT: crops})
        return Answers(found[0], found[1] if len(found) > 1 else None)

    def pool(self, workers: int) -> AbstractContextManager[ThreadPoolExecutor]:
        """Give threads that may each call `look_at`."""
        return ThreadPoolExecutor(workers, "network")


class OpenVinoNetwork:
    """Computed by OpenVINO, in fp32 or bf16. Attributes: `Runtime`."""

    on_gpu = False
    device_name = "cpu"

    def __init__(self, model: bytes, precision: Precision, workers: int, threads: int) -> None:
        """Prepare a model for `workers` threads that share `threads` of the CPU."""
        import openvino

        # Its first look at a numpy array must be over before threads hand it others: two at once
        # can wait for one another for ever (2026.4).
        openvino.Tensor(np.zeros(1, dtype=np.float32)).data  # noqa: B018
        core = openvino.Core()
        read = core.read_model(model)
        read.reshape([_OPENVINO_BATCH, *read.input(INPUT).get_partial_shape()[1:]])
        self._compiled = core.compile_model(
            read,
            "CPU",
            {
                "INFERENCE_PRECISION_HINT": "f32" if precision == "fp32" else "bf16",
                "INFERENCE_NUM_THREADS": threads,
                "NUM_STREAMS": workers,
                "ENABLE_CPU_PINNING": False,  # the threads that read crops need these cores too
            },
        )
        self.told = f"openvino {openvino.__version__.split('-')[0]}"
        self.precision: Precision = precision
        names = {name: one for one in self._compiled.outputs for name in one.get_names()}
        self.members = int(names[LOGITS].get_partial_shape()[0].get_length())
        self._knows_phases = PHASE in names
        self._own = threading.local()  # a request serves one thread

    def look_at(self, crops: FloatArray) -> Answers:
        """Return what every member says of crops, float32 (B, 3, P, P), RGB in [0, 1]."""
        starts = range(0, len(crops), _OPENVINO_BATCH)
        return joined([self._computed(crops[at : at + _OPENVINO_BATCH]) for at in starts])

    def _computed(self, crops: FloatArray) -> Answers:
        if not hasattr(self._own, "request"):
            self._own.request = self._compiled.create_infer_request()
        request, count = self._own.request, len(crops)
        request.get_tensor(INPUT).data[:count] = crops  # what is said of the rest is left out
        request.infer()
        phase = request.get_tensor(PHASE).data[:count].copy() if self._knows_phases else None
        return Answers(request.get_tensor(LOGITS).data[:, :count].copy(), phase)

    def pool(self, workers: int) -> AbstractContextManager[ThreadPoolExecutor]:
        """Give threads that may each call `look_at`, one more than compute.

        Its batch is ready when another's is done, so no core waits for Python.
        """
        return ThreadPoolExecutor(workers + 1, "network")


def openvino_has_bf16() -> bool:
    """Whether this CPU multiplies bf16 itself, as OpenVINO sees it."""
    import openvino

    return "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


EXPORTED: dict[str, Callable[[bytes, Precision, int, int], Runtime]] = {
    "onnx": OnnxNetwork,
    "openvino": OpenVinoNetwork,
}


def _tensors(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    """Give all tensors of a model, those of graphs inside graphs too."""
    graphs = [model.graph]
    nodes = [node for function in model.functions for node in function.node]
    while graphs or nodes:
        for graph in graphs:
            yield from graph.initializer
            for sparse in graph.sparse_initializer:
                yield from (sparse.values, sparse.indices)
            nodes.extend(graph.node)
        attributes = [attribute for node in nodes for attribute in node.attribute]
        graphs, nodes = [], []
        for attribute in attributes:
            yield from (attribute.t, *attribute.tensors)
            for sparse in (attribute.sparse_tensor, *attribute.sparse_tensors):
                yield from (sparse.values, sparse.indices)
            graphs.extend(attribute.graphs)
            if attribute.HasField("g"):
                graphs.append(attribute.g)
