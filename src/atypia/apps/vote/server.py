"""The server of a study: pages, pictures and votes, each only for whom it is meant."""

import logging
import socket
from collections.abc import Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import uvicorn
from fastapi import Depends, FastAPI, HTTPException, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, Response
from filelock import FileLock, Timeout
from pydantic import BaseModel, ConfigDict, Field
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from atypia.apps.vote.links import LEAD, is_token, make_links
from atypia.apps.vote.pages import (
    ASSETS,
    describe_item,
    make_expert_page,
    make_lead_page,
    read_asset,
)
from atypia.data.pictures import encode_png
from atypia.errors import AtypiaError
from atypia.study.agreement_page import render_agreement
from atypia.study.answers import DETAILS
from atypia.study.pictures import SIDES_UM, Pictures
from atypia.study.sheets import SheetVote
from atypia.study.store import LockedError, StaleStateError
from atypia.study.study import NotYetError, Study, UnknownShowingError

_log = logging.getLogger(__name__)

PORT = 8808
MOST_BODY_BYTES = 100_000
MOST_PLACES = 200
LOCK_NAME = "serve.lock"
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; img-src 'self' data:; script-src 'self'; "
    "style-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
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
    request: Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{8,64}$")]
    votes: Annotated[int, Field(ge=1, le=100)] = 1


class CloseRequest(_Request):
    """The study is closed; with `now` also where parts have not ended."""

    now: bool = False


def make_app(study: Study, *, hosts: Sequence[str], scheme: str = "http") -> FastAPI:
    """Return the application of a study.

    Args:
        study: open; threads share it.
        hosts: what a request may name as its host, with the port: a page elsewhere that points its
            name at this machine names another one.
        scheme: http or https.
    """
    pictures = Pictures(study)
    faults: dict[str, str] = {}  # of figures that cannot be shown now, by id

    @asynccontextmanager
    async def closing(_: FastAPI) -> Any:
        yield
        pictures.close()

    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, lifespan=closing)
    app.add_middleware(Guard, hosts=hosts, origins=[f"{scheme}://{host}" for host in hosts])
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
            "faults": sorted(faults.values()),
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
        return _describe_state(study, pictures, faults, expert, count)

    @app.get("/{name}/{token}/picture/{showing}")
    def picture(expert: Expert, showing: str, um: Annotated[int, Query()]) -> Response:
        if um not in SIDES_UM:
            raise HTTPException(422, f"um: expected one of {', '.join(map(str, SIDES_UM))}")
        figure = study.showing(expert, showing).figure
        content = encode_png(pictures.draw(figure, um))
        return Response(content, media_type="image/png")

    @app.post("/{name}/{token}/votes")
    def vote(expert: Expert, body: VotesRequest) -> dict[str, int]:
        for one in body.votes:
            if one.detail and not _asks(study, one):
                raise HTTPException(422, "detail: is not one that the study asks for")
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


def serve(
    study: Study,
    *,
    host: str = "127.0.0.1",
    port: int = PORT,
    certificate: Path | None = None,
    key: Path | None = None,
    on_ready: Callable[[dict[str, str]], None] = lambda links: None,
) -> None:
    """Serve a study until it is interrupted.

    Args:
        study: open.
        host: address to listen on.
        port: 0 takes a free one.
        certificate: for https, PEM.
        key: of the certificate.
        on_ready: called with the links once the address is taken.

    Raises:
        AtypiaError: the port is taken, the address is not this machine's, the certificate cannot be
            used, or another server has the study.
    """
    lock = FileLock(study.folder / LOCK_NAME)
    try:
        lock.acquire(timeout=0)
    except Timeout as fault:
        raise AtypiaError(
            f"{study.folder}: another server has this study; use its links, or stop it first"
        ) from fault
    except OSError as fault:
        raise AtypiaError(
            f"{study.folder}: cannot be written ({fault.strerror or fault}); votes need a folder "
            "that you can write"
        ) from fault
    try:
        listener = _listen(host, port)
        with listener:
            taken = listener.getsockname()[1]
            scheme = "http" if certificate is None else "https"
            shown = f"[{host}]" if ":" in host else host
            config = uvicorn.Config(
                make_app(study, hosts=list_hosts(shown, taken, scheme), scheme=scheme),
                log_level="warning",
                access_log=False,  # links hold tokens
                server_header=False,
                ssl_certfile=certificate,
                ssl_keyfile=key,
            )
            try:
                config.load()
            except OSError as fault:
                raise AtypiaError(
                    f"{certificate}: cannot be used as a certificate with its key "
                    f"({fault.strerror or fault}); give both as PEM"
                ) from fault
            on_ready(make_links(study, f"{scheme}://{shown}:{taken}"))
            uvicorn.Server(config).run(sockets=[listener])
    finally:
        lock.release()


