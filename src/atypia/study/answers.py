"""What an expert may answer for a figure, and what answers add up to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Literal, get_args

Answer = Literal["atypical", "normal", "none", "unsure"]

ANSWERS: tuple[Answer, ...] = get_args(Answer)

IN_WORDS: dict[Answer, str] = {
    "atypical": "atypical",
    "normal": "normal",
    "none": "no mitotic figure",
    "unsure": "cannot tell",
}

DETAILS: dict[Answer, tuple[str, ...]] = {
    "atypical": ("multipolar", "asymmetrical", "lagging or bridging chromosomes", "other"),
    "normal": ("prometaphase", "metaphase", "ring shape", "anaphase or telophase"),
}
"""What a study may ask in addition: the kind of atypia, or the phase (Bertram et al. 2025)."""


def votes_of(answers: Iterable[Answer]) -> list[Answer]:
    """Return the answers that count as votes: all but "cannot tell"."""
    return [answer for answer in answers if answer != "unsure"]


def is_none(answers: Iterable[Answer]) -> bool:
    """Whether experts took a figure out: more than half of the votes, two at least, say so."""
    votes = votes_of(answers)
    count = votes.count("none")
    return count >= 2 and 2 * count > len(votes)


def differ(one: Answer, other: Answer) -> bool:
    """Whether two experts' answers need a third: they differ, or one of them cannot tell."""
    return one != other or one == "unsure"


def is_settled(answers: Iterable[Answer], of: int) -> bool:
    """Whether further votes cannot change the majority of a figure.

    Args:
        answers: given so far.
        of: how many votes decide.

    Returns:
        True once one answer has more than half of `of`, or as many votes are there.
    """
    counts = Counter(votes_of(answers))
    return any(2 * count > of for count in counts.values()) or counts.total() >= of


def find_settled(answers: Iterable[Mapping[str, Answer]], of: int) -> set[str]:
    """Return the figures whose majority further votes cannot change.

    Args:
        answers: of each expert, by figure.
        of: how many votes decide.
    """
    given: dict[str, list[Answer]] = {}
    for own in answers:
        for figure, answer in own.items():
            given.setdefault(figure, []).append(answer)
    return {figure for figure, each in given.items() if is_settled(each, of)}
