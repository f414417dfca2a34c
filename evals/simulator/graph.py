"""The service graph: who calls whom, how often, with which limits, and where it runs."""

from dataclasses import dataclass, field
from typing import Literal

from tools.types import Edge, Topology

ServiceKind = Literal["gateway", "service", "database", "cache", "external"]


@dataclass(frozen=True, slots=True)
class SimulatedService:
    """One service; an `external` one is outside of our view and has no telemetry of its own."""

    name: str
    kind: ServiceKind = "service"
    replicas: int = 3
    work_ms: float = 8.0  # median time of its own code for one request
    tail: float = 3.5  # 99th percentile over median of its own work
    utilisation: float = 0.5  # of its CPU at the mean traffic
    pool_pct: float = 25.0  # of its connections at the mean traffic
    memory_pct: float = 48.0
    disk_pct: float = 42.0
    version: str = "v1.0.0"


@dataclass(frozen=True, slots=True)
class ServiceCall:
    """`caller` calls `callee` `per_request` times for each request it serves.

    An `optional` call that fails is left out of the answer. `fallback`: an open breaker is
    answered from a stored reply. `standby`: a second upstream exists to switch to.
    """

    caller: str
    callee: str
    per_request: float = 1.0
    timeout_s: float = 2.0
    retries: int = 0
    optional: bool = False
    fallback: bool = False
    standby: bool = False


@dataclass(frozen=True, slots=True)
class Graph:
    """Services (externals last), their calls (a DAG), the front door, nodes and placement."""

    services: tuple[SimulatedService, ...]
    calls: tuple[ServiceCall, ...]
    entry: str
    nodes: tuple[str, ...]
    home: dict[str, str] = field(default_factory=dict)  # service -> node with most of its pods

    @property
    def visible(self) -> tuple[SimulatedService, ...]:
        """The services that are ours, in order; these come first in every array."""
        return tuple(s for s in self.services if s.kind != "external")

    def topology(self) -> Topology:
        """What a service map would show: our services, and edges to the outside as well."""
        return Topology(
            nodes=tuple(sorted(s.name for s in self.visible)),
            edges=tuple(
                Edge(caller=c.caller, callee=c.callee, source="declared") for c in self.calls
            ),
            entry=self.entry,
        )


_SHOP_SERVICES = (
    SimulatedService("gateway", "gateway", 4, 3.0, 3.0, 0.62, 18.0, 31.0, 28.0, "v3.11.2"),
    SimulatedService("catalog", "service", 4, 9.0, 3.2, 0.50, 30.0, 36.0, 33.0, "v2.8.0"),
    SimulatedService("search", "service", 3, 14.0, 3.6, 0.52, 24.0, 47.0, 44.0, "v1.19.4"),
    SimulatedService("recommendation", "service", 2, 18.0, 3.4, 0.50, 22.0, 51.0, 31.0, "v0.32.1"),
    SimulatedService("cart", "service", 3, 6.0, 3.1, 0.46, 33.0, 33.0, 29.0, "v4.2.7"),
    SimulatedService("pricing", "service", 3, 5.0, 3.0, 0.51, 26.0, 29.0, 27.0, "v1.7.3"),
    SimulatedService("checkout", "service", 3, 11.0, 3.3, 0.49, 38.0, 38.0, 35.0, "v5.0.9"),
    SimulatedService("payment", "service", 3, 10.0, 3.4, 0.50, 42.0, 35.0, 34.0, "v2.14.0"),
    SimulatedService("inventory", "service", 3, 7.0, 3.2, 0.52, 40.0, 37.0, 38.0, "v3.3.5"),
    SimulatedService("shipping", "service", 2, 8.0, 3.2, 0.47, 30.0, 32.0, 30.0, "v1.12.8"),
    SimulatedService("cache", "cache", 2, 0.9, 2.6, 0.45, 35.0, 63.0, 22.0, "v7.2.4"),
    SimulatedService("catalog-db", "database", 1, 4.0, 3.8, 0.46, 44.0, 66.0, 55.0, "v15.6"),
    SimulatedService("orders-db", "database", 1, 4.5, 4.0, 0.48, 46.0, 64.0, 58.0, "v15.6"),
    SimulatedService("card-processor", "external", 1, 85.0, 2.6),
    SimulatedService("carrier-api", "external", 1, 60.0, 2.8),
)

_SHOP_CALLS = (
    ServiceCall("gateway", "catalog", 0.55, 2.0),
    ServiceCall("gateway", "search", 0.25, 2.0),
    ServiceCall("gateway", "recommendation", 0.30, 1.0, optional=True),
    ServiceCall("gateway", "cart", 0.22, 2.0),
    ServiceCall("gateway", "checkout", 0.12, 5.0),
    ServiceCall("search", "catalog", 0.6, 1.5),
    ServiceCall("search", "cache", 1.0, 0.5, optional=True),
    ServiceCall("recommendation", "catalog", 0.5, 0.8, optional=True),
    ServiceCall("catalog", "cache", 1.0, 0.5, optional=True),
    ServiceCall("catalog", "catalog-db", 0.4, 1.5),
    ServiceCall("catalog", "pricing", 0.5, 1.0),
    ServiceCall("cart", "pricing", 1.0, 1.0),
    ServiceCall("cart", "cache", 1.0, 0.5),
    ServiceCall("checkout", "cart", 1.0, 1.5),
    ServiceCall("checkout", "inventory", 1.0, 1.5, retries=1),
    ServiceCall("checkout", "payment", 1.0, 3.0),
    ServiceCall("checkout", "shipping", 1.0, 2.5),
    ServiceCall("checkout", "orders-db", 1.0, 1.5),
    ServiceCall("payment", "orders-db", 1.0, 1.5),
    ServiceCall("inventory", "orders-db", 0.6, 1.5),
    ServiceCall("payment", "card-processor", 1.0, 2.5, standby=True),
    ServiceCall("shipping", "carrier-api", 0.8, 2.0, fallback=True),
)

_SHOP_NODES = ("node-a1", "node-a2", "node-b1", "node-b2")


def spread(services: tuple[SimulatedService, ...], nodes: tuple[str, ...]) -> dict[str, str]:
    """Deal the services out over the nodes, in order, as a scheduler with even load does."""
    ours = (service.name for service in services if service.kind != "external")
    return {name: nodes[position % len(nodes)] for position, name in enumerate(ours)}


def shop() -> Graph:
    """An online shop of thirteen services and two outside dependencies."""
    return Graph(
        _SHOP_SERVICES,
        _SHOP_CALLS,
        "gateway",
        _SHOP_NODES,
        spread(_SHOP_SERVICES, _SHOP_NODES),
    )
