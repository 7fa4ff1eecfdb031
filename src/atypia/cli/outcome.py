"""What a training came to, as `train` and `demo` print it at their end."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from atypia.evaluation.intervals import Interval
    from atypia.workflows.train import TrainingRun


def print_outcome(console: Console, run: TrainingRun) -> None:
    """Print the out-of-fold figures, overall and by domain, and where everything lies."""
    from rich.table import Table

    table = Table(title="Out of fold", title_justify="left")
    table.add_column("domain", overflow="fold")
    for name in ("figures", "atypical", "balanced accuracy", "AUROC"):
        table.add_column(name, justify="right")
    for row in run.judgement.domains.frame.to_dict(orient="records"):
        table.add_row(
            str(row["domain"]),
            f"{row['figures']}",
            f"{row['atypical']}",
            _shown(row["balanced_accuracy"]),
            _shown(row["auroc"]),
        )
    overall = run.judgement.overall
    table.add_section()
    table.add_row(
        "all",
        f"{overall.figures}",
        f"{overall.atypical}",
        _with_interval(overall.balanced_accuracy, run.judgement.balanced_accuracy_interval),
        _with_interval(overall.auroc, run.judgement.auroc_interval),
    )
    console.print(table)
    for name, path in (
        ("bundle", run.bundle),
        ("predictions", run.out_of_fold),
        ("report", run.report),
    ):
        print(f"{name}: {path}")


def _shown(value: float | None) -> str:
    return "-" if value is None or math.isnan(value) else f"{value:.3f}"


def _with_interval(value: float | None, interval: Interval | None) -> str:
    around = f" ({interval.low:.3f} to {interval.high:.3f})" if interval else ""
    return _shown(value) + around
