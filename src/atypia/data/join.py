"""Several sources of figures in one table, such as a laboratory's own figures and a public set.

Names of different sources never mix: what a source calls slide 001 or expert anna becomes
`lab/001` and `vote_lab/anna`, with the source's name in front. Domains are of the world, not of a
source, and are spelt alike over all of them. A column that a source lacks is unknown for its
figures.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from atypia.data.columns import DOMAIN_COLUMNS, VOTE_PREFIX, list_names, vote_names
from atypia.data.domains import unite_spellings
from atypia.data.splits import TRAINED_ON, split_words
from atypia.data.table import SOURCE_MARK, FigureTable
from atypia.errors import TableError
from atypia.files import escape_text

#: Columns whose names are a source's own.
_NAMED_BY_SOURCE = ("figure_id", "slide", "case")


def name_sources(places: Sequence[Path]) -> list[str]:
    """Return a name for each source: its file's or folder's, with the folders above where needed.

    Args:
        places: of the sources, without the ending of a file.

    Returns:
        Names that differ, none of them with a slash.
    """
    words = [
        [_clean_name(part) for part in reversed(_resolve_place(place).parts)] for place in places
    ]
    depths = [1] * len(words)
    while True:
        names = ["-".join(reversed(own[:depth])) for own, depth in zip(words, depths, strict=True)]
        counts = Counter(names)
        deeper = [
            depth + (counts[name] > 1 and depth < len(own))
            for own, depth, name in zip(words, depths, names, strict=True)
        ]
        if deeper == depths:
            break
        depths = deeper
    counts_so_far: Counter[str] = Counter()
    distinct = []
    for name in names:
        counts_so_far[name] += 1
        distinct.append(f"{name}-{counts_so_far[name]}" if counts[name] > 1 else name)
    return distinct


def _resolve_place(place: Path) -> Path:
    # Only the folder: a link is called by its own name.
    return place.parent.resolve() / place.name if place.name not in ("", "..") else place.resolve()


def _clean_name(part: str) -> str:
    text = escape_text(part).replace("\\", "-")
    return text.strip("/").strip() or "source"


def join_sources(tables: Mapping[str, FigureTable]) -> FigureTable:
    """Join the figures of several sources.

    A source without a column `split` has figures to train on, as it has alone, also where another
    one has the column.

    Args:
        tables: each of a single source, by the source's name; at least two.

    Returns:
        All figures, source by source. `figure_id`, `slide`, `case` and `image` begin with the
        source's name and a slash, votes are `vote_SOURCE/EXPERT`; `sources` says where the images
        of each lie.

    Raises:
        TableError: an image is in two sources, or one of the tables is of several sources already.
    """
    for name, table in tables.items():
        if table.sources:
            raise TableError(
                f"{name}: is a table of several sources already ({list_names(table.sources)}); "
                "give all sources in one call"
            )
    _require_distinct(tables)
    frames = [_prefix_names(name, table.frame) for name, table in tables.items()]
    columns = list(dict.fromkeys(name for frame in frames for name in frame.columns))
    texts = {
        name
        for frame in frames
        for name in frame.columns
        if not pd.api.types.is_numeric_dtype(frame[name])
    }
    if any((split_words(frame) != "").any() for frame in frames):
        frames = [
            frame if (split_words(frame) != "").any() else frame.assign(split=TRAINED_ON[0])
            for frame in frames
        ]
    whole = pd.concat(
        [
            frame.reindex(columns=columns).assign(
                **{name: "" for name in texts if name not in frame.columns}
            )
            for frame in frames
        ],
        ignore_index=True,
    )
    notes = [f"{name}: {note}" for name, table in tables.items() for note in table.notes]
    for column in DOMAIN_COLUMNS:
        whole[column], spellings = unite_spellings(whole[column])
        if spellings:
            notes.append(f"column {column}: takes {'; '.join(spellings)}")
    sources = {name: table.root for name, table in tables.items()}
    return FigureTable(whole, _folder_above(list(sources.values())), tuple(notes), sources)


def _prefix_names(name: str, frame: pd.DataFrame) -> pd.DataFrame:
    """Return a source's figures under names that begin with the source's."""
    mark = name + SOURCE_MARK
    named = {column: mark + frame[column] for column in _NAMED_BY_SOURCE}
    named["image"] = (mark + frame["image"]).where(frame["image"] != "", "")
    votes = {
        vote: VOTE_PREFIX + mark + vote.removeprefix(VOTE_PREFIX)
        for vote in vote_names(frame.columns)
    }
    return frame.assign(**named).rename(columns=votes)


def _require_distinct(tables: Mapping[str, FigureTable]) -> None:
    """Refuse an image that is in two sources: its figure would be there twice."""
    homes: dict[str, str] = {}
    for name, table in tables.items():
        root = table.root.resolve()
        for image in dict.fromkeys(table.frame["image"]):
            if not image:
                continue
            path = os.path.normpath(root / image)
            other = homes.setdefault(path, name)
            if other != name:
                raise TableError(
                    f"{path}: is in two of the sources, {other} and {name}; give each source "
                    "once, and each figure in one of them"
                )


def _folder_above(roots: Sequence[Path]) -> Path:
    try:
        return Path(os.path.commonpath([root.resolve() for root in roots]))
    except ValueError:  # drives of Windows have none
        return roots[0]


def match_ids(ids: pd.Series, table: FigureTable) -> pd.Series:
    """Return ids of figures as a table of several sources writes them.

    Args:
        ids: str; an id may lack its source's name where only one source has it.
        table: the figures; of a single source, the ids stay as they are.

    Raises:
        TableError: an id lacks its source's name, and several sources have it.
    """
    if not table.sources:
        return ids
    known = set(table.frame["figure_id"])
    bare: dict[str, list[str]] = {}
    for full in table.frame["figure_id"]:
        bare.setdefault(full.partition(SOURCE_MARK)[2], []).append(full)
    unclear = [name for name in ids if name not in known and len(bare.get(name, ())) > 1]
    if unclear:
        raise TableError(
            f"figure_id {unclear[0]}: may be {' or '.join(bare[unclear[0]])}; write ids with their "
            f"source in front ({len(unclear)} in all)"
        )
    return ids.map(lambda name: name if name in known else bare.get(name, [name])[0])
