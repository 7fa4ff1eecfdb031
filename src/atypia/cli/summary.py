"""What a judgement and a training came to, as `train`, `evaluate` and `demo` print it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from atypia.evaluation.judge import Judgement
    from atypia.evaluation.training_story import TrainingStory


def print_summary(judgement: Judgement, console: Console) -> None:
    """Print metrics by domain and overall, the intervals, and the notes."""
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    from atypia.data.domains import short_domain_names

    names = ("balanced_accuracy", "auroc", "sensitivity", "specificity")
    shown = Table(box=box.SIMPLE_HEAD)
    shown.add_column("", overflow="fold")
    for title in ("figures", "AMF", "BA", "AUROC", "sens.", "spec."):
        shown.add_column(title, justify="right", no_wrap=True)
    frame = judgement.domains.frame
    short = short_domain_names(list(frame["domain"]))
    for row in frame.to_dict(orient="records"):
        counts = (str(row["figures"]), str(row["atypical"]))
        shown.add_row(
            escape(short[row["domain"]]), *counts, *(_number(row[name]) for name in names)
        )
    shown.add_section()
    if judgement.domains.counted > 1:
        for key, words in (("mean", "mean over domains"), ("worst", "worst domain")):
            values = judgement.domains.summary[key]
            shown.add_row(words, "", "", *(_number(values[name]) for name in names))
    overall = judgement.overall
    cells = [_number(getattr(overall, name)) for name in names]
    shown.add_row("all figures", str(overall.figures), str(overall.atypical), *cells, style="bold")
    console.print(shown)
    for words, span in (
        ("balanced accuracy (BA)", judgement.balanced_accuracy_interval),
        ("AUROC", judgement.auroc_interval),
    ):
        if span is not None:
            console.print(
                f"{words}, all figures: 95 % interval {span.low:.3f} to {span.high:.3f} "
                f"over {judgement.cases} cases",
                highlight=False,
            )
    for note in judgement.notes:
        console.print(f"note: {note}", markup=False, highlight=False)


def print_probe(story: TrainingStory) -> None:
    """Print how well domains were told from the embedding, or nothing where no fold knows it."""
    mean, folds = story.mean_probe, len(story.probes)
    if mean is not None:
        of_folds = f", mean of {folds} folds" if folds > 1 else ""
        print(
            f"domains told by a linear probe: {mean.before:.2f} before training, "
            f"{mean.after:.2f} after (chance {mean.chance:.2f}){of_folds}"
        )


def _number(value: float | None) -> str:
    """Return three decimals, or a dash for what is not defined (None or NaN)."""
    return "–" if value is None or math.isnan(value) else f"{value:.3f}"
