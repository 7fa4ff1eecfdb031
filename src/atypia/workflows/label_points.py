"""Labels from points on slides: what experts corrected in QuPath becomes figures to train on."""

from __future__ import annotations

import logging
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from atypia.data.columns import VOTE_PREFIX
from atypia.data.gather import TABLE_NAME, gather
from atypia.data.points.crops import cut_crops
from atypia.data.points.on_slide import require_on_slide
from atypia.data.points.open_points import open_points
from atypia.data.points.reviews import OWN_LABELS, Reviews, read_reviews
from atypia.data.reviews import CHANGED, REVIEW, REVIEWS, are_errors_alone
from atypia.data.slide_list import ListedSlide
from atypia.data.slides import Slide, open_slide
from atypia.data.table import FigureTable, figures_from_frame
from atypia.errors import AtypiaError, TableError
from atypia.files import require_outputs
from atypia.progress import OnProgress, opens_bars, show_bars

_log = logging.getLogger(__name__)

MATCH_UM = 3.0
"""Objects of two experts with different ids are one figure if they lie no farther apart."""

_LABEL = "label"


@dataclass(frozen=True)
class LabelledPoints:
    """The figures that were made of points.

    Attributes:
        table: with `label`, or a column of votes for each expert, and `review`.
        reviews: how often each of `REVIEWS` occurs among all labels or votes.
        untouched: objects that nobody looked at, over all files.
        unknown: those of them of which nobody knows whether they were changed.
        others: class -> number of objects of classes that are no label.
        faults: a line for each slide, file or point that could not be used.
    """

    table: FigureTable
    reviews: Mapping[str, int]
    untouched: int
    unknown: int
    others: Mapping[str, int]
    faults: tuple[str, ...]

    @property
    def only_changed(self) -> bool:
        """Whether all labels are calls that somebody changed: the classifier's errors alone."""
        return are_errors_alone(self.table.frame)


@opens_bars
def label_points(
    slides: Mapping[str, Sequence[ListedSlide]],
    out: Path | str,
    *,
    labels: Mapping[str, float] = OWN_LABELS,
    everything: bool = False,
    overwrite: bool = False,
    on_progress: OnProgress = show_bars,
) -> LabelledPoints:
    r"""Make figures of the labels in files of points: `out/figures.csv`, and crops beside it.

    Args:
        slides: expert -> slides with the expert's points, as `read_slide_list` gives them; the
            name "" alone where nobody is named.
        out: folder, new or without a figures.csv.
        labels: class of an object -> 1 (atypical) or 0 (normal).
        everything: every object was looked at, not only those that were changed, locked or drawn.
        overwrite: replace a figures.csv that lies there.
        on_progress: called often; without it, bars in a terminal or notebook.

    Raises:
        TableError: no object can be used, or `out` holds figures already.
        AtypiaError: a file cannot be written.

    Example:
        >>> import atypia
        >>> import numpy as np
        >>> from pathlib import Path
        >>> from PIL import Image
        >>> from atypia.data.slide_list import ListedSlide
        >>> Image.fromarray(np.full((400, 400, 3), 200, dtype=np.uint8)).save("slide.tif")
        >>> rows = "x,y,Classification\n200,200,Atypical mitosis\n190,150,Normal mitosis\n"
        >>> _ = Path("drawn.csv").write_text(rows)
        >>> drawn = ListedSlide("slide", "case", Path("slide.tif"), Path("drawn.csv"), 0.25, None)
        >>> done = atypia.label_points({"": [drawn]}, "figures")
        >>> done.reviews["drawn"], list(done.table.frame["label"])
        (2, [1.0, 0.0])
    """
    folder = Path(out)
    inputs = [path for listed in slides.values() for one in listed for path in _files(one)]
    require_outputs([folder / TABLE_NAME], inputs=inputs, overwrite=overwrite)
    by_name: dict[str, dict[str, ListedSlide]] = {}
    for expert, listed in slides.items():
        for one in listed:
            by_name.setdefault(one.name, {})[expert] = one
    rows: list[dict[str, object]] = []
    faults: list[str] = []
    read: list[Reviews] = []
    with tempfile.TemporaryDirectory(prefix="atypia-") as cut:
        for done, (name, of_experts) in enumerate(by_name.items(), start=1):
            try:
                rows += _label_slide(name, of_experts, Path(cut), labels, everything, read, faults)
            except AtypiaError as fault:
                faults.append(f"{name}: left out: {fault}")
            on_progress("cutting crops", done, len(by_name), name)
        if not rows:
            raise TableError(_explain_nothing(read, faults))
        whole = pd.DataFrame(rows)
        table, lost = gather(figures_from_frame(whole, cut), folder, overwrite=overwrite)
    reviews = Counter(review for one in read for review in one.frame[REVIEW])
    return LabelledPoints(
        table,
        {name: reviews[name] for name in REVIEWS},
        sum(one.untouched for one in read),
        sum(one.unknown for one in read),
        sum((Counter(one.others) for one in read), Counter()),
        (*faults, *map(str, lost)),
    )


