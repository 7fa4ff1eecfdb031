from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from atypia.data.images import read_image
from atypia.data.table import read_table


def test_domains_differ_in_stain_more_than_slides_do(cohort: Path, truth: pd.DataFrame) -> None:
    frame = read_table(cohort / "figures.csv").frame
    crops = np.stack([read_image(cohort / image) for image in frame["image"]]).astype(float)
    density = -np.log((crops + 1) / 256).mean(axis=(1, 2))
    hue = pd.DataFrame(density / np.linalg.norm(density, axis=1, keepdims=True))
    domains = hue.groupby(truth["domain"]).mean()
    slides = hue.groupby(frame["slide"]).mean()
    within = slides.groupby(slides.index.str[:2]).std().to_numpy().max()
    between = np.linalg.norm(domains.to_numpy()[:, None] - domains.to_numpy()[None], axis=-1)
    assert between[np.triu_indices(3, 1)].min() > 0.05
    assert between.mean() > 2 * within
