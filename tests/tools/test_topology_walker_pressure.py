"""What is a resource at its limit, what is its consequence, and what a rule's name states."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.tools.stepped_series import END, ONSET, series, unpaid_orders
from tools.evidence import number
from tools.topology_walker import observe, rank
from tools.topology_walker.signals import stated
from tools.types import (
    Alert,
    Change,
    Edge,
    FaultKind,
    Ranking,
    Series,
    Telemetry,
    Topology,
    Window,
)

CALLS = (("web", "cart"), ("web", "search"), ("cart", "db"), ("search", "db"))
SHOP = Topology(
    nodes=("web", "cart", "search", "db"),
    edges=tuple(Edge(caller=a, callee=b) for a, b in CALLS),
    entry="web",
)


def world(
    *faulty: Series, alerts: tuple[Alert, ...] = (), changes: tuple[Change, ...] = ()
) -> Telemetry:
    """All services healthy but for the given series."""
    healthy = [series(name, "cpu_pct", 20.0) for name in SHOP.nodes]
    healthy += [series(name, "request_rate", 10.0) for name in SHOP.nodes]
    healthy += [series(name, "latency_avg_ms", 20.0) for name in SHOP.nodes]
    healthy += [series(f"{a}->{b}", "latency_avg_ms", 20.0) for a, b in CALLS]
    names = {one.name for one in faulty}
    kept = [one for one in healthy if one.name not in names]
    return Telemetry(
        window=Window(start=0.0, end=END),
        series=(*kept, *faulty),
        topology=SHOP,
        alerts=alerts,
        changes=changes,
    )


def located(telemetry: Telemetry) -> Ranking:
    return rank(number(observe(telemetry, ONSET)), telemetry.topology)


def rule(name: str, service: str, at: float = ONSET + 10.0) -> Alert:
    return Alert(fingerprint=f"{name}-{service}", name=name, service=service, starts_at=at)


def deploy(service: str, ago_s: float) -> tuple[Change, ...]:
    return (Change(at=ONSET - ago_s, service=service, kind="deploy", to_version="v2"),)


def test_a_pool_that_is_waited_for_says_why_no_call_gets_any_further() -> None:
    failing = (series("web->cart", "error_pct", 0.1, 100.0), series("web", "error_pct", 0.1, 40.0))
    seen = replace(world(*WAITING, *failing), logs=unpaid_orders("cart"))
    first = located(seen).candidates[0]
    assert {"missing step", "new error path"} <= {term.name for term in first.terms}
    assert (first.component, first.fault_kind) == ("cart", "pool_exhaustion")


def test_a_surge_says_why_no_call_gets_any_further() -> None:
    crowd = [series(name, "request_rate", 10.0, 21.0) for name in SHOP.nodes]
    failing = (series("web", "error_pct", 0.1, 100.0), series("web", "cpu_pct", 20.0, 30.0))
    seen = replace(world(*crowd, *failing), logs=unpaid_orders("web"))
    first = located(seen).candidates[0]
    assert {"missing step", "more traffic"} <= {term.name for term in first.terms}
    assert (first.component, first.fault_kind) == ("web", "traffic_surge")


GONE = (
    series("cart", "instances_up", 1.0, 0.0),
    series("web->cart", "error_pct", 0.1, 100.0),
    series("web", "error_pct", 0.1, 40.0),
)
WAITING = (
    series("cart", "latency_avg_ms", 20.0, 2000.0),
    series("cart", "pool_wait_p95_ms", 1.0, 1900.0),
    series("web->cart", "latency_avg_ms", 20.0, 2010.0),
    series("web", "latency_avg_ms", 20.0, 2010.0),
)

FAULTS: dict[str, tuple[Callable[[], Telemetry], str, FaultKind]] = {
    "a pool is full and its calls end on a new path": (
        lambda: replace(
            world(series("cart", "pool_used_pct", 20.0, 100.0)), logs=unpaid_orders("cart")
        ),
        "cart",
        "pool_exhaustion",
    ),
    "a disk is full and the calls that write to it end on a new path": (
        lambda: replace(
            world(series("cart", "disk_used_pct", 60.0, 100.0)), logs=unpaid_orders("cart")
        ),
        "cart",
        "disk_full",
    ),
    "a disk is written more and nothing else is seen": (
        lambda: world(series("db", "disk_writes", 40.0, 90.0)),
        "db",
        "disk_io",
    ),
    "many packets are lost and the calls are late": (
        lambda: world(
            series("search", "net_retransmit_pct", 0.1, 20.0),
            series("search", "latency_avg_ms", 20.0, 400.0),
            series("web->search", "latency_avg_ms", 20.0, 600.0),
        ),
        "search",
        "network_loss",
    ),
    "a flag that was turned a minute before burns the processor": (
        lambda: world(
            series("cart", "cpu_pct", 20.0, 60.0),
            changes=(Change(at=ONSET - 60.0, service="cart", kind="flag"),),
        ),
        "cart",
        "errors",
    ),
    "nothing but a rule that states a busy processor": (
        lambda: world(alerts=(rule("CpuHigh", "search"),)),
        "search",
        "cpu_saturation",
    ),
    "nothing but a rule that states a full disk": (
        lambda: world(alerts=(rule("DiskAlmostFull", "db"), rule("HighErrorRate", "web"))),
        "db",
        "disk_full",
    ),
    "locks are waited for because the disk is slow": (
        lambda: world(
            series("db", "disk_write_ms", 1.3, 400.0),
            series("db", "lock_wait_avg_ms", 0.1, 1000.0),
            series("db", "latency_avg_ms", 20.0, 650.0),
        ),
        "db",
        "disk_io",
    ),
    "locks are waited for and the disk is as fast as ever": (
        lambda: world(
            series("db", "disk_write_ms", 1.3, 1.4),
            series("db", "lock_wait_avg_ms", 0.1, 1000.0),
            series("db", "latency_avg_ms", 20.0, 650.0),
        ),
        "db",
        "lock_contention",
    ),
    "nobody is up three minutes after a deploy": (
        lambda: world(*GONE, alerts=(rule("InstanceDown", "cart"),), changes=deploy("cart", 180.0)),
        "cart",
        "process_down",
    ),
    "nobody is up at once after a deploy": (
        lambda: world(*GONE, alerts=(rule("InstanceDown", "cart"),), changes=deploy("cart", 20.0)),
        "cart",
        "bad_deploy",
    ),
    "the wait for the pool is the latency, and the rule for pools fires": (
        lambda: world(
            *WAITING, alerts=(rule("PoolSaturated", "cart"),), changes=deploy("cart", 150.0)
        ),
        "cart",
        "pool_exhaustion",
    ),
    "a release a minute before is slow and so fills its pool": (
        lambda: world(
            series("cart", "latency_avg_ms", 20.0, 2000.0),
            series("cart", "pool_used_pct", 41.0, 100.0),
            series("cart", "error_pct", 0.1, 34.0),
            alerts=(rule("PoolNearlyExhausted", "cart"),),
            changes=deploy("cart", 60.0),
        ),
        "cart",
        "bad_deploy",
    ),
    "memory grew fivefold and the processor collects garbage": (
        lambda: world(
            series("cart", "memory_bytes", 3e7, 1.7e8), series("cart", "cpu_cores", 0.01, 0.14)
        ),
        "cart",
        "memory_pressure",
    ),
    "a callee fails and the users try again": (
        lambda: world(
            series("search", "error_pct", 0.1, 50.0),
            series("web->search", "error_pct", 0.1, 58.0),
            series("web", "error_pct", 0.1, 35.0),
            series("web", "request_rate", 12.0, 21.0),
        ),
        "search",
        "errors",
    ),
    "three times as many users come and all calls succeed": (
        lambda: world(series("web", "request_rate", 12.0, 36.0)),
        "web",
        "traffic_surge",
    ),
    "a rule says that a clock is off while others' pools are busier": (
        lambda: world(
            series("web", "pool_used_pct", 1.0, 25.0),
            series("cart", "pool_used_pct", 1.0, 30.0),
            series("web->cart", "error_pct", 0.1, 40.0),
            alerts=(rule("ClockApart", "search"), rule("HighErrorRate", "web")),
        ),
        "search",
        "clock_skew",
    ),
    "a rule says that a certificate has expired": (
        lambda: world(alerts=(rule("TLSCertificateExpired", "db"), rule("HighErrorRate", "web"))),
        "db",
        "certificate_expired",
    ),
}


@pytest.mark.parametrize("case", FAULTS, ids=list(FAULTS))
def test_the_cause_is_told_from_its_consequences(case: str) -> None:
    make, component, kind = FAULTS[case]
    first = located(make()).candidates[0]
    assert (first.component, first.fault_kind) == (component, kind)


def saturation(telemetry: Telemetry, component: str = "cart") -> float:
    row = next(one for one in located(telemetry).candidates if one.component == component)
    return next((term.weight for term in row.terms if term.name == "own saturation"), 0.0)


def test_a_pool_that_is_busier_but_far_from_full_weighs_less_than_a_full_one() -> None:
    busy = world(series("cart", "pool_used_pct", 1.0, 25.0))
    full = world(series("cart", "pool_used_pct", 1.0, 95.0))
    assert saturation(busy) < 0.4 * saturation(full)


def test_a_pool_that_is_held_by_slow_calls_weighs_less() -> None:
    slow = series("cart->db", "latency_avg_ms", 20.0, 900.0)
    full = series("cart", "pool_used_pct", 1.0, 95.0)
    assert saturation(world(full, slow)) < 0.6 * saturation(world(full))


def test_a_wait_of_a_millisecond_explains_no_slowness_of_a_second() -> None:
    slow = series("cart", "latency_avg_ms", 20.0, 1000.0)
    short = series("cart", "lock_wait_avg_ms", 1.0, 2.5)
    long = series("cart", "lock_wait_avg_ms", 1.0, 800.0)
    assert saturation(world(slow, short)) < 0.05 * saturation(world(slow, long))


def test_a_rule_that_fired_long_before_the_onset_is_no_sign() -> None:
    old = rule("TLSCertificateExpired", "db", at=ONSET - 3000.0)
    terms = {t.name for c in located(world(alerts=(old,))).candidates for t in c.terms}
    assert "telltale sign" not in terms


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("NodeClockSkewDetected", "clock_skew"),
        ("node_time_offset_high", "clock_skew"),
        ("CertificateExpired", "certificate_expired"),
        ("CertificateExpiresSoon", None),
        ("NodeFilesystemAlmostOutOfSpace", "disk_full"),
        ("DiskAlmostFull", "disk_full"),
        ("ContainerOOMKilled", "memory_pressure"),
        ("KubePodCrashLooping", "process_down"),
        ("InstanceDown", "process_down"),
        ("TargetDown", "process_down"),
        ("CoreDNSErrorsHigh", "dns_failure"),
        ("CpuHigh", "cpu_saturation"),
        ("QueueDelayed", "queue_backlog"),
        ("HighErrorRate", None),
        ("HighLatency", None),
        ("ResponseTimeHigh", None),
        ("TimeToFirstByteOff", None),
        ("DownloadErrors", None),
    ],
)
def test_a_rules_name_states_a_fault_or_only_a_symptom(name: str, kind: FaultKind | None) -> None:
    assert stated(name) == kind
