"""The votes of a study in SQLite: appended, on the disk before they are acknowledged.

Nothing is ever changed or deleted: an undo is a row of its own, and triggers refuse the rest. Each
request carries an id of the page's, so that one that is sent twice counts once.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import get_args

from atypia.errors import AtypiaError
from atypia.study.answers import Answer

BUSY_S = 5.0
"""How long a connection waits for another's write."""

_SCHEMA = f"""
CREATE TABLE IF NOT EXISTS votes (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    given TEXT NOT NULL,
    expert TEXT NOT NULL,
    showing TEXT NOT NULL,
    answer TEXT NOT NULL CHECK (answer IN ({", ".join(repr(one) for one in get_args(Answer))})),
    detail TEXT NOT NULL,
    milliseconds INTEGER NOT NULL CHECK (milliseconds >= 0),
    request TEXT NOT NULL,
    UNIQUE (expert, request)
);
CREATE INDEX IF NOT EXISTS votes_of_expert ON votes (expert, number);
CREATE INDEX IF NOT EXISTS votes_on_showing ON votes (showing);
CREATE TABLE IF NOT EXISTS undos (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    given TEXT NOT NULL,
    expert TEXT NOT NULL,
    vote INTEGER NOT NULL UNIQUE REFERENCES votes (number),
    request TEXT NOT NULL,
    UNIQUE (expert, request)
);
CREATE INDEX IF NOT EXISTS undos_of_expert ON undos (expert, number);
CREATE TABLE IF NOT EXISTS locks (
    expert TEXT PRIMARY KEY,
    given TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS closings (
    given TEXT NOT NULL
);
"""
_ELSEWHERE = "{}: has voted elsewhere since; load the page again"
_TABLES = ("votes", "undos", "locks", "closings")


@dataclass(frozen=True)
class Ballot:
    """A vote as it is handed in.

    Attributes:
        showing: id of the place in the expert's queue.
        answer: what.
        request: id of the page's; a ballot of the expert's whose id is known counts once.
        detail: phase or kind of atypia, where the study asks for it; "" otherwise.
        milliseconds: from the showing to the answer.
        given: when, UTC, ISO 8601; "" is now.
    """

    showing: str
    answer: Answer
    request: str
    detail: str = ""
    milliseconds: int = 0
    given: str = ""


@dataclass(frozen=True, kw_only=True)
class Vote(Ballot):
    """A vote as it is stored.

    Attributes:
        number: counts all votes of the study, from 1.
        expert: who.
        undone: when it was undone; "" where it stands.
    """

    number: int
    expert: str
    undone: str

    @property
    def stands(self) -> bool:
        """Whether it was not undone."""
        return not self.undone


class StaleStateError(AtypiaError):
    """A page that does not know of the expert's last vote or undo, such as a second tab."""


class LockedError(AtypiaError):
    """An expert's part, or the study, has ended: nothing of it changes any more."""


class StoreError(AtypiaError):
    """The file of the votes cannot be used now: disk full, held by another program, damaged."""


