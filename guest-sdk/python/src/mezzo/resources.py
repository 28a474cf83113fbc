"""`Resources`: amounts of what an agent can give, and what fits into what."""

from __future__ import annotations

from dataclasses import dataclass, field

MIB = 1024 * 1024
"""One mebibyte, in bytes."""

GIB = 1024 * MIB
"""One gibibyte, in bytes."""


@dataclass(slots=True)
class Resources:
    """Amounts, as integers; a name's last word is the unit. Sums and differences are new objects."""

    cpu_milli: int = 0
    """Thousandths of one processor."""
    memory_bytes: int = 0
    """Main memory."""
    disk_bytes: int = 0
    """Space below the agent's work folder."""
    gpus: int = 0
    """Whole devices."""
    ports: int = 0
    """How many ports, not which."""
    custom: dict[str, int] = field(default_factory=dict)
    """What else the agents declare, in thousandths of one unit."""

    def holds(self, part: Resources) -> bool:
        """Whether `part` can be taken out of this."""
        return (
            part.cpu_milli <= self.cpu_milli
            and part.memory_bytes <= self.memory_bytes
            and part.disk_bytes <= self.disk_bytes
            and part.gpus <= self.gpus
            and part.ports <= self.ports
            and all(milli <= self.custom.get(name, 0) for name, milli in part.custom.items())
        )

    def __add__(self, part: Resources) -> Resources:
        custom = dict(self.custom)
        for name, milli in part.custom.items():
            custom[name] = custom.get(name, 0) + milli
        return Resources(
            self.cpu_milli + part.cpu_milli,
            self.memory_bytes + part.memory_bytes,
            self.disk_bytes + part.disk_bytes,
            self.gpus + part.gpus,
            self.ports + part.ports,
            custom,
        )

    def __sub__(self, part: Resources) -> Resources:
        """What is not there stays at 0."""
        custom = {name: max(milli - part.custom.get(name, 0), 0) for name, milli in self.custom.items()}
        return Resources(
            max(self.cpu_milli - part.cpu_milli, 0),
            max(self.memory_bytes - part.memory_bytes, 0),
            max(self.disk_bytes - part.disk_bytes, 0),
            max(self.gpus - part.gpus, 0),
            max(self.ports - part.ports, 0),
            custom,
        )

    def __mul__(self, count: int) -> Resources:
        return Resources(
            self.cpu_milli * count,
            self.memory_bytes * count,
            self.disk_bytes * count,
            self.gpus * count,
            self.ports * count,
            {name: milli * count for name, milli in self.custom.items()},
        )

    def at_most(self, cap: Resources) -> Resources:
        """The smaller of the two, resource by resource."""
        return Resources(
            min(self.cpu_milli, cap.cpu_milli),
            min(self.memory_bytes, cap.memory_bytes),
            min(self.disk_bytes, cap.disk_bytes),
            min(self.gpus, cap.gpus),
            min(self.ports, cap.ports),
            {name: min(milli, cap.custom.get(name, 0)) for name, milli in self.custom.items()},
        )
