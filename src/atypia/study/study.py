"""A study: one folder with the figures, the experts, the rule and every vote."""

from __future__ import annotations

import hashlib
import hmac
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import wraps
from itertools import islice
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

from atypia.data.gather import TABLE_NAME
from atypia.data.table import read_table
from atypia.errors import AtypiaError, abbreviate
from atypia.files import sha256
from atypia.study.answers import Answer, find_settled
from atypia.study.queues import Queue, Showing, arbiter_figures, make_queue
from atypia.study.settings import read_settings
from atypia.study.store import Ballot, Vote, VoteStore

SETTINGS_NAME, STORE_NAME, KEY_NAME = "study.json", "votes.sqlite", "key"
Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


class UnknownShowingError(AtypiaError):
    """A place that is not in the expert's queue."""


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


@dataclass(frozen=True)
class Part:
    """How far an expert is, for the lead: counts and minutes, no answer.

    Attributes:
        expert: who.
        voted: places of the queue that have a vote.
        of: length of the queue; None for an arbiter whose queue is not known yet.
        minutes: spent on the votes that stand.
        locked: when the part was ended, UTC, ISO 8601; "" while it goes on.
    """

    expert: str
    voted: int
    of: int | None
    minutes: float
    locked: str


@dataclass
class _Votes:
    """An expert's votes as they were last read.

    Attributes:
        standing: by showing, in the order in which they were given.
        last: number of the last one that was read.
        free: no place of the queue before this one is without a vote.
    """

    standing: dict[str, Vote] = field(default_factory=dict)
    last: int = 0
    free: int = 0


