"""`atypia ablate`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from atypia.cli.figures import Columns, LayoutName, Mpp, Sources, opened
from atypia.cli.outputs import Overwrite
from atypia.cli.tables import print_table

if TYPE_CHECKING:
    from rich.console import Console

    from atypia.evaluation.comparison import Comparison


def ablate(
    sources: Sources,
    plan: Annotated[
        str,
        typer.Option(help="A TOML file of arms and seeds, or one that comes with atypia."),
    ],
    out: Annotated[
        Path, typer.Option(help="Folder of runs and table; started again, it goes on there.")
    ],
    layout: LayoutName = None,
    mpp: Mpp = None,
    column: Columns = None,
    device: Annotated[
        Literal["auto", "cpu", "cuda"], typer.Option(help="Where the networks run.")
    ] = "auto",
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads of a worker.")] = None,
    workers: Annotated[int, typer.Option(min=1, help="Runs at the same time.")] = 1,
    weights: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE_OR_DIR",
            help="The backbone's published weights, as `atypia models fetch` gets them; without "
            "it, from the Hugging Face cache.",
        ),
    ] = None,
    show: Annotated[bool, typer.Option("--show", help="Only the table; train nothing.")] = False,
    overwrite: Overwrite = False,
) -> None:
    """Run recipe changes over seeds and folds, and compare them in one table.

    Example: atypia ablate my_crops --plan components --out docs/ablation --workers 2
    """
    from rich.console import Console

    from atypia.cli.progress import progress_bars
    from atypia.training.ablation import read_plan
    from atypia.workflows.ablate import ablate as run
    from atypia.workflows.ablate import show_ablation

    settings = read_plan(plan)
    table = opened(sources, layout, mpp, column)
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
        print("no table yet: no arm has all folds of a seed")
    if result.other:
        print(
            f"note: {result.other} lines of {out / 'runs.jsonl'} are of other arms, recipes or "
            "figures and left out"
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
    """Return the command to be shown in the table's caption, without this machine's folders."""
    import shlex

    words = ["atypia", "ablate", *map(_shown, sources), "--plan", _shown(Path(plan))]
    words += ["--out", _shown(out)]
    words += ["--layout", layout] if layout else []
    words += ["--mpp", f"{mpp:g}"] if mpp is not None else []
    for pair in columns or ():
        words += ["--column", pair]
    return shlex.join(words)


def _shown(path: Path) -> str:
    return path.name if path.is_absolute() else str(path)


def _print_tables(comparison: Comparison, console: Console) -> None:
    """Print both tables, two lines an arm: what it reaches, and the difference below."""
    from rich.text import Text

    from atypia.evaluation.comparison_tables import comparison_notes, shown_tables

    for table in shown_tables(comparison):
        worst = any(row.worst for row in table.rows)
        heads = ["arm", "seeds", "BA", "AUROC", *(["worst BA"] if worst else [])]
        rows = []
        for row in table.rows:
            against = f"\n(against {row.against})" if row.against else ""
            where = f"\nworst: {row.worst_domain}" if row.worst else ""
            cells = [f"{row.name}{against}{where}", str(row.seeds)]
            for one in row.measures:
                word = one.verdict if one.verdict in ("better", "worse") else ""
                cells.append(f"{one.value} {word}\n{one.difference}".rstrip())
            rows.append([*cells, row.worst] if worst else cells)
        print_table(console, heads, rows, title=table.title)
    for note in comparison_notes(comparison):
        console.print(Text(f"note: {note}"))
