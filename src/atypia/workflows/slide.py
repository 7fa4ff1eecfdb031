"""Predict on a slide: points on it in, its figures classified, in the formats asked for."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Unpack

import pandas as pd

from atypia.data.case_summary import Counts, HotspotCounts
from atypia.data.points.areas import unite_outlines
from atypia.data.points.classes import ClassFilter
from atypia.data.points.hotspot import HOTSPOT_MM2, LEAST_SEARCHED
from atypia.data.points.on_slide import require_on_slide
from atypia.data.points.open_points import open_points
from atypia.data.points.qupath_results import ObjectType
from atypia.data.points.reviews import count_changed
from atypia.data.slides import Origin, Slide, open_slide
from atypia.files import remove_ours, remove_partials, require_outputs
from atypia.inference.contact_sheet import MOST_PAGES, write_contact_sheet
from atypia.inference.crops import CropSpec, Failure
from atypia.inference.options import PredictKeywords, PredictOptions
from atypia.inference.overview import write_overview
from atypia.inference.predictor import Predictor
from atypia.inference.record import RunRecord, record_path, write_record
from atypia.inference.slides import (
    InPointsOrder,
    count_figures,
    count_hotspot,
    require_slide_ending,
    slide_source,
    write_figures,
)
from atypia.progress import OnProgress, opens_bars, show_bars
from atypia.workflows.classify import classify_sources

_log = logging.getLogger(__name__)

_NO_HOTSPOT = (
    f"no figure lies in a rectangle of {HOTSPOT_MM2} mm2 of which {LEAST_SEARCHED:.0%} was searched"
)


@dataclass(frozen=True)
class SlideJob:
    """A slide and its points.

    Attributes:
        slide: its file.
        points: QuPath GeoJSON, MIDOG JSON, TIAToolbox's JSON or .db, or a table.
        mpp: um/px of level 0; none takes it from the slide's metadata.
        area_mm2: of the searched tissue, if it is known.
    """

    slide: Path
    points: Path
    mpp: float | None = None
    area_mm2: float | None = None


@dataclass(frozen=True)
class PointsChoice:
    """Which points are classified, and how they are given back.

    Attributes:
        names: classify points of these classes only; none takes all but those that are no mitosis
            by their class.
        origin: where points count from, see `open_slide`.
        object_type: annotation or detection; none leaves QuPath's objects what they are.
        area_class: of the QuPath annotations that outline the searched tissue.
        hotspot: find where the figures are densest, and count them there.
    """

    names: tuple[str, ...] = ()
    origin: Origin = "bounds"
    object_type: ObjectType | None = None
    area_class: str | None = None
    hotspot: bool = False


EVERY_POINT = PointsChoice()


@dataclass(frozen=True)
class ClassifiedSlide:
    """The results of a slide.

    Attributes:
        record: of the run; it is not written.
        counts: of its figures.
        files: that were written.
        warnings: on the points, one line each.
        hotspot: counts where the figures are densest, if that was asked for and there is one.
    """

    record: RunRecord
    counts: Counts
    files: tuple[Path, ...]
    warnings: tuple[str, ...] = ()
    hotspot: HotspotCounts | None = None


@opens_bars
def predict_slide(
    slide: Path | str,
    points: Path | str,
    outs: Path | str | Sequence[Path | str],
    *,
    mpp: float | None = None,
    area_mm2: float | None = None,
    options: PredictOptions | None = None,
    choice: PointsChoice = EVERY_POINT,
    pictures: Path | None = None,
    overwrite: bool = False,
    on_progress: OnProgress = show_bars,
    **keywords: Unpack[PredictKeywords],
) -> ClassifiedSlide:
    r"""Classify points on a slide; the record lies beside the first file that is written.

    Args:
        slide: its file.
        points: on it: QuPath GeoJSON, MIDOG JSON, TIAToolbox's JSON or .db, or a table.
        outs: files to write, one or more; each one's ending decides its format.
        mpp: um/px of level 0, in 0.05..5, in place of what the slide's file states.
        area_mm2: of the searched tissue, if it is known.
        options: which bundle, and how it runs; none takes the one that comes with atypia.
        choice: which points, and how they are given back.
        pictures: draw `PICTURES.sheet.jpg` and `PICTURES.overview.jpg`; none draws nothing.
        overwrite: replace files that lie there and that atypia did not write.
        on_progress: called after each batch; without it, bars in a terminal or notebook.
        **keywords: options by their names, such as `device="cpu"`; see `PredictOptions`.

    Raises:
        AtypiaError: the slide, the points, the bundle or an argument is faulty, or a file cannot
            be written.

    Example:
        >>> import atypia, numpy as np
        >>> from pathlib import Path
        >>> from PIL import Image
        >>> Image.fromarray(np.full((256, 256, 3), 200, np.uint8)).save("slide.tif")
        >>> _ = Path("points.csv").write_text("x,y\n100,100\n150,120\n")
        >>> out = "classified.geojson"
        >>> done = atypia.predict_slide("slide.tif", "points.csv", out, mpp=0.25, members=1)
        >>> done.counts.figures
        2
    """
    options = (options or PredictOptions()).updated(keywords)
    job = SlideJob(Path(slide), Path(points), mpp, area_mm2)
    files = [Path(out) for out in ([outs] if isinstance(outs, str | Path) else outs)]
    for out in files:
        require_slide_ending(out)
    path = record_path(files[0])
    outputs = [*files, *(() if pictures is None else picture_paths(pictures)), path]
    require_outputs(
        outputs, inputs=(job.slide, job.points, *options.read_files), overwrite=overwrite
    )
    remove_partials(*outputs)
    done = classify_slide(
        Predictor.load(options=options), job, choice, files, pictures, on_progress=on_progress
    )
    write_record(done.record, path)
    return replace(done, files=(*done.files, path))


def classify_slide(
    predictor: Predictor,
    job: SlideJob,
    choice: PointsChoice,
    outs: Sequence[Path],
    pictures: Path | None,
    *,
    on_progress: OnProgress,
    level: int = logging.WARNING,
) -> ClassifiedSlide:
    """Classify points on a slide with a bundle that is loaded; the record is not written.

    Args:
        predictor: the bundle, and how it runs.
        job: the slide.
        choice: which points, and how they are given back.
        outs: files to write.
        pictures: as for `predict_slide`.
        on_progress: called after each batch.
        level: of the line logged for each point that fails.

    Raises:
        AtypiaError: as `predict_slide`.
    """
    slide = open_slide(job.slide, mpp=job.mpp, origin=choice.origin)
    try:
        searched = job.area_mm2 is not None or choice.area_class is not None
        classes = ClassFilter(choice.names, choice.area_class, searched)
        file = open_points(
            job.points, slide.path, mpp=slide.mpp, classes=classes, origin_px=slide.origin_px
        )
        points = file.points
        require_on_slide(points, slide)
        area_mm2, area = job.area_mm2, None
        if choice.area_class is not None:
            area = unite_outlines(file, choice.area_class)
            area_mm2 = area.area * slide.mpp**2 / 1e6
        changed = count_changed(points)
        if changed:
            line = (
                f"warning: {points.path}: {changed:,} objects have another class than atypia gave "
                "them, and are classified anew; only this file keeps their class: make labels of "
                "them with `atypia data points`"
            )
            points = replace(points, warnings=(*points.warnings, line))
        for line in (*points.warnings, *points.failures):
            _log.log(level, line)
        rows = InPointsOrder(points, slide)
        record = classify_sources(
            predictor,
            [slide_source(slide, points, CropSpec.of(predictor.manifest))],
            rows.write,
            outs[0],
            mpp=job.mpp,
            on_progress=on_progress,
            unread=[Failure("", str(job.points), line) for line in points.failures],
            level=level,
        )
        frame = rows.frame()
        hotspot = count_hotspot(frame, slide, area) if choice.hotspot else None
        warnings = points.warnings
        if choice.hotspot and hotspot is None:
            line = f"warning: {slide.path}: has no hotspot; {_NO_HOTSPOT}"
            _log.log(level, line)
            warnings = (*warnings, line)
        for out in outs:
            write_figures(
                out,
                frame,
                slide,
                file,
                choice.object_type,
                hotspot,
                classified_by=predictor.bundle.short_name,
            )
        drawn = () if pictures is None else _draw_pictures(pictures, slide, frame, predictor, level)
        counts = count_figures(frame, len(record.failures), area_mm2=area_mm2, area=area)
        return ClassifiedSlide(record, counts, (*outs, *drawn), warnings, hotspot)
    finally:
        slide.close()


def picture_paths(pictures: Path) -> tuple[Path, ...]:
    """Return every file that drawings may be: pages of the contact sheet, and the overview."""
    sheet, overview = _name_pictures(pictures)
    pages = (sheet.with_stem(f"{sheet.stem}-{page}") for page in range(2, MOST_PAGES + 1))
    return sheet, *pages, overview


def _name_pictures(pictures: Path) -> tuple[Path, Path]:
    names = (f"{pictures.name}.sheet.jpg", f"{pictures.name}.overview.jpg")
    return pictures.with_name(names[0]), pictures.with_name(names[1])


def _draw_pictures(
    pictures: Path, slide: Slide, frame: pd.DataFrame, predictor: Predictor, level: int
) -> tuple[Path, ...]:
    xy = frame[["x", "y"]].to_numpy()
    legend: dict[str, Any] = {
        "calibration": predictor.calibration,
        "bundle_name": predictor.manifest.name,
    }
    first, second = _name_pictures(pictures)
    sheet = write_contact_sheet(first, slide, frame, xy, **legend)
    overview = write_overview(second, slide, frame, xy, **legend)
    for path, drawn in ((first, sheet), (second, overview)):
        for line in drawn.failures:
            _log.log(level, "%s: %s", path.name, line)
    written = (*sheet.paths, *overview.paths)
    for path in set(picture_paths(pictures)) - set(written):
        remove_ours(path)  # a page of an earlier run, which had more figures
    return written
