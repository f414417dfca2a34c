"""The service graph: who calls whom, how often, with which limits, and where it runs."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from tools.types import Edge, FloatArray, Topology

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


_FIRST = (
    *("account", "audit", "basket", "billing", "booking", "campaign", "claims", "content"),
    *("coupon", "customer", "device", "document", "export", "feed", "fraud", "geo", "identity"),
    *("import", "invoice", "ledger", "loyalty", "media", "menu", "message", "notice", "offer"),
    *("partner", "policy", "profile", "quote", "rating", "refund", "report", "review", "route"),
    *("stock", "ticket", "token", "tour", "user", "voucher", "wallet"),
)
_SECOND = ("api", "core", "index", "queue", "reader", "router", "store", "sync", "worker", "writer")
_TIERS = 5
_CALLS_PER_REQUEST = 1.6  # a caller's calls add up to this at most, so load stays level


def _names(count: int, rng: np.random.Generator) -> list[str]:
    pairs = [f"{first}-{second}" for first in _FIRST for second in _SECOND]
    order = np.argsort(rng.random(len(pairs)))
    rounds = -(-count // len(pairs))
    return [
        pairs[i] if turn == 0 else f"{pairs[i]}-{turn + 1}" for turn in range(rounds) for i in order
    ][:count]


def _service(name: str, kind: ServiceKind, draw: FloatArray) -> SimulatedService:
    work = {"database": 4.0, "cache": 1.0}.get(kind, 7.0)
    return SimulatedService(
        name=name,
        kind=kind,
        replicas=1 if kind == "database" else 2 + int(draw[0] * 4),
        work_ms=round(work * (0.6 + draw[1]), 2),
        tail=round(2.8 + draw[2], 2),
        utilisation=round(0.44 + 0.1 * draw[3], 3),
        pool_pct=round(20.0 + 25.0 * draw[4], 1),
        memory_pct=round(40.0 + 24.0 * draw[5], 1),
        disk_pct=round(25.0 + 30.0 * draw[6], 1),
        version=f"v{1 + int(draw[7] * 4)}.{int(draw[7] * 97) % 30}.{int(draw[7] * 997) % 10}",
    )


def random_graph(count: int, seed: int) -> Graph:
    """A seeded graph: `count` services in tiers below one gateway, about three calls each.

    Some calls go to the outside. A caller stands in a tier above its callees, so the calls form a
    DAG; the last tier holds the databases and caches.
    """
    rng = np.random.default_rng((seed, 1))
    names = _names(count - 1, rng)
    tier = [1 + i * _TIERS // (count - 1) for i in range(count - 1)]
    cached = rng.random(count - 1) < 0.3
    draws = rng.random((count - 1, 8))
    kinds: list[ServiceKind] = [
        ("cache" if cached[i] else "database") if tier[i] == _TIERS else "service"
        for i in range(count - 1)
    ]
    services = [
        SimulatedService("gateway", "gateway", 4, 3.0, 3.0, 0.62, 18.0, 41.0, 28.0, "v3.0.0")
    ]
    services += [_service(name, kinds[i], draws[i]) for i, name in enumerate(names)]
    calls = _calls(names, tier, rng)
    inner = [i for i in range(count - 1) if 1 < tier[i] < _TIERS]
    drawn = [i for i in inner if rng.random() < 0.2]
    for position, i in enumerate(drawn if len(drawn) > 1 else inner[:2]):
        services.append(SimulatedService(f"{names[i]}-partner", "external", 1, 70.0, 2.6))
        backed = position % 2 == 0
        calls.append(
            ServiceCall(
                names[i],
                f"{names[i]}-partner",
                0.9,
                2.0,
                fallback=backed,
                standby=not backed,
            )
        )
    nodes = tuple(f"node-{'abc'[i % 3]}{i // 3 + 1}" for i in range(max(3, count // 8)))
    return Graph(tuple(services), tuple(calls), "gateway", nodes, spread(tuple(services), nodes))


def _calls(names: list[str], tier: Sequence[int], rng: np.random.Generator) -> list[ServiceCall]:
    """Each service is called from the tier above at least once; extra calls go further down."""
    calls: dict[tuple[str, str], ServiceCall] = {}
    by_tier = [[i for i in range(len(names)) if tier[i] == level] for level in range(_TIERS + 1)]
    for i, name in enumerate(names):
        above = by_tier[tier[i] - 1] if tier[i] > 1 else []
        caller = names[above[int(rng.random() * len(above))]] if above else "gateway"
        calls[caller, name] = _call(caller, name, rng)
        below = [j for level in by_tier[tier[i] + 1 :] for j in level]
        for _ in range(2 if below else 0):
            callee = names[below[int(rng.random() * len(below))]]
            calls.setdefault((name, callee), _call(name, callee, rng))
    return _levelled(list(calls.values()))


def _levelled(calls: list[ServiceCall]) -> list[ServiceCall]:
    total: dict[str, float] = {}
    for call in calls:
        total[call.caller] = total.get(call.caller, 0.0) + call.per_request
    return [
        replace(
            call,
            per_request=round(
                call.per_request * min(1.0, _CALLS_PER_REQUEST / total[call.caller]), 4
            ),
        )
        for call in calls
    ]


def _call(caller: str, callee: str, rng: np.random.Generator) -> ServiceCall:
    chance, patience, again, spare = rng.random(4)
    return ServiceCall(
        caller,
        callee,
        per_request=round(0.3 + 0.6 * float(chance), 3),
        timeout_s=round(1.0 + 1.5 * float(patience), 2),
        retries=int(again < 0.1),
        optional=bool(spare < 0.15),
    )
