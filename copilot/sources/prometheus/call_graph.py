"""The graph of calls that edge metrics tell of, remembered for a day."""

import math
import threading

from copilot.ports import Clock, SourceError
from copilot.sources.prometheus.client import PrometheusClient
from copilot.sources.prometheus.owners import Owners
from copilot.sources.prometheus.plan import PlannedQuery, QueryPlan
from tools.types import Edge, Timestamp, Topology

EDGE_SEEN_S = 3600.0
"""A call within this time is an edge."""

EDGE_KEPT_S = 86_400.0
"""An edge is forgotten when nobody used it for this long: a callee that is down stays known."""

GRAPH_FRESH_S = 60.0
MOST_EDGES = 20_000


class CallGraph:
    """Asks for the graph now and then, and keeps what it was told; safe between threads."""

    def __init__(self, client: PrometheusClient, clock: Clock, owners: Owners) -> None:
        self._client = client
        self._clock = clock
        self._naming = owners
        self._lock = threading.Lock()
        self._asked = -math.inf
        self._edges: dict[tuple[str, str], Timestamp] = {}
        self._nodes: dict[str, Timestamp] = {}

    def topology(self, plan: QueryPlan) -> Topology:
        """The graph; an old one where the server does not answer, an error where there is none."""
        with self._lock:
            now = self._clock.now()
            if not 0 <= now - self._asked < GRAPH_FRESH_S:
                self._ask(plan, now)
            return _graph(self._nodes, self._edges)

    def _ask(self, plan: QueryPlan, now: Timestamp) -> None:
        try:
            for asked in plan.asked:
                if asked.query.shape == "rate" and asked.query.owner == "edge":
                    self._take_edges(asked, now)
                elif asked.query.of == "up" or asked.query.metric == "request_rate":
                    self._take_nodes(asked, now)
        except SourceError:
            if not self._nodes:
                raise
            return
        self._asked = now
        self._edges = {k: at for k, at in self._edges.items() if now - at < EDGE_KEPT_S}
        self._nodes = {k: at for k, at in self._nodes.items() if now - at < EDGE_KEPT_S}

    def _take_edges(self, asked: PlannedQuery, now: Timestamp) -> None:
        for owner in self._owners(asked, now):
            caller, _, callee = owner.partition("->")
            self._edges[caller, callee] = now

    def _take_nodes(self, asked: PlannedQuery, now: Timestamp) -> None:
        self._nodes.update(dict.fromkeys(self._owners(asked, now), now))

    def _owners(self, asked: PlannedQuery, now: Timestamp) -> list[str]:
        found = self._client.instant(asked.over(EDGE_SEEN_S), now)[:MOST_EDGES]
        owned = [asked.owned(vector.labels) for vector in found]
        self._naming.learn(owned)
        named = (self._naming.text(one, asked.query.owner) for one in owned)
        return [owner for owner in named if owner]


def _graph(nodes: dict[str, Timestamp], edges: dict[tuple[str, str], Timestamp]) -> Topology:
    """Nodes are what measures itself; a callee that does not is outside."""
    called = {callee for _, callee in edges}
    roots = {caller for caller, _ in edges} - called
    return Topology(
        nodes=tuple(sorted(nodes)),
        edges=tuple(
            Edge(caller=caller, callee=callee, source="metrics")
            for caller, callee in sorted(edges)
            if caller != callee
        ),
        entry=roots.pop() if len(roots) == 1 else "",
    )
