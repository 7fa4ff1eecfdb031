"""The application: crops and points in, rows of the predictions table and QuPath's objects out."""

# FastAPI reads annotations where it builds a route, so they are no text here.
import asyncio
import hmac
import logging
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.responses import JSONResponse, Response
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from fastapi_offline import FastAPIOffline
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from atypia.apps.guard import MOST_SILENCE_S, Guard
from atypia.apps.serve.answers import (
    BundleFacts,
    ClassifiedCrop,
    Health,
    Version,
    make_limits,
)
from atypia.apps.serve.batches import Batches, FullError, NetworkError
from atypia.apps.serve.crops import MOST_CROPS, SentCrop, read_crops, read_mpp, refuse_unknown
from atypia.apps.serve.measures import CONTENT_TYPE, Measures
from atypia.apps.serve.openapi import CROPS_FORM, NO_SLIDE, REFUSALS, SLIDE_FORM
from atypia.apps.serve.slides import (
    MOST_POINTS,
    MOST_SLIDES,
    GoneError,
    NoSlideError,
    Slides,
    TooManyPointsError,
)
from atypia.data.images import is_too_large
from atypia.errors import AtypiaError
from atypia.inference.crops import Failure
from atypia.inference.predictor import Predictor
from atypia.version import __version__

_log = logging.getLogger(__name__)

MOST_BYTES = 32 * 2**20
"""Of a request."""

BUNDLE_HEADER = "Atypia-Bundle"
"""Of an answer: name and beginning of the hash of the bundle, percent-encoded."""

_MOST_BYTES_AT_ONCE = 512 * 2**20
_GONE_S = 0.5
# The page that shows the routes holds a script of a line.
_POLICY = (
    "default-src 'none'; img-src 'self' data:; script-src 'self' 'unsafe-inline'; "
    "style-src 'self' 'unsafe-inline'; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)


def make_app(
    predictor: Predictor,
    hosts: Sequence[str],
    scheme: str = "http",
    *,
    slides: Slides | None = None,
    token: str = "",
    silence_s: float = MOST_SILENCE_S,
) -> FastAPI:
    """Return the application of a predictor.

    Args:
        predictor: that classifies.
        hosts: what a request may name as its host, with the port.
        scheme: http or https.
        slides: below the server's root; none serves none.
        token: that requests must carry; "" asks for none.
        silence_s: seconds without a byte after which a request is given up.
    """
    measures = Measures(lambda: batches.waiting)
    batches = Batches(predictor, measures.batch.observe)

    @asynccontextmanager
    async def running(_: FastAPI) -> AsyncIterator[None]:
        async with batches.running():
            yield

    app = FastAPIOffline(
        title="atypia",
        version=__version__,
        description="Tells atypical from normal mitotic figures in H&E. For research use only.",
        redoc_url=None,
        lifespan=running,
    )
    app.add_middleware(
        Guard,
        hosts=hosts,
        scheme=scheme,
        policy=_POLICY,
        most_bytes=MOST_BYTES,
        most_bytes_at_once=_MOST_BYTES_AT_ONCE,
        silence_s=silence_s,
    )
    _explain_errors(app)
    _measure_requests(app, measures)
    protected = [Depends(_make_lock(token))] if token else []
    router = APIRouter(dependencies=protected, responses=REFUSALS)
    _add_crops(router, batches, measures, predictor.bundle.short_name)
    _add_slides(router, slides)
    _add_facts(router, predictor, measures)
    app.include_router(router)

    @app.get("/health", summary="Whether the server answers")
    async def health() -> Health:
        """Return that it does; asks for no token."""
        return Health(waiting=batches.waiting)

    return app


def _make_lock(token: str) -> Callable[..., None]:
    """Return what refuses requests that do not carry the token."""
    bearer = HTTPBearer(auto_error=False, description="The server's --token.")

    def require_token(
        credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)],
    ) -> None:
        given = "" if credentials is None else credentials.credentials
        if not hmac.compare_digest(given.encode("utf-8", "replace"), token.encode()):
            raise HTTPException(
                401,
                "expected the header Authorization: Bearer TOKEN, with the server's token",
                headers={"WWW-Authenticate": "Bearer"},
            )

    return require_token


def _measure_requests(app: FastAPI, measures: Measures) -> None:
    @app.middleware("http")
    async def measure(
        request: Request, answer: Callable[[Request], Awaitable[Response]]
    ) -> Response:
        begun = time.perf_counter()
        response = await answer(request)
        route = getattr(request.scope.get("route"), "path", "other")
        measures.requests.labels(route, str(response.status_code)).inc()
        measures.seconds.labels(route).observe(time.perf_counter() - begun)
        return response


