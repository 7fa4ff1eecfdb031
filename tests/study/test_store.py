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
from atypia.study.store import LockedError, StaleStateError, VoteStore
from programs import require_program


@pytest.fixture
def store(tmp_path: Path) -> VoteStore:
    return VoteStore(tmp_path / "votes.sqlite")


def test_a_vote_is_kept_as_it_was_given_and_an_undo_leaves_it_there(store: VoteStore) -> None:
    after = store.vote("anna", "s1", "atypical", request="r1", after=0, milliseconds=900)
    after = store.vote("anna", "s2", "unsure", request="r2", after=after, detail="anaphase")
    after = store.undo("anna", request="r3", after=after)
    store.vote("anna", "s2", "normal", request="r4", after=after)
    store.vote("ben", "t1", "none", request="r5", after=0)
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
    first = store.vote("anna", "s1", "normal", request="r1", after=0)
    store.vote("anna", "s2", "normal", request="r2", after=first)
    assert store.vote("anna", "s1", "normal", request="r1", after=0) == 2
    undone = store.undo("anna", request="r3", after=2)
    assert store.undo("anna", request="r3", after=2) == undone == 3
    assert [one.stands for one in store.votes()] == [True, False]


def test_an_older_page_is_refused_and_changes_nothing(store: VoteStore) -> None:
    store.vote("anna", "s1", "normal", request="r1", after=0)
    for call in (
        lambda: store.vote("anna", "s2", "normal", request="r2", after=0),
        lambda: store.undo("anna", request="r2", after=0),
        lambda: store.vote("anna", "s2", "normal", request="r2", after=7),
    ):
        with pytest.raises(StaleStateError, match="anna: has voted elsewhere since"):
            call()
    assert len(store.votes()) == 1
    assert store.vote("ben", "t1", "normal", request="r3", after=0) == 1


def test_a_lock_ends_one_experts_part(store: VoteStore) -> None:
    store.vote("anna", "s1", "normal", request="r1", after=0)
    store.lock("anna")
    ended = store.locked()
    store.lock("anna")
    assert store.locked() == ended
    assert set(ended) == {"anna"}
    for call in (
        lambda: store.vote("anna", "s2", "normal", request="r2", after=1),
        lambda: store.undo("anna", request="r3", after=1),
    ):
        with pytest.raises(LockedError, match="anna: has ended"):
            call()
    assert store.vote("anna", "s1", "normal", request="r1", after=0) == 1  # known: acknowledged
    store.vote("ben", "t1", "normal", request="r4", after=0)


def test_nobody_changes_or_deletes_what_was_given(store: VoteStore, tmp_path: Path) -> None:
    store.vote("anna", "s1", "normal", request="r1", after=0)
    store.undo("anna", request="r2", after=1)
    store.lock("anna")
    other = sqlite3.connect(tmp_path / "votes.sqlite", isolation_level=None)
    for table, column in (("votes", "answer"), ("undos", "given"), ("locks", "given")):
        for change in (f"UPDATE {table} SET {column} = 'atypical'", f"DELETE FROM {table}"):
            with pytest.raises(sqlite3.IntegrityError, match=f"{table} are only added to"):
                other.execute(change)
    with pytest.raises(AtypiaError, match="CHECK constraint failed"):
        store.vote("ben", "t1", "maybe", request="r3", after=0)  # type: ignore[arg-type]


def test_threads_with_a_store_each_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "votes.sqlite"
    VoteStore(path).close()

    def give(expert: str) -> None:
        own, after = VoteStore(path), 0
        for number in range(25):
            after = own.vote(
                expert, f"s{number}", "normal", request=f"{expert}{number}", after=after
            )
        own.close()

    threads = [threading.Thread(target=give, args=(f"e{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    votes = VoteStore(path).votes()
    assert len(votes) == 100
    assert [one.number for one in votes] == list(range(1, 101))


@pytest.mark.parametrize("on_share", [False, True])
def test_what_was_acknowledged_survives_a_kill(tmp_path: Path, on_share: bool) -> None:
    path = tmp_path / "votes.sqlite"
    code = (
        "import os, sys\nfrom pathlib import Path\nfrom atypia.study.store import VoteStore\n"
        f"store, after = VoteStore(Path({str(path)!r}), on_share={on_share}), 0\n"
        "for number in range(10**6):\n"
        "    after = store.vote('anna', f's{number}', 'normal', request=str(number), after=after)\n"
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
    assert store.vote("anna", "more", "normal", request="more", after=store.last_change("anna"))


def test_a_vote_is_on_the_disk_before_it_is_acknowledged(tmp_path: Path) -> None:
    require_program("strace")
    code = (
        "from pathlib import Path\nfrom atypia.study.store import VoteStore\n"
        f"store = VoteStore(Path({str(tmp_path / 'votes.sqlite')!r}))\n"
        "for number in range(5):\n"
        "    print('vote', flush=True)\n"
        "    store.vote('anna', f's{number}', 'normal', request=str(number), after=number)\n"
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
    store.vote("anna", "s1", "normal", request="r1", after=0)
    store.copy_to(tmp_path / "copy.sqlite")
    store.vote("anna", "s2", "normal", request="r2", after=1)
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
        waiting.vote("anna", "s1", "normal", request="r1", after=0)
    holder.execute("ROLLBACK")
    assert waiting.vote("anna", "s1", "normal", request="r1", after=0) == 1
    waiting._run("PRAGMA max_page_count = 12")
    with pytest.raises(AtypiaError, match="the disk is full; nothing was stored"):
        for number in range(1000):
            waiting.vote("ben", "s" * 500, "normal", request=f"b{number}", after=number)
    assert waiting.last_change("ben") == len(waiting.votes("ben"))
