"""What the rule of scope refuses: figures of domains, and what is no figure.

python benchmarks/scope.py ami-br atnorm-md
python benchmarks/scope.py ami-br atnorm-md --bundle runs/lite2/bundle

The first table: for each domain, the share of its figures refused by the bounds that ship, and by
bounds set without it (for each measure, the most extreme 0.1 % of the other domains' figures, moved
by 20 % outwards). The second: the share of glass, blank crops, ink and blur that is caught, and of
crops beside a figure. Glass, ink and blur are drawn, on these figures where they need tissue.

With the bundle of a training that left groups of domains out (`folds.scheme=domains`): rules that
need its networks, each asked for figures of domains that it has not seen; what such rules catch at
a bound that refuses 1 % of the figures that they were trained on. They are not shipped.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from atypia.data.domains import short_domain_names
from atypia.data.images import read_image
from atypia.data.readers.open_figures import open_figures
from atypia.data.splits import domain_folds, group_domains
from atypia.inference.crops import CropSpec, make_crop
from atypia.inference.predictor import Predictor
from atypia.inference.scope import BOUNDS, MPP, Bounds, Measures, measure

Pixels = npt.NDArray[np.uint8]
CROP_UM, INPUT_PX, FINEST_MPP = 16.0, 128, 0.23
SPEC = CropSpec(CROP_UM, INPUT_PX, 0.24, FINEST_MPP)
DRAWN, EXTREME, MARGIN = 600, 0.001, 0.2
INKS = {"blue": (30, 50, 150), "green": (20, 130, 70), "black": (35, 33, 38), "red": (190, 30, 50)}


def blur(image: Pixels, mpp: float, sigma_um: float) -> Pixels:
    filtered = Image.fromarray(image).filter(ImageFilter.GaussianBlur(float(sigma_um / mpp)))
    return np.asarray(filtered)


def cover(image: Pixels, ink: tuple[int, int, int], rng: np.random.Generator) -> Pixels:
    """Lay ink on a crop: its light is absorbed after the tissue's, unevenly (Beer-Lambert)."""
    high, wide, _ = image.shape
    coarse = rng.normal(1, 0.06, (high // 8 + 2, wide // 8 + 2)).astype(np.float32)
    layer = np.asarray(Image.fromarray(coarse).resize((wide, high), Image.Resampling.BICUBIC))
    passed = (np.array(ink) / 255.0) ** np.clip(layer, 0, None)[..., None]
    return np.clip(image * passed, 0, 255).astype(np.uint8)


def draw_glass(rng: np.random.Generator) -> Pixels:
    base = rng.uniform(215, 250) + rng.normal(0, 4, 3)
    ramp = np.linspace(-6, 6, 128)[:, None, None] * rng.uniform(-1, 1)
    noise = rng.normal(0, rng.uniform(1, 4), (128, 128, 3))
    return np.clip(base + noise + ramp, 0, 255).astype(np.uint8)


def draw_blank(rng: np.random.Generator) -> Pixels:
    return np.full((128, 128, 3), rng.integers(0, 256, 3), np.uint8)


def cut_beside(image: Pixels, mpp: float, away_um: float, rng: np.random.Generator) -> Pixels:
    """Cut what lies beside a figure, moved along a diagonal, as large as the crop allows."""
    centre = image.shape[0] // 2
    y, x = centre + rng.choice([-1, 1], 2) * round(away_um / mpp)
    half = min(y, x, image.shape[0] - y, image.shape[1] - x)
    return np.ascontiguousarray(image[y - half : y + half, x - half : x + half])


def draw_all(
    images: list[Pixels], mpp: npt.NDArray[np.float64], rows: npt.NDArray[np.int64]
) -> dict[str, npt.NDArray[np.float32]]:
    """Return crops of each kind, (600, 3, P, P)."""
    rng = np.random.default_rng(0)

    def crops(make: Callable[[int], Pixels]) -> npt.NDArray[np.float32]:
        return np.stack([make_crop(make(row), mpp[row], SPEC) for row in rows])

    kinds = {
        "glass": crops(lambda row: draw_glass(rng)),
        "blank, any colour": crops(lambda row: draw_blank(rng)),
    }
    for name, ink in INKS.items():
        kinds[f"{name} ink on glass"] = crops(lambda row, i=ink: cover(draw_glass(rng), i, rng))
        kinds[f"{name} ink on tissue"] = crops(lambda row, i=ink: cover(images[row], i, rng))
    for sigma in (0.5, 0.75, 1.0, 1.5, 2.0, 3.0):
        kinds[f"blur {sigma} um"] = crops(lambda row, s=sigma: blur(images[row], mpp[row], s))
    for away in (3, 5, 7):
        kinds[f"{away} um beside a figure"] = crops(
            lambda row, a=away: cut_beside(images[row], mpp[row], a, rng)
        )
    return kinds


def set_bounds(measures: list[Measures]) -> Bounds:
    """Set bounds beyond what figures show."""

    def least(name: str) -> float:
        return float(np.quantile([getattr(one, name) for one in measures], EXTREME)) * (1 - MARGIN)

    red = float(np.quantile([one.red for one in measures], 1 - EXTREME)) * (1 + MARGIN)
    return Bounds(least("density"), least("brightest"), red, least("detail"))


def share_refused(bounds: Bounds, measures: list[Measures]) -> float:
    return float(np.mean([bounds.judge(one) != "" for one in measures]))


def by_networks(bundle: Path, real, part, kinds, rows) -> None:  # type: ignore[no-untyped-def]
    """Print what rules on embeddings and phases catch."""
    import torch

    module = Predictor.load(bundle, runtime="torch", device="cpu").module
    group = group_domains(np.bincount(part), len(module.members))[part]
    rng = np.random.default_rng(0)

    def run(member, crops):  # type: ignore[no-untyped-def]
        parts = []
        with torch.inference_mode():
            for first in range(0, len(crops), 50):
                out = member(torch.from_numpy(np.ascontiguousarray(crops[first : first + 50])))
                parts.append((out.embedding.numpy(), torch.softmax(out.phase, 1).numpy()))
        return tuple(map(np.concatenate, zip(*parts, strict=True)))

    found: dict[str, dict[str, list[float]]] = {}
    for number, member in enumerate(module.members):
        trained = rng.choice(np.flatnonzero(group != number), 1000, replace=False)
        asked = rng.choice(np.flatnonzero(group == number), 300, replace=False)
        known = run(member, real[trained])
        centre = known[0].mean(0)
        _, scale, axes = np.linalg.svd(known[0] - centre, full_matrices=False)
        unit = known[0] / np.linalg.norm(known[0], axis=1, keepdims=True)

        def far(out):  # type: ignore[no-untyped-def]
            along = (out[0] - centre) @ axes[:64].T / (scale[:64] / np.sqrt(len(unit)))  # noqa: B023
            return (along**2).sum(1)

        def alone(out):  # type: ignore[no-untyped-def]
            own = out[0] / np.linalg.norm(out[0], axis=1, keepdims=True)
            return -np.sort(own @ unit.T, axis=1)[:, -11:-1].mean(1)  # noqa: B023

        def unsure(out):  # type: ignore[no-untyped-def]
            return -out[1].max(1)

        here = np.flatnonzero(group[rows] == number)[:120]
        others = {
            "left-out figures": run(member, real[asked]),
            **{name: run(member, crops[here]) for name, crops in kinds.items()},
        }
        rules = {"distance": far, "nearest neighbours": alone, "phase head": unsure}
        for rule, score in rules.items():
            bound = np.quantile(score(known), 0.99)
            for name, out in others.items():
                caught = float(np.mean(score(out) > bound))
                found.setdefault(rule, {}).setdefault(name, []).append(caught)
    print("\nrules that need the network: share refused, mean over groups left out (highest)")
    for rule, shares in found.items():
        print(f"{rule}: ", end="")
        print(", ".join(f"{n} {np.mean(s):.2f} ({max(s):.2f})" for n, s in shares.items()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("figures", type=Path, nargs="+")
    parser.add_argument("--bundle", type=Path)
    options = parser.parse_args()
    table = open_figures(options.figures)
    frame = table.frame
    part, domains = domain_folds(frame)
    short = short_domain_names(domains)
    images = [read_image(table.image_path(name)) for name in frame["image"]]
    mpp = frame["mpp"].to_numpy(dtype=float)
    real = np.stack([make_crop(*each, SPEC) for each in zip(images, mpp, strict=True)])
    measures = [measure(crop, CROP_UM) for crop in real]
    print(f"measured at {MPP} um/px; bounds {BOUNDS}")
    print(f"set on all: {set_bounds(measures)}")
    print(f"{'domain':42} figures  refused  by bounds set without it")
    for number, domain in enumerate(domains):
        own = [one for one, at in zip(measures, part, strict=True) if at == number]
        bounds = set_bounds([one for one, at in zip(measures, part, strict=True) if at != number])
        refused = 100 * share_refused(BOUNDS, own), 100 * share_refused(bounds, own)
        print(f"{short[domain]:42} {len(own):7,} {refused[0]:7.2f} % {refused[1]:7.2f} %")
    rows = np.random.default_rng(0).choice(len(images), DRAWN, replace=False)
    kinds = draw_all(images, mpp, rows)
    print(f"\n{'not in scope':28} caught  no tissue  ink  out of focus")
    for name, crops in kinds.items():
        reasons = [BOUNDS.judge(measure(crop, CROP_UM)) for crop in crops]
        of_each = [reasons.count(reason) for reason in ("no tissue", "ink", "out of focus")]
        caught = 100 * (1 - reasons.count("") / len(reasons))
        print(f"{name:28} {caught:5.1f} %  {'  '.join(map(str, of_each))}")
    if options.bundle is not None:
        by_networks(options.bundle, real, part, kinds, rows)


if __name__ == "__main__":
    main()