class VoteStore:
    """The votes of a study; threads may share a store."""

    def __init__(self, path: Path, *, on_share: bool = False) -> None:
        """Open the file, and make it where there is none.

        Args:
            path: of the SQLite file.
            on_share: it lies on a network share, where no write-ahead log may be used.

        Raises:
            AtypiaError: it cannot be opened or written, or is no store of votes.
        """
        self._path = path
        self._alone = threading.RLock()
        self._database: sqlite3.Connection | None = None
        with self._explain_faults():
            self._database = sqlite3.connect(
                path, timeout=BUSY_S, isolation_level=None, check_same_thread=False
            )
            self._run(f"PRAGMA journal_mode = {'DELETE' if on_share else 'WAL'}")
            self._run("PRAGMA synchronous = FULL")  # a vote survives a loss of power
            self._run("PRAGMA fullfsync = ON")  # macOS keeps writes in the disk's own memory
            self._run("PRAGMA foreign_keys = ON")
            self._connection.executescript(_SCHEMA + _refuse_changes())

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def vote(self, expert: str, ballots: Sequence[Ballot], *, after: int) -> int:
        """Append votes, all or none; they are on the disk when this returns.

        Args:
            expert: whose.
            ballots: in the order in which they were given; one whose request is known is passed
                over.
            after: the expert's `last_change` that the page knows.

        Returns:
            The expert's `last_change` after it.

        Raises:
            StaleStateError: the expert has voted or undone since, elsewhere; or has voted on one
                of these places.
            LockedError: the expert's part or the study has ended.
            StoreError: the disk is full, or another process holds the file.
        """
        with self._writing():
            new = [one for one in ballots if not self._is_known("votes", expert, one.request)]
            if new:
                self._require_open(expert, after)
            for one in new:
                if self._stands(expert, one.showing):
                    raise StaleStateError(_ELSEWHERE.format(expert))
                self._run(
                    "INSERT INTO votes (given, expert, showing, answer, detail, milliseconds, "
                    "request) VALUES (?, ?, ?, ?, ?, ?, ?)",
                    *(one.given or _now(), expert, one.showing, one.answer, one.detail),
                    *(one.milliseconds, one.request),
                )
            return self.last_change(expert)

    def undo(self, expert: str, *, request: str, after: int, votes: int = 1) -> int:
        """Undo the expert's last votes that stand.

        Args:
            expert: whose.
            request: id of this request; one that is known counts once.
            after: as for `vote`.
            votes: how many, such as all of a screen.

        Returns:
            The expert's `last_change` after it.

        Raises:
            AtypiaError: as `vote`; or there are not so many votes to undo.
        """
        with self._writing():
            requests = [f"{request}/{number}" for number in range(votes)]
            if not self._is_known("undos", expert, requests[0]):
                self._require_open(expert, after)
                last = self._run(
                    "SELECT number FROM votes WHERE expert = ? AND number NOT IN "
                    "(SELECT vote FROM undos) ORDER BY number DESC LIMIT ?",
                    *(expert, votes),
                ).fetchall()
                if len(last) < votes:
                    raise AtypiaError(f"{expert}: there is no vote to undo")
                for (vote,), each in zip(last, requests, strict=True):
                    self._run(
                        "INSERT INTO undos (given, expert, vote, request) VALUES (?, ?, ?, ?)",
                        *(_now(), expert, vote, each),
                    )
            return self.last_change(expert)

    def lock(self, expert: str) -> None:
        """End an expert's part; a second time changes nothing.

        Raises:
            LockedError: the study is closed.
        """
        with self._writing():
            self._require_not_closed()
            self._run("INSERT OR IGNORE INTO locks VALUES (?, ?)", expert, _now())

    def locked(self) -> dict[str, str]:
        """Return when each expert whose part has ended ended it, UTC, ISO 8601."""
        with self._reading():
            return dict(self._connection.execute("SELECT expert, given FROM locks"))

    def close_study(self) -> None:
        """End the study for everybody; a second time changes nothing."""
        with self._writing():
            if not self._one("SELECT 1 FROM closings"):
                self._run("INSERT INTO closings VALUES (?)", _now())

    def closed(self) -> str:
        """Return when the study was ended, UTC, ISO 8601; "" while it goes on."""
        with self._reading():
            return str(self._one("SELECT min(given) FROM closings") or "")

    def last_change(self, expert: str) -> int:
        """Return a number that grows with each vote and undo of an expert; 0 before the first."""
        with self._reading():
            row = self._run(
                "SELECT (SELECT count(*) FROM votes WHERE expert = ?1) + "
                "(SELECT count(*) FROM undos WHERE expert = ?1)",
                expert,
            ).fetchone()
        return int(row[0])

    def changes_by_others(self) -> int:
        """Return a number that differs once another process has changed the file."""
        with self._reading():
            return int(self._run("PRAGMA data_version").fetchone()[0])

    def votes(self, expert: str | None = None, *, since: int = 0) -> list[Vote]:
        """Return all votes, of an expert or of everybody, in order, those undone too.

        Args:
            expert: whose; None is everybody's.
            since: only those with a larger number.
        """
        with self._reading():
            rows = self._connection.execute(
                "SELECT showing, answer, votes.request, detail, milliseconds, votes.given, "
                "votes.number, votes.expert, coalesce(undos.given, '') FROM votes "
                "LEFT JOIN undos ON vote = votes.number "
                f"WHERE {'?1 IS NULL' if expert is None else 'votes.expert = ?1'} "
                "AND votes.number > ?2 ORDER BY votes.number",
                (expert, since),
            )
            return [
                Vote(*ballot, number=number, expert=voter, undone=undone)
                for *ballot, number, voter, undone in rows
            ]

    def requests(self, expert: str) -> set[str]:
        """Return the ids of the requests that an expert's votes came with."""
        with self._reading():
            rows = self._run("SELECT request FROM votes WHERE expert = ?", expert)
            return {request for (request,) in rows}

    def copy_to(self, path: Path) -> None:
        """Copy the file while others may write to it, by SQLite's own backup."""
        with self._reading():
            target = sqlite3.connect(path)
            try:
                self._connection.backup(target)
            finally:
                target.close()

    @property
    def _connection(self) -> sqlite3.Connection:
        assert self._database is not None
        return self._database

    def _require_not_closed(self) -> None:
        if self._one("SELECT 1 FROM closings"):
            raise LockedError("the study is closed; nothing of it changes any more")

    def _require_open(self, expert: str, after: int) -> None:
        self._require_not_closed()
        if self._one("SELECT 1 FROM locks WHERE expert = ?", expert):
            raise LockedError(f"{expert}: has ended; nothing of it changes any more")
        if after != self.last_change(expert):
            raise StaleStateError(_ELSEWHERE.format(expert))

    def _stands(self, expert: str, showing: str) -> bool:
        standing = (
            "SELECT 1 FROM votes WHERE expert = ? AND showing = ? "
            "AND number NOT IN (SELECT vote FROM undos)"
        )
        return self._one(standing, expert, showing) is not None

    def _is_known(self, table: str, expert: str, request: str) -> bool:
        known = f"SELECT 1 FROM {table} WHERE expert = ? AND request = ?"
        return self._one(known, expert, request) is not None

    def _run(self, statement: str, *values: object) -> sqlite3.Cursor:
        return self._connection.execute(statement, values)

    def _one(self, statement: str, *values: object) -> object:
        row = self._run(statement, *values).fetchone()
        return None if row is None else row[0]

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Do all or nothing, alone; what was done is on the disk at the end."""
        with self._reading():
            self._run("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                if self._connection.in_transaction:  # a full disk has ended it already
                    self._run("ROLLBACK")
                raise
            self._run("COMMIT")

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Use the connection alone."""
        with self._alone, self._explain_faults():
            yield

    @contextmanager
    def _explain_faults(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.DatabaseError as fault:
            raise StoreError(f"{self._path}: {_explain(fault)}") from fault


def _explain(fault: sqlite3.DatabaseError) -> str:
    code = getattr(fault, "sqlite_errorcode", 0) & 0xFF
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return "another program holds it; stop that, and try again"
    if code == sqlite3.SQLITE_FULL:
        return "the disk is full; nothing was stored: free some space, and vote again"
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM):
        return "cannot be written; choose a folder that you can write"
    if code in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
        return "is not a store of votes, or is damaged; put a copy of the study in its place"
    return f"cannot be used ({fault})"


def _refuse_changes() -> str:
    return "".join(
        f"CREATE TRIGGER IF NOT EXISTS {table}_{verb} BEFORE {verb} ON {table} "
        f"BEGIN SELECT RAISE(ABORT, '{table} are only added to'); END;\n"
        for table in _TABLES
        for verb in ("UPDATE", "DELETE")
    )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
