"""Train: figures and a recipe in; members, out-of-fold scores, a bundle and a report out."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from atypia.data.readers.open_figures import Source, open_figures
from atypia.models.devices import Device
from atypia.progress import OnProgress, opens_bars, show_bars, show_nothing
from atypia.training.backbone_weights import find_backbone_weights
from atypia.training.devices import limit_threads, open_fabric
from atypia.training.recipe import Recipe
from atypia.training.recipe_file import read_recipe
from atypia.workflows.training.earlier import take_over
from atypia.workflows.training.fit import fit
from atypia.workflows.training.folder import RunFolder
from atypia.workflows.training.judge import judge_members
from atypia.workflows.training.plan import plan_training, training_tables
from atypia.workflows.training.publish import TrainingRun, export_run_bundle, publish
from atypia.workflows.training.teachers import check_teachers, open_teachers

_log = logging.getLogger(__name__)


@opens_bars
def train(
    sources: Source | Sequence[Source],
    recipe: Recipe | Path | str,
    out: Path | str,
    *,
    unlabelled: Source | Sequence[Source] | None = None,
    weights: Path | str | None = None,
    embeddings: Path | str | None = None,
    device: Device = "auto",
    threads: int | None = None,
    overwrite: bool = False,
    on_progress: OnProgress = show_bars,
) -> TrainingRun:
    """Train members on folds, evaluate them out of fold, and write a bundle.

    Started again with the same `out`, an interrupted training resumes and ends with the same
    weights (on a CPU with the same number of threads, to the bit).

    Args:
        sources: figures with images, mpp and labels or votes, of one source or several (see
            `open_figures`); where they have a column `split`, those of its training part are used
            (`splits.select_training`).
        recipe: what decides the training: a recipe, its file, or the name of one that comes with
            atypia.
        out: folder of the run.
        unlabelled: further figures, such as those of the laboratory to adapt to, for the domain
            loss and for the teachers of distillation; their labels and votes are ignored.
        weights: file or folder of the backbone's published weights; None searches the package and
            the local Hugging Face cache.
        embeddings: folder that stores the embeddings of linear trainings for reuse; None takes one
            in `out`.
        device: auto, cpu or cuda.
        threads: of the CPU; None leaves the choice to torch.
        overwrite: replace files in `out` that atypia did not write.
        on_progress: called often; without it, bars in a terminal or notebook.

    Raises:
        AtypiaError: the figures, the recipe, the weights and the run's folder do not fit each
            other, or the backbone's weights are not here.

    Example:
        >>> import atypia
        >>> from atypia.data.phantom.cohort import make_phantom
        >>> cohort = make_phantom("cohort", figures=40, domains=2, size_px=64)
        >>> short = ["folds.scheme=domains", "schedule.epochs=1", "schedule.min_steps=1"]
        >>> recipe = atypia.read_recipe("lite", [*short, "backbone.input_px=32"])
        >>> atypia.train(cohort, recipe, "run").bundle.name
        'bundle'
    """
    if not isinstance(recipe, Recipe):
        recipe = read_recipe(recipe)
    table = open_figures(sources)
    others = None if unlabelled is None else open_figures(unlabelled)
    started, folder = datetime.now(UTC), RunFolder(Path(out))
    if threads is not None:
        limit_threads(threads)
    published = find_backbone_weights(recipe, weights)
    fabric = open_fabric(device, recipe.schedule)
    level = logging.INFO
    if not fabric.is_global_zero:
        level, on_progress = logging.DEBUG, show_nothing
    table, others, remarks = training_tables(table, others)
    for remark in remarks:
        _log.log(level, remark)
    plan = plan_training(table, recipe, others)
    teachers = open_teachers(plan.recipe.distillation.teachers)
    for note in [*plan.notes, *check_teachers(teachers, plan)]:
        _log.log(level, note)
    if fabric.is_global_zero:
        take_over(plan, folder, published)
        folder.require_place(overwrite=overwrite)
    store = None if embeddings is None else Path(embeddings)
    members = fit(
        plan,
        folder,
        published,
        fabric,
        teachers=teachers,
        embeddings=store,
        on_progress=on_progress,
    )
    on_progress("judging", 0, 1, "")
    judged = judge_members(plan, members)
    run = publish(plan, members, judged, folder, published.sha256, fabric, started)
    on_progress("judging", 1, 1, "")
    if fabric.is_global_zero:
        on_progress("exporting", 0, 1, "")
        export_run_bundle(run.bundle, plan.recipe)
        on_progress("exporting", 1, 1, "")
    fabric.barrier()
    return run
