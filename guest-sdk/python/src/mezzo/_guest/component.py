"""What a component exports, and what is prepared while it is built: its memory then is what every instance begins
with."""

from __future__ import annotations

import gc
import linecache
import logging
import os
import sys
import traceback
import types
from collections.abc import Sequence
from typing import Any

from mezzo import log
from mezzo._guest import lift
from mezzo._guest.err import Err
from mezzo._guest.imports import Imports, StreamImports
from mezzo.errors import Error
from mezzo.framework import Framework, Instance
from mezzo.host import Streams


class Component:
    """The one framework of a component."""

    def __init__(self, framework: type[Framework], streams: Streams | None) -> None:
        self._kind = framework
        self._host = Imports()
        self._streams = streams
        self._instance: Instance[Framework] | None = None

    def start(self, now: int, setup: Any) -> None:
        instance = Instance(self._kind())
        try:
            instance.start(self._host, self._streams, now, lift.setup(setup))
        except Error as error:
            raise Err(str(error)) from error
        self._instance = instance

    def handle(self, now: int, events: Sequence[Any]) -> None:
        self._started().handle(self._host, self._streams, now, [lift.event(event) for event in events])

    def request(self, now: int, request: Any) -> Any:
        from wit_world.exports import web

        response = self._started().request(self._host, self._streams, now, lift.request(request))
        headers = [web.Header(name, value) for name, value in response.headers]
        body = web.Body_Stream() if response.body is None else web.Body_Full(response.body)
        return web.Response(response.status, headers, body)

    def _started(self) -> Instance[Framework]:
        if self._instance is None:
            raise RuntimeError("the master called before `start` had succeeded")
        return self._instance


def scheduler(component: Component) -> type:
    """The class that the bindings look for under the name `Scheduler`."""

    class Scheduler:
        def start(self, now: int, setup: Any) -> None:
            component.start(now, setup)

        def handle(self, now: int, events: list[Any]) -> None:
            component.handle(now, events)

    return Scheduler


def web(component: Component) -> type:
    """The class that the bindings look for under the name `Web`."""
    import wit_world.exports.web  # noqa: F401 - now, since a component has no files to import from

    class Web:
        def handle(self, now: int, request: Any) -> Any:
            return component.request(now, request)

    return Web


def build(framework: type[Framework], *, streams: bool) -> Component:
    """Called at the end of the app's module, while the component is built."""
    lift.check()
    component = Component(framework, StreamImports() if streams else None)
    _drop_stderr_handlers()
    log.install(Imports().log)
    sys.excepthook = _report
    # A component is one process with one thread; asking for their names costs a record's time.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    _keep_sources()
    gc.collect()
    gc.freeze()
    return component


def _drop_stderr_handlers() -> None:
    """`logging` has made itself a handler if the module has logged anything while it was built; standard error goes
    to the same log, so each line would be there twice."""
    root = logging.getLogger()
    for handler in list(root.handlers):
        if type(handler) is logging.StreamHandler and handler.stream is sys.stderr:
            root.removeHandler(handler)


def _keep_sources() -> None:
    """So that a traceback shows the lines: there are no files to read them from later."""
    library = os.path.dirname(os.__file__)
    for module in list(sys.modules.values()):
        path = getattr(module, "__file__", None)
        if not isinstance(path, str) or not path.endswith(".py") or path.startswith(library + os.sep):
            continue
        lines = linecache.getlines(path)
        if lines:
            # Without a time of change, the lines are not looked for on disk again.
            linecache.cache[path] = (sum(map(len, lines)), None, lines, path)


def _report(kind: type[BaseException], error: BaseException, trace: types.TracebackType | None) -> None:
    """What is said of an exception that ends the instance: its traceback from the framework's own code on as an error
    of the log, and its last line on standard error, where the master looks for what it says of the fault."""
    own = os.path.dirname(os.path.dirname(__file__)) + os.sep
    start = trace
    while start is not None and start.tb_frame.f_code.co_filename.startswith(own):
        start = start.tb_next
    lines = traceback.format_exception(kind, error, start or trace)
    text = "".join(lines).rstrip().encode("utf-8", "replace").decode()
    Imports().log(logging.ERROR, text)
    print(text.rsplit("\n", 1)[-1], file=sys.stderr)
