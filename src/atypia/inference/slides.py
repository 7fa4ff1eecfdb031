"""Points on a slide as figures to classify, and their predictions given back to who asked."""

from __future__ import annotations

import sys
from collections.abc import Hashable, Iterator
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import shapely

from atypia.data.case_summary import Counts, HotspotCounts
from atypia.data.points.areas import lies_inside
from atypia.data.points.file import PointFile
from atypia.data.points.hotspot import find_hotspot
from atypia.data.points.midog import write_midog
from atypia.data.points.qupath_results import (
    ATYPICAL,
    GIVEN,
    GIVEN_BY,
    IN_SCOPE,
    NORMAL,
    P_ATYPICAL,
    PHASE,
    REFER,
    SCOPE,
    SPREAD,
    ObjectType,
    PointResult,
    drop_hotspots,
    outline_hotspot,
    write_features,
)
from atypia.data.points.table import Points
from atypia.data.predictions import CALLS, PREDICTION_COLUMNS
from atypia.data.slides import Slide
from atypia.errors import AtypiaError, find_nearest
from atypia.files import escape_text
from atypia.inference.crops import CropSpec, compute_plain_window_um
from atypia.inference.sinks import SINK_SUFFIXES, open_sink
from atypia.inference.sources import Reader, Source

# Told apart by people who do not tell red from green, as in the report.
COLOURS = {NORMAL: (0, 114, 178), ATYPICAL: (213, 94, 0), REFER: (230, 159, 0)}

QUPATH_ENDINGS = (".geojson", ".geojson.gz")
MIDOG_ENDING = ".midog.json"
#: What the figures of a slide can be written as.
SLIDE_ENDINGS = (*QUPATH_ENDINGS, MIDOG_ENDING, *SINK_SUFFIXES)

# Points are read block by block, so that a tile that several of them need is decoded once.
_BLOCK_PX = 512


def require_slide_ending(out: Path) -> None:
    """Refuse a file of which the ending tells no format that a slide's figures are written as.

    Raises:
        AtypiaError: naming the nearest ending.
    """
    if not out.name.lower().endswith(SLIDE_ENDINGS):
        near = find_nearest(out.suffix, SLIDE_ENDINGS, cutoff=0.0) or ""
        raise AtypiaError(
            f"{out}: the ending {out.suffix or '(none)'} is not one of "
            f"{', '.join(SLIDE_ENDINGS)}; call it {out.with_suffix(near).name}"
        )
    if out.is_dir():
        raise AtypiaError(f"{out}: is a folder; give the name of a file")


