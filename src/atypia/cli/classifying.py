"""The options of the verbs that classify: which bundle, how it runs, and which points."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

Bundle = Annotated[
    Path | None,
    typer.Option(
        "--bundle",
        metavar="DIR",
        help="The bundle, as `atypia train` writes it; without it, the one that comes with atypia.",
        show_default=False,
    ),
]
Weights = Annotated[
    Path | None,
    typer.Option(
        "--weights",
        metavar="FILE_OR_DIR",
        help="The backbone's weights, as `atypia models fetch` gets them; without it, from the "
        "Hugging Face cache.",
    ),
]
Device = Annotated[
    Literal["auto", "cpu", "cuda"], typer.Option("--device", help="Where the network runs.")
]
Precision = Annotated[
    Literal["auto", "fp32", "bf16"],
    typer.Option("--precision", help="auto: bf16 where it is faster here than fp32."),
]
Runtime = Annotated[
    Literal["auto", "torch", "onnx", "openvino"],
    typer.Option(
        "--runtime",
        help="What computes the network. auto: the fastest that is installed, where the bundle "
        "was exported (`atypia bundle export`), and torch on a GPU.",
    ),
]
Threads = Annotated[
    int | None, typer.Option("--threads", min=1, help="CPU threads; without it, all cores.")
]
Members = Annotated[
    int | None,
    typer.Option("--members", min=1, help="Use only the first N ensemble members (faster)."),
]
BatchSize = Annotated[
    int | None,
    typer.Option(
        "--batch-size", min=1, help="Figures at once; without it, 24 on a CPU, 256 on a GPU."
    ),
]
Prevalence = Annotated[
    float | None,
    typer.Option(
        "--prevalence",
        help="Share of atypical figures where you work, above 0 and below 1; corrects P(atypical) "
        "for it. Calls and referrals stay the same.",
    ),
]

ClassNames = Annotated[
    list[str] | None,
    typer.Option(
        "--class",
        help="Classify points of this class only. May be repeated. Without it, all but those that "
        "the file calls no mitosis.",
    ),
]
ObjectType = Annotated[
    Literal["annotation", "detection"] | None,
    typer.Option(
        "--object-type",
        help="Type of the objects for QuPath; without it QuPath's own keep theirs, and new ones "
        "are annotations, which can be edited.",
    ),
]
Origin = Annotated[
    Literal["bounds", "slide"],
    typer.Option(
        "--origin",
        help="Where points count from: the bounds of the scanned tissue, as QuPath does, or "
        "the corner of the slide.",
    ),
]
AreaClass = Annotated[
    str | None,
    typer.Option(
        "--area-class",
        help="Class of the QuPath annotations that outline the tissue in which figures were "
        "looked for, for their density.",
    ),
]
