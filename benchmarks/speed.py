"""Classifying from image files on this machine: every figure in one run, as ratios.

python benchmarks/speed.py BUNDLE FOLDER [--members N] [--growth 100000]

BUNDLE must have been exported (`atypia bundle export BUNDLE`). FOLDER holds images; where they lie
in `normal/` and `atypical/` and the bundle was not trained on them, the balanced accuracy that each
runtime and precision keeps is worth reading.

1. From files, against the challenge's reference loop (tf_efficientnetv2_m of timm, random weights,
   one crop of 224 px at a time, float32), and against the bundle's own network as timm has it
   (eager, float32, in batches, crops resized by torchvision). Beside it each network alone, on
   tensors that are ready: the limit, and the share of it that is reached from files.
2. From process start to the end: one image, and 16 pages as the challenge hands them over.
3. How time and memory grow with the number of crops, in a process each; files are repeated.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import cycle, islice
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

# Torch is imported where it is needed: processes that measure memory begin with this file too.
from atypia.bundle.manifest import read_manifest
from atypia.challenges.midog25.stack import PAGE_PX, STACK_SLUG
from atypia.cli.progress import progress_bars
from atypia.data.images import IMAGE_SUFFIXES, read_image
from atypia.inference.crops import CropSpec, make_crop
from atypia.inference.options import Precision, PredictOptions, RuntimeKey, runtime_keys
from atypia.inference.predictor import CPU_BATCH, Predictor
from atypia.inference.runtimes.choice import runtime_class
from atypia.inference.sinks import open_sink
from atypia.inference.sources import Source
from atypia.workflows.classify import classify_sources

LOOP_PX = 224
BATCHES = 8  # of ready crops, for each thread that looks at them
STACK_PAGES = 16
# Of this program alone; what `getrusage` says also counts the process that started it.
PEAK_KB = "next(int(line.split()[1]) for line in open('/proc/self/status') if 'VmHWM' in line)"
ATYPIA = f"""
from atypia.cli.main import run
try:
    run()
finally:
    print({PEAK_KB})