def _add_crops(router: APIRouter, batches: Batches, measures: Measures, bundle: str) -> None:
    headers = {BUNDLE_HEADER: quote(bundle)}  # a name may hold what a header cannot

    @router.post(
        "/v1/classify",
        response_model=list[ClassifiedCrop],
        openapi_extra=CROPS_FORM,
        summary="Classify crops",
    )
    async def classify(request: Request) -> Response:
        """Return an entry a crop, in order.

        A crop that cannot be used has an `error`; if none can be, the request is refused.
        """
        try:
            batches.require_room(1)
        except FullError:
            # Read, so that the client hears the answer, but not taken apart: that costs most.
            async for _ in request.stream():
                pass
            raise
        sent = await read_crops(request)
        rows = await batches.classify([crop.figure() for crop in sent])
        failures = [row for row in rows if isinstance(row, Failure)]
        _count(measures, rows)
        if failures:
            _refuse_crops(sent, failures)
        entries = [
            ClassifiedCrop.of_failure(row.figure_id, row.message)
            if isinstance(row, Failure)
            else ClassifiedCrop.of_row(row)
            for row in rows
        ]
        return JSONResponse([entry.model_dump() for entry in entries], headers=headers)


def _add_slides(router: APIRouter, slides: Slides | None) -> None:
    @router.post(
        "/v1/slides/classify",
        openapi_extra=SLIDE_FORM,
        summary="Classify points on a slide",
        responses=NO_SLIDE,
    )
    async def classify_slide(request: Request) -> Response:
        """Return the GeoJSON with class and measurements, as `atypia slide` writes it."""
        if slides is None:
            raise HTTPException(404, "this server has no slides; start it with --root FOLDER")
        async with request.form(max_files=1, max_fields=3) as form:
            refuse_unknown(form, ("slide", "points", "mpp"))
            name, points, mpp = form.get("slide"), form.get("points"), form.get("mpp")
            if not isinstance(name, str) or not isinstance(points, UploadFile):
                raise HTTPException(
                    422, "expected slide, a path below the server's root, and points, a file"
                )
            content = await points.read()
        slide = slides.find(name)
        return await _classify_slide(
            request, slides, slide, content, None if mpp is None else read_mpp(mpp)
        )


def _add_facts(router: APIRouter, predictor: Predictor, measures: Measures) -> None:
    runtime = predictor.runtime
    limits = make_limits(MOST_CROPS, MOST_BYTES, MOST_POINTS)

    @router.get("/v1/bundle", summary="The bundle, its card and the limits")
    async def bundle() -> BundleFacts:
        """Return what classifies, its operating point, and what a request may hold."""
        return BundleFacts.of(predictor.bundle, runtime.members, limits)

    @router.get("/version", summary="Versions")
    async def version() -> Version:
        """Return the versions of atypia and of the library that computes."""
        return Version(
            atypia=__version__,
            runtime=runtime.version_text,
            device=runtime.device_name,
            precision=runtime.precision,
        )

    @router.get("/metrics", summary="Counters for Prometheus", response_class=Response)
    async def metrics() -> Response:
        """Return counters of requests, crops, batches and seconds."""
        return Response(measures.render(), media_type=CONTENT_TYPE)


async def _classify_slide(
    request: Request, slides: Slides, slide: Any, points: bytes, mpp: float | None
) -> Response:
    """Classify points in the thread for slides, until they are or the client has gone."""
    if slides.waiting >= MOST_SLIDES:
        raise FullError(f"{slides.waiting} slides are in work or wait; try again")
    gone = threading.Event()
    slides.waiting += 1
    work = asyncio.get_running_loop().run_in_executor(
        slides.pool, slides.classify, slide, points, mpp, gone
    )
    try:
        while not (await asyncio.wait([work], timeout=_GONE_S))[0]:
            if await request.is_disconnected():
                gone.set()
        return JSONResponse(await work, media_type="application/geo+json")
    finally:
        gone.set()
        slides.waiting -= 1


def _refuse_crops(sent: Sequence[SentCrop], failures: Sequence[Failure]) -> None:
    """Refuse a request of which a crop is far too large, or no crop can be used."""
    names = {failure.figure_id: failure.message for failure in failures}
    for crop in sent:
        if crop.name in names and is_too_large(crop.data):
            raise HTTPException(413, names[crop.name])
    if len(failures) == len(sent):
        more = f" (and {len(failures) - 1} others)" if len(failures) > 1 else ""
        raise HTTPException(422, f"{failures[0].message}{more}")


def _count(measures: Measures, rows: Sequence[Any]) -> None:
    for row in rows:
        if isinstance(row, Failure):
            result = "error"
        elif row["refer"]:
            result = "refer"
        else:
            result = row["call"]
        measures.crops.labels(result).inc()


def _explain_errors(app: FastAPI) -> None:
    statuses: dict[type[AtypiaError], int] = {
        FullError: 429,
        NetworkError: 503,
        NoSlideError: 404,
        TooManyPointsError: 413,
        GoneError: 400,
        AtypiaError: 422,
    }
    for kind, status in statuses.items():

        def explain(request: Request, fault: Exception, status: int = status) -> JSONResponse:
            _log.debug("refused: %s", fault)
            again = {"Retry-After": "1"} if status in (429, 503) else None
            return JSONResponse({"detail": str(fault)}, status, headers=again)

        app.add_exception_handler(kind, explain)

    @app.exception_handler(ClientDisconnect)
    async def note_leaving(request: Request, fault: Exception) -> JSONResponse:
        _log.debug("a client left before its request had come")
        return JSONResponse({"detail": "the request has not come whole"}, 400)
