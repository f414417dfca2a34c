"""The service graph asked, and the walk over it from symptom to cause. Callees are downstream."""

from collections import deque
from collections.abc import Collection, Mapping, Sequence
from typing import Literal

from tools.types import Evidence, FrozenModel, Owner, Ranking, Topology


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
    return reach(callers_of(topology), component)


def downstream(topology: Topology, component: str) -> tuple[str, ...]:
    """Return the direct and indirect callees of `component`, nearest first."""
    return reach(callees_of(topology), component)


def within(topology: Topology, named: Collection[str], hops: int) -> frozenset[str]:
    """Return the named components and those that are at most so many calls away, either way.

    >>> from tools.types import Edge
    >>> calls = (Edge(caller="web", callee="cart"), Edge(caller="cart", callee="db"))
    >>> sorted(within(Topology(edges=calls), ["db"], 1))
    ['cart', 'db']
    """
    callers, callees = callers_of(topology), callees_of(topology)
    found = edge = set(named)
    for _ in range(hops):
        edge = {
            next_ for one in edge for next_ in (*callers.get(one, ()), *callees.get(one, ()))
        } - found
        found = found | edge
    return frozenset(found)


def blast_radius(topology: Topology, component: str) -> tuple[str, ...]:
    """Return `component` and all its direct and indirect callers, nearest first."""
    return (component, *upstream(topology, component))


def reach(neighbours: Mapping[str, Sequence[str]], start: str) -> tuple[str, ...]:
    """Return what is reached from `start` over any number of steps, nearest first."""
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


Mark = Literal["symptom", "cause", "between", "suspect"]


class WalkEdge(FrozenModel):
    """One edge of a walk and the evidence on it; `caller` is empty at the symptom."""

    caller: str
    callee: str
    evidence: tuple[str, ...] = ()


class WalkNode(FrozenModel):
    """A component of the drawn walk. `edge_evidence` belongs to the edge from its parent."""

    component: str
    mark: Mark
    probability: float = 0.0
    evidence: tuple[str, ...] = ()
    edge_evidence: tuple[str, ...] = ()
    children: tuple["WalkNode", ...] = ()


def walk(
    topology: Topology, symptom: str, cause: str, evidence: Sequence[Evidence]
) -> tuple[WalkEdge, ...]:
    """Return the calls from `symptom` to `cause`, each with the ids of its evidence.

    Among the shortest paths the one with the strongest edge evidence is taken; where no path of
    calls is known the cause stands in a single step, its caller the symptom.
    """
    on_edge = _by_subject(evidence)
    first = WalkEdge(caller="", callee=symptom, evidence=_ids(on_edge, symptom))
    if symptom == cause:
        return (first,)
    path = _path(topology, symptom, cause, on_edge) or (symptom, cause)
    steps = (
        WalkEdge(caller=a, callee=b, evidence=_ids(on_edge, f"{a}->{b}"))
        for a, b in zip(path, path[1:], strict=False)
    )
    return (first, *steps)


def explain_tree(ranking: Ranking, evidence: Sequence[Evidence], topology: Topology) -> WalkNode:
    """The symptom at the root, the walks to the first three candidates below it.

    The root is the topology's entry (else the caller nothing calls); the first candidate is marked
    `cause` unless the ranking abstained.
    """
    on_subject = _by_subject(evidence)
    suspects = [c for c in ranking.candidates[:3] if c.score > 0]
    cause = suspects[0].component if suspects and not ranking.abstained else ""
    root = topology.entry or next(iter(topology.nodes), cause)
    marks: dict[str, Mark] = {c.component: "suspect" for c in suspects}
    if cause:
        marks[cause] = "cause"
    below: dict[str, list[str]] = {}
    for candidate in suspects:
        for step in walk(topology, root, candidate.component, evidence)[1:]:
            if all(step.callee not in names for names in below.values()):
                below.setdefault(step.caller, []).append(step.callee)
    chances = {c.component: c.probability for c in suspects}

    def node(name: str, parent: str) -> WalkNode:
        return WalkNode(
            component=name,
            mark=marks.get(name, "symptom" if not parent else "between"),
            probability=chances.get(name, 0.0),
            evidence=_ids(on_subject, name),
            edge_evidence=_ids(on_subject, f"{parent}->{name}") if parent else (),
            children=tuple(node(child, name) for child in below.get(name, ())),
        )

    return node(root, "")


def _by_subject(evidence: Sequence[Evidence]) -> dict[str, list[Evidence]]:
    found: dict[str, list[Evidence]] = {}
    for item in evidence:
        owner = Owner.parse(item.subject)
        name = item.subject if owner.kind == "edge" else owner.service
        found.setdefault(name, []).append(item)
    return found


def _ids(by_subject: Mapping[str, Sequence[Evidence]], subject: str) -> tuple[str, ...]:
    strongest = sorted(by_subject.get(subject, ()), key=lambda item: -item.strength)
    return tuple(item.id for item in strongest[:4])


def _path(
    topology: Topology, start: str, end: str, on_edge: Mapping[str, Sequence[Evidence]]
) -> tuple[str, ...]:
    callees = callees_of(topology)
    best: dict[str, tuple[float, tuple[str, ...]]] = {start: (0.0, (start,))}
    queue = deque([start])
    while queue:
        here = queue.popleft()
        weight, path = best[here]
        for name in callees.get(here, ()):
            on = sum(item.strength for item in on_edge.get(f"{here}->{name}", ()))
            known = best.get(name)
            if known is None:
                queue.append(name)
            elif len(known[1]) != len(path) + 1 or known[0] >= weight + on:
                continue
            best[name] = (weight + on, (*path, name))
    return best[end][1] if end in best else ()
