"""What each runtime and precision keeps of the accuracy on held-out folds.

python benchmarks/runtimes.py FIGURES... BUNDLE OUT_OF_FOLD.csv

BUNDLE must have been exported (`atypia bundle export BUNDLE`); OUT_OF_FOLD.csv is what its training
left. Every figure is scored by the member that has not seen it, and called by the operating point
that torch's scores of the other folds gave in float32: a runtime brings none of its own.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd

from atypia.data.domains import domain_names
from atypia.data.images import read_image
from atypia.data.readers.open_figures import open_figures
from atypia.data.votes import hard_labels
from atypia.evaluation.calibration import cross_fit
from atypia.evaluation.metrics import binary_metrics
from atypia.inference.crops import CropSpec, make_crop, stack_crops
from atypia.inference.options import runtime_keys
from atypia.inference.predictor import CPU_BATCH, Predictor
from atypia.inference.runtimes.choice import REFERENCE, runtime_class


def main() -> None:
    if len(sys.argv) < 4:
        raise SystemExit(__doc__)
    *figures, bundle, scores = map(Path, sys.argv[1:])
    table = open_figures(figures)
    frame, paths = table.frame, table.image_paths()
    out_of_fold = pd.read_csv(scores, dtype={"figure_id": str}).set_index("figure_id")
    fold = out_of_fold.loc[frame["figure_id"], "fold"].to_numpy()
    truth, case = hard_labels(frame), frame["case"].to_numpy(dtype=object)
    domain = domain_names(frame)

    fitted = None
    known = sorted(map(runtime_class, runtime_keys()), key=lambda one: one.key != REFERENCE)
    for key, precision in [(one.key, each) for one in known for each in one.precisions]:
        one = Predictor.load(bundle, device="cpu", runtime=key, precision=precision)
        spec = CropSpec.of(one.manifest)
        batches = []
        for start in range(0, len(table), CPU_BATCH):
            some = frame.iloc[start : start + CPU_BATCH]
            crops = [
                make_crop(read_image(path), mpp, spec)
                for path, mpp in zip(paths[start : start + CPU_BATCH], some["mpp"], strict=True)
            ]
            batches.append(one.runtime.infer(stack_crops(crops)).logits)
        logits = np.concatenate(batches, axis=1)[fold, np.arange(len(table))].astype(np.float64)
        if fitted is None:
            fitted, exact = cross_fit(logits, truth, truth, fold, case, domain), logits
        p, call = np.zeros(len(table)), np.zeros(len(table), dtype=bool)
        for number, calibration in fitted.calibrations.items():
            here = fold == number
            p[here] = calibration.probability(logits[here])
            call[here] = calibration.call(p[here])
        metrics = binary_metrics(truth, p, call)
        print(
            f"{key:<9} {precision}   BA {metrics.balanced_accuracy:.4f}   "
            f"AUROC {metrics.auroc:.4f}   {np.sum(call != fitted.call):4d} of {len(call)} calls "
            f"differ   largest |P - P of torch fp32| {np.abs(p - fitted.p).max():.5f}   "
            f"logits {np.sqrt(np.mean((logits - exact) ** 2)):.4f} RMS",
            flush=True,
        )


if __name__ == "__main__":
    main()
