"""The audit: faults of a figure table that show only across rows or in the images."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import blake2b
from typing import Literal

import numpy as np
import pandas as pd

from atypia.data.columns import COLUMNS, OPTIONAL_COLUMNS, UNKNOWN, list_names
from atypia.data.domains import domain_names
from atypia.data.images import read_image
from atypia.data.readers.open_figures import Source, open_figures
from atypia.data.splits import TRAINED_ON, split_words, unknown_splits
from atypia.data.table import FigureTable, lack_slide
from atypia.data.votes import find_contradictions, hard_labels, vote_counts
from atypia.errors import AtypiaError, find_nearest
from atypia.progress import OnProgress, opens_bars, show_bars

_THREADS = 8
_SPLIT_COLUMNS = ("split", "fold")
#: Findings of one kind that have a line each; more of them share one.
_LINES_OF_A_KIND = 5
#: Names that a line lists.
_LISTED = 3


@dataclass(frozen=True)
class Finding:
    """One finding of an audit.

    Attributes:
        level: "error" (a figure cannot be used, or figures measured on it cannot be trusted) or
            "warning" (look at it).
        figures: the ids of the figures it is about; empty where it is about the whole table.
        message: one line: what, where, and what to do.
    """

    level: Literal["error", "warning"]
    figures: tuple[str, ...]
    message: str


@opens_bars
def audit(
    sources: Source | Sequence[Source],
    images: bool = True,
    on_progress: OnProgress = show_bars,
) -> list[Finding]:
    """Check a figure table for unusable figures and anything that makes results untrustworthy.

    Args:
        sources: the figures, of one source or several (see `open_figures`).
        images: also decode every image: unreadable ones, odd sizes, equal pixels.
        on_progress: called now and then; without it, bars in a terminal or notebook.

    Returns:
        Errors first, then warnings.

    Example:
        >>> from atypia.data.table import figures_from_frame
        >>> columns = {"figure_id": ["a", "b"], "image": ["1.png", "1.png"], "slide": ["s", "t"]}
        >>> frame = pd.DataFrame({**columns, "label": [0, 1]})
        >>> for finding in audit(figures_from_frame(frame, mpp=0.25), images=False):
        ...     print(f"{finding.level}: {finding.message}")
        warning: 2 figures that share an image file with another (a, b)
    """
    table = open_figures(sources)
    findings = [
        *_check_columns(table.frame),
        *_check_classes(table.frame),
        *_check_groups(table.frame),
        *_check_labels(table.frame),
        *_check_places(table.frame),
        *_check_splits(table.frame),
    ]
    if images:
        findings += _check_images(table, on_progress)
    return sorted(findings, key=lambda finding: finding.level != "error")


def _report(
    level: Literal["error", "warning"], frame: pd.DataFrame, mask: pd.Series, message: str
) -> Iterator[Finding]:
    ids = tuple(frame.loc[mask, "figure_id"])
    if ids:
        subject = "1 figure" if len(ids) == 1 else f"{len(ids):,} figures"
        yield Finding(level, ids, f"{subject} {message} ({list_names(ids, _LISTED)})")


def _check_columns(frame: pd.DataFrame) -> Iterator[Finding]:
    """Report columns named almost like an empty one of ours: they were read as further columns."""
    empty = [name for name in COLUMNS if frame[name].isin(["", UNKNOWN]).all()]
    empty += [name for name in COLUMNS if frame[name].isna().all()]
    for name in set(map(str, frame.columns)) - {*COLUMNS, *OPTIONAL_COLUMNS}:
        near = find_nearest(name.strip(), empty, cutoff=0.8)
        if near:
            message = (
                f"column {name!r} is not used and {near} is empty: if that is what it means, "
                f"rename it or give --column '{near}={name}'"
            )
            yield Finding("warning", (), message)


def _check_classes(frame: pd.DataFrame) -> Iterator[Finding]:
    classes = hard_labels(frame)
    known = classes[np.isfinite(classes)]
    if len(known) and len(np.unique(known)) == 1:
        which = "atypical" if known[0] else "normal"
        message = f"all labelled figures are {which}: nothing can be learned or judged; add others"
        yield Finding("error", (), message)
    unlabelled = pd.Series(~np.isfinite(classes), index=frame.index)
    yield from _report("warning", frame, unlabelled, "without a label or a majority of votes")


def _check_groups(frame: pd.DataFrame) -> Iterator[Finding]:
    alone = lack_slide(frame)
    yield from _report(
        "warning",
        frame,
        alone,
        "without a slide: each counts as a slide of its own, so folds may divide a slide and "
        "results look better than they are; fill the column slide or case",
    )
    if frame["slide"].nunique() == 1:
        message = (
            f"all figures are of one slide ({frame['slide'].iloc[0]}): folds cannot hold slides "
            "apart; add figures of other slides"
        )
        yield Finding("error", (), message)
    elif frame["case"].nunique() == 1:
        message = f"all figures are of one case ({frame['case'].iloc[0]}); add other cases"
        yield Finding("error", (), message)
    yield from _report(
        "warning", frame, frame["mpp"].isna(), "without mpp (um/px): give it (--mpp) before use"
    )
    spread = pd.Series(domain_names(frame), index=frame.index).groupby(frame["case"]).nunique()
    several = spread[spread > 1].index
    yield from _report(
        "warning",
        frame,
        frame["case"].isin(several),
        f"of {len(several)} cases that lie in several domains: leaving a domain out would leak",
    )


def _check_labels(frame: pd.DataFrame) -> Iterator[Finding]:
    against = pd.Series(find_contradictions(frame), index=frame.index)
    message = "whose label contradicts the majority of their votes: correct one or the other"
    yield from _report("error", frame, against, message)
    voted = vote_counts(frame) > 0
    tied = pd.Series(voted & ~np.isfinite(hard_labels(frame)), index=frame.index)
    yield from _report("warning", frame, tied, "with a tie of votes and no label: no class")


def _check_places(frame: pd.DataFrame) -> Iterator[Finding]:
    placed = frame[frame["x"].notna() & frame["y"].notna()]
    again = placed.duplicated(["slide", "x", "y"], keep=False).reindex(
        frame.index, fill_value=False
    )
    yield from _report("warning", frame, again, "at the same place of a slide as another")
    with_image = frame["image"] != ""
    shared = with_image & frame["image"].where(with_image).duplicated(keep=False)
    yield from _report("warning", frame, shared, "that share an image file with another")


def _split_parts(frame: pd.DataFrame, column: str) -> pd.Series:
    """Return the part of a split that each figure belongs to, NaN where it is not stated."""
    parts = split_words(frame) if column == "split" else frame[column]
    return parts.where(parts.notna() & (parts != ""))


def _check_splits(frame: pd.DataFrame) -> Iterator[Finding]:
    unknown = unknown_splits(frame)
    if unknown:
        message = (
            f"the column split contains {list_names(unknown, _LISTED)}; train takes "
            f"{TRAINED_ON[0]}, and leaves test, val and held-out out: if it means something else, "
            "rename it"
        )
        yield Finding("warning", (), message)
    for column in _SPLIT_COLUMNS:
        if column not in frame.columns:
            continue
        part = _split_parts(frame, column)
        for group in ("case", "slide"):
            divided = part.groupby(frame[group]).transform("nunique") > 1
            if divided.any():
                names = sorted(frame.loc[divided, group].unique())
                yield from _report(
                    "error",
                    frame,
                    divided,
                    f"of {group}s divided over the column {column} ({list_names(names, _LISTED)}): "
                    f"results would be too good; keep each {group} in one {column}",
                )
                break


@dataclass(frozen=True)
class _Inspection:
    """Result of decoding one image: its size and the hash of its pixels, or why it failed."""

    size: tuple[int, int] | None
    pixels: str
    fault: str


def _inspect(table: FigureTable, image: str) -> _Inspection:
    try:
        path = table.image_path(image)
        if not path.exists():
            return _Inspection(None, "", "missing")
        pixels = read_image(path)
    except AtypiaError as fault:
        return _Inspection(None, "", str(fault))
    shape = f"{pixels.shape}".encode()
    hashed = blake2b(shape + pixels.tobytes(), digest_size=16).hexdigest()
    return _Inspection((pixels.shape[1], pixels.shape[0]), hashed, "")


def _check_images(table: FigureTable, on_progress: OnProgress) -> Iterator[Finding]:
    frame = table.frame[table.frame["image"] != ""]
    images = list(dict.fromkeys(frame["image"]))
    by_image: dict[str, _Inspection] = {}
    with ThreadPoolExecutor(_THREADS) as pool:
        coming = pool.map(lambda image: _inspect(table, image), images)
        try:
            for image, inspection in zip(images, coming, strict=True):
                by_image[image] = inspection
                if len(by_image) % 50 == 0 or len(by_image) == len(images):
                    on_progress("images", len(by_image), len(images), "")
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    inspections = frame["image"].map(by_image)
    missing = inspections.map(lambda inspection: inspection.fault == "missing").astype(bool)
    message = f"whose image is missing in {table.where}: add the files or remove the rows"
    yield from _report("error", frame, missing, message)
    yield from _check_unreadable(table, frame, inspections.map(lambda inspection: inspection.fault))
    read = frame[inspections.map(lambda inspection: not inspection.fault).astype(bool)]
    yield from _check_sizes(read, read["image"].map(lambda image: by_image[image].size))
    pixels = read["image"].map(lambda image: by_image[image].pixels)
    yield from _check_duplicates(read, pixels, table.source_names())


def _check_unreadable(
    table: FigureTable, frame: pd.DataFrame, faults: pd.Series
) -> Iterator[Finding]:
    alike: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for figure, image, fault in zip(frame["figure_id"], frame["image"], faults, strict=True):
        if fault and fault != "missing":
            reason = fault.partition(f"{table.image_place(image)[1]}: ")[2] or fault
            # Numbers, as those of a size, make no other reason.
            alike[re.sub(r"\d+", "", reason)].append((figure, fault))
    for pairs in alike.values():
        if len(pairs) > _LINES_OF_A_KIND:
            ids = tuple(figure for figure, _ in pairs)
            message = (
                f"{len(pairs):,} figures have an image that cannot be used "
                f"({list_names(ids, _LISTED)}); the first: {pairs[0][1]}"
            )
            yield Finding("error", ids, message)
        else:
            yield from (Finding("error", (figure,), fault) for figure, fault in pairs)


def _check_sizes(frame: pd.DataFrame, sizes: pd.Series) -> Iterator[Finding]:
    counts = Counter(sizes)
    if len(counts) < 2:
        return
    usual, most = counts.most_common(1)[0]
    others = [size for size, _ in counts.most_common()[1:]]
    message = f"where {most:,} are {usual[0]} x {usual[1]}: check that their mpp is right"
    if len(others) > _LINES_OF_A_KIND:
        (low, high), least, largest = usual, min(others), max(others)
        odd = sizes.map(lambda size: size != (low, high))
        span = f"{least[0]} x {least[1]} to {largest[0]} x {largest[1]} px"
        yield from _report(
            "warning", frame, odd, f"of {len(others)} other sizes, {span}, {message}"
        )
        return
    for size in others:
        odd = sizes.map(lambda other, size=size: other == size)
        yield from _report("warning", frame, odd, f"of {size[0]} x {size[1]} px, {message}")


def _check_duplicates(
    frame: pd.DataFrame, pixels: pd.Series, sources: pd.Series
) -> Iterator[Finding]:
    repeated = frame[pixels.duplicated(keep=False)]
    classes = pd.Series(hard_labels(repeated), index=repeated.index)
    parts = {name: _split_parts(repeated, name) for name in _SPLIT_COLUMNS if name in repeated}
    alike: dict[tuple[Literal["error", "warning"], str, str], list[tuple[str, ...]]]
    alike = defaultdict(list)
    for _, twins in repeated.groupby(pixels[repeated.index], sort=False):
        ids = tuple(twins["figure_id"])
        two_labels = classes[twins.index].nunique() > 1
        if two_labels:
            alike["error", "the same pixels with two labels", "keep the right one"].append(ids)
        divided = [name for name, part in parts.items() if part[twins.index].nunique() > 1]
        if divided:
            kind = f"the same pixels on both sides of the column {divided[0]}"
            alike["error", kind, "keep one"].append(ids)
        elif sources[twins.index].nunique() > 1:
            kind = "the same pixels in several sources, so that folds may divide them"
            alike["error", kind, "take it out of all but one"].append(ids)
        elif twins["case"].nunique() > 1 or twins["slide"].nunique() > 1:
            kind = "the same pixels in several slides or cases"
            alike["warning", kind, "keep one"].append(ids)
        elif not two_labels:
            alike["warning", "the same pixels twice", "keep one"].append(ids)
    for (level, kind, advice), groups in alike.items():
        if len(groups) > _LINES_OF_A_KIND:
            all_ids = tuple(figure for ids in groups for figure in ids)
            first = list_names([" = ".join(ids[:3]) for ids in groups], _LISTED)
            message = f"{len(groups):,} times {kind}: {first}; {advice} of each"
            yield Finding(level, all_ids, message)
        else:
            for ids in groups:
                yield Finding(level, ids, f"{kind}: {list_names(ids, _LISTED)}; {advice}")
