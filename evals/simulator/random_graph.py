"""Seeded random service graphs, from a handful of services to thousands, for load and evals."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from evals.simulator.graph import Graph, ServiceCall, ServiceKind, SimulatedService, spread
from tools.types import FloatArray

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
    """`count` services in tiers below one gateway, about three calls each, some to the outside.

    A caller stands in a tier above its callees, so the calls form a DAG; the last tier holds the
    databases and caches.
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
