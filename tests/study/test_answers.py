"""What answers add up to."""

from __future__ import annotations

import itertools

import pytest

from atypia.study.answers import ANSWERS, IN_WORDS, differ, is_none, is_settled


def test_a_third_is_asked_where_two_differ_or_one_cannot_tell() -> None:
    for one, other in itertools.product(ANSWERS, repeat=2):
        assert differ(one, other) == (one != other or "unsure" in (one, other))
    assert differ("unsure", "unsure")
    assert set(IN_WORDS) == set(ANSWERS)


@pytest.mark.parametrize(
    ("answers", "taken_out"),
    [
        (["none", "none"], True),
        (["none", "normal", "none"], True),
        (["none", "normal", "atypical"], False),
        (["none", "none", "normal", "atypical"], False),
        (["none", "unsure"], False),
        (["none", "none", "unsure", "normal"], True),
        ([], False),
    ],
)
def test_two_of_three_take_a_figure_out(answers: list, taken_out: bool) -> None:
    assert is_none(answers) is taken_out


@pytest.mark.parametrize(
    ("answers", "of", "expected"),
    [
        ([], 3, False),
        (["normal"], 3, False),
        (["normal", "normal"], 3, True),
        (["normal", "atypical"], 3, False),
        (["normal", "unsure", "normal"], 3, True),
        (["normal", "unsure", "atypical"], 3, False),
        (["normal", "atypical", "none"], 3, True),
        (["normal", "normal", "atypical"], 5, False),
        (["normal", "normal", "normal"], 5, True),
        (["normal", "normal", "atypical", "atypical"], 4, True),
    ],
)
def test_a_figure_is_settled_once_its_majority_cannot_change(
    answers: list, of: int, expected: bool
) -> None:
    assert is_settled(answers, of) is expected
    # By definition: no way to fill up the votes gives another majority.
    votes = [answer for answer in answers if answer != "unsure"]
    left = max(0, of - len(votes))
    winners = set()
    for more in itertools.product(("atypical", "normal", "none"), repeat=left):
        every = [*votes, *more]
        top = [one for one in ("atypical", "normal", "none") if 2 * every.count(one) > len(every)]
        winners.add(top[0] if top else None)
    assert (len(winners) == 1) == expected
