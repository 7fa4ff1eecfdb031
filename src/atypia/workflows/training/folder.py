"""The folder of a training run: all its paths, and checks on what lies there."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from atypia.bundle.save import require_replaceable
from atypia.errors import AtypiaError
from atypia.files import (
    NOTES_FOLDER,
    is_ours,
    note_output,
    remove_partials_below,
    require_outputs,
    write_output,
)
from atypia.fingerprint import require_same
from atypia.training.member import read_identity
from atypia.training.recipe import Recipe, deciding_values
from atypia.training.recipe_file import read_recipe, to_toml
from atypia.workflows.training.plan import SCHEMES, MemberSpec, TrainingPlan


@dataclass(frozen=True)
class RunFolder:
    """A run's folder.

    Attributes:
        path: need not exist.
    """

    path: Path

    @property
    def recipe(self) -> Path:
        """The complete recipe."""
        return self.path / "recipe.toml"

    @property
    def bundle(self) -> Path:
        """The members of all folds, calibrated."""
        return self.path / "bundle"

    @property
    def out_of_fold(self) -> Path:
        """Out-of-fold predictions."""
        return self.path / "out_of_fold.csv"

    @property
    def report(self) -> Path:
        """The report on these."""
        return self.path / "report.html"

    @property
    def left_out(self) -> Path:
        """Predictions by members trained without a figure's domain."""
        return self.path / "left_out.csv"

    @property
    def left_out_report(self) -> Path:
        """The report on these."""
        return self.path / "left_out.html"

    @property
    def metrics(self) -> Path:
        """The metrics of both reports."""
        return self.path / "metrics.json"

    @property
    def record(self) -> Path:
        """Versions, machine, seconds, memory."""
        return self.path / "run.json"

    @property
    def results(self) -> tuple[Path, ...]:
        """All files that are written for the user at the end."""
        return (
            *(self.out_of_fold, self.report, self.left_out, self.left_out_report),
            *(self.metrics, self.record),
        )

    @property
    def windows(self) -> Path:
        """Folder of decoded windows."""
        return self.path / "windows"

    @property
    def image_hashes(self) -> Path:
        """Hashes of the images, from earlier runs."""
        return self.windows / "images.json"

    @property
    def embeddings(self) -> Path:
        """Default folder of embeddings."""
        return self.path / "embeddings"

    def scheme(self, name: str) -> Path:
        """Return the folder of a scheme's members."""
        return self.path / name

    def member(self, member: MemberSpec) -> Path:
        """Return the folder of a member: checkpoint, metrics, weights, scores."""
        again = f"-{member.turn + 1}" if member.turn else ""
        return self.scheme(member.scheme) / f"{member.part}{again}"

    def require_place(self, *, overwrite: bool = False) -> None:
        """Refuse a folder in which the run would replace the user's files, or that is not writable.

        Args:
            overwrite: files that atypia did not write may be replaced.

        Raises:
            AtypiaError: names the file or folder.
        """
        require_outputs(self.results, overwrite=overwrite)
        require_replaceable(self.bundle, overwrite=overwrite)
        begun_here = (self.path / NOTES_FOLDER / f"{self.recipe.name}.sha256").is_file()
        work = (*map(self.scheme, SCHEMES), self.windows, self.embeddings)
        theirs = [path for path in work if os.path.lexists(path)]
        if theirs and not begun_here and not overwrite:
            raise AtypiaError(
                f"{theirs[0]}: does not belong to a training by this version of atypia; choose "
                "another --out, or allow writing into it with --overwrite"
            )
        remove_partials_below(self.path)

    def save_recipe(self, recipe: Recipe) -> None:
        """Write the recipe; one with comments by the user stays as it is.

        Raises:
            AtypiaError: the folder holds a training by another recipe.
        """
        path = self.recipe
        if path.is_file():
            old, new = deciding_values(read_recipe(path)), deciding_values(recipe)
            changed = [key for key in new if new[key] != old[key]]
            if changed:
                first = changed[0]
                raise AtypiaError(
                    f"{self.path}: holds a training by another recipe ({first} is "
                    f"{old[first]!r} there, {new[first]!r} here); choose another --out, or delete "
                    "the folder to start over"
                )
            if not is_ours(path):  # it may have comments by the user
                self.note_start(recipe)
                return
        write_output(path, to_toml(recipe))

    def note_start(self, recipe: Recipe) -> None:
        """Note that this version of atypia continues the training; the recipe is not changed."""
        text = to_toml(recipe).encode()
        note_output(self.recipe, hashlib.sha256(text).hexdigest())

    def require_same_training(
        self, plan: TrainingPlan, identities: Mapping[str, str], changed: Sequence[Path]
    ) -> None:
        """Refuse a folder that holds members of another training, before any work.

        Args:
            plan: of this training.
            identities: name of a scheme -> fingerprint of all that decides its members.
            changed: images whose content differs from the hash in the folder.

        Raises:
            AtypiaError: names what differs.
        """
        for member in plan.members:
            folder, identity = self.member(member), identities[member.scheme]
            own_identity = read_identity(folder)
            if own_identity is None:
                continue
            if own_identity != identity and changed:
                raise AtypiaError(
                    f"{self.path}: {len(changed)} images have changed since members were trained "
                    f"on them (first: {changed[0]}); choose another --out, or delete the folder to "
                    "start over"
                )
            require_same(folder, own_identity, identity)
