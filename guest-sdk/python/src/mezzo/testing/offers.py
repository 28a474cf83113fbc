"""What a turn of the fake cluster is told: events, and offers cut to the demand."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from mezzo import condition, events
from mezzo.cluster import Offer, TaskState
from mezzo.resources import Resources
from mezzo.task import Demand
from mezzo.testing.world import Effects, FakeAgent, World


@dataclass
class Told:
    """What one turn was told, to be taken as handled once it has committed."""

    agents: list[int] = field(default_factory=list)
    gone: list[int] = field(default_factory=list)
    statuses: list[tuple[str, TaskState]] = field(default_factory=list)
    timers: list[str] = field(default_factory=list)
    streams: list[int] = field(default_factory=list)
    offers: list[Offer] = field(default_factory=list)
    options: bool = False


def gather(world: World, *, new_options: bool) -> tuple[list[events.Event], Told]:
    """Everything that is waiting, in the order of the contract."""
    told, what = Told(options=new_options), list[events.Event]()
    new = [replace(agent.info) for agent in world.agents.values() if not agent.told]
    if new:
        told.agents = [agent.id for agent in new]
        what.append(events.Agents(new))
    if world.gone:
        told.gone = list(world.gone)
        what.append(events.AgentsGone(list(world.gone)))
    waiting = sorted(world.unhandled & world.tasks.keys())[: world.limits.statuses_per_turn_max]
    if waiting:
        statuses = [replace(world.tasks[name].status) for name in waiting]
        told.statuses = [(status.task, status.state) for status in statuses]
        what.append(events.Statuses(statuses))
    told.timers = sorted(name for name, due in world.timers.items() if due <= world.now)
    what += map(events.Timer, told.timers)
    if new_options:
        what.append(events.Options(world.setup.options))
    if world.streams_gone:
        told.streams = list(world.streams_gone)
        what.append(events.StreamsClosed(list(world.streams_gone)))
    told.offers = _lease(world)
    if told.offers:
        what.append(events.Offers([replace(offer, volumes=list(offer.volumes)) for offer in told.offers]))
    return what, told


def handled(world: World, told: Told, effects: Effects) -> None:
    """What a committed turn was told need not be told again."""
    for number in told.agents:
        if number in world.agents:
            world.agents[number].told = True
    world.gone = [number for number in world.gone if number not in told.gone]
    for name, state in told.statuses:
        world.unhandled.discard(name)
        if state.is_final:
            del world.tasks[name]
    world.streams_gone = [number for number in world.streams_gone if number not in told.streams]
    for name in told.timers:
        world.timers.pop(name, None)
    for offer in _refused(world, told.offers, effects):
        if offer.reservation is None:
            world.agents[offer.agent].seen = True
        elif offer.reservation in world.reservations:
            world.reservations[offer.reservation].seen = True


def _lease(world: World) -> list[Offer]:
    """The reservations and agents on which a demand fits and that the framework has not seen as they are."""
    most = world.limits.offers_per_turn_max
    ports: defaultdict[int, int] = defaultdict(int)
    leases: list[Offer] = []
    for number in sorted(world.reservations):
        if len(leases) == most:
            return leases
        lease = _lease_reservation(world, number, ports)
        if lease is not None:
            leases.append(lease)
    demands = [demand for demand in world.demands if not demand.reservations]
    gangs = _gangs(world, [demand for demand in demands if demand.together], most - len(leases))
    single = [demand for demand in demands if not demand.together]
    for number, agent in sorted(world.agents.items()):
        if len(leases) == most:
            break
        if agent.silent:
            continue
        useful = list(gangs[number])
        if not agent.seen:
            useful += [(demand, demand.count) for demand in single if _fits(agent, demand)]
        if not useful:
            continue
        cap = Resources()
        for demand, pieces in useful:
            cap += demand.each * pieces
        free = agent.free.at_most(cap)
        free.ports = min(free.ports, max(agent.free.ports - ports[number], 0))
        leases.append(Offer(world.fresh_id(), number, free))
    return leases


def _lease_reservation(world: World, number: int, given: defaultdict[int, int]) -> Offer | None:
    """A reservation is offered as it is, with as many of its agent's ports as the demands could use."""
    known = world.reservations[number]
    agent = world.agents.get(known.view.agent)
    if known.seen or agent is None or agent.silent:
        return None
    left = max(agent.free.ports - given[agent.info.id], 0)
    free = replace(known.view.free, ports=left)
    fitting = [
        demand
        for demand in world.demands
        if known.serves(demand) and free.holds(demand.each) and _accepts(agent, demand)
    ]
    if not fitting:
        return None
    wanted = sum(
        max(demand.each.ports * _pieces(free, demand.each, demand.count), len(demand.fixed_ports)) for demand in fitting
    )
    free.ports = min(wanted, left)
    given[agent.info.id] += free.ports
    return Offer(world.fresh_id(), agent.info.id, free, number, known.free_volumes())


def _gangs(world: World, gangs: Iterable[Demand], most: int) -> defaultdict[int, list[tuple[Demand, int]]]:
    """For each agent, the gangs that it is offered to and with how many pieces: those that fit as a whole on at most
    `most` agents, of which at least one has not been seen as it is."""
    offered: defaultdict[int, list[tuple[Demand, int]]] = defaultdict(list)
    for demand in gangs:
        able = [agent for _, agent in sorted(world.agents.items()) if not agent.silent and _fits(agent, demand)]
        if all(agent.seen for agent in able):
            continue
        # What is new first: the same agents once more would be refused once more.
        able.sort(key=lambda agent: agent.seen)
        missing, parts = demand.count, list[tuple[int, int]]()
        for agent in able:
            # One agent has each port once.
            pieces = _pieces(agent.free, demand.each, min(missing, 1) if demand.fixed_ports else missing)
            missing -= pieces
            if pieces:
                parts.append((agent.info.id, pieces))
        if missing == 0 and len(parts) <= most:
            for number, pieces in parts:
                offered[number].append((demand, pieces))
    return offered


def _pieces(free: Resources, each: Resources, count: int) -> int:
    """How many times `each` fits, at most `count`."""
    fits, too_many = 0, count + 1
    while too_many - fits > 1:
        half = (fits + too_many) // 2
        if free.holds(each * half):
            fits = half
        else:
            too_many = half
    return fits


def _refused(world: World, offers: Iterable[Offer], effects: Effects) -> list[Offer]:
    """The offers that a turn has refused: so much of them is left that a demand fits which it has not launched in
    full."""
    served: defaultdict[str | None, int] = defaultdict(int)
    for launch in effects.launches:
        served[launch.demand] += 1
    wanted = [demand for demand in world.demands if served[demand.name] < demand.count]

    def fits(offer: Offer, demand: Demand) -> bool:
        if offer.reservation is None:
            could = not demand.reservations
        else:
            could = offer.reservation in world.reservations and world.reservations[offer.reservation].serves(demand)
        return (
            could
            and effects.left[offer.id].free.holds(demand.each)
            and offer.agent in world.agents
            and condition.all_hold(demand.conditions, world.agents[offer.agent].info)
        )

    return [offer for offer in offers if any(fits(offer, demand) for demand in wanted)]


def _fits(agent: FakeAgent, demand: Demand) -> bool:
    return agent.free.holds(demand.each) and _accepts(agent, demand)


def _accepts(agent: FakeAgent, demand: Demand) -> bool:
    """Whether ports by number and conditions hold."""
    return agent.fixed_used.isdisjoint(demand.fixed_ports) and condition.all_hold(demand.conditions, agent.info)
