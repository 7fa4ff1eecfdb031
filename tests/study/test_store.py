"""The store: nothing changes what was given, nothing counts twice, nothing is lost."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from atypia.errors import AtypiaError
from atypia.study import store as store_module
from atypia.study.answers import Answer
from atypia.study.store import Ballot, LockedError, StaleStateError, VoteStore
from programs import require_program


def vote(
    store: VoteStore, expert: str, showing: str, answer: Answer, *, request: str, after: int
) -> int:
    return store.vote(expert, [Ballot(showing, answer, request)], after=after)


@pytest.fixture
def store(tmp_path: Path) -> VoteStore:
    return VoteStore(tmp_path / "votes.sqlite")


def test_a_vote_is_kept_as_it_was_given_and_an_undo_leaves_it_there(store: VoteStore) -> None:
    after = store.vote("anna", [Ballot("s1", "atypical", "r1", milliseconds=900)], after=0)
    after = store.vote("anna", [Ballot("s2", "unsure", "r2", "anaphase")], after=after)
    after = store.undo("anna", request="r3", after=after)
    vote(store, "anna", "s2", "normal", request="r4", after=after)
    vote(store, "ben", "t1", "none", request="r5", after=0)
    anna = store.votes("anna")
    assert [(one.showing, one.answer, one.stands) for one in anna] == [
        ("s1", "atypical", True),
        ("s2", "unsure", False),
        ("s2", "normal", True),
    ]
    assert (anna[0].milliseconds, anna[1].detail) == (900, "anaphase")
    assert [one.number for one in store.votes()] == [1, 2, 3, 4]
    store.undo("anna", request="r6", after=store.last_change("anna"))
    store.undo("anna", request="r7", after=store.last_change("anna"))
    assert [one.stands for one in store.votes("anna")] == [False, False, False]
    with pytest.raises(AtypiaError, match="anna: there is no vote to undo"):
        store.undo("anna", request="r8", after=store.last_change("anna"))


def test_what_is_sent_twice_counts_once_even_if_its_answer_was_lost(store: VoteStore) -> None:
    first = vote(store, "anna", "s1", "normal", request="r1", after=0)
    vote(store, "anna", "s2", "normal", request="r2", after=first)
    assert vote(store, "anna", "s1", "normal", request="r1", after=0) == 2
    undone = store.undo("anna", request="r3", after=2)
    assert store.undo("anna", request="r3", after=2) == undone == 3
    assert [one.stands for one in store.votes()] == [True, False]


def test_an_older_page_is_refused_and_changes_nothing(store: VoteStore) -> None:
    vote(store, "anna", "s1", "normal", request="r1", after=0)
    for call in (
        lambda: vote(store, "anna", "s2", "normal", request="r2", after=0),
        lambda: store.undo("anna", request="r2", after=0),
        lambda: vote(store, "anna", "s2", "normal", request="r2", after=7),
    ):
        with pytest.raises(StaleStateError, match="anna: has voted elsewhere since"):
            call()
    assert len(store.votes()) == 1
    assert vote(store, "ben", "t1", "normal", request="r3", after=0) == 1


def test_a_lock_ends_one_experts_part(store: VoteStore) -> None:
    vote(store, "anna", "s1", "normal", request="r1", after=0)
    store.lock("anna")
    ended = store.locked()
    store.lock("anna")
    assert store.locked() == ended
    assert set(ended) == {"anna"}
    for call in (
        lambda: vote(store, "anna", "s2", "normal", request="r2", after=1),
        lambda: store.undo("anna", request="r3", after=1),
    ):
        with pytest.raises(LockedError, match="anna: has ended"):
            call()
    assert vote(store, "anna", "s1", "normal", request="r1", after=0) == 1  # known: acknowledged
    vote(store, "ben", "t1", "normal", request="r4", after=0)


def test_nobody_changes_or_deletes_what_was_given(store: VoteStore, tmp_path: Path) -> None:
    vote(store, "anna", "s1", "normal", request="r1", after=0)
    store.undo("anna", request="r2", after=1)
    store.lock("anna")
    store.close_study()
    other = sqlite3.connect(tmp_path / "votes.sqlite", isolation_level=None)
    columns = {"votes": "answer", "undos": "given", "locks": "given", "closings": "given"}
    for table, column in columns.items():
        for change in (f"UPDATE {table} SET {column} = 'atypical'", f"DELETE FROM {table}"):
            with pytest.raises(sqlite3.IntegrityError, match=f"{table} are only added to"):
                other.execute(change)
    store = VoteStore(tmp_path / "other.sqlite")
    with pytest.raises(AtypiaError, match="CHECK constraint failed"):
        vote(store, "ben", "t1", "maybe", request="r3", after=0)  # type: ignore[arg-type]


@pytest.mark.parametrize("shared", [False, True])
def test_threads_lose_nothing_with_a_store_each_or_with_one(tmp_path: Path, shared: bool) -> None:
    path = tmp_path / "votes.sqlite"
    one = VoteStore(path)

    def give(expert: str) -> None:
        own, after = one if shared else VoteStore(path), 0
        for number in range(25):
            request = f"{expert}{number}"
            after = vote(own, expert, f"s{number}", "normal", request=request, after=after)

    threads = [threading.Thread(target=give, args=(f"e{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    votes = VoteStore(path).votes()
    assert len(votes) == 100
    assert [one.number for one in votes] == list(range(1, 101))


def test_a_screen_is_one_change_voted_and_undone_as_a_whole(store: VoteStore) -> None:
    screen = [Ballot(f"s{number}", "normal", f"r{number}") for number in range(9)]
    after = store.vote("anna", screen, after=0)
    assert store.vote("anna", screen, after=0) == after
    with pytest.raises(StaleStateError):
        store.vote("anna", [Ballot("t1", "normal", "x1"), Ballot("t2", "normal", "x2")], after=0)
    assert len(store.votes()) == 9
    undone = store.undo("anna", request="u", after=after, votes=9)
    assert store.undo("anna", request="u", after=after, votes=9) == undone
    assert not any(one.stands for one in store.votes())
    with pytest.raises(AtypiaError, match="there is no vote to undo"):
        store.undo("anna", request="v", after=undone, votes=2)


def test_a_request_of_one_expert_is_not_anothers(store: VoteStore) -> None:
    vote(store, "anna", "s1", "normal", request="same", after=0)
    vote(store, "ben", "t1", "atypical", request="same", after=0)
    assert [(one.expert, one.answer) for one in store.votes()] == [
        ("anna", "normal"),
        ("ben", "atypical"),
    ]


def test_nobody_votes_once_the_study_is_closed(store: VoteStore) -> None:
    vote(store, "anna", "s1", "normal", request="r1", after=0)
    assert store.closed() == ""
    store.close_study()
    closed = store.closed()
    store.close_study()
    assert store.closed() == closed != ""
    for call in (
        lambda: vote(store, "anna", "s2", "normal", request="r2", after=1),
        lambda: store.undo("anna", request="r3", after=1),
        lambda: store.lock("anna"),
    ):
        with pytest.raises(LockedError, match="the study is closed"):
            call()
    assert vote(store, "anna", "s1", "normal", request="r1", after=0) == 1


def test_it_tells_that_another_process_has_changed_it(tmp_path: Path) -> None:
    one, other = (VoteStore(tmp_path / "votes.sqlite") for _ in range(2))
    before = one.changes_by_others()
    vote(one, "anna", "s1", "normal", request="r1", after=0)
    assert one.changes_by_others() == before
    vote(other, "ben", "t1", "normal", request="r2", after=0)
    assert one.changes_by_others() != before


@pytest.mark.parametrize("on_share", [False, True])
def test_what_was_acknowledged_survives_a_kill(tmp_path: Path, on_share: bool) -> None:
    path = tmp_path / "votes.sqlite"
    code = (
        "from pathlib import Path\nfrom atypia.study.store import Ballot, VoteStore\n"
        f"store, after = VoteStore(Path({str(path)!r}), on_share={on_share}), 0\n"
        "for number in range(10**6):\n"
        "    ballot = Ballot(f's{number}', 'normal', str(number))\n"
        "    after = store.vote('anna', [ballot], after=after)\n"
        "    print(after, flush=True)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    acknowledged = [int(process.stdout.readline()) for _ in range(30)]
    process.kill()
    acknowledged += [int(line) for line in process.stdout.read().split()]
    process.wait()
    store = VoteStore(path, on_share=on_share)
    assert len(store.votes()) - acknowledged[-1] in (0, 1)
    assert vote(store, "anna", "more", "normal", request="more", after=store.last_change("anna"))


def test_a_vote_is_on_the_disk_before_it_is_acknowledged(tmp_path: Path) -> None:
    require_program("strace")
    code = (
        "from pathlib import Path\nfrom atypia.study.store import Ballot, VoteStore\n"
        f"store = VoteStore(Path({str(tmp_path / 'votes.sqlite')!r}))\n"
        "for number in range(5):\n"
        "    print('vote', flush=True)\n"
        "    store.vote('anna', [Ballot(f's{number}', 'normal', str(number))], after=number)\n"
        "    print('acknowledged', flush=True)\n"
    )
    trace = tmp_path / "trace"
    subprocess.run(
        [
            "strace",
            "-f",
            "-o",
            trace,
            "-e",
            "trace=fsync,fdatasync,write",
            sys.executable,
            "-c",
            code,
        ],
        check=True,
        capture_output=True,
    )
    parts = trace.read_text().split('"vote"')[1:]
    assert len(parts) == 5
    for part in parts:
        before = part.partition('"acknowledged')[0]
        assert "fdatasync(" in before or "fsync(" in before


def test_a_copy_is_whole_while_others_vote(store: VoteStore, tmp_path: Path) -> None:
    vote(store, "anna", "s1", "normal", request="r1", after=0)
    store.copy_to(tmp_path / "copy.sqlite")
    vote(store, "anna", "s2", "normal", request="r2", after=1)
    assert [one.showing for one in VoteStore(tmp_path / "copy.sqlite").votes()] == ["s1"]


def test_what_cannot_be_used_is_a_line(
    tmp_path: Path, store: VoteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "text.sqlite").write_text("no database, but longer than a header " * 40)
    with pytest.raises(AtypiaError, match=r"text\.sqlite: is not a store of votes, or is damaged"):
        VoteStore(tmp_path / "text.sqlite")
    with pytest.raises(AtypiaError, match="cannot be written; choose a folder"):
        VoteStore(tmp_path / "nowhere" / "votes.sqlite")
    holder = sqlite3.connect(tmp_path / "votes.sqlite", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    monkeypatch.setattr(store_module, "BUSY_S", 0.1)
    waiting = VoteStore(tmp_path / "votes.sqlite")
    with pytest.raises(AtypiaError, match="another program holds it; stop that, and try again"):
        vote(waiting, "anna", "s1", "normal", request="r1", after=0)
    holder.execute("ROLLBACK")
    assert vote(waiting, "anna", "s1", "normal", request="r1", after=0) == 1
    waiting._run("PRAGMA max_page_count = 16")
    with pytest.raises(AtypiaError, match="the disk is full; nothing was stored"):
        for number in range(1000):
            vote(
                waiting,
                "ben",
                f"{number}" + "s" * 500,
                "normal",
                request=f"b{number}",
                after=number,
            )
    assert waiting.last_change("ben") == len(waiting.votes("ben"))
