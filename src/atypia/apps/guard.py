"""What every request passes first, and what every answer carries, whatever is served."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_log = logging.getLogger(__name__)

MOST_SILENCE_S = 20.0
"""A client that sends nothing of its body for so long is let go."""

_HEADERS = {
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class Guard:
    """Refuses requests that come from other pages, are too large or never end; adds headers."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        hosts: Sequence[str],
        scheme: str,
        policy: str,
        most_bytes: int,
        most_bytes_at_once: int | None = None,
        silence_s: float = MOST_SILENCE_S,
    ) -> None:
        """Guard an application.

        Args:
            app: what answers.
            hosts: what a request may name as its host, with the port: a page elsewhere that points
                its name at this machine names another one.
            scheme: http or https.
            policy: the Content-Security-Policy of answers that state none.
            most_bytes: of the body of a request.
            most_bytes_at_once: of the bodies of all requests that are being answered.
            silence_s: seconds without a byte after which a body is given up.
        """
        self._app, self._hosts = app, set(hosts)
        self._origins = {f"{scheme}://{host}" for host in hosts}
        self._headers = {"Content-Security-Policy": policy, **_HEADERS}
        self._most_bytes, self._most_at_once = most_bytes, most_bytes_at_once
        self._silence_s = silence_s
        self._at_once = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or hand it on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        size, ended = 0, False

        async def receive_bounded() -> Message:
            """Receive the body piece by piece; what comes after it, without a bound."""
            nonlocal size, ended
            if ended:
                return await receive()
            try:
                message = await asyncio.wait_for(receive(), self._silence_s)
            except TimeoutError:
                raise HTTPException(
                    408, f"nothing of the request came for {self._silence_s:g} s; send it again"
                ) from None
            piece = len(message.get("body", b""))
            size += piece
            self._at_once += piece
            ended = not message.get("more_body", False)
            self._require_small(size)
            return message

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = self._add_headers(message["headers"])
            await send(message)

        refusal = self._refuse(scope)
        try:
            if refusal is not None:
                status, text = refusal
                _log.warning("refused: %s", text)
                await JSONResponse({"detail": text}, status)(scope, receive, send_with_headers)
                return
            await self._app(scope, receive_bounded, send_with_headers)
        finally:
            self._at_once -= size

    def _require_small(self, size: int) -> None:
        if size > self._most_bytes:
            _log.debug("refused: a request of over %d bytes", self._most_bytes)
            raise HTTPException(
                413, f"the request is larger than {self._most_bytes:,} bytes; send less at once"
            )
        if self._most_at_once is not None and self._at_once > self._most_at_once:
            raise HTTPException(
                429, "too much is being sent at once; try again", headers={"Retry-After": "1"}
            )

    def _add_headers(self, headers: Sequence[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        there = {name.lower() for name, _ in headers}
        more = ((name.lower().encode(), value.encode()) for name, value in self._headers.items())
        return [*headers, *((name, value) for name, value in more if name not in there)]

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
        length = headers.get(b"content-length", "0")
        if not length.isdecimal() or int(length[:20]) > self._most_bytes:
            return 413, f"the request is larger than {self._most_bytes:,} bytes; send less at once"
        return None
