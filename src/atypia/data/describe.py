"""Description of a figure table: its counts, its domains, and how well the experts agree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from atypia.data.domains import domain_names
from atypia.data.readers.open_figures import Source, open_figures
from atypia.data.splits import TRAINED_ON, split_words
from atypia.data.table import FigureTable, count_without_slide
from atypia.data.votes import agreement, hard_labels, vote_columns


@dataclass(frozen=True)
class Description:
    """A figure table in numbers.

    Attributes:
        figures, slides, cases, domains, experts: counts.
        atypical, normal, unlabelled: figures by class (label, else majority of votes).
        by_domain: one row a domain, indexed by name: figures, slides, atypical (counts), share
            (of atypical in labelled figures, NaN without any), mpp (um/px: "0.23", "0.23-0.25",
            or "" where unknown).
        agreement: as `votes.agreement`; the last row is "all".
        remarks: what a reader must know to interpret the numbers, one line each.
    """

    figures: int
    slides: int
    cases: int
    domains: int
    experts: int
    atypical: int
    normal: int
    unlabelled: int
    by_domain: pd.DataFrame
    agreement: pd.DataFrame
    remarks: tuple[str, ...]


def describe(sources: Source | Sequence[Source]) -> Description:
    """Describe figures in numbers, without reading their images.

    Args:
        sources: of one source or several (see `open_figures`).

    Example:
        >>> from atypia.data.table import figures_from_frame
        >>> columns = {"figure_id": list("abcd"), "image": list("abcd"), "scanner": list("AABB")}
        >>> frame = pd.DataFrame({**columns, "slide": list("stuv"), "label": [1, 0, 0, None]})
        >>> description = describe(figures_from_frame(frame, mpp=0.25))
        >>> description.atypical, description.normal, description.unlabelled
        (1, 2, 1)
        >>> description.by_domain[["figures", "slides", "atypical", "share", "mpp"]]
           figures  slides  atypical  share   mpp
        A        2       2         1    0.5  0.25
        B        2       2         0    0.0  0.25
        >>> description.remarks
        ('mpp of 4 figures as given by the caller',)
    """
    table = open_figures(sources)
    frame = table.frame
    classes = hard_labels(frame)
    by_domain = _count_by_domain(frame, classes)
    return Description(
        figures=len(frame),
        slides=frame["slide"].nunique(),
        cases=frame["case"].nunique(),
        domains=len(by_domain),
        experts=len(vote_columns(frame)),
        atypical=int((classes == 1).sum()),
        normal=int((classes == 0).sum()),
        unlabelled=int(np.isnan(classes).sum()),
        by_domain=by_domain,
        agreement=agreement(frame),
        remarks=tuple(_list_remarks(table)),
    )


def _count_by_domain(frame: pd.DataFrame, classes: np.ndarray) -> pd.DataFrame:
    names = domain_names(frame)
    rows = {}
    for name in sorted(set(names)):
        inside = names == name
        part, known = frame[inside], classes[inside][np.isfinite(classes[inside])]
        rows[name] = {
            "figures": len(part),
            "slides": part["slide"].nunique(),
            "atypical": int(known.sum()),
            "share": float(known.mean()) if len(known) else np.nan,
            "mpp": _format_mpp(part["mpp"]),
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def _format_mpp(mpp: pd.Series) -> str:
    low, high = mpp.min(), mpp.max()
    if np.isnan(low):
        return ""
    return f"{low:.3g}" if low == high else f"{low:.3g}-{high:.3g}"


def _list_remarks(table: FigureTable) -> list[str]:
    frame, remarks = table.frame, []
    if table.sources:
        counts = table.source_names().value_counts(sort=False)
        each = ", ".join(f"{count:,} of {name}" for name, count in counts.items())
        remarks.append(f"figures by source: {each}")
    alone = count_without_slide(table)
    if alone:
        remarks.append(
            f"{alone:,} of {len(frame):,} figures name no slide: each counts as a slide of its "
            "own, and folds cannot keep the slides they came from together"
        )
    words = split_words(frame)
    held_out = int((~words.isin(TRAINED_ON)).sum()) if (words != "").any() else 0
    if held_out:
        remarks.append(
            f"{held_out:,} of {len(frame):,} figures are held out by the column split: nothing is "
            "trained on them"
        )
    without = int(frame["mpp"].isna().sum())
    if without:
        remarks.append(
            f"no mpp (um/px) is known for {without:,} of {len(frame):,} figures: give it with --mpp"
        )
    sources = frame.loc[frame["mpp"].notna(), "mpp_source"].value_counts()
    meanings = {
        "layout": "by the scanner, as the layout's documentation states it",
        "given": "as given by the caller",
    }
    remarks += [
        f"mpp of {count:,} figures {meanings[source]}"
        for source, count in sources.items()
        if source in meanings
    ]
    return remarks
