"""`atypia bundle`: show, verify, export."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from atypia.cli.outputs import Overwrite

app = typer.Typer(no_args_is_help=True, help="Show, verify or export a bundle.")

Folder = Annotated[
    Path | None,
    typer.Argument(
        metavar="DIR",
        help="Folder of the bundle. Default: the one that comes with atypia.",
        show_default=False,
    ),
]


@app.command()
def show(folder: Folder = None) -> None:
    """Show the contents of a bundle, its operating point and its model card.

    Example: atypia bundle show runs/first/bundle
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from atypia.bundle.calibration import read_calibration
    from atypia.bundle.default import default_bundle
    from atypia.bundle.manifest import CARD_NAME, read_manifest
    from atypia.bundle.verify import bundle_hash, require_intact

    folder = folder or default_bundle()
    require_intact(folder)
    manifest, calibration = read_manifest(folder), read_calibration(folder)
    facts = Table(show_header=False, box=None)
    facts.add_column()
    facts.add_column(overflow="fold")  # a hash is longer than most screens are wide
    for name, value in (
        ("name", manifest.name),
        ("sha256", bundle_hash(folder)),
        ("backbone", f"{manifest.backbone}, {manifest.pooling}"),
        ("weights", manifest.weights_sha256 or "none beyond the bundle and atypia's packages"),
        ("adapter", manifest.adapter.kind),
        ("members", len(manifest.members)),
        ("crop", f"{manifest.crop_um:g} um in {manifest.input_px} px"),
        ("views", manifest.views),
        ("trained at", " to ".join(f"{mpp:g}" for mpp in manifest.training_mpp) + " um/px"),
        ("temperature", f"{calibration.temperature:.4g}, bias {calibration.bias:.4g}"),
        ("atypical above", f"{calibration.operating_point:.4g}"),
        ("refer", f"{calibration.refer_low:.4g} to {calibration.refer_high:.4g}"),
        ("refer rule", calibration.refer_rule),
        (
            "prevalence",
            "not recorded" if calibration.prevalence is None else f"{calibration.prevalence:.4g}",
        ),
        ("fitted on", calibration.fitted_on),
    ):
        facts.add_row(name, Text(str(value)))
    console = Console()
    console.print(facts)
    # As it is written: on a narrow console rich would cut the numbers of its tables.
    typer.echo("\n" + (folder / CARD_NAME).read_text(encoding="utf-8"))


@app.command()
def verify(folder: Folder = None) -> None:
    """Check every file of a bundle against its hash; the exit code is 1 if one differs.

    Example: atypia bundle verify runs/first/bundle
    """
    from atypia.bundle.default import default_bundle
    from atypia.bundle.manifest import read_manifest
    from atypia.bundle.verify import bundle_faults, bundle_hash
    from atypia.inference.exported import exported_faults

    folder = folder or default_bundle()
    faults = [*bundle_faults(folder), *exported_faults(folder)]
    for fault in faults:
        typer.echo(fault, err=True)
    if faults:
        raise typer.Exit(1)
    name = read_manifest(folder).name
    typer.echo(f"{folder}: {name}, every file matches its hash (sha256 {bundle_hash(folder)})")


@app.command()
def export(
    folder: Folder = None,
    to: Annotated[Literal["onnx"], typer.Option("--to", help="Format of the file.")] = "onnx",
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="FILE",
            help="Output file, for other programs. Default: exported/ in the bundle, where "
            "`atypia predict` finds it.",
        ),
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(
            "--weights",
            metavar="FILE_OR_DIR",
            help="Published weights of the backbone, as for `atypia predict`.",
        ),
    ] = None,
    members: Annotated[
        int | None,
        typer.Option(
            "--members",
            min=1,
            metavar="N",
            help="Export only the first N ensemble members, for `predict --members N`.",
        ),
    ] = None,
    half: Annotated[
        bool,
        typer.Option(
            "--half",
            help="Store the weights in 16 bits: half the size, P(atypical) up to 0.01 off.",
        ),
    ] = False,
    overwrite: Overwrite = False,
) -> None:
    """Export the network of a bundle as ONNX, which is faster and needs no torch.

    The export is checked against torch before it is kept. Export again after the bundle changes.

    Example: atypia bundle export runs/first/bundle --to onnx
    """
    from atypia.bundle.default import default_bundle
    from atypia.inference.export import export_onnx

    path = export_onnx(folder or default_bundle(), out, weights, members, overwrite, half)
    typer.echo(f"wrote {path}")
