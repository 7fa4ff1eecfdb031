"""Ablate: a plan of arms over seeds and crossed folds, run and compared."""

from __future__ import annotations

import logging
import shutil
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from atypia.data.readers.open_figures import Source, open_figures
from atypia.data.splits import select_training
from atypia.data.table import FigureTable, explain_missing_slides
from atypia.data.table_checks import format_count
from atypia.evaluation.comparison import Comparison, Scores, compare
from atypia.evaluation.comparison_plots import difference_plot
from atypia.evaluation.comparison_tables import format_markdown, tabulate_comparison
from atypia.evaluation.plots import svg_bytes
from atypia.files import (
    create_output,
    remove_ours,
    remove_partials,
    remove_partials_below,
    require_outputs,
    write_output,
)
from atypia.models.devices import Device, choose_device
from atypia.progress import OnProgress, opens_bars, show_bars
from atypia.training.ablation import Plan, read_plan
from atypia.training.devices import count_threads
from atypia.workflows.ablation_bench import Bench, Job
from atypia.workflows.ablation_runs import RunLine, append_run
from atypia.workflows.ablation_workers import train_here, train_in_workers

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Ablation:
    """The state of an ablation.

    Attributes:
        done: finished runs of the plan.
        of: runs of the plan.
        failed: which runs failed, and why; one line for those of an arm that failed for the same
            reason.
        stopped: interrupted from the keyboard.
        other: lines of the file that belong to another plan, or to other figures or recipes.
        comparison: None while no arm has all folds of a seed.
        files: of the comparison.
    """

    done: int
    of: int
    failed: tuple[str, ...]
    stopped: bool
    other: int
    comparison: Comparison | None
    files: tuple[Path, ...]


