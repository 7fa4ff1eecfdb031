"""onnxruntime: comes with atypia, and computes the exported network in fp32."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager

from atypia.inference.exported import INPUT, LOGITS, PHASE, ExportedRuntime
from atypia.inference.options import Precision, PredictOptions
from atypia.inference.runtimes.base import FloatArray, Outputs


class OnnxRuntime(ExportedRuntime):
    """Computed by onnxruntime, in fp32. Attributes: `Runtime`."""

    key = "onnx"
    extra = ""
    modules = ("onnxruntime",)
    precisions = ("fp32",)

    def __init__(self, model: bytes, precision: Precision, threads: int) -> None:
        """Prepare a model for threads that share `threads` of the CPU.

        Raises:
            ValueError: the precision is not fp32.
        """
        import onnxruntime

        if precision != "fp32":
            raise ValueError(f"precision {precision}: onnxruntime computes fp32 on a CPU")
        self.threads = threads
        onnxruntime.disable_telemetry_events()  # for one that was imported before atypia
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = max(1, threads // self.workers)
        options.log_severity_level = 3  # errors
        self._session = onnxruntime.InferenceSession(
            model, options, providers=["CPUExecutionProvider"]
        )
        self.version_text = f"onnxruntime {onnxruntime.__version__}"
        self.precision = precision
        outputs = {output.name: output for output in self._session.get_outputs()}
        self.members = int(outputs[LOGITS].shape[0])
        self._names = [name for name in (LOGITS, PHASE) if name in outputs]

    @classmethod
    def choose_precision(cls, options: PredictOptions) -> Precision:
        """Return the precision asked for; `auto` is fp32."""
        return "fp32" if options.precision == "auto" else options.precision

    def infer(self, crops: FloatArray) -> Outputs:
        """Compute the outputs of all members for crops, float32 (B, 3, P, P), RGB in [0, 1]."""
        arrays = self._session.run(self._names, {INPUT: crops})
        return Outputs(arrays[0], arrays[1] if len(arrays) > 1 else None)

    def pool(self) -> AbstractContextManager[ThreadPoolExecutor]:
        """Give threads that may each call `infer`."""
        return ThreadPoolExecutor(self.workers, "network")


RUNTIME = OnnxRuntime
