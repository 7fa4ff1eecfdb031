"""A study: one folder with the figures, the experts, the rule and every vote."""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
from pydantic import ValidationError

from atypia.data.columns import VOTE_PREFIX, vote_names
from atypia.data.gather import TABLE_NAME, gather
from atypia.data.table import FigureTable, read_table
from atypia.errors import AtypiaError, ImageError
from atypia.files import parse_json, sha256
from atypia.platform import flush_to_disk
from atypia.study.answers import Answer, differ, is_none, is_settled
from atypia.study.queues import Showing, arbiter_figures, make_queue
from atypia.study.settings import TWO_AND_ONE, StudySettings, check_settings
from atypia.study.store import Vote, VoteStore
from atypia.version import __version__

SETTINGS_NAME, STORE_NAME, KEY_NAME = "study.json", "votes.sqlite", "key"


class NotYetError(AtypiaError):
    """An arbiter whose figures are not known before the others have locked."""


@dataclass(frozen=True)
class Place:
    """Where an expert stands.

    Attributes:
        showing: the next figure to vote on; None once all are voted on.
        number: of that place in the queue, from 1.
        of: length of the queue.
        change: what the page must send with its next vote (`VoteStore.last_change`).
    """

    showing: Showing | None
    number: int
    of: int
    change: int


class Study:
    """A study that is open. Use one for each thread.

    Attributes:
        folder: where it lies.
        settings: experts, rule, definition.
        table: its figures, without labels and votes.
        store: its votes.
    """

    def __init__(self, folder: Path, *, on_share: bool = False) -> None:
        """Open a study.

        Args:
            folder: as `create_study` wrote it.
            on_share: it lies on a network share.

        Raises:
            AtypiaError: it is no study, its table has changed, or its votes cannot be opened.
        """
        self.folder = folder
        self.settings = _read_settings(folder)
        path = folder / TABLE_NAME
        if not path.is_file() or sha256(path) != self.settings.figures_sha256:
            raise AtypiaError(
                f"{path}: has changed since the study began, or is missing; put the table of then "
                "in its place, or make a new study, which can take this one's votes over"
            )
        self.table = read_table(path)
        self.store = VoteStore(folder / STORE_NAME, on_share=on_share)
        self._key = (folder / KEY_NAME).read_bytes()
        self._queues: dict[str, list[Showing]] = {}

    def queue(self, expert: str) -> list[Showing]:
        """Return the queue of an expert, repeats included.

        Raises:
            AtypiaError: there is no such expert.
            NotYetError: the expert is the arbiter, and the others have not locked.
        """
        self._require_expert(expert)
        if expert not in self._queues:
            figures: Sequence[str] = list(self.table.frame["figure_id"])
            if expert == self.settings.arbiter:
                figures = self._figures_of_arbiter()
            self._queues[expert] = make_queue(figures, expert, self._key, self.settings.seed)
        return self._queues[expert]

    def place(self, expert: str) -> Place:
        """Return where an expert stands: the first place of the queue without a vote.

        Under majority-of-N, figures whose majority cannot change any more are left out.

        Raises:
            AtypiaError: as `queue`.
        """
        queue = self.queue(expert)
        voted = {vote.showing for vote in self.store.votes(expert) if vote.stands}
        decided = self._decided_figures()
        change = self.store.last_change(expert)
        for number, showing in enumerate(queue, start=1):
            if showing.id not in voted and (showing.is_repeat or showing.figure not in decided):
                return Place(showing, number, len(queue), change)
        return Place(None, len(queue), len(queue), change)

    def vote(
        self,
        expert: str,
        showing: str,
        answer: Answer,
        *,
        request: str,
        after: int,
        detail: str = "",
        milliseconds: int = 0,
    ) -> int:
        """Append a vote: see `VoteStore.vote`.

        Raises:
            AtypiaError: the showing is not in the expert's queue.
        """
        if showing not in {one.id for one in self.queue(expert)}:
            raise AtypiaError(f"{expert}: has no such figure in the queue; load the page again")
        return self.store.vote(
            expert,
            showing,
            answer,
            request=request,
            after=after,
            detail=detail,
            milliseconds=milliseconds,
        )

    def lock(self, expert: str) -> None:
        """End an expert's part.

        Raises:
            AtypiaError: figures of the queue have no vote yet.
        """
        place = self.place(expert)
        if place.showing is not None:
            left = place.of - place.number + 1
            raise AtypiaError(f"{expert}: {left} of {place.of} figures have no vote yet")
        self.store.lock(expert)

    def answers(self, expert: str) -> dict[str, Answer]:
        """Return an expert's answer for each figure that has one; repeats are left out."""
        if expert == self.settings.arbiter and not self._others_have_locked():
            return {}
        first = {one.id: one.figure for one in self.queue(expert) if not one.is_repeat}
        votes = [vote for vote in self.store.votes(expert) if vote.stands]
        return {first[vote.showing]: vote.answer for vote in votes if vote.showing in first}

    def repeated(self, expert: str) -> list[tuple[Answer, Answer]]:
        """Return an expert's first and second answer for each figure that was shown again."""
        first = self.answers(expert)
        again = {one.id: one.figure for one in self.queue(expert) if one.is_repeat}
        votes = [vote for vote in self.store.votes(expert) if vote.stands]
        return [
            (first[again[vote.showing]], vote.answer)
            for vote in votes
            if vote.showing in again and again[vote.showing] in first
        ]

    def voted_frame(self) -> tuple[pd.DataFrame, list[str]]:
        """Return the figures with a column `vote_NAME` an expert, and those that are none.

        Returns:
            The frame of the figure table, 1 atypical, 0 normal, NaN for "cannot tell" and without
            a vote, without the figures that experts took out; and the ids of these.
        """
        frame = self.table.frame.copy()
        answers = {name: self.answers(name) for name in self.settings.experts}
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

    def vote_rows(self) -> pd.DataFrame:
        """Return one row a vote, those undone and repeats too, for `votes.csv`."""
        places = {
            one.id: one
            for name in self.settings.experts
            if name != self.settings.arbiter or self._others_have_locked()
            for one in self.queue(name)
        }
        return pd.DataFrame([_row_of(vote, places[vote.showing]) for vote in self.store.votes()])

    def _figures_of_arbiter(self) -> list[str]:
        if not self._others_have_locked():
            waits = " and ".join(sorted(set(self.settings.first_two) - set(self.store.locked())))
            raise NotYetError(
                f"{self.settings.arbiter}: the figures to decide are known once {waits} locked"
            )
        one, other = (self.answers(name) for name in self.settings.first_two)
        both = [figure for figure in self.table.frame["figure_id"] if figure in one]
        disputed = [figure for figure in both if differ(one[figure], other[figure])]
        agreed = [figure for figure in both if not differ(one[figure], other[figure])]
        return arbiter_figures(disputed, agreed, self.settings.seed, self.settings.arbiter)

    def _others_have_locked(self) -> bool:
        return set(self.settings.first_two) <= set(self.store.locked())

    def _decided_figures(self) -> set[str]:
        votes = self.settings.votes_of_majority
        if votes is None:
            return set()
        given: dict[str, list[Answer]] = {}
        for name in self.settings.experts:
            for figure, answer in self.answers(name).items():
                given.setdefault(figure, []).append(answer)
        return {figure for figure, answers in given.items() if is_settled(answers, votes)}

    def _require_expert(self, expert: str) -> None:
        if expert not in self.settings.experts:
            raise AtypiaError(
                f"{expert}: is no expert of this study; its experts are "
                f"{', '.join(self.settings.experts)}"
            )