"""


@dataclass
class Contender:
    """What classifies crops, and the best that was measured of it.

    Attributes:
        name: in the table.
        paths: N files.
        classify: returns P(atypical) of the files, float64 (N,), or None.
        alone: returns crops/s of the network on ready tensors.
    """

    name: str
    paths: Sequence[Path]
    classify: Callable[[Sequence[Path]], np.ndarray | None]
    alone: Callable[[], float]
    files_rate: float = 0.0
    alone_rate: float = 0.0
    p: np.ndarray | None = None

    def measure(self) -> None:
        """Measure once more; the better counts, for whatever else runs here only takes time."""
        self.alone_rate = max(self.alone_rate, self.alone())
        begun = time.perf_counter()
        self.p = self.classify(self.paths)
        self.files_rate = max(self.files_rate, len(self.paths) / (time.perf_counter() - begun))


def _to_stderr(line: str) -> None:
    print(line, file=sys.stderr)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle", type=Path, help="which must have been exported")
    parser.add_argument("folder", type=Path, help="of images")
    parser.add_argument("--mpp", type=float, help="um/px [the middle of the bundle's training]")
    parser.add_argument("--members", type=int, help="the first so many, exported likewise [all]")
    parser.add_argument("--crops", type=int, default=1000, help="from all over the folder [1000]")
    parser.add_argument("--loop-crops", type=int, default=100, help="of them, for the loop [100]")
    parser.add_argument("--rounds", type=int, default=3, help="of which the best counts [3]")
    parser.add_argument("--growth", type=int, default=10**5, help="1000, 10000, to this [100000]")
    arguments = parser.parse_args()
    arguments.mpp = arguments.mpp or read_manifest(arguments.bundle).assumed_mpp
    every = sorted(p for p in arguments.folder.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES)
    chosen = np.linspace(0, len(every) - 1, min(arguments.crops, len(every)), dtype=int)
    paths = [every[at] for at in chosen]

    known = [runtime_class(key) for key in runtime_keys()]
    installed = sorted(
        (one for one in known if one.is_installed()), key=lambda one: one.key != "torch"
    )
    runtimes = [one.key for one in installed]
    asked = [(one.key, precision) for one in installed for precision in one.precisions]
    fastest = from_files(arguments, paths, asked)
    print("\nfrom process start to the end, the fastest")
    for name, command in whole_commands(arguments, paths, runtimes):
        runs = []
        for number in range(arguments.rounds):
            _to_stderr(f"{name}, round {number + 1} of {arguments.rounds}")
            begun = time.perf_counter()
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            runs.append((time.perf_counter() - begun, int(done.stdout.split()[-1])))
        print(f"{name:<26}{min(runs)[0]:8.2f} s   peak memory {min(runs)[1] / 1024:6.0f} MB")
    print(f"\ngrowth: {' '.join(fastest)}, from files to the table, the bundle loaded")
    count = 1000
    while count <= arguments.growth:
        _to_stderr(f"{count} crops")
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as apart:
            taken = apart.submit(
                grown, arguments.bundle, paths, count, arguments.mpp, arguments.members, *fastest
            )
            seconds, peak_kb = taken.result()
        print(
            f"{count:>8} crops {seconds:8.1f} s   {count / seconds:6.1f} crops/s   "
            f"peak memory {peak_kb / 1024:6.0f} MB",
            flush=True,
        )
        count *= 10


def from_files(
    arguments: argparse.Namespace,
    paths: Sequence[Path],
    asked: Sequence[tuple[RuntimeKey, Precision]],
) -> tuple[RuntimeKey, Precision]:
    """Measure and print the loop, eager timm and each runtime; return the fastest of these."""
    import torch

    from atypia.bundle.load import load_bundle
    from atypia.inference.runtimes.torch import load_members

    loaded = load_bundle(arguments.bundle)
    manifest, members = loaded.manifest, load_members(loaded, count=arguments.members)
    side, calibration = manifest.input_px, loaded.calibration
    spec = CropSpec.of(manifest)
    ready = np.random.default_rng(0).random((CPU_BATCH, 3, side, side), dtype=np.float32)

    def eager(crops: torch.Tensor) -> np.ndarray:
        with torch.inference_mode():
            logits = torch.stack([member(crops).logit for member in members])
        return calibration.probability(logits.numpy().mean(axis=0))

    def in_batches(shown: Callable[[Path], torch.Tensor], paths: Sequence[Path]) -> np.ndarray:
        starts = range(0, len(paths), CPU_BATCH)
        batches = (paths[at : at + CPU_BATCH] for at in starts)
        return np.concatenate([eager(torch.stack([*map(shown, some)])) for some in batches])

    _to_stderr("P(atypical) of every crop by eager timm, on the crops that atypia cuts")
    exact = in_batches(
        lambda path: torch.from_numpy(make_crop(read_image(path), arguments.mpp, spec)), paths
    )
    contenders = [
        the_loop(paths[:: max(1, len(paths) // arguments.loop_crops)]),
        Contender(
            "eager timm fp32",
            paths,
            partial(in_batches, plain_crops(round(manifest.crop_um / arguments.mpp), side)),
            partial(rate, lambda: eager(torch.from_numpy(ready)), len(ready)),
        ),
    ]
    for key, precision in asked:
        one = Predictor.load(
            arguments.bundle,
            device="cpu",
            runtime=key,
            precision=precision,
            members=arguments.members,
        )
        contenders.append(
            Contender(
                f"{key} {precision}",
                paths,
                lambda paths, one=one: one.predict(paths, mpp=arguments.mpp)[
                    "p_atypical"
                ].to_numpy(),
                partial(alone, one, ready),
            )
        )
    for number in range(arguments.rounds):
        for each in contenders:
            _to_stderr(f"{each.name}, round {number + 1} of {arguments.rounds}")
            each.measure()

    print(
        f"{manifest.name}: {len(members)} members, {side} px; {len(paths)} crops "
        f"({len(contenders[0].paths)} for the loop), {torch.get_num_threads()} threads\n"
        f"{'crops/s':<22}{'from files':>11}{'x loop':>9}{'x eager':>9}{'alone':>9}{'reached':>9}"
        f"{'largest |P - eager|':>21}{'bal. acc.':>11}"
    )
    truth = np.array([path.parent.name.lower() == "atypical" for path in paths])
    for each in contenders:
        against = "".join(f"{each.files_rate / one.files_rate:9.2f}" for one in contenders[:2])
        line = f"{each.name:<22}{each.files_rate:11.1f}{against}{each.alone_rate:9.1f}"
        line += f"{each.files_rate / each.alone_rate:9.0%}"
        if each.p is not None:
            line += f"{np.abs(each.p - exact).max():21.5f}"
            called = calibration.call(each.p)
            if truth.any() and not truth.all():
                shares = [np.mean(called[truth == which] == which) for which in (False, True)]
                line += f"{np.mean(shares):11.4f}"
        print(line, flush=True)
    return max(zip(contenders[2:], asked, strict=True), key=lambda both: both[0].files_rate)[1]


def the_loop(paths: Sequence[Path]) -> Contender:
    """Return the challenge's reference: a network of its size, one crop at a time."""
    import timm
    import torch
    from torchvision import transforms

    network = timm.create_model("tf_efficientnetv2_m", pretrained=False, num_classes=1).eval()
    shown = transforms.Compose(
        [
            transforms.Resize((LOOP_PX, LOOP_PX)),
            transforms.ToTensor(),
            transforms.Normalize((0.5,) * 3, (0.5,) * 3),
        ]
    )

    def look(crop: torch.Tensor) -> None:
        with torch.inference_mode():
            network(crop.unsqueeze(0)).sigmoid().item()

    def classify(paths: Sequence[Path]) -> None:
        for path in paths:
            look(shown(Image.open(path).convert("RGB")))

    ready = torch.zeros(3, LOOP_PX, LOOP_PX)
    return Contender("the challenge's loop", paths, classify, partial(rate, lambda: look(ready), 1))