def list_hosts(host: str, port: int, scheme: str) -> list[str]:
    """Return how browsers may name the server in a request: with the port, unless it is usual."""
    names = ["127.0.0.1", "localhost", "[::1]"] if _is_loopback(host) else []
    named = dict.fromkeys([host, *names])
    usual = port == {"http": 80, "https": 443}[scheme]
    return [f"{name}:{port}" for name in named] + (list(named) if usual else [])


def _listen(host: str, port: int) -> socket.socket:
    if host in ("", "0.0.0.0", "::"):
        raise AtypiaError(
            f"--host {host}: stands for every address of this machine; give the one, or the name, "
            "by which experts reach it, since links hold it and requests by others are refused"
        )
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen()  # from here on nobody who has a link is turned away
        return listener
    except OSError as fault:
        raise AtypiaError(
            f"{host}:{port}: cannot be listened on ({fault.strerror or fault}); give another "
            "--port, or an address of this machine as --host"
        ) from fault


def _is_loopback(host: str) -> bool:
    return host in ("localhost", "::1", "[::1]") or host.startswith("127.")


def _require_token(study: Study, name: str, token: str) -> None:
    if not is_token(study, name, token):
        raise HTTPException(403, "this link lets nobody in; ask the lead for yours")


def _asks(study: Study, vote: SheetVote) -> bool:
    return study.settings.asks_detail and vote.detail in DETAILS.get(vote.answer, ())


def _describe_state(
    study: Study, pictures: Pictures, faults: dict[str, str], expert: str, count: int
) -> dict[str, Any]:
    """Return where an expert stands, and the next places of the queue.

    A figure that cannot be shown any more is shown to nobody, and goes into `faults`.
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
    for _, showing in study.upcoming(expert, count + 2 * len(faults)):
        try:
            sides = pictures.list_sides(showing.figure)
        except AtypiaError as fault:
            if showing.figure not in faults:
                _log.warning("%s: cannot be shown: %s", showing.figure, fault)
            faults[showing.figure] = f"{showing.figure}: {fault}"
            state["missing"] += 1
            continue
        faults.pop(showing.figure, None)
        state["next"].append(describe_item(study, showing.id, showing.figure, sides))
    return state


def _explain_errors(app: FastAPI) -> None:
    statuses: dict[type[AtypiaError], int] = {
        UnknownShowingError: 404,
        StaleStateError: 409,
        NotYetError: 409,
        LockedError: 423,
        AtypiaError: 503,
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


class Guard:
    """Refuses requests that come from other pages or are too large; adds headers to answers."""

    def __init__(self, app: ASGIApp, *, hosts: Sequence[str], origins: Sequence[str]) -> None:
        """Guard an application; `hosts` and `origins` are those that requests may name."""
        self._app, self._hosts, self._origins = app, set(hosts), set(origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or hand it on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                there = {name.lower() for name, _ in message["headers"]}
                message["headers"] = [
                    *message["headers"],
                    *(
                        (name.lower().encode(), value.encode())
                        for name, value in _HEADERS.items()
                        if name.lower().encode() not in there
                    ),
                ]
            await send(message)

        refusal = self._refuse(scope)
        if refusal is None and scope["method"] == "POST":
            body = await _read_body(receive)
            if body is None:
                refusal = (413, "the request is too large")
            else:
                receive = _give(body, receive)
        if refusal is not None:
            status, text = refusal
            _log.warning("refused: %s", text)
            await JSONResponse({"detail": text}, status)(scope, receive, with_headers)
            return
        await self._app(scope, receive, with_headers)

    def _refuse(self, scope: Scope) -> tuple[int, str] | None:
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        if headers.get(b"host", "") not in self._hosts:
            return 421, "the request names another host"
        if headers.get(b"origin") is not None and headers[b"origin"] not in self._origins:
            return 403, "the request comes from another page"
        if headers.get(b"sec-fetch-site", "none") not in ("none", "same-origin"):
            return 403, "the request comes from another page"
        if scope["method"] not in ("GET", "HEAD", "POST"):
            return 405, "expected GET or POST"
        return None


async def _read_body(receive: Receive) -> bytes | None:
    """Return the body of a request; None of one that is too large."""
    body: bytes = b""
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return body
        body += bytes(message.get("body", b""))
        if len(body) > MOST_BODY_BYTES:
            return None
        if not message.get("more_body"):
            return body


def _give(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that gives a body that has been read, and then what comes after it."""
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again
