"""Answers that come back from a page without a server: checked, and merged into the study."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from atypia.errors import AtypiaError, abbreviate
from atypia.files import parse_json, sha256
from atypia.study.answers import Answer
from atypia.study.queues import Showing
from atypia.study.store import Ballot
from atypia.study.study import Study, UnknownShowingError

MOST_BYTES = 20_000_000
_MOST_MILLISECONDS = 24 * 3600 * 1000


RequestId = Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{8,64}$")]
"""Id of a page's request: sent twice, it counts once."""


class SheetVote(BaseModel):
    """A vote as a page gives it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    showing: Annotated[str, Field(max_length=64)]
    answer: Answer
    detail: Annotated[str, Field(max_length=64)] = ""
    milliseconds: Annotated[int, Field(ge=0, le=_MOST_MILLISECONDS)] = 0
    request: RequestId

    def ballot(self, given: str = "") -> Ballot:
        """Return it as the store takes it; `given` is "" for now."""
        return Ballot(
            self.showing, self.answer, self.request, self.detail, self.milliseconds, given
        )


class OfflineVote(SheetVote):
    """A vote of a page without a server: it says itself when it was given, and on what image."""

    given: str
    mark: Annotated[str, Field(max_length=64)]

    @field_validator("given")
    @classmethod
    def _utc(cls, given: str) -> str:
        try:
            moment = datetime.fromisoformat(given)
        except ValueError as fault:
            raise ValueError(f"{abbreviate(given)} is no time") from fault
        if moment.tzinfo is None:
            raise ValueError(f"{abbreviate(given)} has no time zone")
        return moment.astimezone(UTC).isoformat(timespec="milliseconds")


class Sheet(BaseModel):
    """The answers of an expert, `eva.json`: votes that stand, in the order they were given."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format_version: Literal[1]
    study: str
    expert: str
    finished: bool = False
    votes: tuple[OfflineVote, ...]


@dataclass(frozen=True)
class Collected:
    """What came of a sheet.

    Attributes:
        expert: whose it is.
        new: votes that were added.
        known: votes that were collected before.
        passed_over: votes on places that the expert has voted on elsewhere; those stand.
        locked: whether the expert's part has ended with it.
    """

    expert: str
    new: int
    known: int
    passed_over: int
    locked: bool


def make_mark(study: Study, showing: Showing) -> str:
    """Return what stands for a figure's image in a page; it differs once the image was changed.

    It is made with the study's key, so that it tells nothing of the image.
    """
    image = str(study.table.frame["image"].iloc[study.rows[showing.figure]])
    content = f"mark\0{showing.id}\0{sha256(study.table.image_path(image))}".encode()
    return hmac.new(study.key, content, hashlib.sha256).hexdigest()[:24]


def collect(study: Study, path: Path) -> Collected:
    """Merge a sheet into a study. A sheet that is collected twice counts once.

    Raises:
        AtypiaError: it cannot be read, is of another study or expert, or holds a vote on a figure
            that is not in the expert's queue or was altered; or the part has ended. Nothing of it
            is taken then.
    """
    sheet = _read_sheet(path)
    if sheet.study != study.id:
        raise AtypiaError(f"{path}: is of another study; collect it into the one it is from")
    if sheet.expert not in study.settings.experts:
        raise AtypiaError(
            f"{path}: is of {abbreviate(sheet.expert)}, who is no expert of this study; its "
            f"experts are {', '.join(study.settings.experts)}"
        )
    for number, vote in enumerate(sheet.votes, start=1):
        try:
            showing = study.showing(sheet.expert, vote.showing)
        except UnknownShowingError as fault:
            raise AtypiaError(
                f"{path}: vote {number} is on a figure that is not in {sheet.expert}'s queue; "
                "collect the file as the page saved it"
            ) from fault
        if vote.mark != make_mark(study, showing):
            raise AtypiaError(
                f"{path}: vote {number} is on {showing.figure}, whose image has changed since the "
                "page was written; put the image of then back into the study"
            )
    ballots = [vote.ballot(vote.given) for vote in sheet.votes]
    new, known, passed_over = study.merge(sheet.expert, ballots)
    locked = sheet.finished and study.place(sheet.expert).showing is None
    if locked:
        study.lock(sheet.expert)
    return Collected(sheet.expert, new, known, passed_over, locked)


def _read_sheet(path: Path) -> Sheet:
    try:
        if path.stat().st_size > MOST_BYTES:
            raise AtypiaError(f"{path}: is larger than any sheet of answers; give another file")
        return Sheet.model_validate(parse_json(path.read_text(encoding="utf-8-sig")))
    except ValidationError as fault:
        first = fault.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise AtypiaError(
            f"{path}: is no sheet of answers ({place}: {first['msg']}); give the file that the "
            "page saved"
        ) from fault
    except (OSError, ValueError) as fault:
        raise AtypiaError(
            f"{path}: cannot be read as a sheet of answers; give the file that the page saved"
        ) from fault
