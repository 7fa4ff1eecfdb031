"""OpenVINO: computes the exported file in fp32, or in bf16 where the CPU has it."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager

import numpy as np

from atypia.inference.exported import INPUT, LOGITS, PHASE, ExportedRuntime
from atypia.inference.options import Precision, PredictOptions
from atypia.inference.runtimes.base import FloatArray, Outputs, join_outputs

# Crops in a batch. Measured: OpenVINO fuses more layers where their number is
# fixed, and more of them leave the CPU's cache.
_BATCH = 8


class OpenVinoRuntime(ExportedRuntime):
    """Computed by OpenVINO, in fp32 or bf16. Attributes: `Runtime`."""

    key = "openvino"
    extra = "openvino"
    modules = ("openvino",)
    precisions = ("fp32", "bf16")

    def __init__(self, model: bytes, precision: Precision, threads: int) -> None:
        """Prepare a model for threads that share `threads` of the CPU."""
        import openvino

        self.threads = threads
        # Its first look at a numpy array must be over before threads hand it others: two at once
        # can wait for one another for ever (2026.4).
        openvino.Tensor(np.zeros(1, dtype=np.float32)).data  # noqa: B018
        core = openvino.Core()
        graph = core.read_model(model)
        graph.reshape([_BATCH, *graph.input(INPUT).get_partial_shape()[1:]])
        self._compiled = core.compile_model(
            graph,
            "CPU",
            {
                "INFERENCE_PRECISION_HINT": "f32" if precision == "fp32" else "bf16",
                "INFERENCE_NUM_THREADS": threads,
                "NUM_STREAMS": self.workers,
                "ENABLE_CPU_PINNING": False,  # the threads that read crops need these cores too
            },
        )
        self.version_text = f"openvino {openvino.__version__.split('-')[0]}"
        self.precision = precision
        outputs = {name: output for output in self._compiled.outputs for name in output.get_names()}
        self.members = int(outputs[LOGITS].get_partial_shape()[0].get_length())
        self._knows_phases = PHASE in outputs
        self._own = threading.local()  # a request serves one thread

    @classmethod
    def choose_precision(cls, options: PredictOptions) -> Precision:
        """Return the precision asked for; `auto` is bf16 where this CPU multiplies it itself."""
        if options.precision != "auto":
            return options.precision
        return "bf16" if cpu_has_bf16() else "fp32"

    def infer(self, crops: FloatArray) -> Outputs:
        """Compute the outputs of all members for crops, float32 (B, 3, P, P), RGB in [0, 1]."""
        starts = range(0, len(crops), _BATCH)
        return join_outputs([self._infer_batch(crops[at : at + _BATCH]) for at in starts])

    def _infer_batch(self, crops: FloatArray) -> Outputs:
        if not hasattr(self._own, "request"):
            self._own.request = self._compiled.create_infer_request()
        request, count = self._own.request, len(crops)
        request.get_tensor(INPUT).data[:count] = crops  # the rest of the batch is left out below
        request.infer()
        phase = request.get_tensor(PHASE).data[:count].copy() if self._knows_phases else None
        return Outputs(request.get_tensor(LOGITS).data[:, :count].copy(), phase)

    def pool(self) -> AbstractContextManager[ThreadPoolExecutor]:
        """Give threads that may each call `infer`, one more than compute.

        Its batch is ready when another's is done, so no core waits for Python.
        """
        return ThreadPoolExecutor(self.workers + 1, "network")


def cpu_has_bf16() -> bool:
    """Whether this CPU multiplies bf16 itself, as OpenVINO sees it."""
    import openvino

    return "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


RUNTIME = OpenVinoRuntime
