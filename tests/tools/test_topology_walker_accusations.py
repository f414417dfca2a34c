"""Whom a log line accuses: its writer, the peer it names, or a client; and who only hands it on."""

import numpy as np
import pytest

from tools.evidence import number
from tools.log_retriever import novelty
from tools.topology_walker import rank
from tools.types import (
    ENTRY,
    Candidate,
    Edge,
    FaultKind,
    Finding,
    LogLine,
    Ranking,
    SplitLog,
    Topology,
    Window,
)

ONSET, END = 1000.0, 1300.0
CALLS = (("web", "cart"), ("cart", "stock"), ("cart", "cart-redis"), ("stock", "stock-db"))
SHOP = Topology(edges=tuple(Edge(caller=a, callee=b) for a, b in CALLS))


def lines(service: str, text: str, level: str = "ERROR") -> list[LogLine]:
    """The service replies all the time, and since the onset also says so."""
    calm = [LogLine(float(at), service, "INFO", "replied") for at in np.arange(0.0, END, 5.0)]
    said = [LogLine(float(at), service, level, text) for at in np.arange(ONSET, END, 5.0)]
    return [*calm, *said]


def ranked(*told: tuple[str, str], topology: Topology = SHOP, level: str = "ERROR") -> Ranking:
    logs = [line for service, text in told for line in lines(service, text, level)]
    return rank(number(novelty(SplitLog(tuple(logs), ONSET))), topology)


def first(*told: tuple[str, str], topology: Topology = SHOP) -> Candidate:
    return ranked(*told, topology=topology).candidates[0]


REDIS_REFUSED = "connect ECONNREFUSED cart-redis:6379"
CASES = {
    "its own end": ([("stock", "OutOfMemoryError: heap")], "stock", "memory_pressure"),
    "a peer that is named": ([("cart", REDIS_REFUSED)], "cart-redis", "process_down"),
    "a peer by its service's name": (
        [("stock", "dial tcp stock-db.prod.svc:5432: i/o timeout")],
        "stock-db",
        "slow_dependency",
    ),
    "the only callee, where nobody is named": (
        [("stock", "FATAL: sorry, too many clients already")],
        "stock-db",
        "pool_exhaustion",
    ),
    "the last of a chain": (
        [
            ("web", "timeout of 3000ms exceeded calling http://cart:80/"),
            ("cart", "status code 500 from http://stock:80/"),
            ("stock", "Connection to stock-db:5432 refused: connection refused"),
        ],
        "stock-db",
        "process_down",
    ),
    "what the accused says of itself before what its callers say": (
        [("web", "connection refused: http://cart:80/"), ("cart", "java.lang.OutOfMemoryError")],
        "cart",
        "memory_pressure",
    ),
    "the client, though its database logs the mistake, too": (
        [
            ("stock", "column items.size does not exist"),
            ("stock-db", "column items.size does not exist at character 9"),
        ],
        "stock",
        "schema_mismatch",
    ),
}


@pytest.mark.parametrize("case", CASES, ids=list(CASES))
def test_a_line_accuses_who_has_the_fault(case: str) -> None:
    told, component, kind = CASES[case]
    found = first(*told)
    assert (found.component, found.fault_kind) == (component, kind)


def test_a_host_that_nothing_watches_is_named_beside_its_caller() -> None:
    found = first(("cart", "https://api.stripe.com/v1: (Status 429) rate limit exceeded"))
    assert (found.component, found.peer) == ("cart", "api.stripe.com")
    assert found.fault_kind == "rate_limited"


def test_without_a_service_graph_peers_are_named_all_the_same() -> None:
    found = first(("reviews", "http://ratings:9080/: connection refused"), topology=Topology())
    assert (found.component, found.peer) == ("reviews", "ratings")
    assert found.fault_kind == "dependency_down"


def test_of_logs_alone_nothing_is_said_to_be_sure() -> None:
    found = ranked(("stock", "OutOfMemoryError: heap"))
    assert found.candidates[0].probability <= 0.7
    assert not found.calibrated


def test_more_lines_of_information_are_no_cause() -> None:
    assert ranked(("cart", "cache warmed"), level="INFO").abstained
    assert ranked(("cart", REDIS_REFUSED), level="INFO").abstained


POOL_EMPTY = "HikariPool-1 - Connection is not available, request timed out after 1580ms"
LATE_CARRIER = Finding(
    kind="edge",
    subject="cart->carrier-api",
    name="caller_latency",
    source="metrics",
    query="cart->carrier-api|latency_p90_ms",
    window=Window(start=ONSET, end=END),
    value=1800.0,
    baseline=100.0,
    unit="ms",
    direction="up",
    strength=9.0,
    figures={"z": 50.0, "delta": 1.7, "steady": 1.0, "fresh": 1.0, "outside": 1.0}
    | {"caller_edges": 1.0, "callee_edges": 1.0},
    statement="cart->carrier-api latency_p90_ms rose to 1800 ms, normally 100 ms.",
)


@pytest.mark.parametrize(
    ("measured", "kind"),
    [((), "pool_exhaustion"), ((LATE_CARRIER,), "slow_dependency")],
    ids=["nothing else", "an outside that answers late"],
)
def test_a_pool_is_empty_by_itself_or_because_its_holders_wait(
    measured: tuple[Finding, ...], kind: FaultKind
) -> None:
    log = SplitLog(tuple(lines("cart", POOL_EMPTY)), ONSET)
    first_one = rank(number([*measured, *novelty(log)]), SHOP).candidates[0]
    assert (first_one.component, first_one.fault_kind) == ("cart", kind)


def test_a_pool_that_more_requests_emptied_is_not_the_cause() -> None:
    surge = LATE_CARRIER.model_copy(
        update={
            "kind": "metric",
            "subject": ENTRY,
            "name": "request_rate",
            "figures": {"z": 50.0, "ratio": 3.0, "steady": 1.0, "fresh": 1.0, "share": 1.0},
        }
    )
    log = SplitLog(tuple(lines("cart", POOL_EMPTY)), ONSET)
    shop = SHOP.model_copy(update={"entry": "web"})
    found = rank(number([surge, *novelty(log)]), shop).candidates[0]
    assert (found.component, found.fault_kind) == ("web", "traffic_surge")
