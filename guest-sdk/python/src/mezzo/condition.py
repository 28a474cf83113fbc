"""Testing an agent against conditions, as the master does it: a framework with several demands must know which of
them an offer is good for."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

from mezzo.cluster import Agent
from mezzo.task import Comparison, Condition

PATTERN_BYTES_MAX = 256

_MILLI = re.compile(r"(-?)([0-9]+)(?:\.([0-9]{0,3}))?", re.ASCII)


def all_hold(conditions: Iterable[Condition], agent: Agent) -> bool:
    """Whether all conditions hold. One that cannot be read (a bad expression, a bad number) does not hold."""
    return all(holds(condition, agent) for condition in conditions)


def is_valid(condition: Condition) -> bool:
    """Whether the value can be read: a regular expression of at most 256 bytes, a number with up to three places."""
    if condition.test is Comparison.MATCHES:
        return len(condition.value.encode()) <= PATTERN_BYTES_MAX and _pattern(condition.value) is not None
    if condition.test in (Comparison.AT_LEAST, Comparison.AT_MOST):
        return parse_milli(condition.value) is not None
    return True


def holds(condition: Condition, agent: Agent) -> bool:
    """Whether one condition holds."""
    name = condition.attribute
    if name == "@runtime":
        return _test_runtimes(condition, agent)
    facts: dict[str, str | int | None] = {
        "@hostname": agent.hostname,
        "@region": agent.region,
        "@zone": agent.zone,
    }
    value = facts[name] if name in facts else agent.attributes.get(name)
    if isinstance(value, int):
        return _test_number(condition.test, condition.value, value)
    return _test_text(condition.test, condition.value, value)


def _test_runtimes(condition: Condition, agent: Agent) -> bool:
    """An agent has several runtimes: `equals` and `matches` ask for any of them, `differs` for none."""
    if condition.test is Comparison.DIFFERS:
        return condition.value not in agent.runtimes
    if condition.test is Comparison.ABSENT:
        return not agent.runtimes
    return any(_test_text(condition.test, condition.value, runtime) for runtime in agent.runtimes)


def _test_text(test: Comparison, wanted: str, text: str | None) -> bool:
    match test:
        case Comparison.PRESENT:
            return text is not None
        case Comparison.ABSENT:
            return text is None
        case Comparison.EQUALS:
            return text == wanted
        case Comparison.DIFFERS:
            return text != wanted
        case Comparison.MATCHES:
            return text is not None and _matches(wanted, text)
        case _:
            return False


def _test_number(test: Comparison, value: str, number: int) -> bool:
    wanted = parse_milli(value)
    match test:
        case Comparison.PRESENT:
            return True
        case Comparison.ABSENT:
            return False
        case Comparison.EQUALS:
            return wanted == number
        case Comparison.DIFFERS:
            return wanted != number
        case Comparison.MATCHES:
            return _matches(value, format_milli(number))
        case Comparison.AT_LEAST:
            return wanted is not None and number >= wanted
        case Comparison.AT_MOST:
            return wanted is not None and number <= wanted


@lru_cache(maxsize=256)
def _pattern(expression: str) -> re.Pattern[str] | None:
    try:
        return re.compile(expression)
    except re.error:
        return None


def _matches(expression: str, text: str) -> bool:
    pattern = _pattern(expression)
    return pattern is not None and pattern.fullmatch(text) is not None


def parse_milli(text: str) -> int | None:
    """A decimal number with up to three places, in thousandths."""
    found = _MILLI.fullmatch(text)
    if found is None:
        return None
    sign, whole, places = found.groups()
    milli = int(whole) * 1_000 + int((places or "").ljust(3, "0"))
    return None if milli >= 1 << 63 else (-milli if sign else milli)


def format_milli(number: int) -> str:
    """With three places, as the master writes it for `matches`."""
    whole, places = divmod(abs(number), 1_000)
    return f"{'-' if number < 0 else ''}{whole}.{places:03}"