def create_study(
    table: FigureTable,
    folder: Path,
    experts: Iterable[str],
    *,
    rule: str = TWO_AND_ONE,
    arbiter: str = "",
    definition: str = "",
    seed: int = 0,
) -> tuple[Study, list[ImageError]]:
    """Write a new study and open it; the images are copied into it.

    Args:
        table: the figures; labels and votes in it are left out, so that nobody sees them.
        folder: new or empty.
        experts: names.
        rule: two-and-one, all, or majority-of-N.
        arbiter: decides where two differ, under two-and-one; "" takes the last expert.
        definition: of atypical, Markdown.
        seed: of the queues.

    Returns:
        The study, and one error for every figure left out because its image is missing.

    Raises:
        AtypiaError: the folder is not empty or cannot be written, or a setting does not fit.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise AtypiaError(f"{folder}: is not an empty folder; choose a new one for the study")
    values = {
        "experts": tuple(experts),
        "rule": rule,
        "arbiter": arbiter,
        "definition": definition,
        "seed": seed,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "atypia": __version__,
        "figures_sha256": "",
    }
    check_settings(values)  # before anything is written
    votes = vote_names(table.frame.columns)
    blind = table.frame.drop(columns=votes).assign(label=float("nan"), phase="")
    partial = folder.with_name(f".{folder.name}.partial-{os.getpid()}")
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        _, faults = gather(replace(table, frame=blind), partial)
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
    return Study(folder), faults


def _read_settings(folder: Path) -> StudySettings:
    path = folder / SETTINGS_NAME
    try:
        return StudySettings.model_validate(parse_json(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, ValidationError) as fault:
        raise AtypiaError(
            f"{path}: cannot be read as the settings of a study; give the folder that "
            "`atypia vote new` wrote"
        ) from fault


def _row_of(vote: Vote, showing: Showing) -> dict[str, object]:
    return {
        "figure_id": showing.figure,
        "expert": vote.expert,
        "answer": vote.answer,
        "detail": vote.detail,
        "given": vote.given,
        "milliseconds": vote.milliseconds,
        "repeat": showing.is_repeat,
        "undone": vote.undone,
    }
