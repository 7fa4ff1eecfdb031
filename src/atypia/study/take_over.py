"""Votes of an earlier study, where experts, rule or figures had to be others."""

from __future__ import annotations

from dataclasses import dataclass, replace

from atypia.files import sha256
from atypia.study.store import Vote
from atypia.study.study import NotYetError, Study


@dataclass(frozen=True)
class TakenOver:
    """What became of an expert's votes.

    Attributes:
        expert: who.
        votes: that the new study has now.
        left_out: votes on figures that it does not have, or shows another image of; or of an
            arbiter, who cannot vote before the others.
    """

    expert: str
    votes: int
    left_out: int


def take_over(study: Study, earlier: Study) -> list[TakenOver]:
    """Give a new study the votes of an earlier one, of experts that both have.

    Votes that stand are taken, with their times, and with details where the new study asks for
    them; repeats are not, and come again.

    Args:
        study: new, without votes.
        earlier: closed or not; it stays as it is.

    Raises:
        AtypiaError: an image cannot be read, or the votes cannot be written.
    """
    same = {figure for figure in study.rows if _is_same(figure, study, earlier)}
    taken = []
    for name in study.settings.experts:
        if name not in earlier.settings.experts:
            continue
        votes = earlier.standing(name)
        try:
            places = {one.figure: one.id for one in study.queue(name) if not one.is_repeat}
        except NotYetError:
            places = {}
        ballots = [
            replace(vote, showing=places[figure], detail=_keep_detail(study, vote))
            for figure, vote in votes.items()
            if figure in same and figure in places
        ]
        new, _, _ = study.merge(name, ballots)
        taken.append(TakenOver(name, new, len(votes) - new))
    return taken


def _keep_detail(study: Study, vote: Vote) -> str:
    """Return the detail of a vote where the new study asks for it, too."""
    return vote.detail if vote.detail in study.settings.details_of(vote.answer) else ""


def _is_same(figure: str, study: Study, earlier: Study) -> bool:
    if figure not in earlier.rows:
        return False
    images = [
        one.table.image_path(str(one.table.frame["image"].iloc[one.rows[figure]]))
        for one in (study, earlier)
    ]
    return sha256(images[0]) == sha256(images[1])
