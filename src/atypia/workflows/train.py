"""Train: figures and a recipe in; members, out-of-fold scores, a bundle and a report out."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from atypia.data.table import FigureTable
from atypia.models.devices import Device
from atypia.training.backbone_weights import find_backbone_weights
from atypia.training.devices import limit_threads, open_fabric
from atypia.training.recipe import Recipe
from atypia.workflows.classify import Say, to_stderr
from atypia.workflows.training.earlier import take_over
from atypia.workflows.training.fit import OnProgress, fit, show_nothing
from atypia.workflows.training.folder import RunFolder
from atypia.workflows.training.judge import judge_members
from atypia.workflows.training.plan import plan_training, training_tables
from atypia.workflows.training.publish import TrainingRun, publish


def train(
    table: FigureTable,
    recipe: Recipe,
    out: Path | str,
    *,
    adapt_to: FigureTable | None = None,
    weights: Path | str | None = None,
    embeddings: Path | str | None = None,
    device: Device = "auto",
    threads: int | None = None,
    overwrite: bool = False,
    say: Say = to_stderr,
    on_progress: OnProgress = show_nothing,
) -> TrainingRun:
    """Train members on folds, evaluate them out of fold, and write a bundle.

    Started again with the same `out`, an interrupted training resumes and ends with the same
    weights (on a CPU with the same number of threads, to the bit).

    Args:
        table: figures with images, mpp and labels or votes; where it has a column `split`, those of
            its training part are used (`splits.select_training`).
        recipe: what decides the training.
        out: folder of the run.
        adapt_to: figures of the laboratory to adapt to, for the domain loss only; their labels and
            votes are ignored.
        weights: file or folder of the backbone's published weights; None searches the package and
            the local Hugging Face cache.
        embeddings: folder that stores the embeddings of linear trainings for reuse; None takes one
            in `out`.
        device: auto, cpu or cuda.
        threads: of the CPU; None leaves the choice to torch.
        overwrite: replace files in `out` that atypia did not write.
        say: called with a line on excluded figures, labels that contradict votes, and every
            departure from the recipe.
        on_progress: called often.

    Raises:
        AtypiaError: the figures, the recipe, the weights and the run's folder do not fit each
            other, or the backbone's weights are not here.
    """
    started, folder = datetime.now(UTC), RunFolder(Path(out))
    if threads is not None:
        limit_threads(threads)
    published = find_backbone_weights(recipe, weights)
    fabric = open_fabric(device, recipe.schedule)
    if not fabric.is_global_zero:
        say, on_progress = _drop_line, show_nothing
    table, adapt_to, remarks = training_tables(table, adapt_to)
    for remark in remarks:
        say(f"note: {remark}")
    plan = plan_training(table, recipe, adapt_to)
    for note in plan.notes:
        say(f"note: {note}")
    if fabric.is_global_zero:
        take_over(plan, folder, published, say)
        folder.require_place(overwrite=overwrite)
    store = None if embeddings is None else Path(embeddings)
    members = fit(plan, folder, published, fabric, embeddings=store, on_progress=on_progress)
    on_progress("judging", 0, 1, "")
    judged = judge_members(plan, members)
    run = publish(plan, members, judged, folder, published.sha256, fabric, started)
    on_progress("judging", 1, 1, "")
    return run


def _drop_line(line: str) -> None:
    """Print nothing: another process prints it."""
