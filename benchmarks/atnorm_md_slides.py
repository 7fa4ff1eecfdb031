"""Whether the slides that atypia knows of AtNorM-MD are right: colours of a slide are alike.

python benchmarks/atnorm_md_slides.py atnorm-md

Each crop's colour is its median. Its variance within slides, as a share of the whole within the
tumour type, is small if the slides are right; with slides read from another row, or shuffled, the
crops of one "slide" come from several.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from atypia.data.images import read_image
from atypia.data.readers.open_figures import open_figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("figures", type=Path, help="folder of AtNorM-MD")
    frame = (table := open_figures(parser.parse_args().figures)).frame
    numbers = frame["figure_id"].str.extract(r"(\d+)$")[0].astype(int)
    frame = frame.assign(path=table.image_paths()).iloc[np.argsort(numbers)]
    colours = np.stack([np.median(read_image(path), axis=(0, 1)) for path in frame["path"]])
    random = np.random.default_rng(0)
    print("variance of a crop's colour within slides, share of the whole (red, green, blue)")
    for tumour, rows in frame.reset_index(drop=True).groupby("tumour").groups.items():
        slides, own = frame["slide"].to_numpy()[rows], colours[rows]
        shares = {
            "as known": share_within(slides, own),
            "25 rows on": share_within(np.roll(slides, 25), own),
            "shuffled": share_within(random.permutation(slides), own),
        }
        text = "   ".join(f"{name} {np.round(share, 2)}" for name, share in shares.items())
        print(f"{tumour:34}{text}")


def share_within(
    slides: npt.NDArray[np.object_], colours: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Return the variance of colours (N, 3) within slides (N,) as a share of the whole, (3,)."""
    values = pd.DataFrame(colours)
    within = values - values.groupby(slides).transform("mean")
    return np.asarray((within**2).sum() / ((values - values.mean()) ** 2).sum())


if __name__ == "__main__":
    main()
