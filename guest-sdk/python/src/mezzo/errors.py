"""What can be raised: refusals of the master, and the SDK's own errors.

All of them are `Error`. One that leaves `Framework.start` refuses the install, the upgrade or the restart with its
text; one that leaves any other method undoes the turn, as any exception does.
"""


class Error(Exception):
    """Anything that a framework can be told about what it asked for; raise it from `start` to refuse to start."""


class Refusal(Error):
    """A call was refused; nothing of the call took effect."""


class Unknown(Refusal):
    """No such offer, task, agent, demand, reservation or volume is this framework's."""


class Insufficient(Refusal):
    """The offer has too little left of the named resource."""


class Invalid(Refusal):
    """The argument breaks a rule; the text names the field."""


class Forbidden(Refusal):
    """The framework's role or principal may not do this."""


class Limit(Refusal):
    """A limit of this framework is reached; the text names it."""


class Other(Refusal):
    """Anything that a later master adds."""


class TimerError(Error):
    """A timer was not set; the text says why."""


class StateError(Error):
    """Durable state cannot be read as the type asked for, or cannot be kept."""

    def __init__(self, key: str, reason: str) -> None:
        super().__init__(f"the state under the key `{key}`: {reason}")
        self.key = key
        self.reason = reason


class JsonError(Error, ValueError):
    """A text is no JSON, or JSON of another shape than asked for."""

    def __init__(self, field: str, reason: str, *, malformed: bool = False) -> None:
        super().__init__(f"{field}: {reason}" if field else reason)
        self.field = field
        """Where in the value, such as `tasks[3].argv`; empty for the whole."""
        self.reason = reason
        self.malformed = malformed
        """Whether it is no JSON at all."""
