"""Train: figures and a recipe in; members, out-of-fold scores, a bundle and a report out."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from atypia.bundle.save import require_replaceable
from atypia.data.domains import domain_names, spell_alike
from atypia.data.splits import training_part
from atypia.data.table import FigureTable
from atypia.data.votes import contradictions_in_words
from atypia.errors import AtypiaError
from atypia.evaluation.judge import Judgement
from atypia.evaluation.report import write_report
from atypia.evaluation.training_story import TrainingStory
from atypia.files import (
    NOTES_FOLDER,
    is_ours,
    note_output,
    remove_partials_below,
    require_outputs,
    sha256,
    write_output,
    written_output,
)
from atypia.fingerprint import (
    ImageHashes,
    fingerprint,
    joined_hash,
    require_same,
    settings_part,
    table_part,
)
from atypia.training.batches import read_windows
from atypia.training.devices import Device, open_fabric
from atypia.training.embeddings import read_shown
from atypia.training.figures import (
    TrainingFigures,
    UnlabelledFigures,
    deciding_columns,
    training_figures,
)
from atypia.training.loop import MemberInputs, Progress, train_member
from atypia.training.member import Member, kept_identity
from atypia.training.recipe import Recipe, deciding_values, read_recipe, to_toml
from atypia.training.sampling import cell_shares, figure_weights
from atypia.workflows.backbone_weights import backbone_weights
from atypia.workflows.classify import Say, to_stderr
from atypia.workflows.training_folds import Folds, plan_members
from atypia.workflows.training_results import Judged, judged, save_run_bundle
from atypia.workflows.training_story import run_facts, run_record, training_story

# Called with what is being done, how far it is, how far it goes, and what to show beside it.
OnProgress = Callable[[str, int, int, str], None]


def _silent(task: str, done: int, of: int, note: str) -> None:
    """Show nothing."""


def _unheard(line: str) -> None:
    """Say nothing."""


@dataclass(frozen=True)
class TrainingRun:
    """What a training left behind.

    Attributes:
        bundle: its folder: the members of all folds, calibrated on all out-of-fold scores.
        out_of_fold: predictions table; each figure scored by the members that have not seen it,
            called by an operating point fitted on the other folds.
        report: HTML.
        judgement: of the out-of-fold predictions.
        story: what the training did, as the report tells it.
        left_out: of the predictions for domains that training had not seen; none unless the recipe
            asks for them (`folds.left_out_domains`). They lie beside the others, `left_out.csv` and
            `left_out.html`, and the bundle is then calibrated on their scores.
    """

    bundle: Path
    out_of_fold: Path
    report: Path
    judgement: Judgement
    story: TrainingStory
    left_out: Judgement | None = None


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
    on_progress: OnProgress = _silent,
) -> TrainingRun:
    """Train members on folds, judge them on what they have not seen, and make a bundle.

    Started again with the same `out`, it goes on where it was stopped and ends with the same
    weights (on a CPU with the same number of threads, to the bit).

    Args:
        table: figures with images, mpp and labels or votes; where it has a column `split`, those of
            its training part are used (`splits.training_part`).
        recipe: what decides the training.
        out: folder of the run.
        adapt_to: figures of a laboratory that the classifier shall work in, for the domain loss
            alone; labels and votes in it are not looked at.
        weights: file or folder of the backbone's published weights; none takes them from the
            package or the local Hugging Face cache.
        embeddings: folder where a linear training keeps its embeddings and finds those of others;
            none takes one in `out`.
        device: auto, cpu or cuda.
        threads: of the CPU; none takes what torch takes.
        overwrite: replace files in `out` that atypia did not write.
        say: is given a line on figures left out, labels against their votes, and whatever is not as
            the recipe asks.
        on_progress: called often.

    Raises:
        AtypiaError: the figures, the recipe, the weights and the run's folder do not fit each
            other, or the backbone's weights are not here.
    """
    started = datetime.now(UTC)
    out = Path(out)
    if threads is not None:
        torch.set_num_threads(threads)
    file, weights_sha256 = backbone_weights(recipe, weights)
    fabric = open_fabric(device, recipe.schedule)
    if not fabric.is_global_zero:
        on_progress, say = _silent, _unheard
    else:
        _require_place(out, overwrite)
    table, adapt_to = _training_tables(table, adapt_to, say)
    further = [] if adapt_to is None else list(map(str, np.unique(domain_names(adapt_to.frame))))
    figures = training_figures(table, recipe.soft_labels, further)
    there = None if adapt_to is None else _domains_of(adapt_to, figures)
    recipe, parts, notes = plan_members(table, figures, recipe, there)
    for note in notes:
        say(f"note: {note}")
    with fabric.rank_zero_first():  # the others find the windows on disk
        if fabric.is_global_zero:
            _keep_recipe(out, recipe)
        hashes = ImageHashes(out / "windows" / "images.json")
        content = hashes.of(table.image_paths())
        content_there = [] if adapt_to is None else hashes.of(adapt_to.image_paths())
        identities = [
            _identity(table, recipe, folds.of, content, adapt_to, content_there, weights_sha256)
            for folds in parts
        ]
        _require_same_training(out, parts, identities, hashes.changed)
        if fabric.is_global_zero:
            hashes.keep()
        shown = read_shown(
            table,
            recipe,
            content,
            out / "windows",
            out / "embeddings" if embeddings is None else Path(embeddings),
            fabric,
            lambda task, done, of: on_progress(task, done, of, ""),
            weights=file,
            weights_sha256=weights_sha256,
        )
        unlabelled = None
        if adapt_to is not None and there is not None:
            told = _told(on_progress, "reading crops to adapt to")
            unlabelled = UnlabelledFigures(
                read_windows(adapt_to, recipe, out / "windows", content_there, told), there
            )

    inputs = MemberInputs(recipe, shown, figures, fabric, unlabelled, file)

    def members_of(folds: Folds, identity: str) -> list[Member]:
        members = []
        for seat in folds.seats:

            def report_step(at: Progress, task: str = f"training {seat.name}") -> None:
                gamma = f", gamma {' '.join(f'{one:.2f}' for one in at.gamma)}" if at.gamma else ""
                on_progress(task, at.step, at.steps, f"loss {at.loss:.3f}{gamma}")

            members.append(
                train_member(
                    inputs,
                    np.flatnonzero(folds.of == seat.part),
                    out / seat.folder,
                    member=seat.number,
                    identity=identity,
                    on_progress=report_step,
                )
            )
        return members

    trained = [
        members_of(folds, identity) for folds, identity in zip(parts, identities, strict=True)
    ]
    on_progress("judging", 0, 1, "")
    found = [
        judged(table, figures, members, folds)
        for members, folds in zip(trained, parts, strict=True)
    ]
    facts = [
        run_facts(table, recipe, folds, adapt_to)
        | ({"Not as the recipe asks": "; ".join(notes)} if notes else {})
        | {"Refer band of the bundle": found[-1].calibration.refer_rule}
        for folds in parts
    ]
    story = training_story(
        trained[0],
        [seat.name for seat in parts[0].seats],
        figures,
        adaptive=recipe.focal.adaptive,
    )
    result = TrainingRun(
        out / "bundle",
        out / "out_of_fold.csv",
        out / "report.html",
        found[0].judgement,
        story,
        found[1].judgement if len(found) > 1 else None,
    )
    if fabric.is_global_zero:
        save_run_bundle(
            result.bundle,
            recipe,
            table,
            trained[0],
            found,
            tuple(figures.phases if recipe.phase.weight else []),
            weights_sha256,
        )
        _write_results(
            out,
            result,
            recipe,
            table,
            found,
            parts,
            run_record(table, recipe, list(chain.from_iterable(trained)), started, fabric),
            facts,
        )
    fabric.barrier()
    on_progress("judging", 1, 1, "")
    return result


def _training_tables(
    table: FigureTable, adapt_to: FigureTable | None, say: Say
) -> tuple[FigureTable, FigureTable | None]:
    """Return the training parts of both tables, domains spelt as in the first; say what is odd."""
    table, notes = training_part(table)
    lines = [*notes, contradictions_in_words(table.frame)]
    if adapt_to is not None:
        adapt_to, left_out = training_part(adapt_to)
        adapt_to = replace(adapt_to, frame=spell_alike(adapt_to.frame, table.frame))
        lines += [f"of the figures to adapt to, {note}" for note in left_out]
    for line in filter(None, lines):
        say(f"note: {line}")
    return table, adapt_to


def _write_results(
    out: Path,
    result: TrainingRun,
    recipe: Recipe,
    table: FigureTable,
    found: Sequence[Judged],
    parts: Sequence[Folds],
    record: Mapping[str, object],
    facts: Sequence[dict[str, str]],
) -> None:
    """Write the record, the metrics, and a predictions table and a report of each division."""
    write_output(out / "run.json", json.dumps(record, indent=2) + "\n")
    metrics = result.judgement.to_dict()
    if result.left_out is not None:
        metrics["left_out_domains"] = result.left_out.to_dict()
    write_output(out / "metrics.json", json.dumps(metrics, indent=2, ensure_ascii=False) + "\n")
    title = f"{recipe.name}: out-of-fold scores"
    _write_judged(result.out_of_fold, result.report, found[0], table, title, facts[0], result.story)
    if len(found) > 1:
        title = f"{recipe.name}: {parts[1].told}"
        _write_judged(out / "left_out.csv", out / "left_out.html", found[1], table, title, facts[1])


def expected_shares(table: FigureTable, recipe: Recipe) -> pd.DataFrame:
    """Return what an epoch will hold, one row a (domain, class): figures and expected share."""
    table = training_part(table)[0]
    figures = training_figures(table, recipe.soft_labels)
    weights = figure_weights(
        figures.domain,
        figures.atypical,
        class_balance=recipe.sampling.class_balance,
        domain_balance=recipe.sampling.domain_balance,
    )
    return cell_shares(figures.domain, figures.atypical, weights, figures.domains)


_FILES = (
    "out_of_fold.csv",
    "report.html",
    "left_out.csv",
    "left_out.html",
    "metrics.json",
    "run.json",
)
_FOLDERS = ("folds", "left_out", "windows", "embeddings")


def _require_place(out: Path, overwrite: bool) -> None:
    """Refuse a folder in which the run would cost a user a file, or that cannot be written."""
    outputs = [out / name for name in _FILES]
    require_outputs(outputs, overwrite=overwrite)
    require_replaceable(out / "bundle", overwrite=overwrite)
    begun_here = (out / NOTES_FOLDER / "recipe.toml.sha256").is_file()
    theirs = [out / name for name in _FOLDERS if os.path.lexists(out / name)]
    if theirs and not begun_here and not overwrite:
        raise AtypiaError(
            f"{theirs[0]}: is not of a training that this version of atypia began; choose another "
            "--out, or let the training write into it with --overwrite"
        )
    remove_partials_below(out)


def _keep_recipe(out: Path, recipe: Recipe) -> None:
    """Write the recipe into the run's folder; refuse a folder that holds a run of another one."""
    path = out / "recipe.toml"
    if path.is_file():
        there, here = deciding_values(read_recipe(path)), deciding_values(recipe)
        changed = [key for key in here if here[key] != there[key]]
        if changed:
            first = changed[0]
            raise AtypiaError(
                f"{out}: holds a training by another recipe ({first} is {there[first]!r} there, "
                f"{here[first]!r} here); give another --out, or delete the folder to start anew"
            )
        if not is_ours(path):  # with comments of the user, perhaps
            note_output(path, sha256(path))
            return
    write_output(path, to_toml(recipe))


