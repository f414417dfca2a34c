"""Questions about the service graph. Callers are upstream, what is called is downstream."""

from collections import deque
from collections.abc import Mapping, Sequence

from tools.types import Topology


def callers_of(topology: Topology) -> dict[str, tuple[str, ...]]:
    """Map every component to its direct callers, in declared order."""
    found: dict[str, list[str]] = {name: [] for name in components(topology)}
    for edge in topology.edges:
        if edge.caller != edge.callee and edge.caller not in found[edge.callee]:
            found[edge.callee].append(edge.caller)
    return {name: tuple(callers) for name, callers in found.items()}


def callees_of(topology: Topology) -> dict[str, tuple[str, ...]]:
    """Map every component to its direct callees, in declared order."""
    found: dict[str, list[str]] = {name: [] for name in components(topology)}
    for edge in topology.edges:
        if edge.caller != edge.callee and edge.callee not in found[edge.caller]:
            found[edge.caller].append(edge.callee)
    return {name: tuple(callees) for name, callees in found.items()}


def components(topology: Topology) -> tuple[str, ...]:
    """Return all components of the topology, including those that only an edge names."""
    ends = (name for edge in topology.edges for name in (edge.caller, edge.callee))
    return tuple(dict.fromkeys((*topology.nodes, *ends)))


def upstream(topology: Topology, component: str) -> tuple[str, ...]:
    """Return the direct and indirect callers of `component`, nearest first.

    >>> from tools.types import Edge
    >>> calls = (Edge(caller="web", callee="cart"), Edge(caller="cart", callee="db"))
    >>> upstream(Topology(edges=calls), "db")
    ('cart', 'web')
    """
    return _reach(callers_of(topology), component)


def downstream(topology: Topology, component: str) -> tuple[str, ...]:
    """Return the direct and indirect callees of `component`, nearest first."""
    return _reach(callees_of(topology), component)


def blast_radius(topology: Topology, component: str) -> tuple[str, ...]:
    """Return `component` and all its direct and indirect callers, nearest first."""
    return (component, *upstream(topology, component))


def _reach(neighbours: Mapping[str, Sequence[str]], start: str) -> tuple[str, ...]:
    return tuple(name for name in _distances(neighbours, start) if name != start)


def _distances(neighbours: Mapping[str, Sequence[str]], start: str) -> dict[str, int]:
    found = {start: 0}
    queue = deque([start])
    while queue:
        here = queue.popleft()
        for name in neighbours.get(here, ()):
            if name not in found:
                found[name] = found[here] + 1
                queue.append(name)
    return found
