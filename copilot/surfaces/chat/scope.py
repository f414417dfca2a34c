"""What the tools of a conversation may look at: one incident, the sources, the store; read only."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from copilot.deps import Deps
from copilot.knowledge import Knowledge
from copilot.sources.deployment import Sources
from copilot.store import Store
from copilot.types.incident import Incident
from tools.types import Evidence, Owner, Playbook, Timestamp, Topology, Window


@dataclass(frozen=True, slots=True)
class ToolContext:
    """Given to every tool: what incidents are worked with, and which incident is talked about.

    The clock of `deps` is the time of the telemetry: a replay's stands still. `cited` is what
    earlier answers of the conversation rest on, each number once, as it was read last.
    """

    deps: Deps
    incident: Incident | None = None
    knowledge: Callable[[], Knowledge] | None = None
    cited: tuple[Evidence, ...] = ()

    @property
    def store(self) -> Store:
        """What is stored of every incident."""
        return self.deps.store

    @property
    def sources(self) -> Sources:
        """What is looked at."""
        return self.deps.sources

    @property
    def playbooks(self) -> tuple[Playbook, ...]:
        """The catalogue."""
        return self.deps.playbooks

    @property
    def now(self) -> Timestamp:
        """The time of the telemetry."""
        return self.deps.clock.now()

    @property
    def onset(self) -> Timestamp | None:
        """When the incident began, as far as it is known."""
        if self.incident is None:
            return None
        return self.incident.clocks.onset or self.incident.opened_at

    @property
    def topology(self) -> Topology:
        """The service graph, empty where none is known."""
        return self.sources.topology()

    def recent(self, seconds: float | None = None) -> Window:
        """The last while; of an incident, from a while before its onset, a day at most."""
        now = self.now
        back = self.deps.limits.lookback_s if seconds is None else seconds
        start = now - back
        if seconds is None and self.onset is not None:
            start = max(min(start, self.onset - 600.0), now - 86_400.0)
        return Window(start=start, end=now)

    def normal_before(self) -> Timestamp:
        """Before this moment all was normal, as far as is known."""
        return self.onset if self.onset is not None else self.now - self.deps.limits.lookback_s

    def databases(self) -> tuple[str, ...]:
        """Components that act as a database: they measure the waits for their own locks.

        Names are no evidence; a lock that transactions wait for is what only a database reports.
        source: MySQL and PostgreSQL manuals, "InnoDB row lock waits" and "pg_locks".
        """
        measured = self.sources.measure(self.recent(), normal_before=self.normal_before())
        locking = [one.owner for one in measured.series if _LOCK.search(one.metric.lower())]
        return tuple(dict.fromkeys(name for name in locking if "->" not in name))

    def services(self) -> tuple[str, ...]:
        """Every component that the topology, the incident or its evidence names."""
        topology, found = self.topology, dict.fromkeys(self.topology.nodes)
        found |= dict.fromkeys(e for edge in topology.edges for e in (edge.caller, edge.callee))
        if self.incident is not None:
            found |= dict.fromkeys(self.incident.services)
            found |= dict.fromkeys(_named(item.subject for item in self.incident.evidence))
            found |= dict.fromkeys(one.component for one in self.incident.ranking.candidates)
        found |= dict.fromkeys(one.service for one in self.sources.owners.owners.values())
        return tuple(name for name in found if name)


_LOCK = re.compile(r"(?:^|_)(?:dead)?locks?(?:_|$)")


def _named(subjects: Iterable[str]) -> list[str]:
    names: list[str] = []
    for subject in subjects:
        owner = Owner.parse(subject)
        if owner.kind in ("service", "version", "edge"):
            names += [owner.service, owner.caller]
    return names


def concerns(subject: str, service: str) -> bool:
    """Whether an owner string is about a service: itself, a version of it, or a call of it."""
    owner = Owner.parse(subject)
    return service in (subject, owner.service, owner.caller)
