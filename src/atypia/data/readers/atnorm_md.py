"""The slides of AtNorM-MD, which the published set does not name.

`atnorm_md_slides.csv` holds, in row n, slide, place (px of the slide's level 0) and majority label
of figure `n.png`: row n + 9,830 of the training list of MIDOG 2025 (Weiss et al. 2025, doi
10.5281/zenodo.16044804), whose last 2,107 rows, in the order of `image_id`, are the figures of
AtNorM-MD. What shows it stands in docs/benchmark.md.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd

from atypia.data.columns import DOMAIN_COLUMNS
from atypia.data.readers.midog import midog_origin, scanner_mpp

_SLIDES = Path(__file__).with_name("atnorm_md_slides.csv")


def slides_of_figures(images: Sequence[str], label: pd.Series) -> tuple[pd.DataFrame, str]:
    """Return slide, place, domain and mpp of figures of AtNorM-MD, by the number of each image.

    Args:
        images: N file names or paths; the number that a name begins with counts.
        label: N majority labels, 1 or 0, or in words as AtNorM-MD writes them.

    Returns:
        A frame with the index of `label` and the columns slide, x, y, tumour, scanner, laboratory,
        species, mpp, mpp_source; "" and NaN where the slide is not known. And a note; "" where
        there is nothing to say. Where more than a twentieth of the labels are not those of the
        figures of these numbers in the published set, this is another set: nothing is known of any
        of its figures. (Counted from another figure on, a sixth of the labels would differ.)
    """
    known = pd.read_csv(_SLIDES)
    known.index += 1
    numbers = [_number(image) for image in images]
    rows = known.reindex(numbers).set_index(label.index)
    theirs = rows["atypical"].notna()
    is_atypical = label.astype(str).str.lower().isin(["atypical", "amf", "1", "1.0", "true"])
    others = int((is_atypical[theirs] != (rows.loc[theirs, "atypical"] == 1)).sum())
    note = ""
    if others > theirs.sum() / 20:
        rows = rows.assign(slide=np.nan, x=np.nan, y=np.nan)
        note = (
            f"the slides of AtNorM-MD are not used: {others} of {int(theirs.sum())} figures have "
            "another label than the published set, so their numbers may mean other figures"
        )
    slides = rows["slide"].astype(object).where(rows["slide"].notna(), "")
    origins = [midog_origin(_number(slide)) for slide in slides]
    frame = pd.DataFrame({"slide": slides, "x": rows["x"], "y": rows["y"]}, index=label.index)
    for part in DOMAIN_COLUMNS:
        frame[part] = [getattr(origin, part) if origin else "" for origin in origins]
    frame["mpp"] = [scanner_mpp(origin.scanner) if origin else np.nan for origin in origins]
    frame["mpp_source"] = frame["mpp"].notna().map({True: "layout", False: ""})
    return frame, note


def _number(name: str) -> int:
    match = re.match(r"\d+", PurePosixPath(name).name)
    return int(match[0]) if match else 0
