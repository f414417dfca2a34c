"""Who is a symptom of whom: the callers above each service, looked up once."""

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

    def callers(self, service: str) -> tuple[str, ...]:
        """All that call a service, directly or not, nearest first."""
        found = self._callers.get(service)
        if found is None:
            found = self._callers[service] = self._walk(service)
        return found

    def explains(self, root: str, service: str) -> bool:
        """Whether trouble at `root` can show at `service`: the same, or one of its callers."""
        return service == root or (root in self.linked and service in self.callers(root))

    def _walk(self, service: str) -> tuple[str, ...]:
        reached: dict[str, None] = {}
        frontier = [service]
        while frontier:
            above = [caller for name in frontier for caller in self._direct.get(name, ())]
            frontier = [c for c in dict.fromkeys(above) if c not in reached and c != service]
            reached |= dict.fromkeys(frontier)
        return tuple(reached)