def slide_source(slide: Slide, points: Points, spec: CropSpec) -> Source:
    """Make a source of the points of a slide, in the order in which they are read fastest.

    Args:
        slide: is left open while figures are read.
        points: on it.
        spec: of the bundle; decides the level that is read.
    """
    level = slide.level_for(max(spec.crop_um / spec.input_px, spec.finest_mpp))
    mpp = slide.level_mpp[level]
    side_um = compute_plain_window_um(spec.crop_um, mpp)
    block = _BLOCK_PX * mpp / slide.mpp
    columns, rows = (points.frame[axis].to_numpy() // block for axis in ("x", "y"))
    frame = points.frame.iloc[np.lexsort((columns, rows))]
    places = list(zip(frame["x"].tolist(), frame["y"].tolist(), strict=True))

    def readers() -> Iterator[Reader]:
        for x, y in places:
            yield partial(slide.window, x, y, side_um=side_um, level=level)

    return Source(
        path=slide.path,
        kind="slide",
        ids=frame["point_id"].tolist(),
        images=[_image(slide.path, x, y) for x, y in places],
        mpp=[mpp] * len(places),
        mpp_sources=[slide.mpp_source] * len(places),
        readers=readers,
    )


class InPointsOrder:
    """Takes rows of predictions in any order, and gives them in the order of the points.

    What is kept of a batch goes into arrays that are there from the start: small things kept
    between large ones that are freed would keep the memory of these from being used again.
    """

    def __init__(self, points: Points, slide: Slide) -> None:
        self._places = points.frame[["point_id", "x", "y"]].reset_index(drop=True)
        self._slide = slide.path
        self._row = {own: row for row, own in enumerate(self._places["point_id"])}
        count = len(self._places)
        self._p, self._spread = np.full((2, count), np.nan)
        self._atypical, self._refer = np.zeros((2, count), dtype=bool)
        self._phase, self._scope = np.full((2, count), "", dtype=object)

    def write(self, frame: pd.DataFrame) -> None:
        """Take rows of the predictions table."""
        rows = [self._row[own] for own in frame["figure_id"]]
        self._p[rows] = frame["p_atypical"]
        self._spread[rows] = frame["spread"]
        self._atypical[rows] = frame["call"] == CALLS[1]
        self._refer[rows] = frame["refer"]
        self._phase[rows] = [sys.intern(phase) for phase in frame["phase"]]
        self._scope[rows] = [sys.intern(reason) for reason in frame["scope_reason"]]

    def frame(self) -> pd.DataFrame:
        """Return rows of the predictions table, with `x` and `y`, px of level 0, of each point.

        A point that nothing was taken of has no row.
        """
        names = self._places.rename(columns={"point_id": "figure_id"})
        at = zip(names["x"], names["y"], strict=True)
        whole = names.assign(
            image=[_image(self._slide, x, y) for x, y in at],
            p_atypical=self._p,
            call=np.where(self._atypical, CALLS[1], CALLS[0]),
            refer=self._refer,
            spread=self._spread,
            phase=self._phase,
            in_scope=self._scope == "",
            scope_reason=self._scope,
        )[["x", "y", *PREDICTION_COLUMNS]]
        return pd.DataFrame(whole[np.isfinite(self._p)].reset_index(drop=True))


def write_figures(
    out: Path,
    frame: pd.DataFrame,
    slide: Slide,
    file: PointFile,
    object_type: ObjectType | None,
    hotspot: HotspotCounts | None = None,
    *,
    classified_by: str = "",
) -> None:
    """Write the classified figures of a slide; the ending of `out` decides the format.

    Objects of QuPath go back to it with all that they had; points of other files become new ones.

    Args:
        out: a name that ends in one of `SLIDE_ENDINGS`.
        frame: as `InPointsOrder` gives it.
        slide: that the figures are on.
        file: that the points were read from.
        object_type: for QuPath: annotation or detection; none leaves objects what they are, and
            makes new ones annotations.
        hotspot: is outlined for QuPath, in place of that of an earlier run.
        classified_by: bundle that gave the classes, for objects of QuPath.
    """
    name = out.name.lower()
    if name.endswith(QUPATH_ENDINGS):
        by_id = {
            row["figure_id"]: _make_result(row, classified_by) for row in frame.to_dict("records")
        }
        results = [by_id.get(own) for own in file.points.frame["point_id"]]
        given_back = file.give_back(results, slide.path.name, object_type)
        features = drop_hotspots(given_back, slide.path.name)
        if hotspot is not None:
            features = chain(features, [_outline(hotspot, slide.path.name)])
        write_features(out, features, file.members)
    elif name.endswith(MIDOG_ENDING):
        columns = (frame[name].tolist() for name in ("x", "y", "call", "p_atypical"))
        write_midog(out, zip(*columns, strict=True), slide.mpp)
    else:
        with open_sink(out) as write:
            write(frame.drop(columns=["x", "y"]))


def count_figures(
    frame: pd.DataFrame,
    failed: int,
    *,
    area_mm2: float | None,
    area: shapely.Geometry | None,
) -> Counts:
    """Count the figures of a slide.

    Args:
        frame: as `InPointsOrder` gives it.
        failed: number of points that could not be classified.
        area_mm2: of the tissue that figures were looked for in, if it is known.
        area: its outline, px of level 0: figures outside of it do not count for the density; none
            counts all of them.
    """
    atypical = (frame["call"] == CALLS[1]).to_numpy()
    plain = (len(frame), int(atypical.sum()), int(frame["refer"].sum()), failed)
    if area_mm2 is None:
        return Counts(*plain)
    inside = np.ones(len(frame), dtype=bool)
    if area is not None:
        inside = lies_inside(area, frame["x"].to_numpy(), frame["y"].to_numpy())
    return Counts(*plain, area_mm2, int(inside.sum()), int((inside & atypical).sum()))


def count_hotspot(
    frame: pd.DataFrame, slide: Slide, area: shapely.Geometry | None
) -> HotspotCounts | None:
    """Count the figures of a slide where they are densest, see `find_hotspot`.

    Args:
        frame: as `InPointsOrder` gives it.
        slide: that the figures are on.
        area: outline of the searched tissue, px of level 0; none counts all of the slide as such.

    Returns:
        The counts; None where no figure lies in a rectangle that was searched.
    """
    searched = shapely.box(0, 0, *slide.extent_px) if area is None else area
    x, y = (frame[axis].to_numpy(dtype=np.float64) for axis in ("x", "y"))
    found = find_hotspot(x, y, searched, slide.mpp)
    if found is None:
        return None
    inside = frame[found.inside]
    figures, atypical = len(inside), int((inside["call"] == CALLS[1]).sum())
    referred = int(inside["refer"].sum())
    counts = Counts(figures, atypical, referred, 0, found.searched_mm2, figures, atypical)
    return HotspotCounts(counts, found.left, found.top, found.width, found.height)


def _outline(hotspot: HotspotCounts, slide: str) -> dict[str, Any]:
    """Return the outline of a hotspot in QuPath's terms, with its counts."""
    counts = hotspot.counts
    measurements = {
        "Figures": counts.figures,
        "Atypical figures": counts.atypical,
        "Referred figures": counts.referred,
        "Atypical share": counts.share,
        "Searched area mm^2": counts.area_mm2,
        "Figures per mm^2": counts.figures_per_mm2,
        "Atypical figures per mm^2": counts.density,
    }
    left, top = hotspot.left_px, hotspot.top_px
    bounds = (left, top, left + hotspot.width_px, top + hotspot.height_px)
    known = {name: float(of) for name, of in measurements.items() if of is not None}
    return outline_hotspot(bounds, slide, known)


def name_class(call: str, refer: bool) -> str:
    """Return the class in QuPath; a referred figure has neither of the two calls as its class."""
    return REFER if refer else ATYPICAL if call == CALLS[1] else NORMAL


def _image(slide: Path, x: float, y: float) -> str:
    return f"{escape_text(str(slide))}@{x:.10g},{y:.10g}"


def _make_result(row: dict[Hashable, Any], classified_by: str) -> PointResult:
    """Return a prediction in QuPath's terms."""
    name = name_class(row["call"], row["refer"])
    # The spread of a single member is NaN, and left out.
    measurements = {
        P_ATYPICAL: row["p_atypical"],
        SPREAD: row["spread"],
        IN_SCOPE: float(row["in_scope"]),
    }
    texts = {
        PHASE: row["phase"],
        SCOPE: row["scope_reason"],
        GIVEN: name,
        GIVEN_BY: classified_by,
    }
    found = {key: text for key, text in texts.items() if text}
    return PointResult(name, COLOURS[name], measurements, found)
