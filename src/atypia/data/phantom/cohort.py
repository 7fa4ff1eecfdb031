"""A cohort of synthetic figures: planned, rendered, voted on, and written with its truth."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from PIL import Image

from atypia.data.phantom.domains import DOMAIN_LOOKS, DomainLook
from atypia.data.phantom.experts import EXPERTS, Expert, draw_phase, draw_votes, measure_ambiguity
from atypia.data.phantom.figure import (
    ANAPHASE_TELOPHASE,
    BUILDERS,
    METAPHASE,
    PROMETAPHASE,
    RING_SHAPE,
    build_figure,
    move,
)
from atypia.data.phantom.scanner import scan
from atypia.data.phantom.stain import Stains, transmit_light
from atypia.data.phantom.texture import TextureBank, draw_textures
from atypia.data.phantom.tissue import (
    Canvas,
    cut_gaps,
    draw_cell,
    lay_background,
    lay_cell,
    lay_chromosomes,
    lay_nuclei,
)
from atypia.data.table import FigureTable, figures_from_frame, write_table
from atypia.errors import AtypiaError
from atypia.files import create_output, remove_ours, require_outputs

MIN_SIZE_PX = 48
MAX_SIZE_PX = 1024

# How often each phase is met, near AMi-Br's but with enough of the rare ones to learn from.
_PHASE_SHARES = {PROMETAPHASE: 0.36, METAPHASE: 0.36, ANAPHASE_TELOPHASE: 0.21, RING_SHAPE: 0.07}
_KINDS = {phase: [kind for base, kind in BUILDERS if base == phase] for phase in _PHASE_SHARES}


@dataclass(frozen=True)
class FigurePlan:
    """All that decides one figure before a pixel is drawn.

    Attributes:
        figure_id: name, unique in the cohort.
        seed: of this figure's own chance, so figures do not depend on each other.
        domain: index into the cohort's looks.
        slide: name of the slide.
        case: name of the case; a case has one slide or two.
        phase: the normal phase it is built from.
        kind: the atypia it has, or leans to where it is normal.
        severity: 0 to 1; atypical above 0.5.
    """

    figure_id: str
    seed: tuple[int, ...]
    domain: int
    slide: str
    case: str
    phase: str
    kind: str
    severity: float

    @property
    def atypical(self) -> bool:
        """The truth."""
        return self.severity > 0.5


def make_phantom(
    folder: Path | str,
    *,
    figures: int = 240,
    domains: int = 3,
    slides_per_domain: int = 8,
    atypical_share: float = 0.3,
    size_px: int = 128,
    seed: int = 0,
    overwrite: bool = False,
) -> FigureTable:
    """Write a synthetic cohort of mitotic figures whose truth is known.

    `folder` receives `images/*.png`, `figures.csv` (a figure table with three experts' votes and
    two experts' phases) and `truth.csv` (a row a figure: class, phase, severity, ambiguity and
    what each expert's chance of voting atypical was). The same arguments give the same bytes.

    Args:
        folder: made if it is not there; a phantom that lies there is replaced.
        figures: how many.
        domains: how many, 1 to `len(DOMAIN_LOOKS)`; figures are divided evenly.
        slides_per_domain: how many slides each domain's figures come from.
        atypical_share: share that is truly atypical in each domain, 0 to 1.
        size_px: side of a crop, `MIN_SIZE_PX` to `MAX_SIZE_PX`.
        seed: 0 or more.
        overwrite: replace tables that lie there and that atypia did not write.

    Returns:
        The figure table as written.

    Raises:
        AtypiaError: an argument is out of range, or `folder` holds a table that atypia did not
            write.
    """
    _check(figures, domains, slides_per_domain, atypical_share, size_px, seed)
    folder = Path(folder)
    _clear(folder, overwrite)
    looks = DOMAIN_LOOKS[:domains]
    plans = plan_cohort(figures, domains, slides_per_domain, atypical_share, seed)
    try:
        (folder / "images").mkdir(parents=True, exist_ok=True)
        for plan, crop in zip(plans, render_cohort(plans, looks, size_px, seed), strict=True):
            Image.fromarray(crop).save(folder / _image(plan), compress_level=1)
    except OSError as fault:
        reason = fault.strerror or str(fault)
        raise AtypiaError(
            f"{folder}: cannot be written ({reason}); free some space or choose another place"
        ) from fault
    frame, truth = describe_cohort(plans, looks, EXPERTS, seed)
    with create_output(folder / "truth.csv") as partial:
        truth.to_csv(partial, index=False)
    table = figures_from_frame(frame, folder)
    # Last, so that a table names only images that are there.
    write_table(table, folder / "figures.csv")
    return table


def plan_cohort(
    figures: int, domains: int, slides_per_domain: int, atypical_share: float, seed: int
) -> list[FigurePlan]:
    """Decide every figure: its domain, slide, phase, kind and severity."""
    rng = np.random.default_rng([seed, 0])
    plans: list[FigurePlan] = []
    for domain, members in enumerate(np.array_split(np.arange(figures), domains)):
        count = len(members)
        # Slides differ in how atypical they are, as tumours do.
        weights = rng.uniform(0.4, 1.6, slides_per_domain)
        slides = rng.permutation(np.arange(count) % slides_per_domain)
        lean = weights[slides] * rng.uniform(0, 1, count)
        atypical = np.zeros(count, dtype=bool)
        atypical[np.argsort(-lean)[: round(atypical_share * count)]] = True
        mildness = 0.5 * rng.beta(1.0, 3.2, count)
        severity = np.where(atypical, 1 - mildness, mildness)
        phases = rng.choice(list(_PHASE_SHARES), count, p=list(_PHASE_SHARES.values()))
        for row, number in enumerate(members):
            phase = str(phases[row])
            slide = int(slides[row]) + 1
            plans.append(
                FigurePlan(
                    figure_id=f"phantom-{number:05d}",
                    seed=(seed, 1, int(number)),
                    domain=domain,
                    slide=f"d{domain + 1}-s{slide:02d}",
                    # The first two slides of a domain are of one case.
                    case=f"d{domain + 1}-c{max(slide, 2) - 1:02d}",
                    phase=phase,
                    kind=str(rng.choice(_KINDS[phase])),
                    severity=float(severity[row]),
                )
            )
    return plans


def render_cohort(
    plans: list[FigurePlan], looks: tuple[DomainLook, ...], size_px: int, seed: int
) -> Iterator[npt.NDArray[np.uint8]]:
    """Render the figures in order, each uint8 (size_px, size_px, 3)."""
    banks = [
        draw_textures(np.random.default_rng([seed, 2, domain]), look.mpp, size_px)
        for domain, look in enumerate(looks)
    ]
    for plan in plans:
        yield render_figure(plan, looks[plan.domain], banks[plan.domain], size_px)


def render_figure(
    plan: FigurePlan, look: DomainLook, bank: TextureBank, size_px: int
) -> npt.NDArray[np.uint8]:
    """Render one figure: tissue, cell and chromosomes laid, lit and scanned.

    Args:
        plan: the figure.
        look: its domain.
        bank: textures drawn at the domain's mpp for this size.
        size_px: side of the crop.

    Returns:
        uint8 (size_px, size_px, 3), RGB.
    """
    rng = np.random.default_rng(plan.seed)
    canvas = Canvas.centred(size_px, look.mpp)
    figure = build_figure(rng, plan.phase, plan.kind, plan.severity)
    figure = move(figure, 0.0, look.cell_scale, *rng.normal(0, 0.4, 2))
    cell = draw_cell(rng, figure, look.cell_scale)
    amounts, gaps = lay_background(rng, canvas, look, bank)
    lay_nuclei(rng, canvas, look, bank, amounts, keep_clear_um=cell.short_um)
    cut_gaps(amounts, gaps)
    lay_cell(rng, canvas, cell, bank, amounts)
    lay_chromosomes(canvas, figure, bank, rng, amounts)
    stains, haematoxylin, eosin = _slide_stain(plan, look)
    amounts.haematoxylin *= np.float32(haematoxylin)
    amounts.eosin *= np.float32(eosin)
    light = transmit_light(
        np.maximum(amounts.haematoxylin, 0), np.maximum(amounts.eosin, 0), stains
    )
    return scan(rng, light, look, defocus_um=min(float(rng.gamma(1.5, 0.08)), 0.35))


def _slide_stain(plan: FigurePlan, look: DomainLook) -> tuple[Stains, float, float]:
    """The stains and strengths of one slide: its domain's, give or take a day's bath."""
    rng = np.random.default_rng([plan.seed[0], 3, *plan.slide.encode()])
    tint = rng.normal(0, 0.02, (2, 3))
    stains = Stains(*(tuple(np.maximum(row, 0.02)) for row in _rows(look.stains) + tint))
    strength = np.exp(rng.normal(0, 0.12, 2))
    return stains, look.haematoxylin * strength[0], look.eosin * strength[1]


def _rows(stains: Stains) -> npt.NDArray[np.float64]:
    return np.array([stains.haematoxylin, stains.eosin])


def describe_cohort(
    plans: list[FigurePlan], looks: tuple[DomainLook, ...], experts: tuple[Expert, ...], seed: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Draw the votes; return the columns of the figure table, and the truth."""
    rng = np.random.default_rng([seed, 4])
    severity = np.array([plan.severity for plan in plans])
    votes = draw_votes(rng, severity, experts)
    phases = [
        [draw_phase(rng, plan.phase, plan.kind, int(vote)) for vote in row[:2]]
        for plan, row in zip(plans, votes, strict=True)
    ]
    frame = pd.DataFrame(
        {
            "figure_id": [plan.figure_id for plan in plans],
            "image": [_image(plan) for plan in plans],
            "slide": [plan.slide for plan in plans],
            "case": [plan.case for plan in plans],
            "mpp": [looks[plan.domain].mpp for plan in plans],
            "tumour": "phantom",
            "scanner": [looks[plan.domain].scanner for plan in plans],
            "laboratory": [looks[plan.domain].laboratory for plan in plans],
            "species": "phantom",
            **{f"vote_{number + 1}": votes[:, number] for number in range(len(experts))},
            "phase": [first if first == second else "" for first, second in phases],
            "phase_1": [first for first, _ in phases],
            "phase_2": [second for _, second in phases],
        }
    )
    truth = pd.DataFrame(
        {
            "figure_id": frame["figure_id"],
            "true_label": [int(plan.atypical) for plan in plans],
            "true_phase": [plan.kind if plan.atypical else plan.phase for plan in plans],
            "base_phase": [plan.phase for plan in plans],
            "leans_to": [plan.kind for plan in plans],
            "severity": severity.round(6),
            "ambiguity": measure_ambiguity(severity).round(6),
            "domain": [plan.domain for plan in plans],
            **{
                f"{name}_{number + 1}": getattr(expert, name)
                for number, expert in enumerate(experts)
                for name in ("sensitivity", "specificity")
            },
        }
    )
    return frame, truth


def _image(plan: FigurePlan) -> str:
    return f"images/{plan.figure_id}.png"


def _clear(folder: Path, overwrite: bool) -> None:
    """Take away an earlier phantom's table and images; refuse to touch anything else."""
    table, truth = folder / "figures.csv", folder / "truth.csv"
    if folder.exists() and not folder.is_dir():
        raise AtypiaError(f"{folder}: is a file, expected a folder; choose another name")
    require_outputs((table, truth), overwrite=overwrite)
    remove_ours(table)
    remove_ours(truth)
    for image in (folder / "images").glob("phantom-*.png"):
        image.unlink()


def _check(
    figures: int,
    domains: int,
    slides_per_domain: int,
    atypical_share: float,
    size_px: int,
    seed: int,
) -> None:
    if not 1 <= domains <= len(DOMAIN_LOOKS):
        raise AtypiaError(f"domains: {domains}, expected 1 to {len(DOMAIN_LOOKS)}")
    if figures < domains:
        raise AtypiaError(f"figures: {figures}, expected at least one a domain ({domains})")
    if slides_per_domain < 1:
        raise AtypiaError(f"slides_per_domain: {slides_per_domain}, expected 1 or more")
    if not 0 <= atypical_share <= 1:
        raise AtypiaError(f"atypical_share: {atypical_share}, expected 0 to 1")
    if not MIN_SIZE_PX <= size_px <= MAX_SIZE_PX:
        raise AtypiaError(f"size_px: {size_px}, expected {MIN_SIZE_PX} to {MAX_SIZE_PX}")
    if seed < 0:
        raise AtypiaError(f"seed: {seed}, expected 0 or more")
