"""The chromosomes of each phase and kind of atypia, as they lie in the plane of the section.

A figure is built from a normal phase and a kind of atypia with a severity in [0, 1]: 0 is the
phase as in a textbook, 1 the atypia at its plainest, 0.5 where experts part. Lengths are in um;
the spindle lies along x and the metaphase plate along y until `move` turns the figure.

The names of phases and kinds are those of AMi-Br's table (Bertram et al. 2025), spelling included.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

Doubles = npt.NDArray[np.float64]

PROMETAPHASE = "NMF prometaphase"
METAPHASE = "NMF metaphase"
ANAPHASE_TELOPHASE = "NMF anaphase-telophase"
RING_SHAPE = "NMF ring shape"
SEGREGATION = "AMF segregation"
MULTIPOLAR = "AMF multipolar"
ASYMMETRIC = "AMF bipolar assymetric"
OTHER = "AMF other"

NORMAL_PHASES = (PROMETAPHASE, METAPHASE, ANAPHASE_TELOPHASE, RING_SHAPE)
ATYPICAL_KINDS = (SEGREGATION, MULTIPOLAR, ASYMMETRIC, OTHER)


@dataclass(frozen=True)
class Chromosomes:
    """Short rods of chromatin, one row each, K of them.

    Attributes:
        x: centres, um, float64 (K,).
        y: centres, um, float64 (K,).
        angle: direction of the rod, radians from x, float64 (K,).
        half_length: um, float64 (K,).
        radius: um, float64 (K,).
        density: how much each absorbs; 1 is a whole chromosome, float64 (K,).
    """

    x: Doubles
    y: Doubles
    angle: Doubles
    half_length: Doubles
    radius: Doubles
    density: Doubles

    def __len__(self) -> int:
        return len(self.x)


Builder = Callable[[np.random.Generator, float], Chromosomes]


def _rods(
    rng: np.random.Generator, x: Doubles, y: Doubles, angle: Doubles, spread: float
) -> Chromosomes:
    """Rods at these places, directed as `angle` give or take `spread` (radians)."""
    count = len(x)
    return Chromosomes(
        x=x,
        y=y,
        angle=angle + rng.normal(0, spread, count),
        half_length=rng.uniform(0.35, 0.95, count),
        radius=rng.uniform(0.38, 0.58, count),
        density=rng.uniform(0.7, 1.1, count),
    )


def merge(*parts: Chromosomes) -> Chromosomes:
    """Return the chromosomes of all parts as one figure."""
    names = ("x", "y", "angle", "half_length", "radius", "density")
    return Chromosomes(**{n: np.concatenate([getattr(part, n) for part in parts]) for n in names})


def move(
    figure: Chromosomes, angle: float, scale: float, x: float = 0.0, y: float = 0.0
) -> Chromosomes:
    """Return the figure scaled, turned by `angle` (radians) and moved to `x`, `y` (um)."""
    cos, sin = np.cos(angle) * scale, np.sin(angle) * scale
    return replace(
        figure,
        x=figure.x * cos - figure.y * sin + x,
        y=figure.x * sin + figure.y * cos + y,
        angle=figure.angle + angle,
        half_length=figure.half_length * scale,
        radius=figure.radius * scale,
    )


def _plate(rng: np.random.Generator, count: int, half_length: float, bend: float) -> Chromosomes:
    """A plate along y; `bend` (1/um) curves its ends towards negative x."""
    y = np.linspace(-half_length, half_length, count) + rng.normal(0, 0.25, count)
    x = rng.normal(0, 0.45, count) - bend * y**2
    return _rods(rng, x, y, np.zeros(count), 0.5)


def _clump(rng: np.random.Generator, count: int, radius: float) -> Chromosomes:
    distance = radius * np.sqrt(rng.uniform(0, 1, count))
    around = rng.uniform(0, 2 * np.pi, count)
    squash = rng.uniform(0.7, 1.0)
    x, y = distance * np.cos(around), squash * distance * np.sin(around)
    return _rods(rng, x, y, around, 0.9)


def _ring(rng: np.random.Generator, count: int, radius: float) -> Chromosomes:
    around = np.linspace(0, 2 * np.pi, count, endpoint=False) + rng.normal(0, 0.08, count)
    distance = radius + rng.normal(0, 0.35, count)
    squash = rng.uniform(0.75, 1.0)
    x, y = distance * np.cos(around), squash * distance * np.sin(around)
    return _rods(rng, x, y, around, 0.4)


def _stray(
    rng: np.random.Generator, figure: Chromosomes, reach: float, severity: float
) -> Chromosomes:
    """Move some chromosomes off the figure along the spindle, to `reach` (um) and beyond."""
    count = 1 + round(5 * severity)
    moved = rng.choice(len(figure), count, replace=False)
    x, y = figure.x.copy(), figure.y.copy()
    side = rng.choice([-1.0, 1.0], count)
    x[moved] = side * (reach + rng.uniform(0, 1.2, count) * severity)
    y[moved] *= 0.8
    return replace(figure, x=x, y=y)


def _scatter(rng: np.random.Generator, figure: Chromosomes, severity: float) -> Chromosomes:
    """Spread the chromosomes out and shrink them to coarse grains."""
    spread = 1 + 0.95 * severity**1.3
    jitter = 0.9 * severity**1.3
    return replace(
        figure,
        x=figure.x * spread + rng.normal(0, jitter, len(figure)),
        y=figure.y * spread + rng.normal(0, jitter, len(figure)),
        half_length=figure.half_length * (1 - 0.6 * severity),
    )


def _two_plates(
    rng: np.random.Generator, share: float, gap: float
) -> tuple[Chromosomes, Chromosomes]:
    """Two sister plates `gap` (um) apart; the first holds `share` of the chromosomes."""
    # Telophase: the plates have drawn together and are shorter.
    length = 3.3 - 0.1 * gap
    count = 44
    first = max(5, round(share * count))
    sizes = np.array([first, count - first])
    lengths = length * np.sqrt(sizes / (count / 2))
    bend = rng.uniform(0.02, 0.1)
    first_plate = _plate(rng, int(sizes[0]), lengths[0], bend)
    second_plate = _plate(rng, int(sizes[1]), lengths[1], bend)
    return move(first_plate, 0.0, 1.0, x=gap / 2), move(second_plate, np.pi, 1.0, x=-gap / 2)


def _metaphase(rng: np.random.Generator) -> Chromosomes:
    return _plate(rng, 38, rng.uniform(3.2, 4.8), rng.uniform(-0.05, 0.05))


def _prometaphase(rng: np.random.Generator) -> Chromosomes:
    return _clump(rng, int(rng.integers(34, 52)), rng.uniform(2.5, 3.5))


def _ring_shape(rng: np.random.Generator) -> Chromosomes:
    return _ring(rng, 34, rng.uniform(2.5, 3.2))


def _gap(rng: np.random.Generator) -> float:
    return float(rng.uniform(3.8, 9.5))


def _metaphase_segregation(rng: np.random.Generator, severity: float) -> Chromosomes:
    return _stray(rng, _metaphase(rng), 0.4 + 5.0 * severity, severity)


def _prometaphase_segregation(rng: np.random.Generator, severity: float) -> Chromosomes:
    figure = _prometaphase(rng)
    return _stray(rng, figure, float(np.abs(figure.x).max()) * (0.5 + 1.4 * severity), severity)


def _anaphase_segregation(rng: np.random.Generator, severity: float) -> Chromosomes:
    """Chromosomes that lag between the plates, bridges from plate to plate, or both."""
    gap = _gap(rng)
    first_plate, second_plate = _two_plates(rng, 0.5, gap)
    lagging, bridging = ((True, False), (False, True), (True, True))[rng.integers(3)]
    parts = [first_plate, second_plate]
    if lagging:
        count = 1 + round(5 * severity)
        x = rng.choice([-1.0, 1.0], count) * gap / 2 * (1 - severity * rng.uniform(0.5, 1.1, count))
        parts.append(_rods(rng, x, rng.uniform(-2, 2, count), np.zeros(count), 0.6))
    if bridging:
        count = 9
        x = np.linspace(-gap / 2, gap / 2, count)
        y = rng.uniform(-1.8, 1.8) + 0.25 * np.sin(x) + rng.normal(0, 0.08, count)
        bridge = _rods(rng, x, y, np.zeros(count), 0.15)
        parts.append(
            replace(
                bridge,
                half_length=np.full(count, gap / 14),
                radius=np.full(count, 0.18 + 0.22 * severity),
                density=np.full(count, 1.1 * severity**1.5),
            )
        )
    return merge(*parts)


def _anaphase_asymmetric(rng: np.random.Generator, severity: float) -> Chromosomes:
    return merge(*_two_plates(rng, 0.5 - 0.43 * severity**1.4, _gap(rng)))


def _metaphase_multipolar(rng: np.random.Generator, severity: float) -> Chromosomes:
    """A plate that grows one more arm (a Y), or two (a cross)."""
    arms = 3 if rng.random() < 0.75 else 4
    length = rng.uniform(3.4, 4.6)
    bent = np.deg2rad(32) * severity * (arms == 3)
    directions = [np.pi / 2 + bent, -np.pi / 2 - bent, 0.0, np.pi][:arms]
    parts = []
    for number, direction in enumerate(directions):
        reach = length if number < 2 else length * severity
        arm = _plate(rng, max(3, round(15 * reach / length)), reach / 2, 0.0)
        arm = move(arm, 0.0, 1.0, y=reach / 2)
        parts.append(move(arm, direction - np.pi / 2, 1.0))
    return merge(*parts)


def _anaphase_multipolar(rng: np.random.Generator, severity: float) -> Chromosomes:
    """Part of one sister plate goes to a third pole."""
    gap = _gap(rng)
    first_plate, second_plate = _two_plates(rng, 0.55, gap)
    third = np.argsort(first_plate.y)[: max(2, round(len(first_plate) * 0.5 * severity))]
    rest = np.setdiff1d(np.arange(len(first_plate)), third)
    swing = np.deg2rad(105) * severity

    def pick(rows: npt.NDArray[np.int64]) -> Chromosomes:
        return Chromosomes(
            first_plate.x[rows],
            first_plate.y[rows],
            first_plate.angle[rows],
            first_plate.half_length[rows],
            first_plate.radius[rows],
            first_plate.density[rows],
        )

    moved = move(pick(third), -swing, 1.0)
    return merge(move(pick(rest), swing / 4, 1.0), moved, move(second_plate, -swing / 4, 1.0))


def _prometaphase_other(rng: np.random.Generator, severity: float) -> Chromosomes:
    return _scatter(rng, _prometaphase(rng), severity)


def _metaphase_other(rng: np.random.Generator, severity: float) -> Chromosomes:
    return _scatter(rng, _metaphase(rng), severity)


def _ring_other(rng: np.random.Generator, severity: float) -> Chromosomes:
    return _scatter(rng, _ring_shape(rng), severity)


BUILDERS: dict[tuple[str, str], Builder] = {
    (METAPHASE, SEGREGATION): _metaphase_segregation,
    (METAPHASE, MULTIPOLAR): _metaphase_multipolar,
    (METAPHASE, OTHER): _metaphase_other,
    (PROMETAPHASE, SEGREGATION): _prometaphase_segregation,
    (PROMETAPHASE, OTHER): _prometaphase_other,
    (ANAPHASE_TELOPHASE, SEGREGATION): _anaphase_segregation,
    (ANAPHASE_TELOPHASE, ASYMMETRIC): _anaphase_asymmetric,
    (ANAPHASE_TELOPHASE, MULTIPOLAR): _anaphase_multipolar,
    (RING_SHAPE, OTHER): _ring_other,
}
"""How a normal phase turns into a kind of atypia: (phase, kind) to a function of severity."""


def build_figure(rng: np.random.Generator, phase: str, kind: str, severity: float) -> Chromosomes:
    """Return the chromosomes of one figure, centred on 0, in an attitude by chance.

    Args:
        rng: source of chance.
        phase: one of `NORMAL_PHASES`.
        kind: one of `ATYPICAL_KINDS` that this phase can turn into (a key of `BUILDERS`).
        severity: 0 (the phase, plain) to 1 (the kind, plain).
    """
    figure = BUILDERS[phase, kind](rng, severity)
    return move(figure, rng.uniform(0, 2 * np.pi), rng.uniform(0.88, 1.15))
