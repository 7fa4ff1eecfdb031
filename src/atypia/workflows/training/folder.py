"""The folder of a training run: every path in it, and what may lie there."""

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
from atypia.training.member import kept_identity
from atypia.training.recipe import Recipe, deciding_values
from atypia.training.recipe_file import read_recipe, to_toml
from atypia.workflows.training.plan import SCHEMES, MemberSpec, TrainingPlan


@dataclass(frozen=True)
class RunFolder:
    """A run's folder.

    Attributes:
        path: of it; it need not be there.
    """

    path: Path

    @property
    def recipe(self) -> Path:
        """What decides the training, in full."""
        return self.path / "recipe.toml"

    @property
    def bundle(self) -> Path:
        """The members of all folds, calibrated."""
        return self.path / "bundle"

    @property
    def out_of_fold(self) -> Path:
        """Predictions of the members that have not seen a figure."""
        return self.path / "out_of_fold.csv"

    @property
    def report(self) -> Path:
        """The report on these."""
        return self.path / "report.html"

    @property
    def left_out(self) -> Path:
        """Predictions by members that have not seen a figure's domain."""
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
        """All files that are written for the user when members are there."""
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
        """What is remembered of the content of images."""
        return self.windows / "images.json"

    @property
    def embeddings(self) -> Path:
        """Folder of embeddings, where the user names no other."""
        return self.path / "embeddings"

    def scheme(self, name: str) -> Path:
        """Return the folder of a scheme's members."""
        return self.path / name

    def member(self, member: MemberSpec) -> Path:
        """Return the folder of a member: checkpoint, metrics, weights, scores."""
        again = f"-{member.turn + 1}" if member.turn else ""
        return self.scheme(member.scheme) / f"{member.part}{again}"

    def require_place(self, *, overwrite: bool = False) -> None:
        """Refuse a folder in which the run would cost a user a file, or that cannot be written.

        Args:
            overwrite: files that atypia did not write may be replaced.

        Raises:
            AtypiaError: naming what lies there.
        """
        require_outputs(self.results, overwrite=overwrite)
        require_replaceable(self.bundle, overwrite=overwrite)
        begun_here = (self.path / NOTES_FOLDER / f"{self.recipe.name}.sha256").is_file()
        work = (*map(self.scheme, SCHEMES), self.windows, self.embeddings)
        theirs = [path for path in work if os.path.lexists(path)]
        if theirs and not begun_here and not overwrite:
            raise AtypiaError(
                f"{theirs[0]}: is not of a training that this version of atypia began; choose "
                "another --out, or let the training write into it with --overwrite"
            )
        remove_partials_below(self.path)

    def keep_recipe(self, recipe: Recipe) -> None:
        """Write the recipe; one with remarks of the user stays as it is.

        Raises:
            AtypiaError: the folder holds a training by another recipe.
        """
        path = self.recipe
        if path.is_file():
            kept, asked = deciding_values(read_recipe(path)), deciding_values(recipe)
            changed = [key for key in asked if asked[key] != kept[key]]
            if changed:
                first = changed[0]
                raise AtypiaError(
                    f"{self.path}: holds a training by another recipe ({first} is "
                    f"{kept[first]!r} there, {asked[first]!r} here); give another --out, or delete "
                    "the folder to start anew"
                )
            if not is_ours(path):  # with comments of the user, perhaps
                self.note_begun(recipe)
                return
        write_output(path, to_toml(recipe))

    def note_begun(self, recipe: Recipe) -> None:
        """Note that this version of atypia goes on with the training; its recipe is not touched."""
        text = to_toml(recipe).encode()
        note_output(self.recipe, hashlib.sha256(text).hexdigest())

    def require_same_training(
        self, plan: TrainingPlan, identities: Mapping[str, str], changed: Sequence[Path]
    ) -> None:
        """Refuse a folder that holds members of another training, before any work.

        Args:
            plan: of this training.
            identities: name of a scheme -> fingerprint of all that decides its members.
            changed: images whose content is not what the folder remembers.

        Raises:
            AtypiaError: naming what differs.
        """
        for member in plan.members:
            folder, identity = self.member(member), identities[member.scheme]
            kept = kept_identity(folder)
            if kept is not None and kept != identity and changed:
                raise AtypiaError(
                    f"{self.path}: {len(changed)} images have changed since members were trained "
                    f"on them there (the first is {changed[0]}); give another --out, or delete the "
                    "folder to start anew"
                )
            if kept is not None:
                require_same(folder, kept, identity)
