"""The calls about reservations and volumes in a turn of the fake cluster, with the master's rules. What they change is
the turn's own copy of all reservations, which becomes the cluster's when the turn commits."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from mezzo.cluster import Offer, Reservation, Reserved
from mezzo.errors import Insufficient, Invalid, Limit, Unknown
from mezzo.resources import Resources
from mezzo.testing.world import FakeReservation

if TYPE_CHECKING:
    from mezzo.testing.turn import Turn

RESERVES_PER_TURN_MAX = 1_000
VOLUMES_MAX = 100
LABELS_BYTES_MAX = 16 << 10
NUMBER_MAX = (1 << 53) - 1
"""The largest number that the contract knows."""


def in_range(amount: Resources) -> bool:
    """Whether the master takes such amounts."""
    numbers = (amount.cpu_milli, amount.memory_bytes, amount.disk_bytes, *amount.custom.values())
    return all(number <= NUMBER_MAX for number in numbers)


def reserve(turn: Turn, offer_id: int, amount: Resources, labels: dict[str, str], until: int | None) -> Reserved:
    effects = turn.effects
    if not in_range(amount):
        raise Invalid("amount: out of range")
    if Resources().holds(amount):
        raise Invalid("amount: it is nothing")
    if amount.ports:
        raise Invalid("amount.ports: ports cannot be reserved")
    if sum(len(key.encode()) + len(value.encode()) for key, value in labels.items()) > LABELS_BYTES_MAX:
        raise Invalid(f"labels: at most {LABELS_BYTES_MAX} bytes together")
    if until is not None and until <= turn.world.now:
        raise Invalid("until: it is over already")
    if len(effects.reserves) >= RESERVES_PER_TURN_MAX:
        raise Limit(f"reserves-per-turn-max: at most {RESERVES_PER_TURN_MAX}")
    most = turn.world.limits.reservations_max
    if len(effects.reservations) >= most:
        raise Limit(f"reservations-max: at most {most}")
    offer = effects.left.get(offer_id)
    if offer is None:
        raise Unknown(f"offer {offer_id} is not one of this turn")
    if not offer.free.holds(amount):
        raise Insufficient(f"amount: offer {offer_id} has too little left")
    effects.left[offer_id] = replace(offer, free=offer.free - amount)
    reserved = Reserved(turn.fresh_id(), turn.fresh_id())
    effects.left[reserved.offer] = Offer(reserved.offer, offer.agent, amount + Resources(), reserved.reservation, [])
    turn.ports_of[reserved.offer] = turn.ports_of.get(offer_id, offer_id)
    if offer.reservation is not None:
        whole = effects.reservations[offer.reservation]
        whole.view.free -= amount
        whole.parts += 1
    setup = turn.world.setup
    view = Reservation(
        id=reserved.reservation,
        agent=offer.agent,
        role=setup.role,
        made_by=f"framework/{setup.name}",
        amount=amount + Resources(),
        free=amount + Resources(),
        volumes=[],
        labels=dict(labels),
        until=until,
        ending=False,
    )
    effects.reservations[view.id] = FakeReservation(view, within=offer.reservation)
    effects.reserves.append(view.id)
    return reserved


def unreserve(turn: Turn, number: int) -> None:
    known = _known(turn, number)
    uses = (("tasks", known.users), ("volumes", len(known.view.volumes)), ("smaller reservations", known.parts))
    for what, count in uses:
        if count:
            raise Invalid(f"reservation {number} is in use by {count} {what}")
    known.view.ending = True
    for offer in list(turn.effects.left.values()):
        if offer.reservation == number:
            turn.effects.left[offer.id] = replace(offer, free=Resources())


def create_volume(turn: Turn, number: int, name: str, size_bytes: int) -> None:
    known = _known(turn, number)
    offer = next((offer for offer in turn.effects.left.values() if offer.reservation == number), None)
    if offer is None:
        raise Unknown(f"reservation {number} is not offered in this turn")
    _check_name(name)
    if not 1 <= size_bytes <= NUMBER_MAX:
        raise Invalid(f"size-bytes: from 1 to {NUMBER_MAX}")
    if known.volume(name) is not None:
        raise Invalid(f"volume {name}: there is one of this name")
    if len(known.view.volumes) >= VOLUMES_MAX:
        raise Limit(f"volumes-max: at most {VOLUMES_MAX}")
    if known.view.free.disk_bytes < size_bytes:
        raise Insufficient(f"volume {name}: reservation {number} has too little disk free")
    known.create_volume(name, size_bytes)
    free = offer.free - Resources(disk_bytes=size_bytes)
    turn.effects.left[offer.id] = replace(offer, free=free, volumes=[*offer.volumes, name])


def destroy_volume(turn: Turn, number: int, name: str) -> None:
    _check_name(name)
    volume = _known(turn, number).volume(name)
    if volume is None:
        raise Unknown(f"volume {name}: there is none of this name in reservation {number}")
    if volume.in_use:
        raise Invalid(f"volume {name} of reservation {number} is in use")
    volume.destroying = True


def _known(turn: Turn, number: int) -> FakeReservation:
    known = turn.effects.reservations.get(number)
    if known is None:
        raise Unknown(f"reservation {number} is none of the framework's role, nor of one above it")
    return known


def _check_name(name: str) -> None:
    from mezzo.testing.turn import is_name

    if not is_name(name):
        raise Invalid("volume name: 1 to 128 of a-z A-Z 0-9 . _ -, the first a letter or a digit")