def _require_same_training(
    out: Path, parts: Sequence[Folds], identities: Sequence[str], changed: Sequence[Path]
) -> None:
    """Refuse a folder that holds members of another training, before any work."""
    for folds, identity in zip(parts, identities, strict=True):
        for seat in folds.seats:
            there = kept_identity(out / seat.folder)
            if there is not None and there != identity and changed:
                raise AtypiaError(
                    f"{out}: {len(changed)} images have changed since members were trained on "
                    f"them there (the first is {changed[0]}); give another --out, or delete the "
                    "folder to start anew"
                )
            if there is not None:
                require_same(out / seat.folder, there, identity)


def _domains_of(adapt_to: FigureTable, figures: TrainingFigures) -> npt.NDArray[np.int64]:
    """Return the domain of each figure to adapt to, as its position in the training's domains."""
    named = domain_names(adapt_to.frame).astype(str)
    return np.searchsorted(figures.domains, named).astype(np.int64)


def _write_judged(
    path: Path,
    report: Path,
    found: Judged,
    table: FigureTable,
    title: str,
    facts: dict[str, str],
    story: TrainingStory | None = None,
) -> None:
    with written_output(path) as partial:
        found.predictions.to_csv(partial, index=False)
    write_report(report, found.judgement, table, title=title, facts=facts, training=story)


def _told(on_progress: OnProgress, task: str) -> Callable[[int, int], None]:
    return lambda done, of: on_progress(task, done, of, "")


def _identity(
    table: FigureTable,
    recipe: Recipe,
    folds: npt.NDArray[np.int64],
    content: Sequence[str],
    adapt_to: FigureTable | None,
    content_there: Sequence[str],
    weights_sha256: str,
) -> str:
    """Return the fingerprint of all that decides the weights."""
    there = None
    if adapt_to is not None:
        parts = [table_part(adapt_to.frame, deciding_columns(adapt_to.frame)), *content_there]
        there = joined_hash(parts)
    return fingerprint(
        recipe=settings_part(deciding_values(recipe), deciding_values(Recipe())),
        figures=table_part(table.frame, deciding_columns(table.frame)),
        images=joined_hash(content),
        folds=joined_hash([str(part) for part in folds]),
        weights=weights_sha256,
        adapt_to=there,
    )