def _alone(
    method: Callable[Concatenate[Study, Arguments], Result],
) -> Callable[Concatenate[Study, Arguments], Result]:
    """Let one thread at a time into a method, on votes as they are in the file."""

    @wraps(method)
    def alone(self: Study, /, *args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        with self._lock:
            self._read_again()
            return method(self, *args, **kwargs)

    return alone


class Study:
    """A study that is open; threads may share it, and other processes may vote meanwhile.

    Attributes:
        folder: where it lies.
        settings: experts, rule, definition.
        table: its figures, without labels and votes.
        rows: the row of each figure in its frame, by id.
        store: its votes.
        key: secret of the study, from which ids and links are made.

    Example:
        >>> from atypia.data.phantom import make_phantom
        >>> from atypia.study.create import create_study
        >>> cohort = make_phantom("cohort", figures=20, domains=2, size_px=64)
        >>> study = create_study(cohort, "study", ["anna", "ben"], rule="all").study
        >>> place = study.place("anna")
        >>> ballot = Ballot(place.showing.id, "atypical", request="1")
        >>> study.vote("anna", [ballot], after=place.change)
        1
        >>> study.place("anna").number
        2
    """

    def __init__(self, folder: Path | str, *, on_share: bool = False) -> None:
        """Open a study.

        Args:
            folder: as `create_study` wrote it.
            on_share: it lies on a network share.

        Raises:
            AtypiaError: it is no study, its table has changed, or its votes cannot be opened.
        """
        self.folder = Path(folder)
        self.settings = read_settings(self.folder / SETTINGS_NAME)
        path = self.folder / TABLE_NAME
        if not path.is_file() or sha256(path) != self.settings.figures_sha256:
            raise AtypiaError(
                f"{path}: has changed since the study began, or is missing; put the table of then "
                "in its place, or make a new study, which can take this one's votes over"
            )
        self.table = read_table(path)
        self.rows = {figure: row for row, figure in enumerate(self.table.frame["figure_id"])}
        self.key = _read_key(self.folder)
        self.store = VoteStore(self.folder / STORE_NAME, on_share=on_share)
        self._lock = threading.RLock()
        self._queues: dict[str, Queue] = {}
        self._votes: dict[str, _Votes] = {}
        self._seen = self.store.changes_by_others()

    def __repr__(self) -> str:
        experts = ", ".join(self.settings.experts)
        return f"Study {self.folder}: {len(self.table)} figures, {self.settings.rule}, {experts}"

    @property
    def id(self) -> str:
        """What a page of the study says of where it belongs; tells nothing of its content."""
        return hmac.new(self.key, b"study", hashlib.sha256).hexdigest()[:24]

    @_alone
    def queue(self, expert: str) -> list[Showing]:
        """Return the queue of an expert, repeats included.

        Raises:
            AtypiaError: there is no such expert.
            NotYetError: the expert is the arbiter, and the others have not locked.
        """
        return self._queue(expert).showings

    @_alone
    def place(self, expert: str) -> Place:
        """Return where an expert stands: the first place of the queue without a vote.

        Under majority-of-N, figures whose majority cannot change any more are passed over.

        Raises:
            AtypiaError: as `queue`.
        """
        of = len(self._queue(expert).showings)
        number, showing = next(self._waiting(expert), (of, None))
        return Place(showing, number, of, self.store.last_change(expert))

    @_alone
    def upcoming(self, expert: str, count: int) -> list[tuple[int, Showing]]:
        """Return the next places that wait for a vote, `count` at most, with their numbers from 1.

        Raises:
            AtypiaError: as `queue`.
        """
        return list(islice(self._waiting(expert), count))

    @_alone
    def count_voted(self, expert: str) -> int:
        """Return how many places of an expert's queue have a vote."""
        return len(self._shown(expert))

    @_alone
    def showing(self, expert: str, showing: str) -> Showing:
        """Return a place of an expert's queue by its id.

        Raises:
            UnknownShowingError: there is none in this queue.
            AtypiaError: as `queue`.
        """
        found = self._queue(expert).by_id.get(showing)
        if found is None:
            raise UnknownShowingError(
                f"{expert}: has no such figure in the queue; load the page again"
            )
        return found

    @_alone
    def vote(self, expert: str, ballots: Sequence[Ballot], *, after: int) -> int:
        """Append votes, all or none: see `VoteStore.vote`.

        Raises:
            UnknownShowingError: a showing is not in the expert's queue.
            AtypiaError: a detail is not one that the study asks for; or as `VoteStore.vote`.
        """
        for ballot in ballots:
            self.showing(expert, ballot.showing)
            if ballot.detail and ballot.detail not in self.settings.details_of(ballot.answer):
                raise AtypiaError(
                    f"detail {abbreviate(ballot.detail)}: is not one that the study asks for"
                )
        return self.store.vote(expert, ballots, after=after)

    @_alone
    def merge(self, expert: str, ballots: Sequence[Ballot]) -> tuple[int, int, int]:
        """Append votes that were given elsewhere, all or none.

        Returns:
            How many were new, how many were known by their request, and how many were passed over
            because the expert's vote on that place stands already.

        Raises:
            UnknownShowingError: a showing is not in the expert's queue.
            AtypiaError: as `VoteStore.vote`.
        """
        known = self.store.requests(expert)
        standing = self._read_votes(expert).standing
        others = [one for one in ballots if one.request not in known]
        new = [one for one in others if one.showing not in standing]
        if new:
            self.vote(expert, new, after=self.store.last_change(expert))
        return len(new), len(ballots) - len(others), len(others) - len(new)

    @_alone
    def undo(self, expert: str, *, request: str, after: int, votes: int = 1) -> int:
        """Undo an expert's last votes: see `VoteStore.undo`."""
        self._queue(expert)
        change = self.store.undo(expert, request=request, after=after, votes=votes)
        self._votes.clear()  # under majority-of-N a figure may wait for others again
        return change

    @_alone
    def lock(self, expert: str) -> None:
        """End an expert's part.

        Raises:
            AtypiaError: figures of the queue have no vote yet, or the study is closed.
        """
        left = sum(1 for _ in self._waiting(expert))
        if left:
            of = len(self._queue(expert).showings)
            raise AtypiaError(f"{expert}: {left} of {of} figures have no vote yet")
        self.store.lock(expert)

    @_alone
    def close(self, *, now: bool = False) -> None:
        """End the study: from here on the lead sees votes, and nobody votes.

        Args:
            now: also where experts have not ended their parts.

        Raises:
            AtypiaError: experts have not ended their parts.
        """
        locked = self.store.locked()
        waits = [name for name in self.settings.experts if name not in locked]
        if waits and not now and not self.closed:
            have = "has not ended the own part" if len(waits) == 1 else "have not ended their parts"
            raise AtypiaError(
                f"{self.folder}: {' and '.join(waits)} {have}; wait, or close the study all the "
                "same with --now"
            )
        self.store.close_study()

    @property
    def closed(self) -> str:
        """When the study was ended, UTC, ISO 8601; "" while it goes on."""
        return self.store.closed()

    def require_closed(self, what: str) -> None:
        """Refuse to tell votes while they are given.

        Raises:
            AtypiaError: the study goes on.
        """
        if not self.closed:
            raise AtypiaError(
                f"{self.folder}: {what} once the study is closed, so that nobody votes knowing of "
                f"others' votes; close it with atypia vote close {self.folder}"
            )

    @_alone
    def progress(self) -> list[Part]:
        """Return how far each expert is: counts and minutes, no answer."""
        locked = self.store.locked()
        parts = []
        for name in self.settings.experts:
            known = self._knows_queue_of(name)
            votes = self._read_votes(name).standing.values() if known else ()
            minutes = sum(vote.milliseconds for vote in votes) / 60_000
            of = len(self._queue(name).showings) if known else None
            parts.append(Part(name, len(votes), of, minutes, locked.get(name, "")))
        return parts

    @_alone
    def standing(self, expert: str) -> dict[str, Vote]:
        """Return an expert's vote on each figure that has one that stands; repeats left out."""
        return {one.figure: vote for one, vote in self._shown(expert) if not one.is_repeat}

    def answers(self, expert: str) -> dict[str, Answer]:
        """Return an expert's answer for each figure that has one; repeats are left out."""
        return {figure: vote.answer for figure, vote in self.standing(expert).items()}

    @_alone
    def repeated(self, expert: str) -> list[tuple[Answer, Answer]]:
        """Return an expert's first and second answer for each figure that was shown again."""
        first = self.answers(expert)
        return [
            (first[one.figure], vote.answer)
            for one, vote in self._shown(expert)
            if one.is_repeat and one.figure in first
        ]

    def _read_again(self) -> None:
        """Forget votes that were read before another process changed the file."""
        seen = self.store.changes_by_others()
        if seen != self._seen:
            self._seen = seen
            self._votes.clear()

    def _queue(self, expert: str) -> Queue:
        if expert not in self.settings.experts:
            raise AtypiaError(
                f"{expert}: is no expert of this study; its experts are "
                f"{', '.join(self.settings.experts)}"
            )
        if expert not in self._queues:
            figures: Sequence[str] = list(self.table.frame["figure_id"])
            if expert == self.settings.arbiter:
                figures = self._figures_of_arbiter()
            showings = make_queue(figures, expert, self.key, self.settings.seed)
            self._queues[expert] = Queue(showings)
        return self._queues[expert]

    def _read_votes(self, expert: str) -> _Votes:
        """Return the votes of an expert, with those given since they were last read."""
        votes = self._votes.setdefault(expert, _Votes())
        for vote in self.store.votes(expert, since=votes.last):
            votes.last = vote.number
            if vote.stands:
                votes.standing[vote.showing] = vote
        return votes

    def _shown(self, expert: str) -> list[tuple[Showing, Vote]]:
        """Return the places of a queue that have a vote, in the order of the votes."""
        if not self._knows_queue_of(expert):
            return []
        queue = self._queue(expert)
        standing = self._read_votes(expert).standing
        return [(queue.by_id[one], vote) for one, vote in standing.items()]

    def _waiting(self, expert: str) -> Iterator[tuple[int, Showing]]:
        """Give the places that wait for a vote, with their numbers from 1."""
        showings, votes = self._queue(expert).showings, self._read_votes(expert)
        while votes.free < len(showings) and showings[votes.free].id in votes.standing:
            votes.free += 1
        decided = self._decided_figures()
        for number, showing in enumerate(showings[votes.free :], start=votes.free + 1):
            if showing.id not in votes.standing and (
                showing.is_repeat or showing.figure not in decided
            ):
                yield number, showing

    def _figures_of_arbiter(self) -> list[str]:
        if not self._others_have_locked():
            waits = " and ".join(sorted(set(self.settings.first_two) - set(self.store.locked())))
            raise NotYetError(
                f"{self.settings.arbiter}: the figures to decide are known once {waits} locked"
            )
        one, other = (self.answers(name) for name in self.settings.first_two)
        return arbiter_figures(one, other, self.settings.seed, self.settings.arbiter)

    def _knows_queue_of(self, expert: str) -> bool:
        return expert != self.settings.arbiter or self._others_have_locked()

    def _others_have_locked(self) -> bool:
        return set(self.settings.first_two) <= set(self.store.locked())

    def _decided_figures(self) -> set[str]:
        votes = self.settings.votes_of_majority
        if votes is None:
            return set()
        return find_settled([self.answers(name) for name in self.settings.experts], votes)


def _read_key(folder: Path) -> bytes:
    path = folder / KEY_NAME
    try:
        return path.read_bytes()
    except OSError as fault:
        raise AtypiaError(
            f"{path}: cannot be read ({fault.strerror or fault}); without it no link and no id of "
            "the study is known: put it back from a copy of the study"
        ) from fault
