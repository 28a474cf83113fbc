"""`logging` onto the framework's own log, which `mezzo framework logs` shows.

The lines are not part of the turn: they stay even when the turn is undone. A message is written as it is, without a
time, which the log has itself; a handler of your own can say more.
"""

from __future__ import annotations

import logging
from collections.abc import Callable


class Handler(logging.Handler):
    """Hands each record to `write(level, message)`."""

    def __init__(self, write: Callable[[int, str], None]) -> None:
        super().__init__()
        self._write = write

    def emit(self, record: logging.LogRecord) -> None:
        """Called by `logging`."""
        try:
            message = self.format(record)
            # Whatever cannot cross the boundary must not end the turn that only wanted to say something.
            self._write(record.levelno, message.encode("utf-8", "replace").decode())
        except Exception:
            self.handleError(record)


def install(write: Callable[[int, str], None]) -> Handler:
    """Puts a handler on the root logger, and lets it hear from `INFO` on unless the framework has said otherwise."""
    root = logging.getLogger()
    handler = Handler(write)
    root.addHandler(handler)
    if root.level == logging.WARNING:
        root.setLevel(logging.INFO)
    return handler
