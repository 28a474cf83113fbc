"""HTTP through WSGI, with a bare app and with Bottle."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING

import bottle
import pytest

from mezzo import Cx, Setup, WebFramework, wsgi
from mezzo.testing import Cluster

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

SEEN = ("REQUEST_METHOD", "SCRIPT_NAME", "PATH_INFO", "QUERY_STRING", "CONTENT_TYPE", "REMOTE_USER", "HTTP_X_A")


class Bare(WebFramework):
    def start(self, cx: Cx, setup: Setup) -> None:
        self.listeners: list[int] = []

    def wsgi(self) -> bottle.Bottle:
        return self.app

    def app(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        cx = wsgi.cx_of(environ)
        match environ["PATH_INFO"]:
            case "/fail":
                cx.state.set("half", b"done")
                raise RuntimeError("in the app")
            case "/watch":
                self.listeners.append(wsgi.open_stream(environ))
                start_response("200 OK", [("content-type", "text/event-stream")])
                return [b"hello\n"]
            case "/tell":
                told = [cx.stream_write(one, "möre\n".encode()) for one in self.listeners]
                write = start_response("200 OK", [])
                write(b"told ")
                return [str(told).encode()]
            case "/silent":
                return []
        body = {name: environ.get(name) for name in SEEN} | {"body": environ["wsgi.input"].read().decode()}
        start_response("201 Created", [("content-type", "application/json"), ("x-b", "é")])
        return [json.dumps(body).encode()]

    def streams_closed(self, cx: Cx, streams: list[int]) -> None:
        self.listeners = [one for one in self.listeners if one not in streams]


@pytest.fixture
def cluster() -> Cluster[Bare]:
    return Cluster(Bare, name="bare")


def test_a_request_is_an_environ(cluster: Cluster[Bare]) -> None:
    headers = {"X-A": "1", "content-type": "text/plain"}
    answer = cluster.request("POST", "/p%20%C3%A9/?q=%20", "bödy", headers=headers)
    assert (answer.status, answer.header("X-B")) == (201, "é")
    assert answer.json == {
        "REQUEST_METHOD": "POST",
        "SCRIPT_NAME": "/fw/bare",
        "PATH_INFO": "/p é/".encode().decode("latin-1"),
        "QUERY_STRING": "q=%20",
        "CONTENT_TYPE": "text/plain",
        "REMOTE_USER": "tester",
        "HTTP_X_A": "1",
        "body": "bödy",
    }


def test_what_leaves_the_app_undoes_the_turn(cluster: Cluster[Bare]) -> None:
    assert cluster.get("/fail").status == 500
    assert cluster.state == {}
    assert "in the app" in cluster.log[-1]
    assert cluster.get("/silent").status == 500
    assert "start_response" in cluster.log[-1]


def test_a_stream_goes_on_after_its_turn(cluster: Cluster[Bare]) -> None:
    stream = cluster.get("/watch").stream
    assert stream is not None
    assert cluster.get("/tell").text == "told [True]"
    assert cluster.stream(stream).text == "hello\nmöre\n"
    cluster.leave_stream(stream)
    assert cluster.get("/tell").text == "told [False]"
    cluster.settle()
    assert cluster.framework.listeners == []
    assert not cluster.stream(stream).open


class Counter(WebFramework):
    def start(self, cx: Cx, setup: Setup) -> None:
        self.count = cx.state.value("count", int)

    def wsgi(self) -> bottle.Bottle:
        app = bottle.Bottle()
        app.config["catchall"] = False
        app.post("/<by:int>", callback=self.add)
        wsgi.warm_up(app)
        return app

    def add(self, by: int) -> dict[str, int]:
        self.count.value += by
        if by == 13:
            raise RuntimeError("unlucky")
        if by > 100:
            bottle.abort(400, "too many")
        return {"count": self.count.value, "now": wsgi.cx_of(bottle.request.environ).now}


def test_a_bottle_app_runs() -> None:
    cluster = Cluster(Counter)
    assert cluster.post("/2", None).json == {"count": 2, "now": cluster.now}
    assert cluster.post("/13", None).status == 500
    assert cluster.post("/3", None).json["count"] == 5, "what trapped did not count"
    assert cluster.post("/101", None).status == 400
    assert cluster.get("/2").status == 405
    assert cluster.get("/").status == 404
