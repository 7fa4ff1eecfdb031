"""`atypia models`: list, show."""

from __future__ import annotations

from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="The backbones: list, show.")


@app.command(name="list")
def list_() -> None:
    """List all backbones.

    Example: atypia models list
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from atypia.models.backbones.registry import backbone_keys, backbone_spec

    shown = Table(box=box.SIMPLE_HEAD)
    for title in ("key", "embedding", "input", "licence", "access"):
        shown.add_column(title, overflow="fold")
    for key in backbone_keys():
        spec = backbone_spec(key)
        shown.add_row(key, str(spec.embedding), f"{spec.input_px} px", spec.licence, spec.access)
    Console().print(shown, markup=False)


@app.command()
def show(
    key: Annotated[str, typer.Argument(help="As `atypia models list` names it.")],
) -> None:
    """Print all that is known of one backbone.

    Example: atypia models show lite
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from atypia.models.backbones.registry import backbone_spec

    spec = backbone_spec(key)
    shown = Table(show_header=False, box=None)
    for name, value in (
        ("key", spec.key),
        ("embedding", f"{spec.embedding} values: {spec.pooling}"),
        ("input", f"{spec.input_px} px"),
        ("mean", ", ".join(f"{value:g}" for value in spec.mean)),
        ("std", ", ".join(f"{value:g}" for value in spec.std)),
        ("LoRA adapts", spec.lora_pattern),
        ("licence", spec.licence),
        ("access", spec.access),
        ("cite", spec.citation),
    ):
        shown.add_row(name, Text(value))
    Console().print(shown)
