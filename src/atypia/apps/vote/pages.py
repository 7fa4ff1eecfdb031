"""The pages of a study: of an expert and of the lead, and one file that needs no server."""

from __future__ import annotations

import json
from html import escape
from importlib.resources import files
from typing import Any

from atypia.data.pictures import encode_jpeg
from atypia.errors import AtypiaError
from atypia.evaluation.html import data_uri
from atypia.progress import OnProgress, show_nothing
from atypia.study.answers import DETAILS, IN_WORDS
from atypia.study.definition import render_definition
from atypia.study.pictures import Pictures
from atypia.study.sheets import make_mark
from atypia.study.study import Study

MOST_OFFLINE = 2000
ASSETS = {"expert.js": "text/javascript", "lead.js": "text/javascript", "style.css": "text/css"}
"""What a page loads, and its type."""

NO_DEFINITION = (
    "<p>Atypical is a figure whose chromosomes go wrong: three or more poles, lagging or bridging "
    "chromosomes, an asymmetrical plate. Normal is any other mitotic figure.</p>"
)
_OFFLINE_POLICY = (
    '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data: '
    "blob:; style-src 'unsafe-inline'; script-src 'unsafe-inline'\">"
)


def read_asset(name: str) -> str:
    """Return the text of a file of the pages."""
    return files("atypia.apps.vote").joinpath("assets", name).read_text(encoding="utf-8")


def make_expert_page(study: Study, expert: str) -> str:
    """Return the page of an expert, for a server."""
    return _fill(
        "expert.html",
        name=escape(expert),
        policy="",
        style='<link rel="stylesheet" href="style.css">',
        script='<script src="expert.js"></script>',
        definition=_define(study),
        saved="Each vote is saved at once.",
        facts=_embed(_facts(study, expert)),
    )


def make_offline_page(study: Study, expert: str, *, on_progress: OnProgress = show_nothing) -> str:
    """Return an expert's page as one file that works without a server and loads nothing.

    It holds the figures that wait for a vote.

    Raises:
        AtypiaError: there are too many of them, none, or one that cannot be read any more; or an
            arbiter's are not known yet.
    """
    if study.closed:
        raise AtypiaError(f"{study.folder}: is closed; nobody votes any more")
    place = study.place(expert)
    waiting = [showing for _, showing in study.upcoming(expert, place.of)]
    if not waiting:
        raise AtypiaError(f"{expert}: has voted on every figure; there is no page to write")
    if len(waiting) > MOST_OFFLINE:
        raise AtypiaError(
            f"{expert}: {len(waiting):,} figures wait for a vote, and a file may hold "
            f"{MOST_OFFLINE:,}; use atypia vote serve, or make studies of fewer figures"
        )
    side_um = study.settings.first_um
    pictures, items = Pictures(study), []
    try:
        for done, showing in enumerate(waiting, start=1):
            data = encode_jpeg(pictures.draw(showing.figure, side_um))
            items.append(
                describe_item(study, showing.id, showing.figure, [side_um])
                | {
                    "mark": make_mark(study, showing),
                    "picture": data_uri(data, "image/jpeg"),
                }
            )
            on_progress("encoding pictures", done, len(waiting), "")
    finally:
        pictures.close()
    facts = _facts(study, expert) | {
        "items": items,
        "of": place.of,
        "voted": place.of - len(waiting),
    }
    return _fill(
        "expert.html",
        name=escape(expert),
        policy=_OFFLINE_POLICY,
        style=f"<style>{read_asset('style.css')}</style>",
        script=f"<script>{read_asset('expert.js')}</script>",
        definition=_define(study),
        saved="Votes are kept in this browser; save your answers as a file and send it back.",
        facts=_embed(facts),
    )


def make_lead_page(study: Study) -> str:
    """Return the page of the lead, for a server."""
    settings = study.settings
    arbiter = f", arbiter {settings.arbiter}" if settings.arbiter else ""
    return _fill(
        "lead.html",
        study=escape(study.folder.resolve().name),
        rule=escape(settings.rule + arbiter),
        figures=f"{len(study.table):,}",
    )


def describe_item(study: Study, showing: str, figure: str, sides: list[int]) -> dict[str, Any]:
    """Return what an expert's page is told of a place of the queue."""
    item: dict[str, Any] = {"id": showing, "sides": sides}
    if study.settings.shows_domain:
        row = study.table.frame.iloc[study.rows[figure]]
        item["domain"] = ", ".join(str(row[name]) for name in ("tumour", "scanner", "laboratory"))
    return item


def _facts(study: Study, expert: str) -> dict[str, Any]:
    return {
        "study": study.id,
        "name": expert,
        "first_um": study.settings.first_um,
        "answers": list(IN_WORDS.items()),
        "details": DETAILS if study.settings.asks_detail else None,
    }


def _define(study: Study) -> str:
    text = study.settings.definition
    return render_definition(text, study.folder) if text.strip() else NO_DEFINITION


def _embed(facts: dict[str, Any]) -> str:
    """Return JSON that no text in it can end early."""
    text = json.dumps(facts, ensure_ascii=True)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _fill(template: str, **parts: str) -> str:
    """Put parts, which are HTML, in their places; what they hold is not looked at again."""
    pieces = read_asset(template).split("{{")
    filled = [pieces[0]]
    for piece in pieces[1:]:
        name, _, rest = piece.partition("}}")
        filled += [parts[name], rest]
    return "".join(filled)
