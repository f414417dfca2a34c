"""Questions about the service graph. Callers are upstream, what is called is downstream."""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence

from tools.types import Span, Topology


def callers_of(topology: Topology) -> dict[str, tuple[str, ...]]:
    """Who calls each component directly, every node named, in declared order."""
    found: dict[str, list[str]] = {name: [] for name in components(topology)}
    for edge in topology.edges:
        if edge.caller != edge.callee and edge.caller not in found[edge.callee]:
            found[edge.callee].append(edge.caller)
    return {name: tuple(callers) for name, callers in found.items()}


def callees_of(topology: Topology) -> dict[str, tuple[str, ...]]:
    """What each component calls directly, every node named, in declared order."""
    found: dict[str, list[str]] = {name: [] for name in components(topology)}
    for edge in topology.edges:
        if edge.caller != edge.callee and edge.callee not in found[edge.caller]:
            found[edge.caller].append(edge.callee)
    return {name: tuple(callees) for name, callees in found.items()}


def components(topology: Topology) -> tuple[str, ...]:
    """All names the topology knows, those that only an edge names included."""
    ends = (name for edge in topology.edges for name in (edge.caller, edge.callee))
    return tuple(dict.fromkeys((*topology.nodes, *ends)))


def upstream(topology: Topology, component: str) -> tuple[str, ...]:
    """All that call the component, directly or not, nearest first.

    >>> from tools.types import Edge
    >>> calls = (Edge(caller="web", callee="cart"), Edge(caller="cart", callee="db"))
    >>> upstream(Topology(edges=calls), "db")
    ('cart', 'web')
    """
    return _reach(callers_of(topology), component)


def downstream(topology: Topology, component: str) -> tuple[str, ...]:
    """All that the component depends on, directly or not, nearest first."""
    return _reach(callees_of(topology), component)


def blast_radius(topology: Topology, component: str) -> tuple[str, ...]:
    """The component and all that break with it: itself, then its callers, nearest first."""
    return (component, *upstream(topology, component))


def shared_dependencies(topology: Topology, affected: Iterable[str]) -> tuple[str, ...]:
    """What all affected components are or depend on, nearest first (sum of call distances)."""
    callees = callees_of(topology)
    reached = [_distances(callees, name) for name in dict.fromkeys(affected)]
    if not reached:
        return ()
    common = [name for name in reached[0] if all(name in far for far in reached)]
    return tuple(sorted(common, key=lambda name: sum(far[name] for far in reached)))


def critical_path(spans: Sequence[Span]) -> tuple[Span, ...]:
    """The chain of spans that decided how long one trace took, root first.

    At each span the walk goes on into the child that ended last; spans whose parent was not
    recorded count as roots, and the longest root is walked.
    """
    known = {span.span for span in spans}
    children: dict[str, list[Span]] = {}
    for span in spans:
        children.setdefault(span.parent if span.parent in known else "", []).append(span)
    path: list[Span] = []
    here = max(children.get("", ()), key=lambda span: span.seconds, default=None)
    while here is not None and here not in path:
        path.append(here)
        here = max(children.get(here.span, ()), key=lambda s: s.at + s.seconds, default=None)
    return tuple(path)


def retries(spans: Sequence[Span]) -> dict[str, int]:
    """Calls made again after the same call had failed, per edge `caller->callee`.

    A call is the same if it has the same parent span, service and operation. Many retries say
    that the callee fails, and multiply what it is asked to do.
    """
    by_trace = {(span.trace, span.span): span.service for span in spans}
    failed: set[tuple[str, str, str, str]] = set()
    found: dict[str, int] = {}
    for span in sorted(spans, key=lambda one: one.at):
        caller = by_trace.get((span.trace, span.parent))
        if caller is None or caller == span.service:
            continue
        call = (span.trace, span.parent, span.service, span.operation)
        if call in failed:
            edge = f"{caller}->{span.service}"
            found[edge] = found.get(edge, 0) + 1
        if span.error:
            failed.add(call)
    return found


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
