"""Performance and infrastructure: where slowness starts, and what runs under the pods."""

import numpy as np
import pytest

from tests.tools.shop_cluster import deployment, nodes, pending, pod, service, shop
from tools.cluster_inspector import diagnose
from tools.types import (
    Alert,
    ClusterQuery,
    ClusterState,
    Condition,
    Edge,
    ListingGap,
    Node,
    NodeService,
    Series,
)

CALLS = (("web", "cart"), ("cart", "store"), ("web", "price"), ("cart", "price"))
APPS = ("web", "cart", "price", "store")


def first(state: ClusterState) -> tuple[str, str]:
    """Rule and object of the first prediction."""
    found = diagnose(state).predictions[0]
    return found.rule.id, found.object


def late(app: str, now: float, usual: float = 10.0, quantile: str = "p90") -> Alert:
    """An alert that `app` answers late."""
    return Alert(
        fingerprint=f"{app}-{quantile}",
        name="HighLatency",
        service=app,
        starts_at=0.0,
        labels={"metric": f"{quantile}latency"},
        annotations={"normal": str(usual), "description": f"{app} {usual} -> {now}"},
        value=now,
    )


def alert(name: str, now: float, usual: float = 0.1, **about: str) -> Alert:
    """Any other alert, of a service or a node."""
    return Alert(
        fingerprint=name + str(about),
        name=name,
        service=about.get("service", ""),
        starts_at=0.0,
        labels={"node": about["node"]} if "node" in about else {},
        annotations={"normal": str(usual)},
        value=now,
    )


def calling(*alerts: Alert, on: dict[str, str] | None = None, **more: object) -> ClusterState:
    """Four applications that call each other, with these alerts."""
    places = on or {}
    known: dict[str, object] = {
        "pods": tuple(pod(app, node=places.get(app, f"worker-{i}")) for i, app in enumerate(APPS)),
        "workloads": tuple(deployment(app) for app in APPS),
        "services": tuple(service(app) for app in APPS),
        "endpoints": (),
        "listed": {"Service": APPS},
        "edges": tuple(Edge(caller=one, callee=other) for one, other in CALLS),
        "alerts": alerts,
    }
    return shop(**known | more)


def test_slowness_starts_at_the_callee_that_explains_its_callers() -> None:
    state = calling(late("web", 2100), late("cart", 2000), late("store", 1900))

    assert first(state) == ("pod-network-delay", "app/store")


def test_a_callee_that_is_only_a_little_slow_receives_late_and_is_not_the_start() -> None:
    state = calling(late("web", 9000), late("cart", 8900), late("store", 900))

    assert first(state) == ("pod-network-delay", "app/cart")


def test_a_callee_slow_in_the_tail_alone_does_not_explain_a_slow_median() -> None:
    state = calling(late("cart", 3000, quantile="p50"), late("cart", 4000), late("store", 3000))

    assert first(state) == ("pod-network-delay", "app/cart")


def test_slow_services_on_one_node_point_at_the_node() -> None:
    on = {"price": "worker-2", "store": "worker-2", "web": "worker-1", "cart": "worker-1"}
    state = calling(
        late("web", 3000), late("cart", 2900), late("price", 2500), late("store", 2500), on=on
    )

    assert first(state) == ("node-network-delay", "node/worker-2")


def test_without_knowing_who_calls_whom_nothing_is_sure() -> None:
    state = calling(late("web", 2100), late("cart", 2000), edges=())

    assert diagnose(state).predictions[0].score < 0.9


def test_series_show_what_no_alert_says() -> None:
    times = np.arange(40.0)
    values = np.where(times < 10, 10.0, 2000.0)
    grown = tuple(
        Series(owner=app, metric="p90latency", times=times, values=values * share)
        for app, share in (("cart", 1.0), ("store", 0.95))
    )

    assert first(calling(series=grown)) == ("pod-network-delay", "app/store")


def test_series_that_only_spike_are_not_slow() -> None:
    times = np.arange(40.0)
    values = np.where(times == 25, 5000.0, 10.0)
    spiked = Series(owner="cart", metric="p90latency", times=times, values=values)

    assert diagnose(calling(series=(spiked,))).predictions == ()


