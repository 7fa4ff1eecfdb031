"""Figures finer than those of training: as sharp as they are, or made as coarse first.

python benchmarks/finer.py FIGURES OUT

Nobody has the same figures at two resolutions, so training is made coarser: a short training of
`lite` on figures of twice their um/px (means of 2 x 2 px), without a fold of slides. These are
then scored as coarse as training's, and as they were: crops are enlarged to `input_px` in any case,
and those of the finer images come out sharper than any in training.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from sklearn.metrics import roc_auc_score

from atypia.data.images import read_image
from atypia.data.readers.open_figures import open_figures
from atypia.data.windows import cut_window, stack_windows
from atypia.inference.crops import CropSpec, make_crop, stack_crops
from atypia.models.classifier import build_classifier
from atypia.training.components.augment import compute_augmented_window_um
from atypia.training.devices import open_fabric
from atypia.training.figures import training_figures
from atypia.training.loop import MemberInputs, train_member
from atypia.training.recipe_file import read_recipe
from atypia.workflows.training.plan import divide_figures

SHORT = ["backbone.input_px=64", "schedule.epochs=6", "schedule.batch_size=32"]
Pixels = npt.NDArray[np.uint8]


def coarse(image: Pixels) -> Pixels:
    """Return the means of 2 x 2 px."""
    high, wide = (side // 2 for side in image.shape[:2])
    quads = image[: 2 * high, : 2 * wide].reshape(high, 2, wide, 2, 3)
    reduced: Pixels = quads.mean(axis=(1, 3)).round().astype(np.uint8)
    return reduced


def main() -> None:
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    table, out = open_figures(Path(sys.argv[1])), Path(sys.argv[2])
    recipe = read_recipe("lite", SHORT)
    crop_um, input_px = recipe.backbone.crop_um, recipe.backbone.input_px
    images = [read_image(path) for path in table.image_paths()]
    mpp = table.frame["mpp"].to_numpy(dtype=np.float64)
    reduced = [coarse(image) for image in images]
    wide_um = compute_augmented_window_um(recipe.augment, crop_um)
    windows = stack_windows(
        [cut_window(one, 2 * m, crop_um, wide_um) for one, m in zip(reduced, mpp, strict=True)],
        2 * mpp,
    )
    figures = training_figures(table, recipe.soft_labels)
    folds, _ = divide_figures(table, recipe)
    rows = folds.held_out(0)
    fabric = open_fabric("cpu", recipe.schedule)
    member = train_member(
        MemberInputs(recipe, windows, figures, fabric),
        rows,
        out,
        member=0,
        identity="finer",
        on_progress=lambda at: print(f"\r{at.step} of {at.steps}", end="", file=sys.stderr),
        curve=False,
    )
    network = build_classifier(
        "lite", recipe.adapter, phases=len(figures.phases), input_px=input_px
    )
    network.load_saved_state(member.state)
    network.eval()
    finest = float(2 * mpp.min())
    coarser: npt.NDArray[np.float32] | None = None
    for title, shown, own_mpp, limit in (
        ("as coarse as training's", reduced, 2 * mpp, 0.0),
        ("finer, as they are", images, mpp, 0.0),
        ("finer, made as coarse", images, mpp, finest),
    ):
        spec = CropSpec(crop_um, input_px, finest, limit)
        crops = stack_crops([make_crop(shown[row], float(own_mpp[row]), spec) for row in rows])
        with torch.inference_mode():
            logit = network(torch.from_numpy(crops)).logit.numpy()
        coarser = logit if coarser is None else coarser
        moved = logit - coarser
        print(
            f"{title:<26} AUROC {roc_auc_score(figures.truth[rows], logit):.3f}   logit moved by "
            f"{moved.mean():+.2f}, from figure to figure {moved.std():.2f} (SD of logits "
            f"{coarser.std():.2f})"
        )


if __name__ == "__main__":
    main()
