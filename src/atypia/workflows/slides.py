"""Predict on many slides, each by itself: an interrupted run resumes, a bad slide stops no other.

A slide is done when its state is written, which happens last and whole. A lock that the system
takes away from a dead process keeps two processes from one slide, so the same command may be
started on several machines at a time.
"""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
from filelock import FileLock, Timeout

from atypia.bundle.load import Bundle, load_bundle
from atypia.data.case_summary import Counts, HotspotCounts, add_counts, choose_hotspot
from atypia.data.slide_list import ListedSlide
from atypia.errors import AtypiaError
from atypia.files import (
    create_output,
    escape_document,
    remove_ours,
    remove_partials,
    require_outputs,
    sha256,
)
from atypia.inference.alignment import align
from atypia.inference.options import PredictOptions
from atypia.inference.predictor import Predictor
from atypia.progress import OnProgress, opens_bars, show_bars, show_nothing
from atypia.workflows.slide import PointsChoice, SlideJob, classify_slide, picture_paths
from atypia.workflows.slide_state import SlideState, read_state, slide_inputs, write_state

FORMATS = ("geojson", "geojson.gz", "csv", "parquet", "json", "midog.json")
LOOK_AGAIN_S = 1.0
_TABLES = ("slides.csv", "cases.csv")


@dataclass(frozen=True)
class SlidesJob:
    """How each slide of a list is classified; may be sent to another process.

    Attributes:
        out: folder of the results, absolute.
        formats: of `FORMATS`; one file a slide in each.
        pictures: whether a contact sheet and an overview are drawn.
        choice: which points, and how they are given back.
        options: which bundle, and how it runs.
        bundle: that classifies, as it was when the job began.
        read: SHA-256 of the files that the options name, by the option; likewise.
    """

    out: Path
    formats: tuple[str, ...]
    pictures: bool
    choice: PointsChoice
    options: PredictOptions
    bundle: Bundle
    read: dict[str, list[str]]

    def files(self, name: str) -> list[Path]:
        """Return the tables of a slide."""
        return [self.out / f"{name}.{ending}" for ending in self.formats]

    def outputs(self, name: str) -> list[Path]:
        """Return every file that may be written for a slide."""
        pictures = picture_paths(self.out / name) if self.pictures else ()
        return [*self.files(name), *pictures, self.state(name)]

    def state(self, name: str) -> Path:
        """Return where the state of a slide lies."""
        return self.out / "state" / f"{name}.json"

    def inputs(self, listed: ListedSlide) -> dict[str, Any]:
        """Return all that decides the results of a slide, see `slide_inputs`."""
        try:
            stat = listed.slide.stat()
            slide = [str(listed.slide), stat.st_size, stat.st_mtime_ns]
            points = sha256(listed.points)
        except OSError:
            slide, points = [str(listed.slide)], ""
        return slide_inputs(
            bundle=self.bundle.sha256,
            options=self.options.changed | self.read,
            choice=asdict(self.choice),
            slide=slide,
            points=points,
            mpp=listed.mpp,
            area_mm2=listed.area_mm2,
            formats=self.formats,
            pictures=self.pictures,
        )

    def done(self, listed: ListedSlide) -> SlideState | None:
        """Return the state of a slide that is finished; None of any other."""
        state = read_state(self.state(listed.name))
        if state is None or state.fault or state.inputs != self.inputs(listed):
            return None
        return state if all((self.out / name).is_file() for name in state.files) else None


@dataclass(frozen=True)
class SlidesResult:
    """The results of a list.

    Attributes:
        states: of each slide, in the order of the list.
        before: number of slides that earlier runs of the command had finished.
        files: tables that were written.
    """

    states: tuple[SlideState, ...]
    before: int
    files: tuple[Path, ...]

    @property
    def faulty(self) -> bool:
        """Whether anything could not be classified."""
        return any(state.fault or state.failures for state in self.states)


Engine = Callable[[SlidesJob, Sequence[ListedSlide]], Iterator[tuple[ListedSlide, SlideState]]]
"""Classifies slides in any order and gives each as it ends."""