def test_a_throttled_service_that_burns_its_cpu_is_the_cause_of_its_slowness() -> None:
    state = calling(
        late("cart", 90),
        late("store", 80),
        alert("CPUThrottling", 0.9, service="store"),
        alert("HighCPU", 0.9, usual=0.1, service="store"),
    )

    assert first(state) == ("cpu-saturated", "app/store")


def test_throttling_without_more_work_is_a_weak_hint() -> None:
    state = calling(alert("CPUThrottling", 0.9, service="store"))

    assert diagnose(state).predictions[0].score < 0.5


def test_the_node_that_retransmits_most_loses_packets() -> None:
    state = calling(
        late("web", 90),
        alert("TCPRetransmissions", 0.6, node="worker-1"),
        alert("TCPRetransmissions", 6.0, node="worker-2"),
    )

    assert first(state) == ("node-network-loss", "node/worker-2")


@pytest.mark.parametrize(
    ("daemon", "rule"),
    [
        ("containerd", "container-runtime-down"),
        ("crio", "container-runtime-down"),
        ("kubelet", "kubelet-down"),
        ("kube-proxy", "kube-proxy-down"),
        ("kube-scheduler", "scheduler-down"),
        ("etcd", "control-plane-down"),
        ("node-local-dns", "node-service-down"),
    ],
)
def test_a_daemon_that_does_not_run_is_the_nodes_fault(daemon: str, rule: str) -> None:
    dead = NodeService(node="worker-2", service=daemon, active=False, detail="inactive (dead)")

    assert first(shop(node_services=(dead,))) == (rule, "node/worker-2")


def test_a_daemon_of_unknown_state_is_no_finding() -> None:
    asked = NodeService(node="worker-2", service="kubelet", active=None)

    assert diagnose(shop(node_services=(asked,))).predictions == ()


@pytest.mark.parametrize(
    ("condition", "rule"),
    [
        pytest.param(Condition(type="Ready", status="Unknown", message="Kubelet stopped posting"),
                     "kubelet-down", id="silent kubelet"),
        pytest.param(Condition(type="Ready", status="False", message="container runtime is down"),
                     "container-runtime-down", id="runtime"),
        pytest.param(Condition(type="Ready", status="False", message="PLEG is not healthy"),
                     "node-not-ready", id="another reason"),
    ],
)  # fmt: skip
def test_a_node_that_is_not_ready_is_named_by_what_its_kubelet_says(
    condition: Condition, rule: str
) -> None:
    node = Node(name="worker-1", ready=False, conditions=(condition,))

    assert first(shop(nodes=(node,))) == (rule, "node/worker-1")


def test_a_node_under_pressure() -> None:
    full = Condition(type="DiskPressure", status="True", message="no space")
    node = Node(name="worker-1", ready=True, conditions=(full,))

    assert first(shop(nodes=(node,))) == ("node-pressure", "node/worker-1")


def test_a_pending_pod_nobody_spoke_of_points_at_the_scheduler() -> None:
    cart = pending("cart")
    looked = (ClusterQuery(verb="describe", kind="Pod", name=cart.name),)
    state = shop(pods=(pod("web"), cart), nodes=nodes(), looked=looked)

    assert first(state) == ("scheduler-down", "node/master")


SCHEDULER = NodeService(node="master", service="kube-scheduler", active=True)


@pytest.mark.parametrize(
    "known",
    [
        pytest.param({}, id="the pod was not described"),
        pytest.param({"gaps": (ListingGap(kind="Event", reason="forbidden"),)}, id="no events"),
        pytest.param({"node_services": (SCHEDULER,), "listed": {"Event": ()}}, id="it runs"),
    ],
)
def test_silence_that_has_another_reason_is_no_word_against_the_scheduler(
    known: dict[str, object],
) -> None:
    state = shop(pods=(pod("web"), pending("cart")), nodes=nodes(), **known)

    assert first(state) == ("pod-not-running", "app/cart")


def test_a_graph_that_was_asked_for_and_has_no_edge_is_known_as_well() -> None:
    alone = calling(
        late("cart", 2000), edges=(), looked=(ClusterQuery(verb="dependencies", name="cart"),)
    )

    assert first(alone) == ("pod-network-delay", "app/cart")
    assert diagnose(alone).predictions[0].score >= 0.9
