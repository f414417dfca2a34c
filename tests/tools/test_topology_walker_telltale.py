"""Signs that only one kind of fault leaves: who is named for them, and what is no sign."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from tests.tools.stepped_series import END, ONSET, TIMES, series, unpaid_orders
from tools.evidence import number
from tools.log_retriever import novelty
from tools.topology_walker import observe, rank
from tools.topology_walker.signals import read
from tools.types import Edge, FaultKind, LogLine, Ranking, Series, Telemetry, Topology, Window

CALLS = (("web", "cart"), ("web", "search"), ("cart", "db"), ("cart", "bank"))
SHOP = Topology(
    nodes=("web", "cart", "search", "db"),
    edges=tuple(Edge(caller=a, callee=b) for a, b in CALLS),
    entry="web",
)


def world(*faulty: Series, logs: tuple[LogLine, ...] = ()) -> Telemetry:
    """All services healthy but for the given series."""
    healthy = [series(name, "cpu_pct", 20.0) for name in SHOP.nodes]
    healthy += [series(name, "request_rate", 10.0) for name in SHOP.nodes]
    healthy += [series(f"{a}->{b}", "latency_p50_ms", 20.0) for a, b in CALLS]
    healthy += [series(f"{a}->{b}", "calls", 10.0) for a, b in CALLS]
    names = {one.name for one in faulty}
    kept = [one for one in healthy if one.name not in names]
    window = Window(start=0.0, end=END)
    return Telemetry(window=window, series=(*kept, *faulty), topology=SHOP, logs=logs)


def located(telemetry: Telemetry) -> Ranking:
    found = [*observe(telemetry, ONSET), *novelty(telemetry.split_log(ONSET))]
    return rank(number(found), telemetry.topology)


def said(service: str, text: str) -> tuple[LogLine, ...]:
    """The service says so again and again from the onset on, and was calm before."""
    times = np.arange(ONSET - 600.0, ONSET + 120.0, 5.0)
    return tuple(
        LogLine(float(at), service, "ERROR", text)
        if at >= ONSET
        else LogLine(float(at), service, "INFO", "replied")
        for at in times
    )


FAILING = (series("web->cart", "error_pct", 0.1, 100.0), series("web", "error_pct", 0.1, 60.0))
DB_FAILING = (series("cart->db", "error_pct", 0.1, 100.0), *FAILING)

FAULTS: dict[str, tuple[Callable[[], Telemetry], str, FaultKind]] = {
    "a certificate has no time left": (
        lambda: world(series("db", "certificate_left_s", 2e6, -86400.0), *DB_FAILING),
        "db",
        "certificate_expired",
    ),
    "a caller says that a peer's certificate has expired": (
        lambda: world(
            *DB_FAILING,
            logs=said("cart", "db: x509: certificate has expired or is not yet valid"),
        ),
        "db",
        "certificate_expired",
    ),
    "a clock is minutes off and its callers fail": (
        lambda: world(series("cart", "time_offset_ms", 2.0, 6e5), *FAILING),
        "cart",
        "clock_skew",
    ),
    "a clock is minutes off and its caller refuses every call": (
        lambda: world(
            series("db", "time_offset_ms", 2.0, 6e5),
            series("cart", "cpu_pct", 20.0, 40.0),
            *FAILING,
            logs=unpaid_orders("cart"),
        ),
        "db",
        "clock_skew",
    ),
    "a component cannot resolve the name of what it calls": (
        lambda: world(*DB_FAILING, logs=said("cart", "dial tcp: lookup db: no such host")),
        "cart",
        "dns_failure",
    ),
    "each call is repeated eight times": (
        lambda: world(
            series("cart->db", "retries", 0.05, 80.0),
            series("cart->db", "calls", 10.0, 90.0),
            series("cart->db", "latency_p50_ms", 20.0, 400.0),
            series("cart", "pool_used_pct", 20.0, 90.0),
        ),
        "cart",
        "retry_storm",
    ),
    "a cache misses ten times as often and its store is loaded": (
        lambda: world(
            series("cart", "cache_misses", 4.0, 45.0),
            series("cart->db", "latency_p50_ms", 20.0, 400.0),
            series("cart", "pool_used_pct", 20.0, 90.0),
        ),
        "cart",
        "cache_stampede",
    ),
    "nobody is up while a caller's pool runs full": (
        lambda: world(
            series("db", "instances_up", 1.0, 0.0),
            series("cart", "pool_used_pct", 20.0, 100.0),
            series("cart", "cpu_pct", 20.0, 60.0),
            *DB_FAILING,
        ),
        "db",
        "process_down",
    ),
    "a call out of the system is slow and fills the caller's pool": (
        lambda: world(
            series("cart->bank", "latency_p50_ms", 20.0, 900.0),
            series("cart", "pool_wait_p95_ms", 1.0, 600.0),
            series("web->cart", "error_pct", 0.1, 10.0),
            series("web", "error_pct", 0.1, 10.0),
        ),
        "cart",
        "slow_dependency",
    ),
    "all calls out of the system fail and the callers inherit it": (
        lambda: world(series("cart->bank", "error_pct", 0.1, 100.0), *FAILING),
        "cart",
        "dependency_down",
    ),
}


@pytest.mark.parametrize("case", FAULTS, ids=list(FAULTS))
def test_a_sign_names_its_component_and_its_kind(case: str) -> None:
    make, component, kind = FAULTS[case]
    first = located(make()).candidates[0]
    assert (first.component, first.fault_kind) == (component, kind)
    assert "telltale sign" in {term.name for term in first.terms}


@pytest.mark.parametrize("case", FAULTS, ids=list(FAULTS))
def test_the_learned_arm_keeps_the_weight_of_a_sign_nobody_recorded(case: str) -> None:
    make, component, _ = FAULTS[case]
    telemetry = make()
    found = [*observe(telemetry, ONSET), *novelty(telemetry.split_log(ONSET))]
    assert rank(number(found), SHOP, arm="ml").candidates[0].component == component


CALM: dict[str, Callable[[], Telemetry]] = {
    "a certificate that was renewed": lambda: world(series("db", "certificate_left_s", 9e4, 7e6)),
    "a clock off by a few milliseconds": lambda: world(series("db", "time_offset_ms", 1.0, 30.0)),
    "one repeat of each failing call": lambda: world(
        series("cart->db", "retries", 0.01, 10.0), series("cart->db", "calls", 10.0, 20.0)
    ),
    "more misses as more is asked": lambda: world(
        series("cart", "cache_misses", 4.0, 12.0),
        series("cart", "request_rate", 10.0, 30.0),
        series("cart->db", "latency_p50_ms", 20.0, 60.0),
    ),
    "nobody is up and every call succeeds": lambda: world(
        series("db", "instances_up", 1.0, 0.0), series("cart->db", "error_pct", 1.0, 5.0)
    ),
    "all calls of one component are slow, not only those out of the system": lambda: world(
        series("cart->bank", "latency_p50_ms", 20.0, 400.0),
        series("cart->db", "latency_p50_ms", 20.0, 400.0),
    ),
}


@pytest.mark.parametrize("case", CALM, ids=list(CALM))
def test_what_has_another_reason_is_no_sign(case: str) -> None:
    ranking = located(CALM[case]())
    told = {term.name for one in ranking.candidates for term in one.terms}
    assert "telltale sign" not in told


def test_a_certificate_that_runs_down_evenly_is_told_when_it_ends() -> None:
    left = Series("db", "certificate_left_s", TIMES, ONSET + 30.0 - TIMES, "s")
    first = located(world(left)).candidates[0]
    assert (first.component, first.fault_kind) == ("db", "certificate_expired")


def test_repeats_whose_counter_begins_with_the_fault_are_seen() -> None:
    late = TIMES[TIMES >= ONSET]
    retries = Series("cart->db", "retries", late, np.full(late.size, 80.0), "retries/s")
    first = located(world(retries, series("cart->db", "calls", 10.0, 90.0))).candidates[0]
    assert (first.component, first.fault_kind) == ("cart", "retry_storm")


def test_a_gap_of_two_samples_between_caller_and_callee_is_no_time_on_the_wire() -> None:
    def gap(samples: int) -> set[str]:
        edge = series("web->search", "latency_p50_ms", 20.0)
        late = (TIMES >= ONSET) & (ONSET + 60.0 * samples > TIMES)
        edge = replace(edge, values=np.where(late, 400.0, edge.values))
        telemetry = world(edge, series("search", "latency_p50_ms", 19.0))
        return {one.name for one in observe(telemetry, ONSET) if one.subject == "web->search"}

    assert "wire_latency" not in gap(2)
    assert "wire_latency" in gap(5)


@pytest.mark.parametrize(
    ("metric", "family", "bad"),
    [
        ("restarts", "restarts", "up"),
        ("instances_up", "instances", "down"),
        ("clock_offset_seconds", "clock", "up"),
        ("lock_wait_ms", "saturation", "up"),
        ("deadlocks", "saturation", "up"),
        ("ssl_cert_expiry_seconds", "certificate", "down"),
        ("net_retransmit_pct", "network", "up"),
    ],
)
def test_a_name_is_read_by_its_words(metric: str, family: str, bad: str) -> None:
    assert (read(metric).family, read(metric).bad) == (family, bad)
