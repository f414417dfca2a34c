"""Who is a symptom of whom: the callers above each service, and the call graph each is part of."""

from collections import defaultdict

from tools.types import Topology


class CallPaths:
    """Call paths of a topology, remembered per service."""

    def __init__(self, topology: Topology) -> None:
        self._direct: dict[str, list[str]] = defaultdict(list)
        for edge in topology.edges:
            self._direct[edge.callee].append(edge.caller)
        self.linked = frozenset(
            name for edge in topology.edges for name in (edge.caller, edge.callee)
        )
        self.known = self.linked | frozenset(topology.nodes)
        self._callers: dict[str, tuple[str, ...]] = {}
        self._graphs = _graphs(topology)

    def callers(self, service: str) -> tuple[str, ...]:
        """All that call a service, directly or not, nearest first."""
        found = self._callers.get(service)
        if found is None:
            found = self._callers[service] = self._walk(service)
        return found

    def explains(self, root: str, service: str) -> bool:
        """Whether trouble at `root` can show at `service`: the same, or one of its callers.

        Nothing explains what names nobody, and nobody explains anything.
        """
        if not root or not service:
            return False
        return service == root or (root in self.linked and service in self.callers(root))

    def graph(self, service: str) -> str:
        """The name of the call graph a service is part of; empty where nobody calls or is called.

        Services of one graph are joined by calls in either direction, however many.
        """
        return self._graphs.get(service, "")

    def _walk(self, service: str) -> tuple[str, ...]:
        reached: dict[str, None] = {}
        frontier = [service]
        while frontier:
            above = [caller for name in frontier for caller in self._direct.get(name, ())]
            frontier = [c for c in dict.fromkeys(above) if c not in reached and c != service]
            reached |= dict.fromkeys(frontier)
        return tuple(reached)


def _graphs(topology: Topology) -> dict[str, str]:
    """Connected components of the calls, each named by its first service in the alphabet."""
    beside: dict[str, set[str]] = defaultdict(set)
    for edge in topology.edges:
        beside[edge.caller].add(edge.callee)
        beside[edge.callee].add(edge.caller)
    found: dict[str, str] = {}
    for name in sorted(beside):
        frontier = [] if name in found else [name]
        while frontier:
            found |= dict.fromkeys(frontier, name)
            frontier = [n for each in frontier for n in beside[each] if n not in found]
    return found
