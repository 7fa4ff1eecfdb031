"""The application of a study: pages, pictures and votes, each only for whom it is meant."""

# FastAPI reads annotations where it builds a route, so they are no text here.
import logging
from collections.abc import Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import Depends, FastAPI, HTTPException, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from atypia.apps.guard import Guard
from atypia.apps.vote.links import LEAD, is_token
from atypia.apps.vote.pages import (
    ASSETS,
    describe_item,
    make_expert_page,
    make_lead_page,
    read_asset,
)
from atypia.data.pictures import encode_png
from atypia.errors import AtypiaError, ImageError
from atypia.study.agreement_page import render_agreement
from atypia.study.pictures import SIDES_UM, Pictures
from atypia.study.sheets import RequestId, SheetVote
from atypia.study.store import LockedError, StaleStateError, StoreError
from atypia.study.study import NotYetError, Study, UnknownShowingError

_log = logging.getLogger(__name__)

MOST_PLACES = 200
MOST_BODY_BYTES = 100_000
_POLICY = (
    "default-src 'none'; img-src 'self' data:; script-src 'self'; style-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
# A report is one file with its style inside.
_REPORT_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'"


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class VotesRequest(_Request):
    """Votes of one screen, and what the page knew when they were given."""

    after: Annotated[int, Field(ge=0)]
    votes: Annotated[tuple[SheetVote, ...], Field(min_length=1, max_length=100)]


class UndoRequest(_Request):
    """The last votes are undone."""

    after: Annotated[int, Field(ge=0)]
    request: RequestId
    votes: Annotated[int, Field(ge=1, le=100)] = 1


class CloseRequest(_Request):
    """The study is closed; with `now` also where parts have not ended."""

    now: bool = False


def make_app(study: Study, hosts: Sequence[str], scheme: str = "http") -> FastAPI:
    """Return the application of a study.

    Args:
        study: open; threads share it.
        hosts: what a request may name as its host, with the port.
        scheme: http or https.
    """
    pictures = Pictures(study)

    @asynccontextmanager
    async def closing(_: FastAPI) -> Any:
        yield
        pictures.close()

    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, lifespan=closing)
    app.add_middleware(
        Guard, hosts=hosts, scheme=scheme, policy=_POLICY, most_bytes=MOST_BODY_BYTES
    )
    _explain_errors(app)

    def expert_of(name: str, token: str) -> str:
        _require_token(study, name, token)
        if name == LEAD:
            raise HTTPException(403, "this page is for experts")
        return name

    def lead_of(token: str) -> None:
        _require_token(study, LEAD, token)

    Expert = Annotated[str, Depends(expert_of)]
    for_lead = [Depends(lead_of)]

    @app.get("/lead/{token}/", response_class=HTMLResponse, dependencies=for_lead)
    def lead_page() -> str:
        return make_lead_page(study)

    @app.get("/lead/{token}/progress", dependencies=for_lead)
    def progress() -> dict[str, Any]:
        return {
            "parts": [asdict(part) for part in study.progress()],
            "closed": study.closed,
            "faults": pictures.list_faults(),
        }

    @app.post("/lead/{token}/close", dependencies=for_lead)
    def close(body: CloseRequest) -> dict[str, str]:
        study.close(now=body.now)
        return {"closed": study.closed}

    @app.get("/lead/{token}/agreement", dependencies=for_lead)
    def agreement() -> Response:
        if not study.closed:
            raise HTTPException(403, "agreement is told once the study is closed")
        return HTMLResponse(
            render_agreement(study), headers={"Content-Security-Policy": _REPORT_POLICY}
        )

    @app.get("/{name}/{token}/", response_class=HTMLResponse)
    def expert_page(expert: Expert) -> str:
        return make_expert_page(study, expert)

    @app.get("/{name}/{token}/next")
    def upcoming(
        expert: Expert, count: Annotated[int, Query(ge=1, le=MOST_PLACES)] = 60
    ) -> dict[str, Any]:
        return _describe_state(study, pictures, expert, count)

    @app.get("/{name}/{token}/picture/{showing}")
    def picture(expert: Expert, showing: str, um: Annotated[int, Query()]) -> Response:
        if um not in SIDES_UM:
            raise HTTPException(422, f"um: expected one of {', '.join(map(str, SIDES_UM))}")
        figure = study.showing(expert, showing).figure
        content = encode_png(pictures.draw(figure, um))
        return Response(content, media_type="image/png")

    @app.post("/{name}/{token}/votes")
    def vote(expert: Expert, body: VotesRequest) -> dict[str, int]:
        ballots = [one.ballot() for one in body.votes]
        return {"change": study.vote(expert, ballots, after=body.after)}

    @app.post("/{name}/{token}/undo")
    def undo(expert: Expert, body: UndoRequest) -> dict[str, int]:
        return {
            "change": study.undo(expert, request=body.request, after=body.after, votes=body.votes)
        }

    @app.post("/{name}/{token}/lock")
    def lock(expert: Expert) -> dict[str, bool]:
        study.lock(expert)
        return {"locked": True}

    @app.get("/{name}/{token}/{asset}")
    def asset(name: str, token: str, asset: str) -> Response:
        _require_token(study, name, token)
        if asset not in ASSETS:
            raise HTTPException(404, "there is no such page")
        return Response(read_asset(asset), media_type=ASSETS[asset])

    return app


def _require_token(study: Study, name: str, token: str) -> None:
    if not is_token(study, name, token):
        raise HTTPException(403, "this link lets nobody in; ask the lead for yours")


def _describe_state(study: Study, pictures: Pictures, expert: str, count: int) -> dict[str, Any]:
    """Return where an expert stands, and the next places of the queue.

    A figure that cannot be shown any more is shown to nobody.
    """
    locked, closed = expert in study.store.locked(), bool(study.closed)
    state: dict[str, Any] = {
        "locked": locked,
        "closed": closed,
        "waiting": "",
        "next": [],
        "missing": 0,
    }
    try:
        place = study.place(expert)
    except NotYetError:
        waiting = "The others have not ended their parts; your figures are known once they have."
        return state | {"change": 0, "voted": 0, "of": 0, "waiting": waiting}
    state |= {"change": place.change, "of": place.of, "voted": study.count_voted(expert)}
    if locked or closed:
        return state
    for _, showing in study.upcoming(expert, place.of):
        if len(state["next"]) == count:
            break
        try:
            sides = pictures.list_sides(showing.figure)
        except AtypiaError:  # the lead sees which, and why
            state["missing"] += 1
            continue
        state["next"].append(describe_item(study, showing.id, showing.figure, sides))
    return state


def _explain_errors(app: FastAPI) -> None:
    statuses: dict[type[AtypiaError], int] = {
        UnknownShowingError: 404,
        StaleStateError: 409,
        NotYetError: 409,
        LockedError: 423,
        ImageError: 404,
        StoreError: 503,  # the page sends its votes again
        AtypiaError: 400,
    }
    for kind, status in statuses.items():

        def explain(request: Request, fault: Exception, status: int = status) -> JSONResponse:
            _log.warning("refused: %s", fault)
            return JSONResponse({"detail": str(fault)}, status)

        app.add_exception_handler(kind, explain)

    @app.exception_handler(RequestValidationError)
    async def explain_request(request: Request, fault: RequestValidationError) -> JSONResponse:
        first = fault.errors()[0]
        place = ".".join(map(str, first["loc"][1:])) or "the request"
        _log.warning("refused: %s: %s", place, first["msg"])
        return JSONResponse({"detail": f"{place}: {first['msg']}"}, 422)
