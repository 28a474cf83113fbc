"""HTTP through WSGI (PEP 3333): a request of the contract becomes an environ, the app's answer a response.

Beyond the standard's, the environ has `mezzo.cx`, the turn's `Cx`; `mezzo.request`, the request itself; and who asks,
as the master has authenticated them, in `REMOTE_USER`.

An exception that leaves the app undoes the turn and is answered 500. Frameworks tend to catch them all: switch that
off (`bottle.Bottle(catchall=False)`; `PROPAGATE_EXCEPTIONS` in Flask), or what an error left half done commits.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterable, MutableMapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import unquote_to_bytes

from mezzo.cx import Cx

if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication, WSGIEnvironment

_STREAM = "mezzo.stream"


@dataclass(slots=True)
class Request:
    """What a client asked for."""

    id: int
    """Names the response stream, if it becomes one."""
    method: str
    path: str
    """With the query; begins with `/`."""
    headers: list[tuple[str, bytes]] = field(default_factory=list)
    body: bytes = b""
    principal: str = ""


@dataclass(slots=True)
class Response:
    """The answer."""

    status: int
    headers: list[tuple[str, bytes]]
    body: bytes | None
    """None: a stream."""


def cx_of(environ: MutableMapping[str, Any]) -> Cx:
    """The turn that a request is answered in: `mezzo.wsgi.cx_of(bottle.request.environ)`."""
    return cast(Cx, environ["mezzo.cx"])


def open_stream(environ: MutableMapping[str, Any]) -> int:
    """Makes the answer to this request a stream: the body goes on after the turn, with `cx.stream_write` and this
    number, until `cx.stream_close`. What the app itself answers is sent first."""
    environ[_STREAM] = True
    return cast(Request, environ["mezzo.request"]).id


def call(app: WSGIApplication, cx: Cx, request: Request, mounted_at: str) -> Response:
    """Answers one request."""
    environ = _environ(cx, request, mounted_at)
    answer: list[tuple[str, list[tuple[str, str]]]] = []
    body: list[bytes] = []

    def start_response(
        status: str, headers: list[tuple[str, str]], exc_info: Any = None, /
    ) -> Callable[[bytes], object]:
        if answer and exc_info is None:
            raise AssertionError("start_response was called twice")
        # Nothing has been sent before the turn's end, so an error may always begin anew.
        answer[:] = [(status, headers)]
        return body.append

    parts = app(environ, start_response)
    try:
        body += parts
    finally:
        close = getattr(parts, "close", None)
        if close is not None:
            close()
    if not answer:
        raise AssertionError("the WSGI app has not called start_response")
    status, headers = answer[0]
    whole = b"".join(body)
    streamed = environ.get(_STREAM) is True
    if streamed and whole:
        cx.stream_write(request.id, whole)
    return Response(
        int(status.split(" ", 1)[0]),
        [(name, value.encode("latin-1")) for name, value in headers],
        None if streamed else whole,
    )


def _environ(cx: Cx, request: Request, mounted_at: str) -> WSGIEnvironment:
    path, _, query = request.path.partition("?")
    environ: dict[str, Any] = {
        "REQUEST_METHOD": request.method,
        "SCRIPT_NAME": mounted_at,
        "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
        "QUERY_STRING": query,
        "CONTENT_LENGTH": str(len(request.body)),
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_USER": request.principal,
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(request.body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": False,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "mezzo.cx": cx,
        "mezzo.request": request,
    }
    for name, raw in request.headers:
        key = name.upper().replace("-", "_")
        if key == "CONTENT_LENGTH":
            continue
        if key != "CONTENT_TYPE":
            key = f"HTTP_{key}"
        value = raw.decode("latin-1")
        environ[key] = f"{environ[key]},{value}" if key in environ else value
    host, _, port = environ.get("HTTP_HOST", "").partition(":")
    if host:
        environ["SERVER_NAME"], environ["SERVER_PORT"] = host, port or "80"
    return environ


def warm_up(*apps: WSGIApplication) -> None:
    """Calls each app once with a request for nothing, outside of a turn. A component has no files to import from: what
    an app imports only when it is first used must be imported while it is built. Call it where the app is made, as in
    `mezzo.wsgi.warm_up(app)`; an app that fails does no harm."""
    for app in apps:
        environ = _environ(cast(Cx, None), Request(0, "GET", "/-/warm-up"), "")
        try:
            parts: Iterable[bytes] = app(environ, lambda status, headers, exc_info=None, /: lambda data: None)
            b"".join(parts)
        except Exception:
            pass
