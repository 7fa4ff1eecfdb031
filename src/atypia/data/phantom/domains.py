"""The domains of the phantom: what a laboratory, a scanner and a tissue make of a figure."""

from __future__ import annotations

from dataclasses import dataclass

from atypia.data.phantom.stain import Stains


@dataclass(frozen=True)
class DomainLook:
    """How one domain looks.

    Attributes:
        scanner: name in the figure table.
        laboratory: name in the figure table.
        stains: what a unit of each stain absorbs.
        haematoxylin: strength of the stain; 1 is usual.
        eosin: strength of the stain; 1 is usual.
        white: red, green and blue of an empty slide, 0 to 255.
        mpp: um/px.
        blur_um: deviation of the scanner's point spread, um.
        sharpening: share of unsharp masking that the scanner adds.
        noise: deviation of the sensor's noise, grey levels of 255.
        jpeg_quality: quality that the scanner compressed with, 1 to 100.
        nuclei_per_mm2: interphase nuclei round the figure.
        cell_scale: size of the cells; 1 is usual.
        stroma: share of the background that is fibres, 0 to 1.
        gaps: share of the background that is empty, 0 to 1.
    """

    scanner: str
    laboratory: str
    stains: Stains
    haematoxylin: float
    eosin: float
    white: tuple[float, float, float]
    mpp: float
    blur_um: float
    sharpening: float
    noise: float
    jpeg_quality: int
    nuclei_per_mm2: float
    cell_scale: float
    stroma: float
    gaps: float


DOMAIN_LOOKS = (
    DomainLook(
        scanner="phantom scanner A",
        laboratory="phantom laboratory 1",
        stains=Stains((0.62, 0.67, 0.40), (0.20, 0.90, 0.38)),
        haematoxylin=1.0,
        eosin=1.0,
        white=(247, 236, 245),
        mpp=0.25,
        blur_um=0.22,
        sharpening=0.3,
        noise=2.5,
        jpeg_quality=85,
        nuclei_per_mm2=7500,
        cell_scale=1.0,
        stroma=0.25,
        gaps=0.08,
    ),
    DomainLook(
        scanner="phantom scanner B",
        laboratory="phantom laboratory 2",
        stains=Stains((0.50, 0.78, 0.36), (0.16, 0.93, 0.33)),
        haematoxylin=1.25,
        eosin=0.8,
        white=(250, 232, 248),
        mpp=0.23,
        blur_um=0.34,
        sharpening=0.0,
        noise=1.5,
        jpeg_quality=80,
        nuclei_per_mm2=11000,
        cell_scale=0.9,
        stroma=0.1,
        gaps=0.03,
    ),
    DomainLook(
        scanner="phantom scanner C",
        laboratory="phantom laboratory 3",
        stains=Stains((0.66, 0.62, 0.42), (0.10, 0.88, 0.46)),
        haematoxylin=0.8,
        eosin=1.2,
        white=(255, 248, 240),
        mpp=0.25,
        blur_um=0.2,
        sharpening=0.8,
        noise=4.0,
        jpeg_quality=70,
        nuclei_per_mm2=6000,
        cell_scale=1.1,
        stroma=0.4,
        gaps=0.18,
    ),
    DomainLook(
        scanner="phantom scanner D",
        laboratory="phantom laboratory 1",
        stains=Stains((0.56, 0.60, 0.57), (0.34, 0.90, 0.27)),
        haematoxylin=1.1,
        eosin=0.7,
        white=(240, 240, 246),
        mpp=0.5,
        blur_um=0.35,
        sharpening=0.4,
        noise=2.0,
        jpeg_quality=85,
        nuclei_per_mm2=7500,
        cell_scale=1.05,
        stroma=0.25,
        gaps=0.1,
    ),
    DomainLook(
        scanner="phantom scanner B",
        laboratory="phantom laboratory 4",
        stains=Stains((0.60, 0.70, 0.40), (0.34, 0.91, 0.24)),
        haematoxylin=0.9,
        eosin=1.3,
        white=(252, 226, 246),
        mpp=0.23,
        blur_um=0.3,
        sharpening=0.1,
        noise=2.0,
        jpeg_quality=80,
        nuclei_per_mm2=8500,
        cell_scale=1.15,
        stroma=0.3,
        gaps=0.1,
    ),
    DomainLook(
        scanner="phantom scanner A",
        laboratory="phantom laboratory 5",
        stains=Stains((0.68, 0.66, 0.32), (0.24, 0.90, 0.36)),
        haematoxylin=1.35,
        eosin=1.05,
        white=(246, 238, 242),
        mpp=0.25,
        blur_um=0.26,
        sharpening=0.3,
        noise=3.0,
        jpeg_quality=90,
        nuclei_per_mm2=9500,
        cell_scale=0.95,
        stroma=0.15,
        gaps=0.05,
    ),
)
"""The domains there are, in the order a cohort takes them."""
