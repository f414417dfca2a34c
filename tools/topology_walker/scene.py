"""The readings of one incident beside each other: who calls whom, who waits, who fails."""

from collections.abc import Mapping, Sequence
from functools import cached_property

import numpy as np

from tools.topology_walker.graph import callees_of, components, reach
from tools.topology_walker.readings import (
    AlertFired,
    CallSide,
    CallsStopped,
    EdgeMoved,
    MetricMoved,
    ReadingT,
    readings,
)
from tools.topology_walker.signals import SECONDS
from tools.types import Evidence, Owner, Topology


def level(z: float) -> float:
    """ln(1 + z) / ln(101), cut to [0, 1]; 0 for what is not above 0."""
    return float(np.clip(np.log1p(max(z, 0.0)) / np.log(101.0), 0.0, 1.0))


def between(value: float, nothing: float, certain: float) -> float:
    """0 at `nothing` and below, 1 at `certain` and above, a straight line between."""
    return float(np.clip((value - nothing) / (certain - nothing), 0.0, 1.0))


class Scene:
    """All readings of an incident with its service graph; what several signatures ask, once."""

    def __init__(self, evidence: Sequence[Evidence], topology: Topology) -> None:
        self.evidence, self.topology = evidence, topology
        self.readings = readings(evidence)
        self.callees: Mapping[str, Sequence[str]] = callees_of(topology)
        self.traced = any(item.name in ("self_time", "wire_time") for item in evidence)
        found = dict.fromkeys(components(topology))
        for item in evidence:
            owner = Owner.parse(item.subject)
            if owner.kind in ("service", "version", "edge"):
                found |= dict.fromkeys(name for name in (owner.service, owner.caller) if name)
            elif owner.kind == "node" and item.kind == "cluster":
                found[item.subject] = None
        self.names = tuple(found)
        self._below: dict[str, tuple[str, ...]] = {}

    def of(self, kind: type[ReadingT]) -> list[ReadingT]:
        """Return the readings of one type."""
        return [one for one in self.readings if isinstance(one, kind)]

    def below(self, name: str) -> tuple[str, ...]:
        """Return the direct and indirect callees of a component."""
        if name not in self._below:
            self._below[name] = reach(self.callees, name)
        return self._below[name]

    def rose(self, what: CallSide) -> list[EdgeMoved]:
        """Return the calls that got worse on this side; more errors are fewer successes, too."""
        worse = (one for one in self.of(EdgeMoved) if one.what == what)
        return [one for one in worse if one.up or what.endswith("errors")]

    @cached_property
    def failing(self) -> dict[tuple[str, str], float]:
        """The share of the calls of each watched edge that fails, in the caller's eyes."""
        found = {(one.caller, one.service): 0.0 for one in self.of(CallsStopped)}
        for one in self.rose("caller_errors"):
            found[one.edge] = max(found.get(one.edge, 0.0), one.delta)
        return found

    @cached_property
    def slower(self) -> dict[tuple[str, str], float]:
        """The seconds that the calls of each edge take longer, in the caller's eyes."""
        found: dict[tuple[str, str], float] = {}
        for one in self.rose("caller_latency"):
            found[one.edge] = max(found.get(one.edge, 0.0), one.delta)
        return found

    @cached_property
    def waits_for_callees(self) -> frozenset[str]:
        """Who holds what it holds longer (Little's law): its calls take twice as long or more."""
        late = (one for one in self.rose("caller_latency") if one.value >= 2.0 * one.usual)
        return frozenset(one.caller for one in late)

    @cached_property
    def own_latency(self) -> dict[str, float]:
        """The seconds by which the latency of each component itself rose, the most of any."""
        found: dict[str, float] = {}
        for one in self.of(MetricMoved):
            if one.is_own_latency and one.up and one.unit in SECONDS:
                found[one.service] = max(found.get(one.service, 0.0), one.rise)
        return found

    @cached_property
    def door_errors(self) -> float:
        """The largest share of the calls behind the front door that fails."""
        at_door = (s for (caller, _), s in self.failing.items() if caller == self.topology.entry)
        return max(at_door, default=0.0)

    @cached_property
    def asked_for_all(self) -> float:
        """How many times the usual requests even the least asked callee of the front door gets.

        Less what asking again explains: who asks again asks for what failed, a crowd for all.
        """
        entry, rose = self.topology.entry, self.of(MetricMoved)
        ratios = {one.service: one.ratio for one in rose if one.topic == "traffic up"}
        callees = self.callees.get(entry, ())
        answered = 1.0 - min((self.failing.get((entry, one), 0.0) for one in callees), default=0.0)
        return answered * min((ratios.get(one, 1.0) for one in callees), default=1.0)

    @cached_property
    def pages(self) -> dict[str, frozenset[str]]:
        """The paged components the topology knows, and the families of what they were paged for."""
        known = components(self.topology)
        found: dict[str, frozenset[str]] = {}
        for one in self.of(AlertFired):
            if one.service in known:
                about = "errors" if one.family == "success" else one.family
                found[one.service] = found.get(one.service, frozenset()) | {about}
        return found

    def beside_page(self, name: str, family: str) -> float:
        """Return a factor in [0, 1]: how well a rise of `family` at `name` fits the pages.

        A page about latency makes errors elsewhere less telling and the other way round; so does
        a component that the paged one does not depend on.
        """
        if not self.pages:
            return 1.0
        about = frozenset.union(*self.pages.values())
        fits = 1.0 if family in about or not about & {"latency", "errors"} else 0.5
        below = name in self.pages or any(name in self.below(paged) for paged in self.pages)
        return fits * (1.0 if below else 0.5)