def _files(listed: ListedSlide) -> tuple[Path, Path]:
    return listed.slide, listed.points


def _label_slide(
    name: str,
    of_experts: Mapping[str, ListedSlide],
    folder: Path,
    labels: Mapping[str, float],
    everything: bool,
    read: list[Reviews],
    faults: list[str],
) -> list[dict[str, object]]:
    """Return the rows of one slide; what was read of its files is appended to `read`."""
    first = next(iter(of_experts.values()))
    elsewhere = {one.slide.resolve() for one in of_experts.values()} - {first.slide.resolve()}
    if elsewhere:
        raise TableError(
            f"{first.slide} and {min(elsewhere)} are both called {name}; give every slide one name"
        )
    if first.fault:
        raise TableError(first.fault)
    slide = open_slide(first.slide, mpp=first.mpp)
    try:
        figures = _Figures(MATCH_UM / slide.mpp)
        for expert, listed in of_experts.items():
            try:
                reviews = _read(listed, slide, labels, everything, faults)
            except AtypiaError as fault:
                faults.append(f"{name}: left out: {fault}")
                continue
            read.append(reviews)
            figures.add(f"{VOTE_PREFIX}{expert}" if expert else _LABEL, reviews.frame)
        places = ((own, x, y) for own, (x, y) in figures.places.items())
        rows, lost = cut_crops(slide, name, places, folder)
        faults += lost
        return [
            {**row, "case": first.case, **first.domain, **figures.answers[own]}
            for own, row in rows.items()
        ]
    finally:
        slide.close()


def _read(
    listed: ListedSlide,
    slide: Slide,
    labels: Mapping[str, float],
    everything: bool,
    faults: list[str],
) -> Reviews:
    points = open_points(listed.points, slide.path, mpp=slide.mpp, origin_px=slide.origin_px).points
    require_on_slide(points, slide)
    for line in points.warnings:
        _log.warning(line)
    faults += [f"left out: {line}" for line in points.failures]
    return read_reviews(points, labels, everything=everything)


class _Figures:
    """Figures of one slide, from the files of several experts."""

    def __init__(self, reach_px: float) -> None:
        self.places: dict[str, tuple[float, float]] = {}
        self.answers: dict[str, dict[str, object]] = {}
        self._reach_px = reach_px

    def add(self, column: str, frame: pd.DataFrame) -> None:
        """Add the labels of one file; an object is a known figure by its id, else by its place."""
        known = list(self.places)
        at = np.array([self.places[own] for own in known]).reshape(-1, 2)
        free = np.ones(len(known), dtype=bool)
        free[[known.index(own) for own in frame["point_id"] if own in self.places]] = False
        columns = (frame[name].tolist() for name in ("point_id", "x", "y", "label", REVIEW))
        for point_id, x, y, label, review in zip(*columns, strict=True):
            own = point_id
            if own not in self.places and free.any():
                apart = np.where(free, np.hypot(*(at - (x, y)).T), np.inf)
                nearest = int(apart.argmin())
                if apart[nearest] <= self._reach_px:
                    own, free[nearest] = known[nearest], False
            self.places.setdefault(own, (x, y))
            answers = self.answers.setdefault(own, {REVIEW: review})
            answers[column] = label
            if answers[REVIEW] == CHANGED:  # one look that was not at an error is enough
                answers[REVIEW] = review


def _explain_nothing(read: Iterable[Reviews], faults: Sequence[str]) -> str:
    if faults:
        return f"no object of any slide can be used; {faults[0]}"
    untouched = sum(one.untouched for one in read)
    if untouched:
        return (
            f"nobody looked at any of {untouched:,} objects: none is locked, and none has another "
            "class than atypia gave it; lock in QuPath what you agree with, or give --reviewed all"
        )
    others = sum((Counter(one.others) for one in read), Counter[str]())
    classes = ", ".join(map(repr, list(others)[:5]))
    found = f"; the classes are {classes}: say which is what with --labels" if others else ""
    return f"no object has a class that is a label{found}"
