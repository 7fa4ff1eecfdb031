"""The bench of an ablation: figures, folds and folders that all runs share."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from atypia.data.domains import domain_names, short_domain_names
from atypia.data.splits import crossed_folds
from atypia.data.table import FigureTable
from atypia.errors import AtypiaError, TableError
from atypia.evaluation.comparison import JudgedFigures, Scores
from atypia.files import write_output
from atypia.fingerprint import ImageHashes, fingerprint, hash_parts
from atypia.models.backbones.registry import backbone_spec
from atypia.models.devices import Device
from atypia.progress import OnProgress, show_nothing
from atypia.training.ablation import Plan
from atypia.training.backbone_weights import BackboneWeights, find_backbone_weights
from atypia.training.batches import BatchSource
from atypia.training.components.augment import compute_augmented_window_um
from atypia.training.devices import describe_hardware, limit_threads, open_fabric
from atypia.training.embeddings import read_batch_source
from atypia.training.figures import TrainingFigures, training_figures
from atypia.training.loop import MemberInputs, train_member
from atypia.training.recipe import Recipe
from atypia.training.requirements import switch_off_components
from atypia.version import __version__
from atypia.workflows.ablation_runs import (
    PlannedRun,
    RunLine,
    flat_recipe,
    match_runs,
    mend_last_line,
    read_runs,
)
from atypia.workflows.training.fit import figures_part, find_settings

Ints = npt.NDArray[np.int64]

# The partition is the same for all seeds, so that arms and seeds differ in nothing else.
_PARTITION_SEED = 0


@dataclass(frozen=True)
class Job:
    """A run to be done."""

    arm: str
    seed: int
    fold: int
    recipe: Recipe

    @property
    def key(self) -> tuple[str, int, int]:
        """Arm, seed and fold."""
        return self.arm, self.seed, self.fold


@dataclass(frozen=True)
class Bench:
    """Figures, folds and folders that all runs share; sent to every worker.

    Attributes:
        table: N figures.
        out: the folder.
        device: auto, cpu or cuda.
        threads: of the CPU, per worker; None leaves the choice to torch.
        left_out: int64 (N,), as `crossed_folds` gives it.
        held_out: int64 (N,), as `crossed_folds` gives it.
        runs_without: what each run leaves out: a domain's name, or those of a group.
        figures: hash of the table's deciding columns and of the folds.
        earlier_figures: the hash of earlier versions, over the table's whole text.
        weights: published ones of each backbone, by its key; a backbone without them needs none, or
            is not trained.
        content: SHA-256 of each figure's image; empty where nothing is trained.
    """

    table: FigureTable
    out: Path
    device: Device
    threads: int | None
    left_out: Ints
    held_out: Ints
    runs_without: tuple[str, ...]
    figures: str
    earlier_figures: str
    weights: dict[str, BackboneWeights] = field(default_factory=dict)
    content: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        table: FigureTable,
        out: Path,
        device: Device,
        threads: int | None,
        domain_groups: int | None = None,
    ) -> Bench:
        """Divide the figures, as all arms and seeds share them.

        Raises:
            TableError: as `crossed_folds`.
        """
        left_out, held_out, names = crossed_folds(table.frame, _PARTITION_SEED, domain_groups)
        figures = hash_parts([figures_part(table), *left_out, *held_out])[:16]
        text = table.frame.to_csv(index=False).encode() + left_out.tobytes() + held_out.tobytes()
        return cls(
            *(table, out, device, threads, left_out, held_out, tuple(names), figures),
            earlier_figures=hashlib.sha256(text).hexdigest()[:16],
        )

    @property
    def short_names(self) -> list[str]:
        """What each run leaves out, without the parts that all domains share."""
        groups = [group.split("; ") for group in self.runs_without]
        short = short_domain_names([name for group in groups for name in group])
        return ["; ".join(short[name] for name in group) for group in groups]

    @property
    def runs(self) -> Path:
        """The file of the finished runs."""
        return self.out / "runs.jsonl"

    @property
    def work(self) -> Path:
        """The folder of decoded windows and checkpoints; not needed once all runs are finished."""
        return self.out / "work"

    @property
    def work_note(self) -> Path:
        """The file that keeps `work` out of a repository."""
        return self.work / ".gitignore"

    def jobs(self, plan: Plan) -> list[Job]:
        """Return all runs of a plan, seed by seed, so that a stop leaves whole seeds."""
        recipes = [
            (arm, seed, self.switch_off_components(plan.recipe(arm, seed))[0])
            for seed in plan.seeds
            for arm in plan.arms
        ]
        return [
            Job(arm.name, seed, fold, recipe)
            for arm, seed, recipe in recipes
            for fold in range(len(self.runs_without))
        ]

    def switch_off_components(self, recipe: Recipe) -> tuple[Recipe, dict[str, str]]:
        """Apply `training.requirements.switch_off_components` to the runs of a recipe."""
        folds = range(len(self.runs_without))
        rows = [np.flatnonzero((self.left_out != fold) & (self.held_out != fold)) for fold in folds]
        return switch_off_components(recipe, self.training_figures(recipe), rows, None)

    def drop_unworkable_arms(self, plan: Plan) -> tuple[Plan, list[str]]:
        """Return the plan without arms of components that cannot work here, and a note for each.

        This concerns plans of atypia; what the user's own plan asks for is refused run by run.
        """
        names, notes = [], []
        for arm in plan.arms:
            _, lacks = self.switch_off_components(plan.recipe(arm, plan.seeds[0]))
            for key, lack in lacks.items():
                if any(change.partition("=")[0].strip() == key for change in arm.changes):
                    names.append(arm.name)
                    notes.append(f"arm {arm.name!r} is left out: {lack}")
                else:
                    notes.append(f"arm {arm.name!r}: {key} is off: {lack}")
        return plan.without_arms(names), notes

    def require_both_classes(self, recipe: Recipe) -> None:
        """Refuse figures that leave a run without a class, or no domain with both classes."""
        _require_both_classes(self, self.training_figures(recipe).truth)

    def with_content(self) -> Bench:
        """Hash the content of all images."""
        hashes = ImageHashes(self.work / "windows" / "images.json")
        content = tuple(hashes.hash_files(self.table.image_paths()))
        hashes.keep()
        return replace(self, content=content)

    @property
    def images(self) -> str | None:
        """Hash of the content of all images; None where it is unknown."""
        return hash_parts(self.content)[:16] if self.content else None

    def with_weights(self, jobs: Sequence[Job], source: Path | None) -> Bench:
        """Find the published weights of all backbones.

        Raises:
            AtypiaError: they are not here, or a backbone cannot take the crops of a recipe.
        """
        weights: dict[str, BackboneWeights] = {}
        for recipe in (job.recipe for job in jobs):
            spec = backbone_spec(recipe.backbone.key)
            spec.require_input_px(recipe.backbone.input_px)
            if recipe.backbone.pretrained and spec.key not in weights:
                path = source if spec.packaged is None else None
                weights[spec.key] = find_backbone_weights(recipe, path)
        return replace(self, weights=weights)

    def choose_weights(self, recipe: Recipe) -> BackboneWeights:
        """Return the published weights that a recipe's training begins with."""
        return self.weights.get(recipe.backbone.key, BackboneWeights())

    def _known_weights(self, recipe: Recipe) -> str | None:
        known = self.weights.get(recipe.backbone.key)
        return None if known is None else known.sha256

    def find_finished(self, jobs: Sequence[Job]) -> tuple[dict[tuple[str, int, int], RunLine], int]:
        """Return the lines of finished jobs, and the number of lines that match no job."""
        planned = {
            job.key: PlannedRun(
                recipe=flat_recipe(job.recipe),
                figures=(self.figures, self.earlier_figures),
                images=self.images,
                left_out=int((self.left_out == job.fold).sum()),
                held_out=int((self.held_out == job.fold).sum()),
                weights_sha256=self._known_weights(job.recipe),
            )
            for job in jobs
        }
        return match_runs(read_runs(self.runs), planned, self.runs)

    def folder(self, job: Job) -> Path:
        """Return the folder of a run's checkpoint; another recipe or other figures have another."""
        slug = re.sub(r"[^a-z0-9]+", "-", job.arm.lower()).strip("-")
        unique = hashlib.sha256(f"{job.arm} {self.identity(job)}".encode()).hexdigest()[:8]
        return self.work / f"{slug}-{job.seed}-{job.fold}-{unique}"

    def identity(self, job: Job) -> str:
        """Return the fingerprint of all that decides a run's weights."""
        return fingerprint(
            recipe=find_settings(job.recipe),
            figures=self.figures,
            images=self.images,
            folds=str(job.fold),
            weights=self.choose_weights(job.recipe).sha256,
        )

    def training_figures(self, recipe: Recipe) -> TrainingFigures:
        """Return the figures as a recipe's training sees them."""
        return training_figures(self.table, recipe.soft_labels)

    def judged_figures(self, figures: TrainingFigures) -> JudgedFigures:
        """Return what all arms are judged by, of the figures as training sees them."""
        domain = domain_names(self.table.frame)
        return JudgedFigures(figures.truth, figures.case, domain, self.left_out, self.held_out)

    def read_source(self, recipe: Recipe, on_progress: OnProgress = show_nothing) -> BatchSource:
        """Read what a recipe's batches are made from, or open what lies on disk."""
        fabric = open_fabric(self.device, recipe.schedule)
        return read_batch_source(
            self.table,
            recipe,
            self.content,
            self.work / "windows",
            self.work / "embeddings",
            fabric,
            on_progress,
            self.choose_weights(recipe),
        )

    def prepare(self, jobs: Sequence[Job], on_progress: OnProgress) -> None:
        """Read all crops, before anything is trained."""
        self.work.mkdir(parents=True, exist_ok=True)
        write_output(self.work_note, "*\n")  # users commit the folder around it
        mend_last_line(self.runs)
        for recipe in {_reading_key(job.recipe): job.recipe for job in jobs}.values():
            crop_um = recipe.backbone.crop_um
            window_um = compute_augmented_window_um(recipe.augment, crop_um)
            sizes = f"{crop_um:g} um, {window_um:.1f} um with their margin"
            self.read_source(recipe, partial(_report_sizes, on_progress, sizes))

    def scores(self, lines: Sequence[RunLine]) -> Scores:
        """Return the scores of one arm and seed, one line per fold, in the order of the figures."""
        left, held = np.full((2, len(self.table)), np.nan)
        for line in lines:
            left[self.left_out == line.fold] = line.left_out_logit
            held[self.held_out == line.fold] = line.held_out_logit
        return Scores(left, held)

    def train(self, job: Job) -> RunLine:
        """Do one run.

        Raises:
            AtypiaError: it failed.
        """
        if self.threads is not None:
            limit_threads(self.threads)
            # Of BLAS, too: the probes of parallel workers would wait for each other.
            threadpool_limits(self.threads)
        fabric = open_fabric(self.device, job.recipe.schedule)
        left, held = self.left_out == job.fold, self.held_out == job.fold
        weights = self.choose_weights(job.recipe)
        member = train_member(
            MemberInputs(
                job.recipe,
                self.read_source(job.recipe),
                self.training_figures(job.recipe),
                fabric,
                weights=weights.file,
            ),
            np.flatnonzero(left | held),
            self.folder(job),
            member=job.fold,
            identity=self.identity(job),
            on_progress=lambda at: None,
            curve=False,
        )
        if not np.isfinite(member.logit).all():
            raise AtypiaError(
                "the training diverged (its scores are not finite); lower schedule.learning_rate "
                "in this arm"
            )
        logits = np.zeros(len(self.table))
        logits[member.held_out] = member.logit
        hardware = describe_hardware(fabric)
        return RunLine(
            arm=job.arm,
            seed=job.seed,
            fold=job.fold,
            left_out=self.runs_without[job.fold],
            recipe=flat_recipe(job.recipe),
            figures=self.figures,
            images=self.images or "",
            seconds=round(member.seconds, 1),
            threads=hardware.threads,
            device=hardware.name,
            precision=hardware.precision,
            torch=hardware.torch,
            atypia=__version__,
            weights_sha256=weights.sha256,
            probe=None if member.probe is None else asdict(member.probe),
            left_out_logit=logits[left].round(3).tolist(),
            held_out_logit=logits[held].round(3).tolist(),
        )


