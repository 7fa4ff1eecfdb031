"""`atypia data`: check, describe and import figures."""

from __future__ import annotations

from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from atypia.cli.data_points import points
from atypia.cli.figures import Columns, LayoutName, Mpp, Source, Sources, join_names, open_sources
from atypia.cli.outputs import Overwrite
from atypia.cli.progress import progress_bars
from atypia.cli.tables import print_table

if TYPE_CHECKING:
    from rich.console import Console

    from atypia.data.describe import Description

app = typer.Typer(
    no_args_is_help=True, help="Check, describe and import figures; create synthetic ones."
)


@app.command()
def check(
    sources: Sources,
    layout: LayoutName = None,
    mpp: Mpp = None,
    column: Columns = None,
    images: Annotated[
        bool, typer.Option("--images/--no-images", help="Decode and compare every image too.")
    ] = True,
) -> None:
    """Find problems in figures: missing or odd images, duplicates, contradictions, leaks.

    The exit code is 1 if there are errors, 0 if there are only warnings or none.

    Example: atypia data check my-figures.csv --column label=majority --mpp 0.25
    """
    from rich.console import Console

    from atypia.data.audit import audit
    from atypia.data.describe import describe as described

    table = open_sources(sources, layout, mpp, column)
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
        console.print("[green]no problems found[/]")
    else:
        console.print(f"{_count(errors, 'error')}, {_count(warnings, 'warning')}")
    if errors:
        raise typer.Exit(1)


@app.command()
def describe(
    sources: Sources, layout: LayoutName = None, mpp: Mpp = None, column: Columns = None
) -> None:
    """Count figures, slides, classes and domains, and measure the experts' agreement.

    Example: atypia data describe data/ami-br
    """
    from rich.console import Console

    from atypia.data.describe import describe as described

    description = described(open_sources(sources, layout, mpp, column))
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
        typer.Option("--out", metavar="DIR", help="Output folder for figures.csv and images/."),
    ],
    layout: LayoutName = None,
    mpp: Mpp = None,
    column: Columns = None,
    overwrite: Overwrite = False,
) -> None:
    """Copy figures from any layout into one folder: figures.csv, and their crops in images/.

    Images that cannot be read are named; the others are still copied, and the exit code is 1.

    Example: atypia data import downloads/AMi-Br --out data/ami-br
    """
    from rich.console import Console

    from atypia.data.gather import gather

    table = open_sources(source, layout, mpp, column)
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
        f"{_count(len(gathered), 'figure')} written to {_plain(str(out / 'figures.csv'))}"
    )
    if faults:
        raise typer.Exit(1)


app.command()(points)


def _summary(counts: Description, sources: list[Path]) -> str:
    line = (
        f"{_count(counts.figures, 'figure')}, {_count(counts.slides, 'slide')}, "
        f"{_count(counts.cases, 'case')}, {counts.atypical:,} atypical, "
        f"{_count(counts.domains, 'domain')}"
    )
    if counts.unlabelled:
        line += f", {counts.unlabelled:,} without a label"
    return f"{_plain(join_names(sources))}: {line}"


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
    title = f"Agreement of {_count(description.experts, 'expert')}"
    print_table(console, heads, rows, title=title)


def _percent(share: float) -> str:
    return f"{share:.1%}" if not isnan(share) else "-"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _plain(text: str) -> str:
    from rich.markup import escape

    return escape(text)
