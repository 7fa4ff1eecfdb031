"""How much of each stain lies where: stroma, cytoplasm, interphase nuclei, the dividing cell.

All amounts are float32 (S, S), 0 or more; about 0.5 is pale, 1 usual, 3 nearly black.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from atypia.data.phantom.domains import DomainLook
from atypia.data.phantom.figure import Chromosomes
from atypia.data.phantom.texture import TextureBank

Floats = npt.NDArray[np.float32]


@dataclass
class Amounts:
    """Amounts of both stains in one crop, changed in place as tissue is laid on.

    Attributes:
        haematoxylin: float32 (S, S).
        eosin: float32 (S, S).
    """

    haematoxylin: Floats
    eosin: Floats


@dataclass(frozen=True)
class Canvas:
    """Where the pixels of a crop lie, and how fine they are.

    Attributes:
        size_px: side.
        mpp: um/px.
        x: um from the crop's centre, float32 (1, S).
        y: um from the crop's centre, float32 (S, 1).
    """

    size_px: int
    mpp: float
    x: Floats
    y: Floats

    @classmethod
    def centred(cls, size_px: int, mpp: float) -> Canvas:
        """Return the canvas of a crop of `size_px` at `mpp` (um/px)."""
        place = ((np.arange(size_px) - (size_px - 1) / 2) * mpp).astype(np.float32)
        return cls(size_px, mpp, place[None, :], place[:, None])

    def window(self, x: float, y: float, reach: float) -> tuple[slice, slice]:
        """Return the rows and columns within `reach` (um) of a point, cut at the borders."""
        half = (self.size_px - 1) / 2

        def span(centre: float) -> slice:
            low = int(np.floor((centre - reach) / self.mpp + half))
            high = int(np.ceil((centre + reach) / self.mpp + half)) + 1
            return slice(min(max(low, 0), self.size_px), min(max(high, 0), self.size_px))

        return span(y), span(x)


@dataclass(frozen=True)
class Cell:
    """The dividing cell: an ellipse round the figure.

    Attributes:
        angle: of its long axis, radians.
        long_um: half its length.
        short_um: half its width.
        pale: share of eosin that its cytoplasm lacks, 0 to 1.
        retraction: how empty the cleft round it is, 0 to 1.
    """

    angle: float
    long_um: float
    short_um: float
    pale: float
    retraction: float


def _step(values: Floats, edge: float, softness: float) -> Floats:
    """0 below `edge`, 1 above, straight between over 2 x `softness`."""
    step: Floats = np.clip(
        (values - np.float32(edge - softness)) * np.float32(0.5 / softness), 0, 1
    )
    return step


def draw_cell(rng: np.random.Generator, figure: Chromosomes, cell_scale: float) -> Cell:
    """Return a cell that holds the figure, long where the figure is long."""
    places = np.stack([figure.x, figure.y])
    spread, axes = np.linalg.eigh(np.cov(places))
    long_axis = axes[:, 1]
    reach = 2.1 * np.sqrt(spread)
    size = rng.uniform(6.0, 8.5) * cell_scale
    return Cell(
        angle=float(np.arctan2(long_axis[1], long_axis[0])),
        long_um=float(max(size, reach[1] + 2.2)),
        short_um=float(max(size * rng.uniform(0.75, 0.95), reach[0] + 2.0)),
        pale=float(rng.uniform(0.15, 0.6)),
        retraction=float(rng.uniform(0.4, 0.95) * (rng.random() < 0.4)),
    )


def lay_background(
    rng: np.random.Generator, canvas: Canvas, look: DomainLook, bank: TextureBank
) -> tuple[Amounts, Floats]:
    """Lay cytoplasm, stroma and gaps.

    Returns:
        The amounts, and where gaps are, float32 (S, S) from 0 (tissue) to 1 (empty).
    """
    size = canvas.size_px
    fine = bank.cut(rng, "fine", size)
    medium = bank.cut(rng, "medium", size)
    regions = bank.cut(rng, "coarse", size)
    coarse = bank.cut(rng, "coarse", size)
    fibres = bank.cut_fibres(rng, size, coarse * np.float32(2.0 / canvas.mpp))
    # A standard normal field lies below this bound on the wanted share of the background.
    stroma = _step(-regions, _normal_bound(1 - look.stroma) + rng.normal(0, 0.5), 0.25)
    eosin = (1 - stroma) * (0.60 + 0.09 * coarse + 0.12 * medium + 0.10 * fine) + stroma * (
        0.80 + 0.20 * fibres + 0.08 * fine
    )
    haematoxylin = (1 - stroma) * (0.32 + 0.06 * coarse + 0.06 * medium + 0.07 * fine) + stroma * (
        0.14 + 0.04 * fibres
    )
    # Clefts and lumina, and small vacuoles.
    holes = np.maximum(bank.cut(rng, "coarse", size) + 0.2 * medium, 0.62 * medium - 0.1)
    gaps = _step(holes, _normal_bound(1 - look.gaps) + rng.normal(0, 0.4), 0.25)
    return Amounts(haematoxylin, eosin), gaps


def _normal_bound(share_below: float) -> float:
    """The quantile of the standard normal (Bowling et al. 2009, logistic approximation)."""
    share = min(max(share_below, 1e-3), 1 - 1e-3)
    return float(np.log(share / (1 - share)) / 1.702)


def cut_gaps(amounts: Amounts, gaps: Floats) -> None:
    """Empty the tissue where gaps are."""
    left = 1 - 0.96 * gaps
    amounts.haematoxylin *= left
    amounts.eosin *= left


def lay_nuclei(
    rng: np.random.Generator,
    canvas: Canvas,
    look: DomainLook,
    bank: TextureBank,
    amounts: Amounts,
    keep_clear_um: float,
) -> None:
    """Lay interphase nuclei on a jittered grid, none within `keep_clear_um` of the centre."""
    nuclei = _draw_nuclei(rng, canvas, look, keep_clear_um)
    if not len(nuclei):
        return
    reach = 1.25 * float(nuclei[:, 2].max())
    half = int(np.ceil(reach / canvas.mpp))
    offset = (np.arange(-half, half + 1) * canvas.mpp).astype(np.float32)
    centres = np.rint(nuclei[:, :2] / canvas.mpp + (canvas.size_px - 1) / 2).astype(int)
    densities = _nuclear_chromatin(rng, nuclei, offset, bank)
    for (column, row), density in zip(centres, densities, strict=True):
        rows = slice(max(row - half, 0), min(row + half + 1, canvas.size_px))
        columns = slice(max(column - half, 0), min(column + half + 1, canvas.size_px))
        if rows.start >= rows.stop or columns.start >= columns.stop:
            continue
        part = density[
            rows.start - row + half : rows.stop - row + half,
            columns.start - column + half : columns.stop - column + half,
        ]
        spot = amounts.haematoxylin[rows, columns]
        np.maximum(spot, part, out=spot)
        # A nucleus holds little that takes eosin.
        amounts.eosin[rows, columns] *= 1 - 0.3 * np.clip(part * 1.6, 0, 1)


def _draw_nuclei(
    rng: np.random.Generator, canvas: Canvas, look: DomainLook, keep_clear_um: float
) -> npt.NDArray[np.float64]:
    """Return float64 (N, 7): x, y, long and short half axis (um), angle, darkness, openness."""
    pitch = 1000 / np.sqrt(look.nuclei_per_mm2)
    extent = canvas.size_px * canvas.mpp / 2 + pitch / 2
    ticks = np.arange(-extent, extent + pitch, pitch) + rng.uniform(-0.5, 0.5) * pitch
    places = np.stack(np.meshgrid(ticks, ticks), axis=-1).reshape(-1, 2)
    places[:, 0] += (np.arange(len(places)) // len(ticks) % 2) * pitch / 2
    places = places + rng.uniform(-0.3, 0.3, places.shape) * pitch
    count = len(places)
    long_um = rng.normal(4.3, 0.65, count).clip(2.8, 5.8) * look.cell_scale
    short_um = long_um * rng.uniform(0.6, 0.95, count)
    # Fibroblasts, endothelium, lymphocytes, shrunken cells: dark, and slim or small.
    dark = rng.random(count) < 0.12 + 0.3 * look.stroma
    slim = dark & (rng.random(count) < 0.6)
    short_um = np.where(slim, long_um * rng.uniform(0.25, 0.4, count), short_um)
    small = dark & ~slim
    long_um, short_um = np.where(small, 2.4, long_um), np.where(small, 2.1, short_um)
    darkness = np.where(dark, rng.uniform(1.6, 2.7, count), rng.uniform(0.9, 1.6, count))
    openness = np.where(dark, rng.uniform(0, 0.25, count), rng.uniform(0.3, 0.75, count))
    nuclei = np.column_stack(
        [places, long_um, short_um, rng.uniform(0, np.pi, count), darkness, openness]
    )
    far = np.hypot(places[:, 0], places[:, 1]) > keep_clear_um + 0.6 * long_um
    near_enough = (np.abs(places) < extent + 2).all(axis=1)
    thinned: npt.NDArray[np.float64] = nuclei[far & near_enough & (rng.random(count) < 0.93)]
    return thinned


def _nuclear_chromatin(
    rng: np.random.Generator,
    nuclei: npt.NDArray[np.float64],
    offset: Floats,
    bank: TextureBank,
) -> Floats:
    """Return haematoxylin float32 (N, W, W) of each nucleus on its own window."""
    _, _, long_um, short_um, angle, darkness, openness = nuclei.astype(np.float32).T[
        ..., None, None
    ]
    side = len(offset)
    cos, sin = np.cos(angle), np.sin(angle)
    x, y = offset[None, None, :], offset[None, :, None]
    u = (x * cos + y * sin) / long_um
    v = (y * cos - x * sin) / short_um
    blotches = np.stack([bank.cut(rng, "medium", side) for _ in range(len(nuclei))])
    grains = np.stack([bank.cut(rng, "fine", side) for _ in range(len(nuclei))])
    distance = np.sqrt(u * u + v * v) + 0.06 * blotches
    inside = np.clip((1.06 - distance) * (short_um * 1.6), 0, 1)
    rim = np.clip(1 - np.abs(distance - 0.92) * 6, 0, 1)
    # One or two nucleoli, inside the middle of the nucleus.
    spot = rng.uniform(-0.4, 0.4, (4, len(nuclei), 1, 1)).astype(np.float32)
    near = np.minimum(
        (u - spot[0]) ** 2 + (v - spot[1]) ** 2, (u - spot[2]) ** 2 + (v - spot[3]) ** 2
    )
    nucleolus = np.clip(1.4 - near * 28, 0, 1)
    clumps = np.clip(0.35 + 0.4 * blotches + 0.25 * grains, -0.1, 1.3)
    body = 1 - openness * (1 - clumps)
    chromatin: Floats = inside * darkness * (body + openness * (0.65 * rim + 0.75 * nucleolus))
    return chromatin


def lay_cell(
    rng: np.random.Generator, canvas: Canvas, cell: Cell, bank: TextureBank, amounts: Amounts
) -> None:
    """Lay the dividing cell over what is there: cleft, membrane, cytoplasm without a nucleus."""
    reach = 1.5 * max(cell.long_um, cell.short_um)
    rows, columns = canvas.window(0.0, 0.0, reach)
    x, y = canvas.x[:, columns], canvas.y[rows]
    cos, sin = np.float32(np.cos(cell.angle)), np.float32(np.sin(cell.angle))
    u = (x * cos + y * sin) / np.float32(cell.long_um)
    v = (y * cos - x * sin) / np.float32(cell.short_um)
    grain = bank.cut(rng, "fine", canvas.size_px)[rows, columns]
    medium = bank.cut(rng, "medium", canvas.size_px)[rows, columns]
    shape = bank.cut(rng, "coarse", canvas.size_px)[rows, columns]
    distance = np.sqrt(u * u + v * v) + 0.035 * medium + 0.07 * shape
    inside = 1 - _step(distance, 1.0, 0.06)
    cleft = np.clip(1 - np.abs(distance - 1.14) * 7, 0, 1) * np.float32(cell.retraction)
    cleft *= np.clip(0.5 + 0.9 * bank.cut(rng, "coarse", canvas.size_px)[rows, columns], 0, 1)
    membrane = np.clip(1 - np.abs(distance - 0.98) * 14, 0, 1)
    clear = np.clip(1.1 - distance, 0, 1) * np.float32(cell.pale)
    cytoplasm = (0.64 + 0.09 * medium + 0.10 * grain) * (1 - clear) + 0.15 * membrane
    basophilia = (0.28 + 0.06 * medium + 0.07 * grain) * (1 - 0.6 * clear) + 0.12 * membrane
    left = (1 - inside) * (1 - 0.95 * cleft)
    region = (rows, columns)
    amounts.eosin[region] = amounts.eosin[region] * left + inside * cytoplasm
    amounts.haematoxylin[region] = amounts.haematoxylin[region] * left + inside * basophilia


def lay_chromosomes(
    canvas: Canvas,
    figure: Chromosomes,
    bank: TextureBank,
    rng: np.random.Generator,
    amounts: Amounts,
) -> None:
    """Lay condensed chromatin: rods whose densities add up until they are nearly black."""
    reach = float(
        np.max(np.maximum(np.abs(figure.x), np.abs(figure.y)) + figure.half_length + figure.radius)
    )
    rows, columns = canvas.window(0.0, 0.0, reach + 0.6)
    x, y = canvas.x[:, columns], canvas.y[rows]
    table = np.stack(
        [
            figure.x, figure.y, np.cos(figure.angle), np.sin(figure.angle),
            figure.half_length, figure.radius, figure.density,
        ]
    ).astype(np.float32)[..., None, None]  # fmt: skip
    centre_x, centre_y, cos, sin, half_length, radius, density = table
    dx, dy = x[None] - centre_x, y[None] - centre_y
    along = dx * cos + dy * sin
    along -= np.clip(along, -half_length, half_length)
    across = dy * cos - dx * sin
    distance = np.sqrt(along * along + across * across)
    soft = np.float32(max(0.18, 0.5 * canvas.mpp))
    cover = (np.clip((radius + soft - distance) * (0.5 / soft), 0, 1) * density).sum(axis=0)
    grain = bank.cut(rng, "fine", canvas.size_px)[rows, columns]
    chromatin = (1 - np.exp(-1.5 * cover)) * (3.0 + 0.25 * grain)
    amounts.haematoxylin[rows, columns] += chromatin
    amounts.eosin[rows, columns] *= 1 - 0.4 * np.clip(cover, 0, 1)