@opens_bars
def ablate(
    sources: Source | Sequence[Source],
    plan: Plan | Path | str,
    out: Path | str,
    *,
    command: str = "atypia ablate",
    device: Device = "auto",
    threads: int | None = None,
    workers: int = 1,
    weights: Path | str | None = None,
    overwrite: bool = False,
    on_progress: OnProgress = show_bars,
) -> Ablation:
    r"""Do the missing runs of a plan, and compare its arms.

    Started again with the same `out`, an interrupted ablation resumes, within a run from its last
    checkpoint. A run that fails does not stop the others.

    Args:
        sources: figures of at least three domains, with images, mpp and labels or votes, of one
            source or several (see `open_figures`).
        plan: the arms: a plan, its file, or the name of one that comes with atypia.
        out: folder; receives runs.jsonl, table.csv, table.md, differences.svg.
        command: that repeats this, for the table's caption.
        device: auto, cpu or cuda.
        threads: of the CPU, per worker; None divides torch's default among them.
        workers: processes that train in parallel.
        weights: file or folder of the backbone's published weights; None searches the package and
            the local Hugging Face cache, as several backbones need.
        overwrite: replace a table in `out` that atypia did not write.
        on_progress: called often; without it, bars in a terminal or notebook.

    Raises:
        AtypiaError: the figures or what lies in `out` do not fit the plan; nothing was trained.

    Example:
        >>> import atypia
        >>> from pathlib import Path
        >>> from atypia.data.phantom.cohort import make_phantom
        >>> cohort = make_phantom("cohort", figures=60, domains=3, size_px=64)
        >>> short = ["schedule.epochs=1", "schedule.min_steps=1", "backbone.input_px=32"]
        >>> plan = f"name = 'one'\nseeds = [0]\nset = {short}\n[[arm]]\nname = 'plain'\n"
        >>> _ = Path("plan.toml").write_text(plan + "recipe = 'lite'\n")
        >>> ablation = atypia.ablate(cohort, "plan.toml", "ablation")
        >>> ablation.done, ablation.of
        (3, 3)
    """
    choose_device(device)  # a missing GPU is refused here, not once for every run
    if threads is None and workers > 1:
        threads = max(1, count_threads() // workers)
    if not isinstance(plan, Plan):
        plan = read_plan(plan)
    table, notes = select_training(open_figures(sources))
    for note in notes:
        _log.info(note)
    bench = Bench.of(table, Path(out), device, threads, plan.domain_groups)
    require_outputs([*_files(bench.out), bench.work_note], overwrite=overwrite)
    remove_partials(*_files(bench.out), bench.runs)
    remove_partials_below(bench.work)
    plan, stepped_back = bench.drop_unworkable_arms(plan)
    for note in stepped_back:
        _log.info(note)
    jobs = bench.jobs(plan)
    bench.require_both_classes(jobs[0].recipe)
    bench = bench.with_weights(jobs, None if weights is None else Path(weights)).with_content()
    finished = bench.find_finished(jobs)[0]
    for job in jobs:
        if job.key in finished:  # killed between a run's line and the removal of its folder
            shutil.rmtree(bench.folder(job), ignore_errors=True)
    pending = [job for job in jobs if job.key not in finished]
    failed: tuple[str, ...] = ()
    stopped = False
    if pending:
        bench.prepare(pending, on_progress)
        failed, stopped = _train_jobs(bench, pending, len(jobs), workers, on_progress)
    return _compare_arms(bench, plan, jobs, command, failed, stopped, on_progress)


@opens_bars
def show_ablation(
    table: FigureTable,
    plan: Plan,
    out: Path | str,
    *,
    command: str = "atypia ablate",
    overwrite: bool = False,
    on_progress: OnProgress = show_bars,
) -> Ablation:
    """Compare the arms of a plan by its finished runs; nothing is trained.

    Args:
        table: as for `ablate`.
        plan: as for `ablate`.
        out: as for `ablate`.
        command: as for `ablate`.
        overwrite: as for `ablate`.
        on_progress: as for `ablate`.

    Raises:
        AtypiaError: as `ablate`.
    """
    bench = Bench.of(select_training(table)[0], Path(out), "cpu", None, plan.domain_groups)
    require_outputs(_files(bench.out), overwrite=overwrite)
    plan, notes = bench.drop_unworkable_arms(plan)
    for note in notes:
        _log.info(note)
    return _compare_arms(bench, plan, bench.jobs(plan), command, (), False, on_progress)


def _train_jobs(
    bench: Bench, jobs: list[Job], of: int, workers: int, on_progress: OnProgress
) -> tuple[tuple[str, ...], bool]:
    """Do runs and record each as it ends; return the failures, and whether it was stopped."""
    failed: dict[tuple[str, str], list[str]] = {}
    left = {job.key: job for job in jobs}
    outcomes = train_here(bench, jobs) if workers == 1 else train_in_workers(bench, jobs, workers)
    on_progress("runs", of - len(left), of, jobs[0].arm)
    try:
        with closing(outcomes):
            for job, outcome in outcomes:
                del left[job.key]
                if isinstance(outcome, RunLine):
                    append_run(bench.runs, outcome)
                    shutil.rmtree(bench.folder(job), ignore_errors=True)
                else:
                    where = f"seed {job.seed}, without {bench.short_names[job.fold]}"
                    failed.setdefault((job.arm, str(outcome)), []).append(where)
                now = next(iter(left.values()), job)
                on_progress("runs", of - len(left), of, now.arm)
        stopped = False
    except KeyboardInterrupt:
        stopped = True
    return tuple(
        _describe_failure(arm, why, where) for (arm, why), where in failed.items()
    ), stopped


def _describe_failure(arm: str, why: str, where: list[str]) -> str:
    """Return one line for runs of an arm that failed for the same reason."""
    if len(where) == 1:
        return f"{arm}, {where[0]}: {why}"
    return f"{arm}: {len(where)} runs failed, the first with {where[0]}: {why}"


def _compare_arms(
    bench: Bench,
    plan: Plan,
    jobs: list[Job],
    command: str,
    failed: tuple[str, ...],
    stopped: bool,
    on_progress: OnProgress,
) -> Ablation:
    """Compare the arms by their finished runs, and write the files."""
    finished, other = bench.find_finished(jobs)
    scores: dict[str, dict[int, Scores]] = {arm.name: {} for arm in plan.arms}
    used = []
    for arm in plan.arms:
        for seed in plan.seeds:
            lines = [
                finished.get((arm.name, seed, fold)) for fold in range(len(bench.runs_without))
            ]
            whole = [line for line in lines if line is not None]
            if len(whole) == len(lines):
                scores[arm.name][seed] = bench.scores(whole)
                used += whole
    comparison: Comparison | None = None
    files: tuple[Path, ...] = ()
    if used:
        figures = bench.training_figures(jobs[0].recipe)
        comparison = compare(
            bench.judged_figures(figures),
            scores,
            {arm.name: arm.against for arm in plan.arms if arm.against is not None},
            on_progress=lambda done, of: on_progress("comparing", done, of, ""),
        )
        facts = _facts(bench, plan, comparison, used, command, len(finished), len(jobs))
        files = _write(bench.out, plan, comparison, facts)
    return Ablation(len(finished), len(jobs), failed, stopped, other, comparison, files)


def _facts(
    bench: Bench,
    plan: Plan,
    comparison: Comparison,
    used: list[RunLine],
    command: str,
    done: int,
    of: int,
) -> dict[str, str]:
    hours = sum(line.seconds for line in used) / 3600
    unknown = explain_missing_slides(bench.table.frame)
    cases = "unknown cases" if unknown else format_count(comparison.cases, "case")
    threads = sorted({line.threads for line in used})
    return {
        "Made by": f"`{command}`",
        "Figures": f"{comparison.figures} with a majority label, of {cases}, from "
        f"`{bench.table.name}`" + (f"; {unknown}" if unknown else ""),
        "Domains": "; ".join(bench.short_names)
        if plan.domain_groups is None
        else f"left out in {plan.domain_groups} groups: ({'); ('.join(bench.short_names)})",
        "Seeds": f"{', '.join(map(str, plan.seeds))}; an arm's results use those with all folds",
        "In every arm": ", ".join(f"`{change}`" for change in plan.changes) or "no changes",
        "Runs": f"{done} of {of}; {hours:.2f} hours of training in the {len(used)} used here",
        "On": f"{', '.join(sorted({line.device for line in used}))}; "
        f"threads per run: {', '.join(map(str, threads))}; "
        f"{_describe_precisions(used)}; "
        f"torch {', '.join(sorted({line.torch for line in used}))}, "
        f"atypia {', '.join(sorted({line.atypia for line in used}))}",
    }


def _describe_precisions(lines: list[RunLine]) -> str:
    counts = Counter(line.precision for line in lines)
    if len(counts) == 1:
        return next(iter(counts))
    return " and ".join(f"{count} runs in {name}" for name, count in sorted(counts.items()))


def _files(out: Path) -> tuple[Path, Path, Path]:
    """Return the files of a comparison: two tables and a plot."""
    return out / "table.csv", out / "table.md", out / "differences.svg"


def _write(
    out: Path, plan: Plan, comparison: Comparison, facts: dict[str, str]
) -> tuple[Path, ...]:
    table, text, plot = _files(out)
    files = [table, text]
    with create_output(table) as partial:
        tabulate_comparison(comparison).to_csv(partial, index=False, float_format="%.6f")
    write_output(text, format_markdown(comparison, f"Ablation: {plan.name}", facts))
    drawing = difference_plot(comparison)
    if drawing is None:
        remove_ours(plot)  # of an earlier plan
    else:
        with create_output(plot) as partial:
            partial.write_bytes(svg_bytes(drawing))
        files.append(plot)
    return tuple(files)