def plain_crops(crop_px: int, input_px: int) -> Callable[[Path], object]:
    """Return what makes a tensor of a file as one would write it with Pillow and torchvision."""
    from torchvision import transforms

    shown = transforms.Compose(
        [transforms.CenterCrop(crop_px), transforms.Resize(input_px), transforms.ToTensor()]
    )
    return lambda path: shown(Image.open(path).convert("RGB"))


def rate(look: Callable[[], object], crops: int) -> float:
    """Return crops/s of looking at so many, after a warm-up."""
    look()
    begun = time.perf_counter()
    for _ in range(BATCHES):
        look()
    return BATCHES * crops / (time.perf_counter() - begun)


def alone(predictor: Predictor, ready: np.ndarray) -> float:
    """Return crops/s of a predictor's network, in as many threads as it predicts with."""
    runtime, workers = predictor.runtime, predictor.runtime.workers
    with runtime.pool() as pool:
        list(pool.map(runtime.infer, [ready] * workers))
        begun = time.perf_counter()
        list(pool.map(runtime.infer, [ready] * (BATCHES * workers)))
        return BATCHES * workers * len(ready) / (time.perf_counter() - begun)


def whole_commands(
    arguments: argparse.Namespace, paths: Sequence[Path], runtimes: Sequence[RuntimeKey]
) -> Iterator[tuple[str, list[str]]]:
    """Give commands that print their peak memory last, each with its name."""
    with tempfile.TemporaryDirectory() as place:
        images = Path(place, "images", STACK_SLUG)
        images.mkdir(parents=True)
        entries = [{"interface": {"slug": STACK_SLUG}}]
        Path(place, "inputs.json").write_text(json.dumps(entries), encoding="utf-8")
        first, *more = (
            ImageOps.fit(Image.open(path).convert("RGB"), (PAGE_PX, PAGE_PX))
            for path in islice(cycle(paths), STACK_PAGES)
        )
        first.save(images / "stack.tif", save_all=True, append_images=more)
        atypia = [sys.executable, "-c", ATYPIA]
        bundle_options = ["--bundle", str(arguments.bundle), "--mpp", f"{arguments.mpp:g}"]
        fewer = ["--members", str(arguments.members)] if arguments.members else []
        for key in runtimes:
            out = ["--out", f"{place}/predictions.csv", "--device", "cpu", "--runtime", key]
            yield (
                f"one image, {key}",
                [*atypia, "predict", str(paths[0]), *bundle_options, *fewer, *out],
            )
        if not fewer:  # the challenge's program takes all members
            into = ["--input", place, "--output", place]
            command = [*atypia, "challenge", "midog25-t2", *into, *bundle_options]
            yield f"challenge, {STACK_PAGES} pages", command


def grown(
    bundle: Path,
    paths: Sequence[Path],
    count: int,
    mpp: float,
    members: int | None,
    key: RuntimeKey,
    chosen: Precision,
) -> tuple[float, int]:
    """Classify so many crops; return seconds, and this process's peak memory in kB."""
    options = PredictOptions(
        bundle=bundle, device="cpu", runtime=key, precision=chosen, members=members
    )
    repeated = [paths[number % len(paths)] for number in range(count)]
    source = Source(
        paths[0].parent,
        "folder of images",
        [f"{number}/{path.name}" for number, path in enumerate(repeated)],
        [f"{path.parent}/{path.name}" for path in repeated],
        [mpp] * count,
        ["given"] * count,
        lambda: (partial(read_image, path) for path in repeated),
    )
    with tempfile.TemporaryDirectory() as place, progress_bars() as on_progress:
        out = Path(place, "predictions.csv")
        predictor = Predictor.load(options=options)
        with open_sink(out) as write:
            record = classify_sources(
                predictor,
                [source],
                write,
                out,
                mpp=mpp,
                on_progress=on_progress,
            )
    return record.seconds, int(eval(PEAK_KB))


if __name__ == "__main__":
    main()
