"""New studies: figures copied without labels, settings, a secret, and an empty store of votes."""

from __future__ import annotations

import json
import math
import os
import secrets
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from atypia.data.columns import vote_names
from atypia.data.gather import TABLE_NAME, gather
from atypia.data.images import read_image
from atypia.data.pictures import Pixels
from atypia.data.readers.open_figures import Source, open_figures
from atypia.data.table import FigureTable
from atypia.errors import AtypiaError, ImageError, TableError
from atypia.files import sha256
from atypia.platform import flush_to_disk
from atypia.progress import OnProgress, opens_bars, show_bars
from atypia.study.definition import copy_definition
from atypia.study.pictures import choose_first_um, compute_reach_um
from atypia.study.settings import TWO_AND_ONE, check_settings
from atypia.study.store import VoteStore
from atypia.study.study import KEY_NAME, SETTINGS_NAME, STORE_NAME, Study
from atypia.version import __version__


@dataclass(frozen=True)
class NewStudy:
    """What was made.

    Attributes:
        study: open.
        left_out: one line for each figure that nobody is shown: no image of it can be read, or
            nobody knows how large its pixels are.
    """

    study: Study
    left_out: tuple[str, ...]


@opens_bars
def create_study(
    figures: Source,
    folder: Path | str,
    experts: Iterable[str],
    *,
    rule: str = TWO_AND_ONE,
    arbiter: str = "",
    definition: Path | None = None,
    asks_detail: bool = False,
    shows_domain: bool = False,
    seed: int = 0,
    on_progress: OnProgress = show_bars,
) -> NewStudy:
    """Write a new study and open it; the images are copied into it.

    Args:
        figures: with images; labels and votes in them are left out, so that nobody sees them.
        folder: new or empty.
        experts: names.
        rule: two-and-one, all, or majority-of-N.
        arbiter: decides where two differ, under two-and-one; "" takes the last expert.
        definition: of atypical, a text in Markdown, which may show images beside it.
        asks_detail: also for the phase, or the kind of atypia.
        shows_domain: experts see tumour, scanner and laboratory of a figure.
        seed: of the queues.
        on_progress: called often; without it, bars in a terminal or notebook.

    Raises:
        AtypiaError: the folder is not empty or cannot be written, a setting does not fit, the
            definition cannot be read, or no figure can be shown.

    Example:
        >>> from atypia.data.phantom import make_phantom
        >>> cohort = make_phantom("figures", figures=20, domains=2, size_px=64)
        >>> new = create_study(cohort, "votes", ["anna", "ben", "eva"])
        >>> new.study.settings.arbiter, len(new.study.table), new.left_out
        ('eva', 20, ())
    """
    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise AtypiaError(f"{folder}: is not an empty folder; choose a new one for the study")
    table = open_figures(figures)
    values: dict[str, Any] = {
        "experts": tuple(experts),
        "rule": rule,
        "arbiter": arbiter,
        "asks_detail": asks_detail,
        "shows_domain": shows_domain,
        "seed": seed,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "atypia": __version__,
        "figures_sha256": "",
    }
    check_settings(values)  # before anything is written
    table, values["first_um"], unreadable = _only_shown(table, on_progress)
    partial = folder.with_name(f".{folder.name}.partial-{os.getpid()}")
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        if definition is not None:
            values["definition"] = copy_definition(definition, partial)
        _, faults = gather(table, partial)
        values["figures_sha256"] = sha256(partial / TABLE_NAME)
        settings = check_settings(values)
        text = json.dumps(settings.model_dump(mode="json"), indent=2, ensure_ascii=False)
        (partial / SETTINGS_NAME).write_text(text + "\n", encoding="utf-8")
        key = partial / KEY_NAME
        key.touch(mode=0o600)
        key.write_bytes(secrets.token_bytes(32))
        VoteStore(partial / STORE_NAME).close()
        for path in partial.rglob("*"):
            if path.is_file():
                flush_to_disk(path)
        if folder.exists():
            folder.rmdir()
        partial.rename(folder)
    except OSError as fault:
        raise AtypiaError(
            f"{folder}: cannot be written ({fault.strerror or fault}); choose another place"
        ) from fault
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return NewStudy(Study(folder), (*unreadable, *map(str, faults)))


def _only_shown(table: FigureTable, on_progress: OnProgress) -> tuple[FigureTable, int, list[str]]:
    """Return the figures that can be shown, without labels and votes; and why others cannot.

    Between the two, the side of the square that is shown of each first, um.
    """
    frame = table.frame
    faults, shown, reach_um = [], [], math.inf
    rows = zip(frame["figure_id"], frame["image"], frame["mpp"], strict=True)
    for done, (figure, image, mpp) in enumerate(rows, start=1):
        try:
            reach_um = min(reach_um, compute_reach_um(_read_shown(table, image, mpp), mpp))
            shown.append(True)
        except AtypiaError as fault:
            shown.append(False)
            faults.append(f"{figure}: left out: {fault}")
        on_progress("looking at images", done, len(frame), "")
    if not any(shown):
        first = faults[0] if faults else "the table is empty"
        raise TableError(f"{table.where}: no figure can be shown; {first}")
    votes = vote_names(frame.columns)
    blind = frame[shown].drop(columns=votes).assign(label=float("nan"), phase="")
    return (
        replace(table, frame=blind.reset_index(drop=True)),
        choose_first_um(reach_um),
        faults,
    )


def _read_shown(table: FigureTable, image: str, mpp: float) -> Pixels:
    if not image:
        raise ImageError("it has no image; give crops, or a list of slides with their points")
    if math.isnan(mpp):
        raise ImageError("nobody says how large its pixels are; fill the column mpp, or give --mpp")
    return read_image(table.image_path(image))
