"""Printed results of a prediction, of an evaluation and of a training."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from atypia.cli.tables import print_table

if TYPE_CHECKING:
    from rich.console import Console

    from atypia.evaluation.judge import Judgement
    from atypia.evaluation.training_story import TrainingStory
    from atypia.inference.record import RunRecord
    from atypia.study.agreement import StudyAgreement


def describe_run(record: RunRecord) -> list[str]:
    """Return the results of a prediction in words, and the time it took."""
    failed = f", {len(record.failures)} failed (named above)" if record.failures else ""
    threads = f"{record.threads} thread{'' if record.threads == 1 else 's'}"
    further = []
    if record.out_of_scope:
        of_each = ", ".join(f"{count} {reason}" for reason, count in record.out_of_scope.items())
        further = [f"{sum(record.out_of_scope.values())} out of scope ({of_each}), referred"]
    if record.aligned_by is not None:
        further += [f"aligned to {record.align_to}: {record.aligned_by:+.2f} on the logit of P"]
    return [
        f"{record.predicted} of {record.figures} figures classified{failed}: "
        f"{record.atypical} atypical, {record.predicted - record.atypical} normal; "
        f"{record.referred} referred to a person",
        *further,
        f"{record.seconds:.1f} s ({record.crops_per_s:.0f} crops/s): {record.reading_s:.1f} s "
        f"reading, {record.network_s:.1f} s network, summed over {threads} "
        f"({record.runtime}, {record.device}, {record.precision})",
    ]


def print_summary(judgement: Judgement, console: Console) -> None:
    """Print metrics by domain and overall, the intervals, and the notes."""
    from rich.text import Text

    from atypia.data.table import format_cases

    names = ("balanced_accuracy", "auroc", "sensitivity", "specificity")
    domains, overall = judgement.domains, judgement.overall
    short = judgement.short_names
    rows = [
        [
            short[row["domain"]],
            str(row["figures"]),
            str(row["atypical"]),
            *(_number(row[name]) for name in names),
        ]
        for row in domains.frame.to_dict(orient="records")
    ]
    sums = []
    if domains.counted > 1:
        for key, words in (("mean", "mean over domains"), ("worst", "worst domain")):
            sums.append([words, "", "", *(_number(domains.summary[key][name]) for name in names)])
    counts = (str(overall.figures), str(overall.atypical))
    sums.append(["all figures", *counts, *(_number(getattr(overall, name)) for name in names)])
    heads = ("domain", "figures", "AMF", "BA", "AUROC", "sens.", "spec.")
    print_table(console, heads, [*rows, *sums], sums=len(sums))
    for words, span in (
        ("balanced accuracy (BA)", judgement.balanced_accuracy_interval),
        ("AUROC", judgement.auroc_interval),
    ):
        if span is not None:
            line = f"{words}, all figures: 95 % interval {span.low:.3f} to {span.high:.3f}"
            console.print(f"{line} over {format_cases(judgement.figures)}", highlight=False)
    for note in judgement.notes:
        console.print(Text(f"note: {note}"))


def print_probe(story: TrainingStory) -> None:
    """Print how well a linear probe predicts the domain, or nothing if no fold measured it."""
    mean, folds = story.mean_probe, len(story.probes)
    if mean is not None:
        of_folds = f", mean of {folds} folds" if folds > 1 else ""
        print(
            f"linear-probe accuracy for domain: {mean.before:.2f} before training, "
            f"{mean.after:.2f} after (chance {mean.chance:.2f}){of_folds}"
        )


def _number(value: float | None) -> str:
    """Return three decimals, or a dash for what is not defined (None or NaN)."""
    return "–" if value is None or math.isnan(value) else f"{value:.3f}"


def describe_agreement(agreement: StudyAgreement) -> list[str]:
    """Return the agreement of a study in lines: each measure, each expert."""
    from atypia.study.agreement import list_measures

    overall = agreement.overall
    lines = [f"{overall.figures:,} figures with answers of {', '.join(agreement.raters)}"]
    for name, measure, _ in list_measures(overall):
        value = "not defined" if measure.value is None else f"{measure.value:.3f}"
        span = measure.interval
        between = f" [{span.low:.3f}, {span.high:.3f}]" if span else ""
        lines.append(f"{name:21} {value}{between}")
    for one in agreement.experts:
        own = (
            f", {100 * one.agrees_with_self:.0f} % same answer twice (of {one.repeats})"
            if one.agrees_with_self is not None
            else ""
        )
        pace = "" if one.minutes_per_100 is None else f", {one.minutes_per_100:.1f} minutes per 100"
        lines.append(
            f"{one.expert}: sensitivity {one.sensitivity:.3f}, specificity "
            f"{one.specificity:.3f}{own}{pace}"
        )
    return lines
