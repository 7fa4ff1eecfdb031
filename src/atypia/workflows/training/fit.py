"""Fit: train the members of a plan, or read back finished ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from atypia.data.table import FigureTable
from atypia.fingerprint import ImageHashes, fingerprint, hash_parts, settings_part, table_part
from atypia.progress import OnProgress, show_nothing
from atypia.training.backbone_weights import BackboneWeights
from atypia.training.batches import read_windows
from atypia.training.devices import Fabric
from atypia.training.embeddings import read_batch_source
from atypia.training.figures import UnlabelledFigures, deciding_columns
from atypia.training.loop import MemberInputs, Progress, train_member
from atypia.training.member import Member
from atypia.training.recipe import Recipe, deciding_values
from atypia.workflows.training.folder import RunFolder
from atypia.workflows.training.plan import MemberSpec, TrainingPlan
from atypia.workflows.training.teachers import TeacherSource, hash_teachers, load_teachers


def fit(
    plan: TrainingPlan,
    folder: RunFolder,
    weights: BackboneWeights,
    fabric: Fabric,
    *,
    teachers: Sequence[TeacherSource] = (),
    embeddings: Path | None = None,
    on_progress: OnProgress = show_nothing,
) -> dict[str, list[Member]]:
    """Train the members of a plan; finished ones in the folder are read back.

    Args:
        plan: which members are trained, on what.
        folder: of the run.
        weights: the backbone's published ones.
        fabric: device and precision, launched.
        teachers: as `check_teachers` accepted them.
        embeddings: folder that stores the embeddings of linear trainings for reuse; None takes one
            in the run's folder.
        on_progress: called often.

    Returns:
        Name of a scheme -> its members, in the scheme's order.

    Raises:
        AtypiaError: the folder holds another training, or images cannot be used.
    """
    with fabric.rank_zero_first():  # the others find on disk what the first one reads
        hashes = ImageHashes(folder.image_hashes)
        identities = compute_identities(plan, weights, hashes, hash_teachers(teachers))
        if fabric.is_global_zero:
            folder.save_recipe(plan.recipe)
        folder.require_same_training(plan, identities, hashes.changed)
        if fabric.is_global_zero:
            hashes.keep()
        source = read_batch_source(
            plan.table,
            plan.recipe,
            hashes.hash_files(plan.table.image_paths()),
            folder.windows,
            embeddings or folder.embeddings,
            fabric,
            on_progress,
            weights,
        )
        unlabelled = _read_unlabelled(plan, folder, hashes, on_progress)
    inputs = MemberInputs(plan.recipe, source, plan.figures, fabric, unlabelled, weights.file)
    return {
        name: [
            train_member(
                inputs,
                scheme.held_out(member.part),
                folder.member(member),
                member=member.number,
                identity=identities[name],
                on_progress=_report_steps(member, on_progress),
                load_teachers=partial(load_teachers, teachers, plan, member, fabric),
            )
            for member in scheme.members
        ]
        for name, scheme in plan.schemes.items()
    }


def find_settings(recipe: Recipe) -> dict[str, Any]:
    """Return the deciding values of a recipe that differ from their defaults."""
    return settings_part(deciding_values(recipe), deciding_values(Recipe()))


def figures_part(table: FigureTable) -> str:
    """Return the hash of a table's deciding columns, without the content of images."""
    return table_part(table.frame, deciding_columns(table.frame))


def compute_identities(
    plan: TrainingPlan,
    weights: BackboneWeights,
    hashes: ImageHashes,
    teachers: str | None = None,
) -> dict[str, str]:
    """Return, by scheme, the fingerprint of all that decides the weights of its members.

    Args:
        plan: which members are trained, on what.
        weights: the backbone's published ones.
        hashes: of images.
        teachers: hash of all networks that may teach.
    """
    adapt_to = None
    if plan.adapt_to is not None:
        content = hashes.hash_files(plan.adapt_to.image_paths())
        adapt_to = hash_parts([figures_part(plan.adapt_to), *content])
    return {
        name: fingerprint(
            recipe=find_settings(plan.recipe),
            figures=figures_part(plan.table),
            images=hash_parts(hashes.hash_files(plan.table.image_paths())),
            folds=hash_parts(scheme.part_of),
            weights=weights.sha256,
            adapt_to=adapt_to,
            teachers=teachers,
        )
        for name, scheme in plan.schemes.items()
    }


def _read_unlabelled(
    plan: TrainingPlan, folder: RunFolder, hashes: ImageHashes, on_progress: OnProgress
) -> UnlabelledFigures | None:
    if plan.adapt_to is None or plan.adapt_to_domain is None:
        return None
    windows = read_windows(
        plan.adapt_to,
        plan.recipe,
        folder.windows,
        hashes.hash_files(plan.adapt_to.image_paths()),
        lambda done, of: on_progress("reading unlabelled crops", done, of, ""),
    )
    return UnlabelledFigures(windows, plan.adapt_to_domain)


def _report_steps(member: MemberSpec, on_progress: OnProgress) -> Callable[[Progress], None]:
    def show(at: Progress) -> None:
        gamma = f", gamma {' '.join(f'{value:.2f}' for value in at.gamma)}" if at.gamma else ""
        on_progress(f"training {member.name}", at.step, at.steps, f"loss {at.loss:.3f}{gamma}")

    return show
