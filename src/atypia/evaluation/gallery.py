"""Which figures a report shows, and their thumbnails."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from PIL import Image

from atypia.data.images import read_image
from atypia.data.logits import logit
from atypia.data.table import FigureTable
from atypia.data.votes import vote_counts, vote_fractions
from atypia.errors import AtypiaError
from atypia.evaluation.html import data_uri
from atypia.evaluation.judge import Judgement, infer_operating_point

PER_GALLERY = 12
HARD_NEGATIVES = 48
THUMBNAIL_PX = 128
_JPEG_QUALITY = 85


@dataclass(frozen=True)
class Exhibit:
    """One figure as a gallery shows it.

    Attributes:
        figure_id: its name.
        thumbnail: data URI of a JPEG; "" where the image cannot be shown.
        fault: why it cannot be shown; "" where it can.
        truth: "atypical" or "normal".
        call: "atypical" or "normal".
        score: P(atypical), in [0, 1].
        refer: whether it was referred.
        votes: such as "2/3 AMF"; "" without votes.
        phase: as the experts or the layout name it; "" where unknown.
        domain: its domain, without the parts that all domains share.
        remark: a further remark; "" for none.
    """

    figure_id: str
    thumbnail: str
    fault: str
    truth: str
    call: str
    score: float
    refer: bool
    votes: str
    phase: str
    domain: str
    remark: str = ""

    @property
    def alt(self) -> str:
        """What the picture shows, in words."""
        votes = f", votes {self.votes}" if self.votes else ""
        return (
            f"Crop of figure {self.figure_id}: truth {self.truth}{votes}, "
            f"P(atypical) {self.score:.2f}"
        )


@dataclass(frozen=True)
class Gallery:
    """A row of figures under a heading, with a sentence on how they were chosen."""

    key: str
    title: str
    explanation: str
    exhibits: tuple[Exhibit, ...]


def make_galleries(judgement: Judgement, table: FigureTable) -> list[Gallery]:
    """Return the make_galleries of a report, each with up to `PER_GALLERY` figures; none is empty.

    Args:
        judgement: which figures, with scores and truth.
        table: where their images lie.
    """
    frame = judgement.figures
    p = frame["p_atypical"].to_numpy(dtype=np.float64)
    call = frame["call"].to_numpy(dtype=bool)
    atypical = frame["truth"].to_numpy(dtype=np.float64) == 1.0
    fraction = vote_fractions(frame)
    split = np.isfinite(fraction) & (fraction > 0) & (fraction < 1)
    change = infer_operating_point(p, call)
    middle = np.clip(0.5 if change is None else np.mean(change), 1e-6, 1 - 1e-6)
    doubt = np.abs(logit(np.clip(p, 1e-6, 1 - 1e-6)) - logit(middle))
    selections = (
        (
            "sure-atypical",
            "Most confident, correct: atypical",
            "Atypical figures called atypical, highest probability first.",
            _pick_first(atypical & call, -p),
        ),
        (
            "sure-normal",
            "Most confident, correct: normal",
            "Normal figures called normal, lowest probability first.",
            _pick_first(~atypical & ~call, p),
        ),
        (
            "missed",
            "Worst errors: atypical, called normal",
            "Atypical figures that were missed, lowest probability first.",
            _pick_first(atypical & ~call, p),
        ),
        (
            "false-alarms",
            "Worst errors: normal, called atypical",
            "False alarms, highest probability first.",
            _pick_first(~atypical & call, -p),
        ),
        (
            "contested",
            "Most disputed by the experts",
            "Figures on which the experts' votes are split most evenly; ties are ordered by how "
            "uncertain the classifier is.",
            _pick_first(split, np.abs(fraction - 0.5), doubt),
        ),
    )
    counts = vote_counts(frame)
    short = judgement.short_names
    return [
        Gallery(
            key,
            title,
            explanation,
            tuple(
                _make_exhibit(frame.iloc[row], counts[row], fraction[row], short, table)
                for row in rows
            ),
        )
        for key, title, explanation, rows in selections
        if rows
    ]


def pick_hard_negatives(
    judgement: Judgement, table: FigureTable, hardness: Mapping[str, float]
) -> Gallery | None:
    """Return the normal figures that looked most atypical while they were trained on.

    Args:
        judgement: which figures, with truth and calls.
        table: where their images lie.
        hardness: figure_id -> mean P(atypical) in training, shown as the figure's score.

    Returns:
        A gallery of up to `HARD_NEGATIVES`, hardest first; None where no normal figure has one.
    """
    frame = judgement.figures
    score = frame["figure_id"].map(dict(hardness)).to_numpy(dtype=np.float64)
    normal = frame["truth"].to_numpy(dtype=np.float64) == 0.0
    rows = _pick_first(normal & np.isfinite(score), -score, count=HARD_NEGATIVES)
    if not rows:
        return None
    fraction = vote_fractions(frame)
    counts = vote_counts(frame)
    short = judgement.short_names
    exhibits = []
    for row in rows:
        exhibit = _make_exhibit(frame.iloc[row], counts[row], fraction[row], short, table)
        remark = "not mined: experts are split" if 0 < fraction[row] < 1 else ""
        exhibits.append(replace(exhibit, score=float(score[row]), remark=remark))
    return Gallery(
        "hard-negatives",
        f"The {len(rows)} hardest negatives",
        "Normal figures that scored most atypical during training, hardest first. "
        "P(atypical) is from training: a moving average over epochs, averaged over the members "
        "that trained on the figure. The call, if shown, is by the member that has not seen it. "
        "The hardest are selected after every epoch and drawn more often in the next; figures on "
        "which the experts are split are never selected, because their label may be wrong, and "
        "are shown here for review.",
        tuple(exhibits),
    )


def _pick_first(chosen: np.ndarray, *keys: np.ndarray, count: int = PER_GALLERY) -> list[int]:
    """Return the rows of the chosen that come first by the keys, the first key counting most."""
    rows = np.flatnonzero(chosen)
    order = np.lexsort([key[rows] for key in reversed(keys)])
    return [int(row) for row in rows[order][:count]]


def _make_exhibit(
    row: pd.Series, votes: int, fraction: float, short: dict[str, str], table: FigureTable
) -> Exhibit:
    thumbnail, fault = _make_thumbnail(str(row["image"]), table)
    return Exhibit(
        figure_id=str(row["figure_id"]),
        thumbnail=thumbnail,
        fault=fault,
        truth="atypical" if row["truth"] == 1.0 else "normal",
        call="atypical" if row["call"] else "normal",
        score=float(row["p_atypical"]),
        refer=bool(row["refer"]),
        votes=f"{round(fraction * votes)}/{votes} AMF" if votes else "",
        phase=str(row["phase"]),
        domain=short[str(row["domain"])],
    )


def _make_thumbnail(image: str, table: FigureTable) -> tuple[str, str]:
    """Return (data URI, "") or ("", why there is none)."""
    if not image:
        return "", "the table has no image for this figure"
    try:
        pixels = read_image(table.image_path(image))
    except AtypiaError as fault:
        root, relative = table.image_place(image)
        return "", str(fault).replace(str(root / relative), image)
    picture = Image.fromarray(pixels)
    picture.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    picture.save(buffer, format="JPEG", quality=_JPEG_QUALITY)
    return data_uri(buffer.getvalue(), "image/jpeg"), ""
