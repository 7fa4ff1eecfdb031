"""The members of a bundle as an ONNX file, and what runtimes that compute it have in common.

The file lies beside the bundle and names it by its hash: exporting changes no bundle, and a file of
another bundle is not used. All its tensors lie in it: one that points to other files is refused.
"""

from __future__ import annotations

import hashlib
import os
from abc import abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Self

from atypia.bundle.load import Bundle
from atypia.errors import BundleError
from atypia.inference.options import Precision, PredictOptions
from atypia.inference.runtimes.base import Runtime
from atypia.platform import count_usable_cores

if TYPE_CHECKING:
    import onnx

FORMAT = "1"
FORMAT_KEY, BUNDLE_KEY, SHA256_KEY = "atypia.format", "atypia.bundle", "atypia.bundle_sha256"
GRAPH_KEY = "atypia.graph_sha256"
INPUT = "crops"
LOGITS, P, PHASE = "logits", "p_atypical", "phase"


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
        members: how many it must compute.

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
    facts = {entry.key: entry.value for entry in model.metadata_props}
    if facts.get(FORMAT_KEY) != FORMAT:
        raise BundleError(f"{path}: was not exported by this version of atypia; {again}")
    if facts.get(SHA256_KEY) != sha256:
        raise BundleError(f"{path}: was exported from another bundle than lies here; {again}")
    if any(onnx.external_data_helper.uses_external_data(tensor) for tensor in _list_tensors(model)):
        raise BundleError(f"{path}: points to other files, which are not read; {again}")
    if facts.get(GRAPH_KEY) != graph_hash(model):
        raise BundleError(f"{path}: has changed since it was exported; {again}")
    logits = next(output for output in model.graph.output if output.name == LOGITS)
    computed = logits.type.tensor_type.shape.dim[0].dim_value
    if computed != members:
        raise BundleError(
            f"{path}: computes {computed} members, not {members}; make it again with "
            f"`atypia bundle export --members {members}`"
        )
    return content


class ExportedRuntime(Runtime):
    """A runtime that computes the exported file, on the CPU. Attributes: `Runtime`."""

    on_gpu = False
    device_name = "cpu"

    @abstractmethod
    def __init__(self, model: bytes, precision: Precision, threads: int) -> None:
        """Prepare the content of an exported file for threads that share `threads` of the CPU."""

    @classmethod
    def why_not(cls, folder: Path, options: PredictOptions) -> str:
        """Return why it cannot compute a bundle with these options; "" where it can."""
        path = exported_path(folder)
        if options.device == "cuda":
            return "runs on the CPU only; leave out --device cuda"
        if options.weights is not None:
            return "the exported file holds all weights; leave out --weights"
        if not path.is_file():
            return f"{path} does not exist; make it with `atypia bundle export {folder}`"
        if not cls.is_installed():
            return f"is not installed; pip install 'atypia[{cls.extra}]'"
        if options.precision not in ("auto", *cls.precisions):
            return (
                f"does not compute {options.precision} on a CPU; use --precision "
                f"{cls.precisions[0]}"
            )
        return ""

    @classmethod
    def load(cls, bundle: Bundle, options: PredictOptions) -> Self:
        """Load the exported file of a bundle.

        Raises:
            BundleError: the file is at fault, or that of another bundle.
            OptionError: the bundle has fewer members.
        """
        count = len(bundle.manifest.first_members(options.members))
        model = read_exported(exported_path(bundle.folder), bundle.sha256, count)
        return cls(model, cls.choose_precision(options), options.threads or usual_threads())


def _list_tensors(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
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


def usual_threads() -> int:
    """Return the number of CPU threads that torch would use."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    return int(asked) if asked.isdecimal() and int(asked) > 0 else count_usable_cores()
