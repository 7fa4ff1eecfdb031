"""Queues: every figure once, hidden repeats far from the first showing, ids that tell nothing."""

from __future__ import annotations

import pytest

from atypia.study.answers import Answer
from atypia.study.queues import (
    APART,
    LEAST_REPEATS,
    Showing,
    arbiter_figures,
    make_queue,
)

KEY = b"k" * 32


def figures(count: int) -> list[str]:
    return [f"f{row}" for row in range(count)]


def firsts(queue: list[Showing]) -> list[str]:
    return [showing.figure for showing in queue if not showing.is_repeat]


@pytest.mark.parametrize("count", [1, 7, 60, 100, 101, 140, 1000])
def test_every_figure_is_shown_once_and_repeats_come_late_and_far_apart(count: int) -> None:
    queue = make_queue(figures(count), "anna", KEY, seed=0)
    assert sorted(firsts(queue)) == sorted(figures(count))
    repeats = [(place, one.figure) for place, one in enumerate(queue) if one.is_repeat]
    assert len({figure for _, figure in repeats}) == len(repeats)
    order = [one.figure for one in queue]
    for place, figure in repeats:
        between = [one for one in queue[order.index(figure) + 1 : place] if not one.is_repeat]
        assert len(between) >= APART
        assert 2 * place > len(queue)
    if count >= 4 * LEAST_REPEATS + 2 * APART:
        assert len(repeats) == max(LEAST_REPEATS, round(0.05 * count))
    if count <= APART:
        assert repeats == []


def test_a_queue_is_ones_own_and_the_same_every_time() -> None:
    anna, ben = (make_queue(figures(200), name, KEY, seed=0) for name in ("anna", "ben"))
    assert anna == make_queue(figures(200), "anna", KEY, seed=0)
    assert firsts(anna) != firsts(ben)
    assert firsts(anna) != firsts(make_queue(figures(200), "anna", KEY, seed=1))


def test_ids_tell_neither_a_repeat_nor_a_colleagues_figure() -> None:
    queues = [make_queue(figures(200), name, KEY, seed=0) for name in ("anna", "ben")]
    ids = [one.id for queue in queues for one in queue]
    assert len(set(ids)) == len(ids)
    other = make_queue(figures(200), "anna", b"other" * 8, seed=0)
    assert not {one.id for one in other} & set(ids)
    assert all(len(one) == 24 and set(one) <= set("0123456789abcdef") for one in ids)


@pytest.mark.parametrize(("disputed", "agreed", "mixed"), [(80, 400, 20), (80, 10, 10), (0, 50, 0)])
def test_an_arbiter_sees_a_fifth_of_agreed_figures_too(
    disputed: int, agreed: int, mixed: int
) -> None:
    differ, same = figures(disputed), [f"a{row}" for row in range(agreed)]
    one: dict[str, Answer] = dict.fromkeys([*differ, *same], "normal")
    other: dict[str, Answer] = {**one, **dict.fromkeys(differ, "atypical")}
    shown = arbiter_figures(one, other, 0, "eva")
    assert set(differ) <= set(shown)
    assert len(shown) == len(set(shown)) == disputed + mixed
    assert shown == arbiter_figures(one, other, 0, "eva")