def _reading_key(recipe: Recipe) -> tuple[object, ...]:
    """Return what decides how crops are read; recipes that agree in it share them."""
    crop_um = recipe.backbone.crop_um
    windows = (crop_um, compute_augmented_window_um(recipe.augment, crop_um))
    linear = not recipe.adapter.trains_backbone
    return (*windows, linear and (recipe.backbone, recipe.schedule.precision))


def _report_sizes(
    on_progress: OnProgress, sizes: str, task: str, done: int, of: int, note: str
) -> None:
    on_progress(f"{task} of {sizes}", done, of, note)


def _require_both_classes(bench: Bench, truth: npt.NDArray[np.float64]) -> None:
    domains = domain_names(bench.table.frame)
    if not any({0.0, 1.0} <= set(truth[domains == name]) for name in np.unique(domains)):
        raise TableError(
            "no domain has both normal and atypical figures, so none can be evaluated when left "
            "out; check the columns tumour, scanner, laboratory and species"
        )
    for fold, name in enumerate(bench.short_names):
        rest = (bench.left_out != fold) & (bench.held_out != fold) & (bench.held_out >= 0)
        for word, value in (("atypical", 1.0), ("normal", 0.0)):
            if not (truth[rest] == value).any():
                raise TableError(
                    f"the run without {name}: no {word} figure of a domain with several "
                    f"cases is left to train on; add {word} figures of other cases"
                )
