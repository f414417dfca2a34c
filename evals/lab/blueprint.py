"""The shop as it is declared: services, what each route calls, limits, releases, front door.

Read by every process of the lab, so it imports nothing but the standard library.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

FlagValue = str | int | float | bool
LogFormat = Literal["json", "plain"]

ENTRY = "gateway"
MAX_REPLICAS = 3
NODES = ("node-a", "node-b", "node-c")
STANDBY = "standby"


@dataclass(frozen=True, slots=True)
class RouteCall:
    """A call that a route makes: to whom, at which path, with what chance, and if it may fail."""

    callee: str
    path: str
    chance: float = 1.0
    optional: bool = False


@dataclass(frozen=True, slots=True)
class ServiceRoute:
    """One path of a service: the median of its own work, and the calls it makes in order."""

    work_ms: float
    calls: tuple[RouteCall, ...] = ()
    flag: str = ""  # the feature flag that guards it
    stored: Literal["", "read", "write", "cached", "queued"] = ""  # what it does beside calling
    job: bool = False  # done by a consumer of the queue, beside the requests


@dataclass(frozen=True, slots=True)
class ServiceBlueprint:
    """One service and its limits as it is first started."""

    name: str
    routes: Mapping[str, ServiceRoute]
    replicas: int = 1
    workers: int = 16  # requests it holds at once
    cores: int = 1  # requests whose own work it does at once
    convoy: float = 0.02  # by which each waiting request slows that work down
    pool_size: int = 8  # connections it holds to others
    timeout_s: float = 1.5
    retries: int = 1
    slo_p95_s: float = 0.4
    external: bool = False  # outside of our view: no metrics, logs or traces
    tls: bool = False
    logs: LogFormat = "json"
    volume_mb: int = 0  # quota of its folder for data; 0: none
    memory_limit_mb: int = 160
    version: str = "v1.4.0"
    flags: tuple[str, ...] = field(default=())

    @property
    def callees(self) -> tuple[str, ...]:
        """Who it calls, without repetition."""
        return tuple(dict.fromkeys(c.callee for r in self.routes.values() for c in r.calls))


_SERVICES = (
    ServiceBlueprint(
        ENTRY,
        {
            "/browse": ServiceRoute(12, (RouteCall("catalog", "/items"),)),
            "/search": ServiceRoute(12, (RouteCall("catalog", "/search"),)),
            "/suggest": ServiceRoute(12, (RouteCall("recommendation", "/suggest"),)),
            "/cart": ServiceRoute(12, (RouteCall("cart", "/cart"),)),
            "/buy": ServiceRoute(12, (RouteCall("checkout", "/orders"),)),
        },
        workers=64,
        pool_size=64,
        timeout_s=4.0,
        retries=0,
        slo_p95_s=0.8,
        version="v3.2.1",
    ),
    ServiceBlueprint(
        "catalog",
        {
            "/items": ServiceRoute(6, (RouteCall("store", "/read"),), stored="cached"),
            "/search": ServiceRoute(14, (RouteCall("store", "/read", 0.5),), flag="fuzzy_search"),
        },
        replicas=2,
        flags=("fuzzy_search",),
        version="v2.8.0",
    ),
    ServiceBlueprint(
        "recommendation",
        {"/suggest": ServiceRoute(15, (RouteCall("catalog", "/items", optional=True),))},
        logs="plain",
        version="v0.32.1",
    ),
    ServiceBlueprint(
        "cart", {"/cart": ServiceRoute(5, (RouteCall("store", "/read"),))}, version="v4.2.7"
    ),
    ServiceBlueprint(
        "checkout",
        {
            "/orders": ServiceRoute(
                8,
                (
                    RouteCall("cart", "/cart"),
                    RouteCall("inventory", "/reserve"),
                    RouteCall("payment", "/charge"),
                    RouteCall("shipping", "/quote"),
                    RouteCall("worker", "/jobs"),
                ),
            )
        },
        replicas=2,
        pool_size=12,
        timeout_s=2.0,
        slo_p95_s=0.7,
        version="v5.0.9",
    ),
    ServiceBlueprint(
        "payment",
        {"/charge": ServiceRoute(8, (RouteCall("bank", "/authorize"),))},
        tls=True,
        logs="plain",
        version="v2.14.0",
    ),
    ServiceBlueprint(
        "inventory",
        {"/reserve": ServiceRoute(6, (RouteCall("store", "/write"),))},
        replicas=2,
        version="v3.3.5",
    ),
    ServiceBlueprint(
        "shipping",
        {"/quote": ServiceRoute(6, (RouteCall("carrier", "/rate"),))},
        convoy=0.25,
        version="v1.12.8",
    ),
    ServiceBlueprint(
        "worker",
        {
            "/jobs": ServiceRoute(1, stored="queued"),
            "/work": ServiceRoute(120, (RouteCall("store", "/write"),), job=True),
        },
        logs="plain",
        version="v1.7.3",
    ),
    ServiceBlueprint(
        "store",
        {"/read": ServiceRoute(14, stored="read"), "/write": ServiceRoute(5, stored="write")},
        workers=24,
        pool_size=8,
        volume_mb=24,
        logs="plain",
        version="v15.6",
    ),
    ServiceBlueprint("bank", {"/authorize": ServiceRoute(25)}, external=True, workers=64, cores=64),
    ServiceBlueprint("carrier", {"/rate": ServiceRoute(18)}, external=True, workers=64, cores=64),
)

SERVICES: dict[str, ServiceBlueprint] = {service.name: service for service in _SERVICES}
OURS: tuple[str, ...] = tuple(s.name for s in _SERVICES if not s.external)
OUTSIDE: tuple[str, ...] = tuple(s.name for s in _SERVICES if s.external)

JOURNEYS: dict[str, float] = {
    "/browse": 5.0,
    "/search": 1.5,
    "/suggest": 2.0,
    "/cart": 2.0,
    "/buy": 3.0,
}
"""Requests per second that users bring to the front door on an average day, by path."""


def edges() -> tuple[tuple[str, str], ...]:
    """Who calls whom, as a service map would show it."""
    return tuple((s.name, callee) for s in _SERVICES for callee in s.callees)


def topology() -> dict[str, object]:
    """The service graph in the form the copilot reads a declared one."""
    return {"nodes": list(OURS), "edges": [list(edge) for edge in edges()], "entry": ENTRY}


def first_config(service: ServiceBlueprint) -> dict[str, object]:
    """The configuration file a service is first started with."""
    return {
        "workers": service.workers,
        "pool_size": service.pool_size,
        "timeout_s": service.timeout_s,
        "retries": service.retries,
        "rate_limit_rps": None,
        "read_only": False,
        "resolver": "primary",
        "flags": dict.fromkeys(service.flags, True),
        "upstream": {},
        "circuit_breaker": {},
    }
