"""The export of a closed study: a figure table to train on, every vote, and how it was done."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd

from atypia.data.columns import VOTE_PREFIX
from atypia.data.table import FigureTable, write_table
from atypia.files import create_output, require_outputs, write_output
from atypia.study.answers import IN_WORDS, is_none
from atypia.study.study import Study

VOTES_NAME, ABOUT_NAME = "votes.csv", "study.json"
VOTE_COLUMNS = (
    *("figure_id", "expert", "answer", "detail", "given", "milliseconds"),
    *("showing", "repeat", "undone"),
)


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        files: the figure table, the votes, how it was done.
        figures: in the table.
        none: ids of figures that experts took out, as no mitotic figures.
        unsure: votes that are "cannot tell", and are empty in the table.
    """

    files: tuple[Path, ...]
    figures: int
    none: tuple[str, ...]
    unsure: int


def export(study: Study, out: Path | str, *, overwrite: bool = False) -> Exported:
    """Write the votes of a closed study.

    Args:
        study: closed.
        out: the figure table, .csv or .parquet, with a column `vote_NAME` an expert. Beside it come
            `votes.csv`, one row a vote with repeats and those undone, `study.json`, what a paper's
            methods need, and `images`, unless `out` lies in the study.
        overwrite: replace files that atypia did not write.

    Raises:
        AtypiaError: the study goes on, or a file cannot be written.
    """
    out = Path(out)
    study.require_closed("votes are exported")
    rows, (frame, none) = list_votes(study), make_voted_frame(study)
    beside = [out.with_name(VOTES_NAME), out.with_name(ABOUT_NAME)]
    inside = out.resolve().parent == study.folder.resolve()
    if inside:  # study.json there is the study's own
        beside[1] = out.with_name(f"{out.stem}.{ABOUT_NAME}")
    images = {} if inside else _plan_images(study, frame, out.parent)
    inputs = [path for path in study.folder.iterdir() if path.is_file()]
    require_outputs([out, *beside, *images.values()], inputs=inputs, overwrite=overwrite)
    for source, target in images.items():
        with create_output(target) as partial:
            partial.write_bytes(source.read_bytes())
    with create_output(beside[0]) as partial:
        rows.to_csv(partial, index=False)
    unsure = int(((rows["answer"] == "unsure") & (rows["undone"] == "") & ~rows["repeat"]).sum())
    about = _describe(study, rows, none)
    write_output(beside[1], json.dumps(about, indent=2, ensure_ascii=False) + "\n")
    table = FigureTable(frame, out.parent)
    write_table(table, out)
    return Exported((out, *beside), len(frame), tuple(none), unsure)


def make_voted_frame(study: Study) -> tuple[pd.DataFrame, list[str]]:
    """Return the figures with a column `vote_NAME` an expert, and those that are none.

    Returns:
        The frame of the figure table, 1 atypical, 0 normal, NaN for "cannot tell" and without a
        vote, without the figures that experts took out; and the ids of these.
    """
    frame = study.table.frame.copy()
    answers = {name: study.answers(name) for name in study.settings.experts}
    for name, given in answers.items():
        words = frame["figure_id"].map(given)
        frame[VOTE_PREFIX + name] = words.map({"atypical": 1.0, "normal": 0.0}).astype(float)
    none = [
        figure
        for figure in frame["figure_id"]
        if is_none(given[figure] for given in answers.values() if figure in given)
    ]
    kept = frame[~frame["figure_id"].isin(none)]
    return kept.reset_index(drop=True), none


def list_votes(study: Study) -> pd.DataFrame:
    """Return one row a vote, those undone and repeats too, for `votes.csv`.

    Returns:
        The columns of `VOTE_COLUMNS`, in the order in which votes were given.
    """
    rows = []
    for vote in study.store.votes():
        showing = study.showing(vote.expert, vote.showing)
        rows.append(asdict(vote) | {"figure_id": showing.figure, "repeat": showing.is_repeat})
    return pd.DataFrame(rows, columns=list(VOTE_COLUMNS))


def _plan_images(study: Study, frame: pd.DataFrame, folder: Path) -> dict[Path, Path]:
    """Return where each image is copied to; the column `image` stays as it is."""
    return {study.table.image_path(image): folder / image for image in frame["image"]}


def _describe(study: Study, rows: pd.DataFrame, none: list[str]) -> dict[str, object]:
    standing = rows[(rows["undone"] == "") & ~rows["repeat"].astype(bool)]
    return study.settings.model_dump(mode="json") | {
        "closed": study.closed,
        "figures": len(study.table),
        "no_mitotic_figure": none,
        "locked": study.store.locked(),
        "votes": {
            part.expert: {
                "votes": part.voted,
                "minutes": round(part.minutes, 1),
                "answers": {
                    IN_WORDS[answer]: count
                    for answer, count in sorted(
                        Counter(standing["answer"][standing["expert"] == part.expert]).items()
                    )
                },
            }
            for part in study.progress()
        },
    }
