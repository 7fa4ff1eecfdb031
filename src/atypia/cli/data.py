"""`atypia data`: check, describe, import."""

from __future__ import annotations

from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from atypia.cli.figures import Columns, LayoutName, Mpp, Source, Sources, opened, shown_sources
from atypia.cli.outputs import Overwrite
from atypia.cli.progress import progress_bars
from atypia.cli.tables import print_table

if TYPE_CHECKING:
    from rich.console import Console

    from atypia.data.describe import Description

app = typer.Typer(no_args_is_help=True, help="Look at figures: check, describe, import.")


@app.command()
def check(
    sources: Sources,
    layout: LayoutName = None,
    mpp: Mpp = None,
    column: Columns = None,
    images: Annotated[
        bool, typer.Option("--images/--no-images", help="Also decode and compare every image.")
    ] = True,
) -> None:
    """Find what is wrong with figures: missing or odd images, duplicates, contradictions, leaks.

    Exits with 1 if errors were found, with 0 if there are only warnings or nothing.

    Example: atypia data check my-figures.csv --column label=majority --mpp 0.25
    """
    from rich.console import Console

    from atypia.data.audit import audit
    from atypia.data.describe import describe as described

    table = opened(sources, layout, mpp, column)
    with progress_bars() as on_progress:
        findings = audit(table, images, on_progress=on_progress)
    console = Console(emoji=False)
    console.print(_summary(described(table), sources), soft_wrap=True, highlight=False)
    for finding in findings:
        colour = "red" if finding.level == "error" else "yellow"
        line = f"[{colour}]{finding.level}[/] {_plain(finding.message)}"
        console.print(line, soft_wrap=True, highlight=False)
    errors = sum(finding.level == "error" for finding in findings)
    warnings = len(findings) - errors
    if not findings:
        console.print("[green]nothing found[/]")
    else:
        console.print(f"{_counted(errors, 'error')}, {_counted(warnings, 'warning')}")
    if errors:
        raise typer.Exit(1)


@app.command()
def describe(
    sources: Sources, layout: LayoutName = None, mpp: Mpp = None, column: Columns = None
) -> None:
    """Count figures, slides, classes and domains, and tell how well the experts agree.

    Example: atypia data describe data/ami-br
    """
    from rich.console import Console

    from atypia.data.describe import describe as described

    description = described(opened(sources, layout, mpp, column))
    console = Console(emoji=False)
    console.print(_summary(description, sources), soft_wrap=True, highlight=False)
    _print_domains(console, description)
    if description.experts:
        _print_agreement(console, description)
    for remark in description.remarks:
        console.print(f"[yellow]note[/] {_plain(remark)}", soft_wrap=True)


@app.command("import")
def import_(
    source: Source,
    out: Annotated[
        Path,
        typer.Option("--out", metavar="DIR", help="Folder for figures.csv and images/."),
    ],
    layout: LayoutName = None,
    mpp: Mpp = None,
    column: Columns = None,
    overwrite: Overwrite = False,
) -> None:
    """Copy figures of any layout into one folder: figures.csv, and their crops in images/.

    Exits with 1 if images could not be read; each is named, and the others are imported.

    Example: atypia data import downloads/AMi-Br --out data/ami-br
    """
    from rich.console import Console

    from atypia.data.gather import gather

    table = opened(source, layout, mpp, column)
    with progress_bars() as report:
        gathered, faults = gather(
            table,
            out,
            lambda done, of: report("copying", done, of, ""),
            overwrite=overwrite,
        )
    console = Console(emoji=False)
    for fault in faults:
        console.print(f"[red]error[/] {_plain(str(fault))}", soft_wrap=True)
    console.print(
        f"{_counted(len(gathered), 'figure')} written to {_plain(str(out / 'figures.csv'))}"
    )
    if faults:
        raise typer.Exit(1)


def _summary(counts: Description, sources: list[Path]) -> str:
    line = (
        f"{_counted(counts.figures, 'figure')}, {_counted(counts.slides, 'slide')}, "
        f"{_counted(counts.cases, 'case')}, {counts.atypical:,} atypical, "
        f"{_counted(counts.domains, 'domain')}"
    )
    if counts.unlabelled:
        line += f", {counts.unlabelled:,} without a class"
    return f"{_plain(shown_sources(sources))}: {line}"


def _print_domains(console: Console, description: Description) -> None:
    rows = [
        [
            str(name),
            *(f"{row[key]:,}" for key in ("figures", "slides", "atypical")),
            _percent(row["share"]),
            row["mpp"] or "unknown",
        ]
        for name, row in description.by_domain.iterrows()
    ]
    heads = ("domain", "figures", "slides", "atypical", "share", "um/px")
    print_table(console, heads, rows, title="By domain")


def _print_agreement(console: Console, description: Description) -> None:
    rows = [
        [
            str(name),
            f"{int(row['voted']):,}",
            _percent(row["unanimous"]),
            f"{row['kappa']:.3f}" if not isnan(row["kappa"]) else "-",
        ]
        for name, row in description.agreement.iterrows()
    ]
    heads = ("domain", "voted", "unanimous", "Fleiss' kappa")
    title = f"Agreement of {_counted(description.experts, 'expert')}"
    print_table(console, heads, rows, title=title)


def _percent(share: float) -> str:
    return f"{share:.1%}" if not isnan(share) else "-"


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _plain(text: str) -> str:
    from rich.markup import escape

    return escape(text)
