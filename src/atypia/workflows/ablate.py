"""Ablate: a plan of arms over seeds and crossed folds, run and compared."""

from __future__ import annotations

import logging
import shutil
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import torch

from atypia.data.domains import short_domain_names
from atypia.data.readers.open_figures import Source, open_figures
from atypia.data.splits import select_training
from atypia.data.table import FigureTable, explain_missing_slides
from atypia.data.table_checks import format_count
from atypia.evaluation.comparison import Comparison, JudgedFigures, Scores, compare
from atypia.evaluation.comparison_plots import difference_plot
from atypia.evaluation.comparison_tables import comparison_frame, comparison_markdown
from atypia.evaluation.plots import svg_bytes
from atypia.files import (
    create_output,
    remove_ours,
    remove_partials,
    remove_partials_below,
    require_outputs,
    write_output,
)
from atypia.progress import OnProgress, opens_bars, show_bars
from atypia.training.ablation import Plan, read_plan
from atypia.training.devices import Device, require_device
from atypia.workflows.ablation_bench import Bench, Job
from atypia.workflows.ablation_runs import RunLine, append_run
from atypia.workflows.ablation_workers import alone, in_workers

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Ablation:
    """Where an ablation stands.

    Attributes:
        done: runs of the plan that are there.
        of: runs of the plan.
        failed: which runs could not be done, and why; one line for those of an arm that failed
            of the same.
        stopped: it was stopped from the keyboard.
        other: lines of the file that are not of this plan, or of other figures or recipes.
        comparison: None while no arm has all folds of a seed.
        files: what was written of the comparison.
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
    r"""Do the runs of a plan that are not there yet, and compare its arms.

    Stopped at any point and started again with the same `out`, it goes on where it was: within a
    run from its last checkpoint. A run that fails leaves the others.

    Args:
        sources: figures of at least three domains, with images, mpp and labels or votes, of one
            source or several (see `open_figures`).
        plan: the arms: a plan, its file, or the name of one that comes with atypia.
        out: folder; receives runs.jsonl, table.csv, table.md, differences.svg.
        command: how this is asked for again; stands in the table's caption.
        device: auto, cpu or cuda.
        threads: of the CPU, for each worker; none shares what torch takes among them.
        workers: processes that train at the same time.
        weights: file or folder of the backbone's published weights; none takes them from the
            package or the local Hugging Face cache, where those of several backbones are found.
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
    require_device(device)  # refused here, not once for every run
    if threads is None and workers > 1:
        threads = max(1, torch.get_num_threads() // workers)
    if not isinstance(plan, Plan):
        plan = read_plan(plan)
    table, notes = select_training(open_figures(sources))
    for note in notes:
        _log.info(note)
    bench = Bench.of(table, Path(out), device, threads)
    require_outputs([*_files(bench.out), bench.work_note], overwrite=overwrite)
    remove_partials(*_files(bench.out), bench.runs)
    remove_partials_below(bench.work)
    plan, stepped_back = bench.workable(plan)
    for note in stepped_back:
        _log.info(note)
    jobs = bench.jobs(plan)
    bench.require_both_classes(jobs[0].recipe)
    bench = bench.with_weights(jobs, None if weights is None else Path(weights)).with_content()
    done = bench.done(jobs)[0]
    for job in jobs:
        if job.key in done:  # a kill between a run's line and its folder's end
            shutil.rmtree(bench.folder(job), ignore_errors=True)
    pending = [job for job in jobs if job.key not in done]
    failed: tuple[str, ...] = ()
    stopped = False
    if pending:
        bench.prepare(pending, on_progress)
        failed, stopped = _do(bench, pending, len(jobs), workers, on_progress)
    return _compared(bench, plan, jobs, command, failed, stopped, on_progress)


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
    """Compare the arms of a plan by the runs that are there; nothing is trained.

    Args:
        table: as given to `ablate`.
        plan: as given to `ablate`.
        out: as given to `ablate`.
        command: as given to `ablate`.
        overwrite: as given to `ablate`.
        on_progress: as given to `ablate`.

    Raises:
        AtypiaError: as `ablate`.
    """
    bench = Bench.of(select_training(table)[0], Path(out), "cpu", None)
    require_outputs(_files(bench.out), overwrite=overwrite)
    plan, notes = bench.workable(plan)
    for note in notes:
        _log.info(note)
    return _compared(bench, plan, bench.jobs(plan), command, (), False, on_progress)


def _do(
    bench: Bench, jobs: list[Job], of: int, workers: int, on_progress: OnProgress
) -> tuple[tuple[str, ...], bool]:
    """Do runs and keep each as it ends; return what failed, and whether it was stopped."""
    short = short_domain_names(bench.domains)
    failed: dict[tuple[str, str], list[str]] = {}
    left = {job.key: job for job in jobs}
    outcomes = alone(bench, jobs) if workers == 1 else in_workers(bench, jobs, workers)
    on_progress("runs", of - len(left), of, jobs[0].arm)
    try:
        with closing(outcomes):
            for job, outcome in outcomes:
                del left[job.key]
                if isinstance(outcome, RunLine):
                    append_run(bench.runs, outcome)
                    shutil.rmtree(bench.folder(job), ignore_errors=True)
                else:
                    where = f"seed {job.seed}, without {short[bench.domains[job.fold]]}"
                    failed.setdefault((job.arm, str(outcome)), []).append(where)
                now = next(iter(left.values()), job)
                on_progress("runs", of - len(left), of, now.arm)
        stopped = False
    except KeyboardInterrupt:
        stopped = True
    return tuple(_told(arm, why, where) for (arm, why), where in failed.items()), stopped


def _told(arm: str, why: str, where: list[str]) -> str:
    """Say once what several runs of an arm failed of."""
    if len(where) == 1:
        return f"{arm}, {where[0]}: {why}"
    return f"{arm}: {len(where)} runs failed, the first with {where[0]}: {why}"


def _compared(
    bench: Bench,
    plan: Plan,
    jobs: list[Job],
    command: str,
    failed: tuple[str, ...],
    stopped: bool,
    on_progress: OnProgress,
) -> Ablation:
    """Compare what is there, and write the files."""
    found, other = bench.done(jobs)
    scores: dict[str, dict[int, Scores]] = {arm.name: {} for arm in plan.arms}
    used = []
    for arm in plan.arms:
        for seed in plan.seeds:
            lines = [found.get((arm.name, seed, fold)) for fold in range(len(bench.domains))]
            whole = [line for line in lines if line is not None]
            if len(whole) == len(lines):
                scores[arm.name][seed] = bench.scores(whole)
                used += whole
    comparison: Comparison | None = None
    files: tuple[Path, ...] = ()
    if used:
        figures = bench.training_figures(jobs[0].recipe)
        comparison = compare(
            JudgedFigures(
                figures.truth, figures.case, bench.left_out, bench.held_out, bench.domains
            ),
            scores,
            {arm.name: arm.against for arm in plan.arms if arm.against is not None},
            on_progress=lambda done, of: on_progress("comparing", done, of, ""),
        )
        facts = _facts(bench, plan, comparison, used, command, len(found), len(jobs))
        files = _write(bench.out, plan, comparison, facts)
    return Ablation(len(found), len(jobs), failed, stopped, other, comparison, files)


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
        "Figures": f"{comparison.figures} of known truth, of {cases}, from "
        f"`{bench.table.name}`" + (f"; {unknown}" if unknown else ""),
        "Domains": "; ".join(short_domain_names(bench.domains).values()),
        "Seeds": f"{', '.join(map(str, plan.seeds))}; an arm's numbers are of those with all folds",
        "In every arm": ", ".join(f"`{change}`" for change in plan.changes) or "nothing changed",
        "Runs": f"{done} of {of}; {hours:.2f} hours of training in the {len(used)} used here",
        "On": f"{', '.join(sorted({line.device for line in used}))}; "
        f"threads a run: {', '.join(map(str, threads))}; "
        f"{_told_precisions(used)}; "
        f"torch {', '.join(sorted({line.torch for line in used}))}, "
        f"atypia {', '.join(sorted({line.atypia for line in used}))}",
    }


def _told_precisions(lines: list[RunLine]) -> str:
    counts = Counter(line.precision for line in lines)
    if len(counts) == 1:
        return next(iter(counts))
    return " and ".join(f"{count} runs in {name}" for name, count in sorted(counts.items()))


def _files(out: Path) -> tuple[Path, Path, Path]:
    """Return what is written of a comparison: two tables and a drawing."""
    return out / "table.csv", out / "table.md", out / "differences.svg"


def _write(
    out: Path, plan: Plan, comparison: Comparison, facts: dict[str, str]
) -> tuple[Path, ...]:
    table, text, picture = _files(out)
    files = [table, text]
    with create_output(table) as partial:
        comparison_frame(comparison).to_csv(partial, index=False, float_format="%.6f")
    write_output(text, comparison_markdown(comparison, f"Ablation: {plan.name}", facts))
    drawn = difference_plot(comparison)
    if drawn is None:
        remove_ours(picture)  # of an earlier plan
    else:
        with create_output(picture) as partial:
            partial.write_bytes(svg_bytes(drawn))
        files.append(picture)
    return tuple(files)
