"""Points on one slide against the same crops from memory: time as a ratio in one run, and memory.

python benchmarks/slides.py FOLDER_OF_CROPS [POINTS]

Crops are put side by side, over and over, into a pyramid of JPEG tiles, and a point lies in the
middle of each, in random order. The pyramid is written as an Aperio slide, which OpenSlide reads,
and as a plain TIFF, which tifffile reads. The network is `lite` at 160 px with one member;
its weights do not matter here. Each measurement is a process of its own.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np
import tifffile
import torch

import atypia
from atypia.bundle.manifest import BundleManifest, member_names
from atypia.bundle.save import save_bundle
from atypia.data.images import IMAGE_SUFFIXES, read_image
from atypia.evaluation.calibration import Calibration
from atypia.inference.options import PredictOptions
from atypia.inference.predictor import Predictor
from atypia.inference.sources import Figure
from atypia.models.adapters import AdapterConfig
from atypia.models.backbones.registry import backbone_spec
from atypia.models.classifier import build_classifier
from atypia.workflows.slide import predict_slide

SIDE, MPP = 128, 0.25


def main() -> None:
    if sys.argv[1] in TASKS:
        TASKS[sys.argv[1]](Path(sys.argv[2]), int(sys.argv[3]))
        return
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 10_000
    with tempfile.TemporaryDirectory() as place:
        make(Path(place), Path(sys.argv[1]), count)
        print(f"{count} points, {torch.get_num_threads()} threads")
        first = 0.0
        for task in TASKS:
            command = [sys.executable, __file__, task, place, str(count)]
            said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            seconds, peak, note = said.rstrip("\n").split("\t")
            first = first or float(seconds)
            print(
                f"{task:<8} {float(seconds):7.1f} s   x {float(seconds) / first:.2f}   "
                f"peak memory {float(peak):.2f} GB   {note}"
            )


def make(place: Path, folder: Path, count: int) -> None:
    """Write the crops, the slide, its points and a bundle."""
    paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES)
    crops = np.stack([read_image(path) for path in paths])
    across = int(np.ceil(np.sqrt(count)))
    which = np.resize(np.arange(len(crops)), across * across).reshape(across, across)
    rows = [np.hstack(crops[row]) for row in which]
    whole = np.vstack(rows)
    for name, said in (("case.svs", f"Aperio Image Library v12|MPP = {MPP}"), ("case.tif", "")):
        with tifffile.TiffWriter(place / name, bigtiff=True) as file:
            for number in range(3):
                per_cm = 1e4 / (MPP * 2**number)
                file.write(
                    np.ascontiguousarray(whole[:: 2**number, :: 2**number]),
                    tile=(256, 256),
                    photometric="rgb",
                    compression="jpeg",
                    description=said,
                    metadata=None,
                    subfiletype=int(number > 0),
                    resolution=(per_cm, per_cm),
                    resolutionunit="CENTIMETER",
                )
    order = np.random.default_rng(0).permutation(across * across)[:count]
    np.save(place / "crops.npy", crops[which.ravel()[order]])
    rows_of, columns_of = np.divmod(order, across)
    lines = [
        f"{(c + 0.5) * SIDE},{(r + 0.5) * SIDE}" for r, c in zip(rows_of, columns_of, strict=True)
    ]
    (place / "points.csv").write_text("\n".join(["x,y", *lines]) + "\n")
    spec, adapter = backbone_spec("lite"), AdapterConfig()
    manifest = BundleManifest(
        name="speed",
        backbone="lite",
        adapter=adapter,
        pooling=spec.pooling,
        crop_um=16.0,
        input_px=160,
        training_mpp=(MPP, MPP),
        mean=spec.mean,
        std=spec.std,
        members=member_names(1),
    )
    states = [build_classifier("lite", adapter).saved_state()]
    save_bundle(place / "bundle", manifest, states, Calibration(1, 0, 0.5, 0.4, 0.6, ""), "# speed")


def from_memory(place: Path, count: int) -> None:
    """Classify the crops; they lie on disk, mapped, and each is copied when its turn comes."""
    crops = np.load(place / "crops.npy", mmap_mode="r")
    predictor = atypia.load(place / "bundle")
    predictor.predict([np.array(crop) for crop in crops[:64]], mpp=MPP)
    figures = (
        Figure(str(n), "", MPP, "given", lambda n=n: np.array(crops[n])) for n in range(count)
    )
    begun = time.perf_counter()
    done = sum(scored.figures for scored in predictor.stream(figures))
    assert done == count
    tell(time.perf_counter() - begun, "")


def of_slide(name: str, place: Path, count: int) -> None:
    """Classify the points; the time is that from the first window read to the last row."""
    options = PredictOptions(bundle=place / "bundle")
    Predictor.load(options=options).predict([np.zeros((SIDE, SIDE, 3), np.uint8)] * 64, mpp=MPP)
    done = predict_slide(place / name, place / "points.csv", place / "out.geojson", options=options)
    record = done.record
    assert done.counts.figures == count
    tell(
        record.seconds,
        f"{record.reading_s:.1f} s in reading, {record.network_s:.1f} s in the network, over "
        "threads",
    )


def tell(seconds: float, note: str) -> None:
    # Not getrusage: its peak is that of the parent, where this process began.
    status = Path("/proc/self/status").read_text().split("VmHWM:")[1]
    peak = int(status.split()[0]) / 1e6
    print(f"{seconds}\t{peak}\t{note}")


TASKS = {
    "memory": from_memory,
    "Aperio": partial(of_slide, "case.svs"),
    "TIFF": partial(of_slide, "case.tif"),
}


if __name__ == "__main__":
    main()
