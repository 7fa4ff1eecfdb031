"""An expert's queue: every figure once, in an order of one's own, with hidden repeats.

Repeats tell how far an expert agrees with himself. They lie in the second half and far from the
first showing, so that nobody remembers it, and they are never exported as votes.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from atypia.study.answers import Answer, differ

REPEATED_SHARE = 0.05
LEAST_REPEATS = 20
APART = 50
"""Fewest figures between a figure and its repeat."""
AGREED_SHARE = 0.2
"""Of what an arbiter sees: figures on which the others agreed."""


@dataclass(frozen=True)
class Showing:
    """One place of a queue.

    Attributes:
        id: opaque, another for each place: neither a repeat nor a colleague's figure is
            recognised by it.
        figure: its id in the study's table.
        is_repeat: whether the expert has seen the figure before.
    """

    id: str
    figure: str
    is_repeat: bool


class Queue:
    """A queue.

    Attributes:
        showings: its places, in order.
        by_id: the same by their ids.
    """

    def __init__(self, showings: list[Showing]) -> None:
        """Hold places."""
        self.showings = showings
        self.by_id = {one.id: one for one in showings}


def make_queue(figures: Sequence[str], expert: str, key: bytes, seed: int) -> list[Showing]:
    """Return an expert's queue.

    Args:
        figures: ids, each once, in the order of the table.
        expert: whose queue it is; part of the order and of the showings' ids.
        key: secret of the study.
        seed: of the study.
    """
    rng = np.random.default_rng(_number(f"{seed}/order/{expert}"))
    order = [figures[place] for place in rng.permutation(len(figures))]
    shown = insert_repeats([(figure, False) for figure in order], rng)
    return [
        Showing(_opaque_id(key, expert, place, figure), figure, repeat)
        for place, (figure, repeat) in enumerate(shown)
    ]


def insert_repeats(
    order: Sequence[tuple[str, bool]], rng: np.random.Generator
) -> list[tuple[str, bool]]:
    """Insert repeats into the second half of an order, each far from its first showing.

    Args:
        order: (figure, False), each figure once.
        rng: of the draw.

    Returns:
        The order with (figure, True) for 5 % of the figures, at least 20; fewer, or none, where
        there are too few figures to keep them apart.
    """
    count = len(order)
    wanted = max(LEAST_REPEATS, round(REPEATED_SHARE * count))
    half = -(-(count + wanted) // 2)
    # A figure at place p may come again behind place q of the same order if q - p >= APART.
    places = [place for place in range(count) if place >= half and place >= APART]
    chosen = sorted(rng.choice(places, min(wanted, len(places)), replace=False)) if places else []
    again: dict[int, str] = {}
    used: set[int] = set()
    for place in chosen:
        early = int(rng.integers(place - APART + 1))
        while early in used:  # there are more such figures than repeats before this one
            early = (early + 1) % (place - APART + 1)
        used.add(early)
        again[int(place)] = order[early][0]
    shown: list[tuple[str, bool]] = []
    for place, entry in enumerate(order):
        shown.append(entry)
        if place in again:
            shown.append((again[place], True))
    return shown


def arbiter_figures(
    one: Mapping[str, Answer], other: Mapping[str, Answer], seed: int, expert: str
) -> list[str]:
    """Return the figures that an arbiter sees: those disputed, and a fifth of agreed ones.

    So that "shown to me" does not mean "disputed". Where fewer agreed, all of them.

    Args:
        one: answers of an expert, by figure.
        other: those of the second one, to the same figures.
        seed: of the study.
        expert: the arbiter.
    """
    figures = sorted(one)
    disputed = [figure for figure in figures if differ(one[figure], other[figure])]
    agreed = [figure for figure in figures if not differ(one[figure], other[figure])]
    rng = np.random.default_rng(_number(f"{seed}/agreed/{expert}"))
    wanted = round(len(disputed) * AGREED_SHARE / (1 - AGREED_SHARE))
    places = rng.permutation(len(agreed))[:wanted]
    return [*disputed, *(agreed[place] for place in sorted(places))]


def _opaque_id(key: bytes, expert: str, place: int, figure: str) -> str:
    text = f"{expert}\0{place}\0{figure}".encode()
    return hmac.new(key, text, hashlib.sha256).hexdigest()[:24]


def _number(text: str) -> int:
    """Return a seed that is the same on every machine."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
