"""What does the runs of an ablation: figures, folds and folders."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from threadpoolctl import threadpool_limits

from atypia.data.domains import short_domain_names
from atypia.data.splits import crossed_folds
from atypia.data.table import FigureTable
from atypia.data.windows import Windows
from atypia.errors import AtypiaError, TableError
from atypia.evaluation.comparison import Scores
from atypia.files import write_output
from atypia.fingerprint import ImageHashes, fingerprint, hash_parts
from atypia.models.backbones.registry import backbone_spec
from atypia.progress import OnProgress, show_nothing
from atypia.training.ablation import Plan
from atypia.training.backbone_weights import BackboneWeights, find_backbone_weights
from atypia.training.batches import Embeddings
from atypia.training.components.augment import window_um
from atypia.training.devices import Device, open_fabric, precision_of
from atypia.training.embeddings import read_shown
from atypia.training.figures import TrainingFigures, training_figures
from atypia.training.loop import MemberInputs, train_member
from atypia.training.recipe import Recipe
from atypia.training.requirements import step_back
from atypia.version import __version__
from atypia.workflows.ablation_runs import (
    RunLine,
    Wanted,
    agreeing,
    flat_recipe,
    mend_end,
    read_runs,
)
from atypia.workflows.training.fit import figures_part, settings_of

Ints = npt.NDArray[np.int64]

# The partition is the same whatever the seeds, so that arms and seeds differ in nothing else.
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
    """What all runs share; sent to every worker.

    Attributes:
        table: N figures.
        out: the folder.
        device: auto, cpu or cuda.
        threads: of the CPU, for each worker; none takes what torch takes.
        left_out: int64 (N,), as `crossed_folds` gives it.
        held_out: int64 (N,), as `crossed_folds` gives it.
        domains: names of the left-out domains.
        figures: hash of what decides a run of the table, and of its folds.
        earlier_figures: what earlier versions hashed instead: the table's whole text, remarks too.
        weights: published ones of each backbone, by its key; one that is not in it needs none, or
            is not to be trained.
        content: SHA-256 of each figure's image; empty where nothing is to be trained.
    """

    table: FigureTable
    out: Path
    device: Device
    threads: int | None
    left_out: Ints
    held_out: Ints
    domains: tuple[str, ...]
    figures: str
    earlier_figures: str
    weights: dict[str, BackboneWeights] = field(default_factory=dict)
    content: tuple[str, ...] = ()

    @classmethod
    def of(cls, table: FigureTable, out: Path, device: Device, threads: int | None) -> Bench:
        """Divide the figures, as all arms and seeds share them.

        Raises:
            TableError: as `crossed_folds`.
        """
        left_out, held_out, names = crossed_folds(table.frame, _PARTITION_SEED)
        figures = hash_parts([figures_part(table), *left_out, *held_out])[:16]
        text = table.frame.to_csv(index=False).encode() + left_out.tobytes() + held_out.tobytes()
        return cls(
            *(table, out, device, threads, left_out, held_out, tuple(names), figures),
            earlier_figures=hashlib.sha256(text).hexdigest()[:16],
        )

    @property
    def runs(self) -> Path:
        """The file of the runs that are done."""
        return self.out / "runs.jsonl"

    @property
    def work(self) -> Path:
        """The folder of decoded windows and checkpoints; nothing in it is needed afterwards."""
        return self.out / "work"

    @property
    def work_note(self) -> Path:
        """The file that keeps `work` out of a repository."""
        return self.work / ".gitignore"

    def jobs(self, plan: Plan) -> list[Job]:
        """Return all runs of a plan, seed by seed, so that a stop leaves whole seeds."""
        recipes = [
            (arm, seed, self.step_back(plan.recipe(arm, seed))[0])
            for seed in plan.seeds
            for arm in plan.arms
        ]
        return [
            Job(arm.name, seed, fold, recipe)
            for arm, seed, recipe in recipes
            for fold in range(len(self.domains))
        ]

    def step_back(self, recipe: Recipe) -> tuple[Recipe, dict[str, str]]:
        """As `training.requirements.step_back`, for the runs of a recipe on these figures."""
        folds = range(len(self.domains))
        rows = [np.flatnonzero((self.left_out != fold) & (self.held_out != fold)) for fold in folds]
        return step_back(recipe, self.training_figures(recipe), rows, None)

    def workable(self, plan: Plan) -> tuple[Plan, list[str]]:
        """Return the plan without arms that are about what cannot work here; say so, a line each.

        Of a plan of atypia, that is: what somebody's own plan asks for is refused run by run.
        """
        left_out, notes = [], []
        for arm in plan.arms:
            _, lacks = self.step_back(plan.recipe(arm, plan.seeds[0]))
            for key, lack in lacks.items():
                if any(change.partition("=")[0].strip() == key for change in arm.changes):
                    left_out.append(arm.name)
                    notes.append(f"arm {arm.name!r} is left out: {lack}")
                else:
                    notes.append(f"arm {arm.name!r}: {key} is off: {lack}")
        return plan.without(left_out), notes

    def require_both_classes(self, recipe: Recipe) -> None:
        """Refuse figures with which a run cannot be trained or called, or no domain be judged."""
        _require_both_classes(self, self.training_figures(recipe).truth)

    def with_content(self) -> Bench:
        """Hash the content of all images."""
        hashes = ImageHashes(self.work / "windows" / "images.json")
        content = tuple(hashes.of(self.table.image_paths()))
        hashes.keep()
        return replace(self, content=content)

    @property
    def images(self) -> str | None:
        """Hash of the content of all images; none where it is not known."""
        return hash_parts(self.content)[:16] if self.content else None

    def with_weights(self, jobs: Sequence[Job], given: Path | None) -> Bench:
        """Find the published weights of all backbones.

        Raises:
            AtypiaError: they are not here, or a backbone cannot look at the crops of a recipe.
        """
        weights: dict[str, BackboneWeights] = {}
        for recipe in (job.recipe for job in jobs):
            spec = backbone_spec(recipe.backbone.key)
            spec.require_input_px(recipe.backbone.input_px)
            if recipe.backbone.pretrained and spec.key not in weights:
                own = given if spec.packaged is None else None
                weights[spec.key] = find_backbone_weights(recipe, own)
        return replace(self, weights=weights)

    def weights_of(self, recipe: Recipe) -> BackboneWeights:
        """Return the published weights that a recipe's training begins with."""
        return self.weights.get(recipe.backbone.key, BackboneWeights())

    def _known_weights(self, recipe: Recipe) -> str | None:
        known = self.weights.get(recipe.backbone.key)
        return None if known is None else known.sha256

    def done(self, jobs: Sequence[Job]) -> tuple[dict[tuple[str, int, int], RunLine], int]:
        """Return the lines of the jobs that are done, and the number of lines of no use here."""
        wanted = {
            job.key: Wanted(
                recipe=flat_recipe(job.recipe),
                figures=(self.figures, self.earlier_figures),
                images=self.images,
                left_out=int((self.left_out == job.fold).sum()),
                held_out=int((self.held_out == job.fold).sum()),
                weights_sha256=self._known_weights(job.recipe),
            )
            for job in jobs
        }
        return agreeing(read_runs(self.runs), wanted, self.runs)

    def folder(self, job: Job) -> Path:
        """Return where a run's checkpoint lies: another one for another recipe or figures."""
        slug = re.sub(r"[^a-z0-9]+", "-", job.arm.lower()).strip("-")
        unique = hashlib.sha256(f"{job.arm} {self.identity(job)}".encode()).hexdigest()[:8]
        return self.work / f"{slug}-{job.seed}-{job.fold}-{unique}"

    def identity(self, job: Job) -> str:
        """Hash what decides a run's weights: the recipe, the figures, their folds, the fold."""
        return fingerprint(
            recipe=settings_of(job.recipe),
            figures=self.figures,
            images=self.images,
            folds=str(job.fold),
            weights=self.weights_of(job.recipe).sha256,
        )

    def training_figures(self, recipe: Recipe) -> TrainingFigures:
        """Return the figures as a recipe's training sees them."""
        return training_figures(self.table, recipe.soft_labels)

    def shown(self, recipe: Recipe, on_progress: OnProgress = show_nothing) -> Windows | Embeddings:
        """Read what a recipe's training is shown, or open what lies on disk."""
        fabric = open_fabric(self.device, recipe.schedule)
        return read_shown(
            self.table,
            recipe,
            self.content,
            self.work / "windows",
            self.work / "embeddings",
            fabric,
            on_progress,
            self.weights_of(recipe),
        )

    def prepare(self, jobs: Sequence[Job], on_progress: OnProgress) -> None:
        """Read all crops, before anything is trained."""
        self.work.mkdir(parents=True, exist_ok=True)
        write_output(self.work_note, "*\n")  # the folder around it is for committing
        mend_end(self.runs)
        for recipe in {_read_once(job.recipe): job.recipe for job in jobs}.values():
            crop_um = recipe.backbone.crop_um
            sizes = f"{crop_um:g} um, {window_um(recipe.augment, crop_um):.1f} um with their margin"
            self.shown(recipe, partial(_report, on_progress, sizes))

    def scores(self, lines: Sequence[RunLine]) -> Scores:
        """Put the scores of one arm and seed, a line a fold, in the order of the figures."""
        left, held = np.full((2, len(self.table)), np.nan)
        for line in lines:
            left[self.left_out == line.fold] = line.left_out_logit
            held[self.held_out == line.fold] = line.held_out_logit
        return Scores(left, held)

    def train(self, job: Job) -> RunLine:
        """Do one run.

        Raises:
            AtypiaError: it cannot be done.
        """
        if self.threads is not None:
            torch.set_num_threads(self.threads)
            threadpool_limits(self.threads)  # of BLAS, in which probes would wait for one another
        fabric = open_fabric(self.device, job.recipe.schedule)
        left, held = self.left_out == job.fold, self.held_out == job.fold
        weights = self.weights_of(job.recipe)
        member = train_member(
            MemberInputs(
                job.recipe,
                self.shown(job.recipe),
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
                "the training has diverged, its scores are not finite; lower "
                "schedule.learning_rate in this arm"
            )
        logits = np.zeros(len(self.table))
        logits[member.held_out] = member.logit
        gpu = fabric.device.type == "cuda"
        return RunLine(
            arm=job.arm,
            seed=job.seed,
            fold=job.fold,
            left_out=self.domains[job.fold],
            recipe=flat_recipe(job.recipe),
            figures=self.figures,
            images=self.images or "",
            seconds=round(member.seconds, 1),
            threads=torch.get_num_threads(),
            device=torch.cuda.get_device_name(fabric.device) if gpu else fabric.device.type,
            precision=precision_of(fabric),
            torch=torch.__version__,
            atypia=__version__,
            weights_sha256=weights.sha256,
            probe=None if member.probe is None else asdict(member.probe),
            left_out_logit=logits[left].round(3).tolist(),
            held_out_logit=logits[held].round(3).tolist(),
        )


def _read_once(recipe: Recipe) -> tuple[object, ...]:
    """Return what decides how crops are read: recipes that agree in it share them."""
    windows = (recipe.backbone.crop_um, window_um(recipe.augment, recipe.backbone.crop_um))
    linear = not recipe.adapter.trains_backbone
    return (*windows, linear and (recipe.backbone, recipe.schedule.precision))


def _report(on_progress: OnProgress, sizes: str, task: str, done: int, of: int, note: str) -> None:
    on_progress(f"{task} of {sizes}", done, of, note)


def _require_both_classes(bench: Bench, truth: npt.NDArray[np.float64]) -> None:
    of_domain = [set(truth[bench.left_out == fold]) for fold in range(len(bench.domains))]
    if not any({0.0, 1.0} <= classes for classes in of_domain):
        raise TableError(
            "no domain holds both normal and atypical figures: nothing can be judged with it left "
            "out; check the columns tumour, scanner, laboratory and species"
        )
    short = short_domain_names(bench.domains)
    for fold, name in enumerate(bench.domains):
        rest = (bench.left_out != fold) & (bench.held_out != fold) & (bench.held_out >= 0)
        for word, value in (("atypical", 1.0), ("normal", 0.0)):
            if not (truth[rest] == value).any():
                raise TableError(
                    f"the run without {short[name]}: no {word} figure of a domain with several "
                    f"cases is left to train on; add {word} figures of other cases"
                )
