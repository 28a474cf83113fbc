"""What a request to the framework's HTTP API was answered with."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any


@dataclass
class Answer:
    """An answer."""

    status: int
    """500 when the turn had a fault."""
    headers: list[tuple[str, str]]
    body: bytes
    """Empty if it was a stream."""
    stream: int | None = None
    """Names the stream, if it was one."""

    @property
    def text(self) -> str:
        """The body as a text."""
        return self.body.decode()

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    def header(self, name: str) -> str | None:
        """A header's value."""
        return next((value for own, value in self.headers if own.lower() == name.lower()), None)
