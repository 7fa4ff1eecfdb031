"""The audit: what is wrong with figures though each row by itself is in order."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from difflib import get_close_matches
from hashlib import blake2b
from typing import Literal

import numpy as np
import pandas as pd

from atypia.data.columns import COLUMNS, OPTIONAL_COLUMNS, UNKNOWN
from atypia.data.domains import domain_names
from atypia.data.images import read_image
from atypia.data.readers.open_figures import Source, open_figures
from atypia.data.splits import TRAINED_ON, split_words, unknown_splits
from atypia.data.table import FigureTable, own_slides
from atypia.data.votes import contradicted, hard_labels, vote_counts
from atypia.errors import AtypiaError
from atypia.progress import OnProgress, opens_bars, show_bars

_THREADS = 8
_SPLIT_COLUMNS = ("split", "fold")
#: Findings of one kind that have a line each; more of them share one.
_LINES_OF_A_KIND = 5


@dataclass(frozen=True)
class Finding:
    """One thing an audit found.

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
    """Look for what makes figures unusable or results untrustworthy.

    Args:
        sources: the figures, of one source or several (see `open_figures`).
        images: also decode every image: unreadable ones, odd sizes, equal pixels.
        on_progress: called now and then; without it, bars in a terminal or notebook.

    Returns:
        Errors first, then warnings.
    """
    table = open_figures(sources)
    found = [
        *_columns(table.frame),
        *_classes(table.frame),
        *_groups(table.frame),
        *_labels(table.frame),
        *_places(table.frame),
        *_splits(table.frame),
    ]
    if images:
        found += _images(table, on_progress)
    return sorted(found, key=lambda finding: finding.level != "error")


def _finding(
    level: Literal["error", "warning"], frame: pd.DataFrame, mask: pd.Series, message: str
) -> Iterator[Finding]:
    ids = tuple(frame.loc[mask, "figure_id"])
    if ids:
        subject = "1 figure" if len(ids) == 1 else f"{len(ids):,} figures"
        yield Finding(level, ids, f"{subject} {message} ({_named(ids)})")


def _named(ids: tuple[str, ...] | list[str]) -> str:
    return ", ".join(ids[:3]) + (f" and {len(ids) - 3:,} more" if len(ids) > 3 else "")


def _columns(frame: pd.DataFrame) -> Iterator[Finding]:
    """A column named almost like one of ours, where ours is empty: it was read as a further one."""
    empty = [name for name in COLUMNS if frame[name].isin(["", UNKNOWN]).all()]
    empty += [name for name in COLUMNS if frame[name].isna().all()]
    for name in set(map(str, frame.columns)) - {*COLUMNS, *OPTIONAL_COLUMNS}:
        meant = get_close_matches(name.lower().strip(), empty, n=1, cutoff=0.8)
        if meant:
            message = (
                f"column {name!r} is not used and {meant[0]} is empty: if that is what it means, "
                f"rename it or give --column '{meant[0]}={name}'"
            )
            yield Finding("warning", (), message)


def _classes(frame: pd.DataFrame) -> Iterator[Finding]:
    classes = hard_labels(frame)
    known = classes[np.isfinite(classes)]
    if len(known) and len(np.unique(known)) == 1:
        which = "atypical" if known[0] else "normal"
        message = f"all labelled figures are {which}: nothing can be learned or judged; add others"
        yield Finding("error", (), message)
    unlabelled = pd.Series(~np.isfinite(classes), index=frame.index)
    yield from _finding("warning", frame, unlabelled, "without a label or a majority of votes")


