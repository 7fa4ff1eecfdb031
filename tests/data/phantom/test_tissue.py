from __future__ import annotations

import numpy as np

from atypia.data.phantom.domains import DOMAIN_LOOKS
from atypia.data.phantom.figure import METAPHASE, SEGREGATION, build_figure
from atypia.data.phantom.texture import draw_textures
from atypia.data.phantom.tissue import (
    Amounts,
    Canvas,
    cut_gaps,
    draw_cell,
    lay_chromosomes,
    lay_nuclei,
)

LOOK = DOMAIN_LOOKS[0]
CANVAS = Canvas.centred(128, LOOK.mpp)


def _empty() -> Amounts:
    return Amounts(*np.zeros((2, 128, 128), np.float32))


def test_nuclei_leave_the_figure_free() -> None:
    rng = np.random.default_rng(0)
    amounts = _empty()
    lay_nuclei(rng, CANVAS, LOOK, draw_textures(rng, LOOK.mpp, 128), amounts, keep_clear_um=8.0)
    distance_um = np.hypot(CANVAS.x, CANVAS.y)
    assert amounts.haematoxylin[distance_um < 4].max() == 0
    assert (amounts.haematoxylin[distance_um > 12] > 0.5).mean() > 0.02


def test_gaps_hold_no_tissue() -> None:
    amounts, gaps = _empty(), np.zeros((128, 128), np.float32)
    amounts.eosin += 1
    gaps[:, :64] = 1
    cut_gaps(amounts, gaps)
    assert amounts.eosin[:, :64].max() < 0.1 and amounts.eosin[:, 64:].min() == 1


def test_chromatin_is_dark_and_lies_within_the_cell() -> None:
    rng = np.random.default_rng(0)
    figure = build_figure(rng, METAPHASE, SEGREGATION, 0.0)
    cell = draw_cell(rng, figure, LOOK.cell_scale)
    amounts = _empty()
    lay_chromosomes(CANVAS, figure, draw_textures(rng, LOOK.mpp, 128), rng, amounts)
    assert amounts.haematoxylin.max() > 2
    outside = np.hypot(CANVAS.x, CANVAS.y) > cell.long_um
    assert amounts.haematoxylin[outside].max() == 0