@opens_bars
def predict_slides(
    slides: Sequence[ListedSlide],
    out: Path,
    *,
    options: PredictOptions,
    choice: PointsChoice,
    formats: Sequence[str] = ("geojson", "csv"),
    pictures: bool = True,
    overwrite: bool = False,
    engine: Engine | None = None,
    on_progress: OnProgress = show_bars,
) -> SlidesResult:
    """Classify the points of many slides.

    Interrupted at any point and called again with the same arguments, it resumes with the slides
    that are not finished; slides that failed are tried again.

    Args:
        slides: as `read_slide_list` gives them.
        out: folder; receives a file a slide in each format, `slides.csv`, `cases.csv`, and
            `state/`.
        options: which bundle, and how it runs.
        choice: which points, and how they are given back.
        formats: of `FORMATS`, at least one.
        pictures: draw a contact sheet and an overview of each slide.
        overwrite: replace files that lie there and that atypia did not write.
        engine: where slides are done; none does them here, one after the other.
        on_progress: called after each slide; without it, bars in a terminal or notebook.

    Raises:
        AtypiaError: the bundle or an argument is faulty; the fault of a slide stands in its state.
    """
    unknown = [name for name in formats if name not in FORMATS]
    if unknown or not formats:
        raise AtypiaError(
            f"format {', '.join(unknown) or '(none)'}: expected some of {', '.join(FORMATS)}"
        )
    bundle = load_bundle(options.folder.resolve())
    changes, read = {"bundle": bundle.folder}, {}
    if options.align_to is not None:
        align(bundle.calibration, options.align_to, bundle)  # refused before any slide is read
        changes["align_to"] = options.align_to.absolute()
        read["align_to"] = [sha256(path) for path in options.read_files]
    job = SlidesJob(
        out=out.resolve(),
        formats=tuple(dict.fromkeys(formats)),
        pictures=pictures,
        choice=choice,
        options=options.updated(changes),
        bundle=bundle,
        read=read,
    )
    slides = [
        replace(row, slide=row.slide.absolute(), points=row.points.absolute()) for row in slides
    ]
    states = {row.name: state for row in slides if (state := job.done(row)) is not None}
    before = len(states)
    pending = [row for row in slides if row.name not in states]
    require_outputs(
        [path for row in pending for path in job.outputs(row.name)]
        + [job.out / name for name in _TABLES],
        inputs=[
            *(path for row in slides for path in (row.slide, row.points)),
            *options.read_files,
        ],
        overwrite=overwrite,
    )
    job.state("any").parent.mkdir(parents=True, exist_ok=True)
    on_progress("slides", before, len(slides), "")
    for listed, state in (engine or here)(job, pending) if pending else ():
        states[listed.name] = state
        failed = sum(bool(done.fault) for done in states.values())
        note = f"{failed} failed" if failed else ""
        on_progress("slides", len(states), len(slides), note)
    ordered = tuple(states[row.name] for row in slides)
    tables = _write_tables(job.out, slides, ordered, hotspots=choice.hotspot)
    return SlidesResult(ordered, before, tables)


def here(job: SlidesJob, slides: Sequence[ListedSlide]) -> Iterator[tuple[ListedSlide, SlideState]]:
    """Classify slides in this process, in turn; wait for those that other processes classify."""
    predictor = Predictor.load(job.bundle, job.options)
    left = list(slides)
    while left:
        busy = []
        for listed in left:
            state = do_slide(job, listed, predictor)
            if state is None:
                busy.append(listed)
            else:
                yield listed, state
        left = busy
        if left:
            time.sleep(LOOK_AGAIN_S)


def do_slide(job: SlidesJob, listed: ListedSlide, predictor: Predictor) -> SlideState | None:
    """Classify a slide that is not finished and keep its state; None while another process does."""
    path = job.state(listed.name)
    lock = path.with_suffix(".lock")
    begun = lock.exists() or path.exists()
    try:
        with FileLock(lock, blocking=False):
            state = job.done(listed)
            if state is None:
                if begun:  # perhaps by a process that was killed; the lock is ours now
                    _clean(job, listed.name)
                state = _classify(job, listed, predictor)
                write_state(path, state)
            return state
    except Timeout:
        return None


def _clean(job: SlidesJob, name: str) -> None:
    """Remove all files written for a slide, whole or in part: they may be of other inputs."""
    before = read_state(job.state(name))
    files = [*job.files(name), *picture_paths(job.out / name)]
    remove_partials(job.state(name), *files)
    for file in {*files, *(job.out / file for file in (before.files if before else ()))}:
        remove_ours(file)


def _classify(job: SlidesJob, listed: ListedSlide, predictor: Predictor) -> SlideState:
    files = job.files(listed.name)
    inputs = job.inputs(listed)
    if listed.fault:
        return SlideState(inputs=inputs, fault=listed.fault)
    begun = time.monotonic()
    slide = SlideJob(listed.slide, listed.points, listed.mpp, listed.area_mm2)
    try:
        done = classify_slide(
            predictor,
            slide,
            job.choice,
            files,
            job.out / listed.name if job.pictures else None,
            on_progress=show_nothing,
            level=logging.DEBUG,  # they stand in its state
        )
    except Exception as fault:  # no fault of a slide may stop the others
        _clean(job, listed.name)
        expected = isinstance(fault, AtypiaError)
        message = str(fault) if expected else f"{listed.slide}: {type(fault).__name__}: {fault}"
        trace = "" if expected else traceback.format_exc()
        return SlideState(inputs=inputs, fault=" ".join(message.split()), trace=trace)
    record = done.record
    return SlideState(
        inputs=inputs,
        files=[file.name for file in done.files],
        counts=done.counts,
        hotspot=done.hotspot,
        failures=[failure.message for failure in record.failures],
        warnings=list(done.warnings),
        mpp_from=next(iter(record.mpp_from), ""),
        seconds=round(time.monotonic() - begun, 3),
        reading_s=record.reading_s,
        network_s=record.network_s,
    )


