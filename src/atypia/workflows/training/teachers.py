"""The teachers of a training: for each member, networks that have not seen what it is judged by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from atypia.bundle.load import Bundle, load_bundle
from atypia.bundle.manifest import MANIFEST_NAME
from atypia.bundle.seen import count_seen
from atypia.data.table_checks import format_count
from atypia.data.table_io import read_raw
from atypia.errors import RecipeError
from atypia.files import sha256
from atypia.fingerprint import hash_parts
from atypia.inference.runtimes.torch import load_networks
from atypia.training.components.distillation import Teacher, Teachers
from atypia.training.crop_windows import View
from atypia.training.devices import Fabric
from atypia.training.member import weights_file
from atypia.workflows.training.folder import RunFolder
from atypia.workflows.training.plan import FOLDS, LEFT_OUT, MemberSpec, TrainingPlan

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class TeacherSource:
    """A bundle, or a finished training, whose members know which figures they have not seen.

    Attributes:
        bundle: alone, or that of the training.
        unseen: of each member of the folds and of the left-out domains, its file and the ids of
            the figures that it was trained without; None for a bundle alone.
    """

    bundle: Bundle
    unseen: Sequence[tuple[Path, frozenset[str]]] | None = None

    def choose_files(self, held_out: Sequence[str]) -> list[Path]:
        """Return the files of networks to teach where figures are held out, given by their ids.

        Those of a training were trained without these figures, and without as few others as can
        be. A bundle alone teaches with all its members, whatever it has seen; so does the bundle of
        a training where nothing is held out.
        """
        if self.unseen is None or not held_out:
            return [self.bundle.folder / name for name in self.bundle.manifest.members]
        without = [(len(ids), file) for file, ids in self.unseen if ids.issuperset(held_out)]
        fewest = min((count for count, _ in without), default=0)
        return [file for count, file in without if count == fewest]

    def list_files(self) -> list[Path]:
        """Return all files that may be chosen."""
        return [*self.choose_files([]), *(file for file, _ in self.unseen or ())]


def open_teachers(names: Sequence[str]) -> list[TeacherSource]:
    """Open the teachers of a recipe.

    Args:
        names: folders of bundles or runs.

    Raises:
        RecipeError: a folder is neither.
        BundleError: a bundle is at fault.
    """
    return [_open_teacher(Path(name)) for name in names]


def _open_teacher(path: Path) -> TeacherSource:
    if (path / MANIFEST_NAME).is_file():
        return TeacherSource(load_bundle(path))
    run = RunFolder(path)
    if not (run.bundle / MANIFEST_NAME).is_file() or not run.out_of_fold.is_file():
        raise RecipeError(
            f"distillation.teachers: {path} is neither a bundle nor the folder of a finished "
            "training; give one of these"
        )
    unseen: list[tuple[Path, frozenset[str]]] = []
    for scheme, predictions in ((FOLDS, run.out_of_fold), (LEFT_OUT, run.left_out)):
        if predictions.is_file():
            scores = read_raw(predictions)
            for part, ids in scores.groupby("fold")["figure_id"]:
                folders = sorted(run.scheme(scheme).glob(f"{part}*"))
                mine = [one for one in folders if one.name.partition("-")[0] == str(part)]
                unseen += [(weights_file(one), frozenset(ids)) for one in mine]
    return TeacherSource(load_bundle(run.bundle), unseen)


def hash_teachers(sources: Sequence[TeacherSource]) -> str | None:
    """Return the hash of all networks that may teach; None without teachers."""
    files = [file for source in sources for file in source.list_files()]
    return hash_parts([sha256(file) for file in files]) if files else None


def check_teachers(sources: Sequence[TeacherSource], plan: TrainingPlan) -> list[str]:
    """Check that each member has teachers; return notes on teachers that know its answers.

    Args:
        sources: as `open_teachers` returns them.
        plan: of the training.

    Raises:
        RecipeError: a run has no network that was trained without a part of the figures; or the
            crops of a teacher are larger than those of the recipe.
    """
    notes = []
    for source in sources:
        crop_um, own = source.bundle.manifest.crop_um, plan.recipe.backbone.crop_um
        if crop_um > own:
            raise RecipeError(
                f"distillation.teachers: {source.bundle.folder} looks at {crop_um:g} um, and "
                f"backbone.crop_um is {own:g}; train with backbone.crop_um={crop_um:g} or more"
            )
        for member in plan.members:
            held_out = _held_out_ids(plan, member)
            if not source.choose_files(held_out):
                raise RecipeError(
                    f"distillation.teachers: of {source.bundle.folder.parent} no network was "
                    f"trained without the figures of {member.name}; train it on the same figures, "
                    "with the same seed and section folds, or give its bundle"
                )
        if source.unseen is None:
            seen = count_seen(source.bundle.folder, plan.table.image_paths())
            if seen:
                notes.append(
                    f"the teacher {source.bundle.folder} was trained on "
                    f"{format_count(seen, 'figure')} of these, so out-of-fold scores will be too "
                    "good; give the folder of its training instead, with the same folds"
                )
    return notes


def load_teachers(
    sources: Sequence[TeacherSource], plan: TrainingPlan, member: MemberSpec, fabric: Fabric
) -> Teachers | None:
    """Load the teachers of a member; None where there are none.

    Args:
        sources: as `check_teachers` accepted them.
        plan: of the training.
        member: that is taught.
        fabric: device and precision, launched.

    Raises:
        AtypiaError: weights cannot be read, or are not here.
    """
    if not sources:
        return None
    held_out = _held_out_ids(plan, member)
    teachers = []
    for source in sources:
        manifest = source.bundle.manifest
        networks = load_networks(source.bundle, source.choose_files(held_out))
        teachers.append(Teacher(View(manifest.crop_um, manifest.input_px), networks))
    return Teachers(teachers, fabric)


def _held_out_ids(plan: TrainingPlan, member: MemberSpec) -> list[str]:
    rows: Rows = plan.schemes[member.scheme].held_out(member.part)
    return [str(plan.figures.figure_id[row]) for row in rows]
