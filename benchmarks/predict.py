"""Prediction from image files on this machine, as ratios in one run.

python benchmarks/predict.py BUNDLE FOLDER [FIGURES]

The reference is the obvious loop: read an image, one crop at a time through the same network,
eager, float32.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import torch

import atypia
from atypia.bundle.load import load_bundle
from atypia.data.images import IMAGE_SUFFIXES, read_image
from atypia.inference.reading import CropSpec, crop_of

REFERENCE_FIGURES = 100


def plain_loop(bundle: Path, paths: list[Path], mpp: float) -> float:
    """Return crops/s of the obvious loop."""
    loaded = load_bundle(bundle)
    member = loaded.members[0].eval()
    spec = CropSpec(loaded.manifest.crop_um, loaded.manifest.input_px, mpp)
    begun = time.perf_counter()
    with torch.inference_mode():
        for path in paths:
            member(torch.from_numpy(crop_of(read_image(path), mpp, spec)).unsqueeze(0))
    return len(paths) / (time.perf_counter() - begun)


def ours(bundle: Path, paths: list[Path], mpp: float, members: int, precision: str) -> float:
    """Return crops/s of `Predictor.predict`, loading apart."""
    predictor = atypia.load(bundle, members=members, precision=precision)  # type: ignore[arg-type]
    predictor.predict(paths[:64], mpp=mpp)
    begun = time.perf_counter()
    predictor.predict(paths, mpp=mpp)
    return len(paths) / (time.perf_counter() - begun)


def main() -> None:
    bundle, folder = Path(sys.argv[1]), Path(sys.argv[2])
    count = int(sys.argv[3]) if len(sys.argv) > 3 else 1000
    paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES)[:count]
    manifest = load_bundle(bundle).manifest
    mpp = manifest.assumed_mpp
    every = len(manifest.members)
    rows = [
        (
            "one at a time, eager, fp32, 1 member",
            plain_loop(bundle, paths[:REFERENCE_FIGURES], mpp),
        ),
        ("atypia, fp32, 1 member", ours(bundle, paths, mpp, 1, "fp32")),
        ("atypia, bf16, 1 member", ours(bundle, paths, mpp, 1, "bf16")),
    ]
    if every > 1:
        rows.append((f"atypia, bf16, {every} members", ours(bundle, paths, mpp, every, "bf16")))
    print(
        f"{len(paths)} crops from files, {manifest.input_px} px, {torch.get_num_threads()} threads"
    )
    for name, rate in rows:
        print(f"{name:<40} {rate:7.1f} crops/s   x {rate / rows[0][1]:.1f}")


if __name__ == "__main__":
    main()
