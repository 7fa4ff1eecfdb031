"""`atypia ablate`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from atypia.cli.figures import Columns, LayoutName, Mpp, Sources, open_sources
from atypia.cli.outputs import Overwrite
from atypia.cli.tables import print_table

if TYPE_CHECKING:
    from rich.console import Console

    from atypia.evaluation.comparison import Comparison


def ablate(
    sources: Sources,
    plan: Annotated[
        str,
        typer.Option(
            metavar="NAME_OR_FILE",
            help="Plan: a TOML file of arms and seeds, or the name of one that comes with atypia.",
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            metavar="DIR",
            help="Output folder for runs and table. Run again with the same folder to resume.",
        ),
    ],
    layout: LayoutName = None,
    mpp: Mpp = None,
    column: Columns = None,
    device: Annotated[
        Literal["auto", "cpu", "cuda"], typer.Option(help="Device that runs the networks.")
    ] = "auto",
    threads: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="CPU threads per worker.")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, metavar="N", help="Number of parallel runs.")] = 1,
    weights: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE_OR_DIR",
            help="Published weights of the backbone, as downloaded by `atypia models fetch`. "
            "Default: the Hugging Face cache.",
        ),
    ] = None,
    show: Annotated[
        bool, typer.Option("--show", help="Print the table of finished runs; train nothing.")
    ] = False,
    overwrite: Overwrite = False,
) -> None:
    """Compare recipe changes over seeds and folds in one table.

    Example: atypia ablate my_crops --plan components --out docs/ablation --workers 2
    """
    from rich.console import Console

    from atypia.cli.progress import progress_bars
    from atypia.training.ablation import read_plan
    from atypia.workflows.ablate import ablate as run
    from atypia.workflows.ablate import show_ablation

    settings = read_plan(plan)
    table = open_sources(sources, layout, mpp, column)
    command = _command(sources, layout, mpp, column, plan, out)
    with progress_bars() as on_progress:
        if show:
            result = show_ablation(
                table,
                settings,
                out,
                command=command,
                overwrite=overwrite,
                on_progress=on_progress,
            )
        else:
            result = run(
                table,
                settings,
                out,
                command=command,
                device=device,
                threads=threads,
                workers=workers,
                weights=weights,
                overwrite=overwrite,
                on_progress=on_progress,
            )
    if result.comparison is not None:
        _print_tables(result.comparison, Console())
    else:
        print("no table yet: no arm has finished all folds of a seed")
    if result.other:
        print(
            f"note: ignored {result.other} lines of {out / 'runs.jsonl'}: they belong to other "
            "arms, recipes or figures"
        )
    print(f"runs: {result.done} of {result.of}")
    for path in result.files:
        print(f"{path.stem}: {path}")
    for line in result.failed:
        sys.stderr.write(f"{line}\n")
    if result.stopped:
        raise typer.Exit(130)
    if result.failed:
        raise typer.Exit(1)


def _command(
    sources: list[Path],
    layout: str | None,
    mpp: float | None,
    columns: list[str] | None,
    plan: str,
    out: Path,
) -> str:
    """Return the command for the table's caption, without folders of this machine."""
    import shlex

    words = ["atypia", "ablate", *map(_portable, sources), "--plan", _portable(Path(plan))]
    words += ["--out", _portable(out)]
    words += ["--layout", layout] if layout else []
    words += ["--mpp", f"{mpp:g}"] if mpp is not None else []
    for pair in columns or ():
        words += ["--column", pair]
    return shlex.join(words)


def _portable(path: Path) -> str:
    return path.name if path.is_absolute() else str(path)


def _print_tables(comparison: Comparison, console: Console) -> None:
    """Print both tables, two lines per arm: its result, and the difference below."""
    from rich.text import Text

    from atypia.evaluation.comparison_tables import explain_comparison, format_tables

    for table in format_tables(comparison):
        worst = any(row.worst for row in table.rows)
        heads = ["arm", "seeds", "BA", "AUROC", *(["worst BA"] if worst else [])]
        rows = []
        for row in table.rows:
            against = f"\n(against {row.against})" if row.against else ""
            where = f"\nworst: {row.worst_domain}" if row.worst else ""
            cells = [f"{row.name}{against}{where}", str(row.seeds)]
            for measure in row.measures:
                word = measure.verdict if measure.verdict in ("better", "worse") else ""
                cells.append(f"{measure.value} {word}\n{measure.difference}".rstrip())
            rows.append([*cells, row.worst] if worst else cells)
        print_table(console, heads, rows, title=table.title)
    for note in explain_comparison(comparison):
        console.print(Text(f"note: {note}"))