def _write_tables(
    out: Path, slides: Sequence[ListedSlide], states: Sequence[SlideState], *, hotspots: bool
) -> tuple[Path, ...]:
    """Write `slides.csv` and `cases.csv`; the hotspot's columns stand where it was asked for."""
    round_hotspot = _round_hotspot if hotspots else _round_nothing
    rows = [
        {
            "name": listed.name,
            "case": listed.case,
            "slide": str(listed.slide),
            "points": str(listed.points),
            "outcome": "failed" if state.fault else "done",
            "fault": state.fault,
            **_round_counts(state.counts),
            **round_hotspot(state.hotspot),
            "first_failure": state.failures[0] if state.failures else "",
            "warnings": "; ".join(line.removeprefix("warning: ") for line in state.warnings),
        }
        for listed, state in zip(slides, states, strict=True)
    ]
    of_case: dict[str, list[tuple[str, SlideState]]] = {}
    for listed, state in zip(slides, states, strict=True):
        of_case.setdefault(listed.case, []).append((listed.name, state))
    cases = []
    for case, parts in of_case.items():
        done = {name: state for name, state in parts if not state.fault}
        hotspot = choose_hotspot(state.hotspot for state in done.values())
        names = (name for name, state in done.items() if state.hotspot is hotspot)
        cases.append(
            {
                "case": case,
                "slides": len(parts),
                "slides_failed": len(parts) - len(done),
                **_round_counts(add_counts([state.counts for state in done.values()])),
                **({"hotspot_slide": next(names, None) if hotspot else None} if hotspots else {}),
                **round_hotspot(hotspot),
            }
        )
    files = []
    with FileLock(out / "state" / ".tables.lock"):
        for name, table in zip(_TABLES, (rows, cases), strict=True):
            remove_partials(out / name)
            with create_output(out / name) as partial:
                pd.DataFrame(escape_document(table)).to_csv(
                    partial, index=False, lineterminator="\n"
                )
            files.append(out / name)
    return tuple(files)


def _round_nothing(hotspot: HotspotCounts | None) -> dict[str, float | None]:
    return {}


def _round_hotspot(hotspot: HotspotCounts | None) -> dict[str, float | None]:
    """Return the hotspot's columns; its intervals are conditional on the choice of the place."""
    if hotspot is None:
        return dict.fromkeys(f"hotspot_{name}" for name in _HOTSPOT_COLUMNS)
    numbers = {
        "x": round(hotspot.left_px, 1),
        "y": round(hotspot.top_px, 1),
        "width": round(hotspot.width_px, 1),
        "height": round(hotspot.height_px, 1),
        "figures_per_mm2": round(hotspot.counts.figures_per_mm2 or 0.0, 6),
        **_round_counts(hotspot.counts),
    }
    return {f"hotspot_{name}": numbers[name] for name in _HOTSPOT_COLUMNS}


_HOTSPOT_COLUMNS = (
    *("x", "y", "width", "height", "area_mm2"),
    *("figures", "figures_per_mm2", "atypical", "referred"),
    *("atypical_share", "atypical_share_low", "atypical_share_high"),
    *("atypical_per_mm2", "atypical_per_mm2_low", "atypical_per_mm2_high"),
)


def _round_counts(counts: Counts) -> dict[str, float | None]:
    share, density = counts.share_interval(), counts.density_interval()
    numbers: dict[str, float | None] = {
        "figures": counts.figures,
        "atypical": counts.atypical,
        "referred": counts.referred,
        "failed": counts.failed,
        "atypical_share": counts.share,
        "atypical_share_low": share[0] if share else None,
        "atypical_share_high": share[1] if share else None,
        "area_mm2": counts.area_mm2,
        "atypical_in_area": counts.atypical_in_area,
        "atypical_per_mm2": counts.density,
        "atypical_per_mm2_low": density[0] if density else None,
        "atypical_per_mm2_high": density[1] if density else None,
    }
    whole = {"figures", "atypical", "referred", "failed", "atypical_in_area"}
    return {key: of if of is None or key in whole else round(of, 6) for key, of in numbers.items()}