def _groups(frame: pd.DataFrame) -> Iterator[Finding]:
    alone = own_slides(frame)
    yield from _finding(
        "warning",
        frame,
        alone,
        "without a slide: each counts as a slide of its own, so folds may divide a slide and look "
        "better than they are; fill the column slide or case",
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
    yield from _finding(
        "warning", frame, frame["mpp"].isna(), "without mpp (um/px): give it (--mpp) before use"
    )
    spread = pd.Series(domain_names(frame), index=frame.index).groupby(frame["case"]).nunique()
    several = spread[spread > 1].index
    yield from _finding(
        "warning",
        frame,
        frame["case"].isin(several),
        f"of {len(several)} cases that lie in several domains: leaving a domain out would leak",
    )


def _labels(frame: pd.DataFrame) -> Iterator[Finding]:
    against = pd.Series(contradicted(frame), index=frame.index)
    message = "whose label is against the majority of their votes: correct one or the other"
    yield from _finding("error", frame, against, message)
    voted = vote_counts(frame) > 0
    tied = pd.Series(voted & ~np.isfinite(hard_labels(frame)), index=frame.index)
    yield from _finding("warning", frame, tied, "with a tie of votes and no label: no class")


def _places(frame: pd.DataFrame) -> Iterator[Finding]:
    placed = frame[frame["x"].notna() & frame["y"].notna()]
    again = placed.duplicated(["slide", "x", "y"], keep=False).reindex(
        frame.index, fill_value=False
    )
    yield from _finding("warning", frame, again, "at the same place of a slide as another")
    shown = frame["image"] != ""
    shared = shown & frame["image"].where(shown).duplicated(keep=False)
    yield from _finding("warning", frame, shared, "that share an image file with another")


def _parts(frame: pd.DataFrame, column: str) -> pd.Series:
    """Return which part of a split each figure is of, NaN where that is not said."""
    parts = split_words(frame) if column == "split" else frame[column]
    return parts.where(parts.notna() & (parts != ""))


def _splits(frame: pd.DataFrame) -> Iterator[Finding]:
    unknown = unknown_splits(frame)
    if unknown:
        message = (
            f"the column split says {_named(unknown)}; train takes {TRAINED_ON[0]}, and leaves "
            "test, val and held-out out: if it means something else, rename it"
        )
        yield Finding("warning", (), message)
    for column in _SPLIT_COLUMNS:
        if column not in frame.columns:
            continue
        part = _parts(frame, column)
        for group in ("case", "slide"):
            divided = part.groupby(frame[group]).transform("nunique") > 1
            if divided.any():
                names = sorted(frame.loc[divided, group].unique())
                yield from _finding(
                    "error",
                    frame,
                    divided,
                    f"of {group}s divided over the column {column} ({_named(names)}): results "
                    f"would be too good; keep each {group} in one {column}",
                )
                break


@dataclass(frozen=True)
class _Look:
    """What decoding one image told: its size and the hash of its pixels, or why it failed."""

    size: tuple[int, int] | None
    pixels: str
    fault: str


def _look(table: FigureTable, image: str) -> _Look:
    try:
        path = table.image_path(image)
        if not path.exists():
            return _Look(None, "", "missing")
        pixels = read_image(path)
    except AtypiaError as fault:
        return _Look(None, "", str(fault))
    shape = f"{pixels.shape}".encode()
    hashed = blake2b(shape + pixels.tobytes(), digest_size=16).hexdigest()
    return _Look((pixels.shape[1], pixels.shape[0]), hashed, "")


def _images(table: FigureTable, on_progress: OnProgress) -> Iterator[Finding]:
    frame = table.frame[table.frame["image"] != ""]
    images = list(dict.fromkeys(frame["image"]))
    looks: dict[str, _Look] = {}
    with ThreadPoolExecutor(_THREADS) as pool:
        coming = pool.map(lambda one: _look(table, one), images)
        try:
            for image, look in zip(images, coming, strict=True):
                looks[image] = look
                if len(looks) % 50 == 0 or len(looks) == len(images):
                    on_progress("images", len(looks), len(images), "")
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    seen = frame["image"].map(looks)
    missing = seen.map(lambda look: look.fault == "missing").astype(bool)
    message = f"whose image is missing in {table.where}: add the files or take the rows out"
    yield from _finding("error", frame, missing, message)
    yield from _unreadable(table, frame, seen.map(lambda look: look.fault))
    read = frame[seen.map(lambda look: not look.fault).astype(bool)]
    yield from _sizes(read, read["image"].map(lambda image: looks[image].size))
    pixels = read["image"].map(lambda image: looks[image].pixels)
    yield from _duplicates(read, pixels, table.source_names())


def _unreadable(table: FigureTable, frame: pd.DataFrame, faults: pd.Series) -> Iterator[Finding]:
    alike: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for figure, image, fault in zip(frame["figure_id"], frame["image"], faults, strict=True):
        if fault and fault != "missing":
            reason = fault.partition(f"{table.image_place(image)[1]}: ")[2] or fault
            # Numbers, as those of a size, make no other reason.
            alike[re.sub(r"\d+", "", reason)].append((figure, fault))
    for found in alike.values():
        if len(found) > _LINES_OF_A_KIND:
            ids = tuple(figure for figure, _ in found)
            message = (
                f"{len(found):,} figures have an image that cannot be used ({_named(ids)}); the "
                f"first: {found[0][1]}"
            )
            yield Finding("error", ids, message)
        else:
            yield from (Finding("error", (figure,), fault) for figure, fault in found)


def _sizes(frame: pd.DataFrame, sizes: pd.Series) -> Iterator[Finding]:
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
        yield from _finding(
            "warning", frame, odd, f"of {len(others)} other sizes, {span}, {message}"
        )
        return
    for size in others:
        odd = sizes.map(lambda s, one=size: s == one)
        yield from _finding("warning", frame, odd, f"of {size[0]} x {size[1]} px, {message}")


def _duplicates(frame: pd.DataFrame, pixels: pd.Series, sources: pd.Series) -> Iterator[Finding]:
    repeated = frame[pixels.duplicated(keep=False)]
    classes = pd.Series(hard_labels(repeated), index=repeated.index)
    parts = {name: _parts(repeated, name) for name in _SPLIT_COLUMNS if name in repeated}
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
            every = tuple(figure for ids in groups for figure in ids)
            first = _named([" = ".join(ids[:3]) for ids in groups])
            message = f"{len(groups):,} times {kind}: {first}; {advice} of each"
            yield Finding(level, every, message)
        else:
            for ids in groups:
                yield Finding(level, ids, f"{kind}: {_named(ids)}; {advice}")
