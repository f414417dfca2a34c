"""Admission and scheduling: what is refused, and what finds no node or volume."""

import pytest

from tests.tools.shop_cluster import deployment, nodes, pending, pod, service, shop, spec, warning
from tools.cluster_inspector import diagnose
from tools.types import (
    Claim,
    ClusterState,
    Container,
    KubeEvent,
    Node,
    Quota,
    Requirement,
    Taint,
    Toleration,
    Volume,
    VolumeSource,
    Workload,
)

REFUSED = 'Error creating: pods "cart-5d9fc79f96-x" is forbidden: '
NOBODY = "0/3 nodes are available: "


def first(state: ClusterState) -> tuple[str, str]:
    """Rule and object of the first prediction."""
    found = diagnose(state).predictions[0]
    return found.rule.id, found.object


def refusing(message: str) -> ClusterState:
    """The shop, with the pods of cart refused by that message."""
    holder = Workload(kind="ReplicaSet", name="cart-5d9fc79f96", desired=1, current=0)
    return shop(
        pods=(pod("web"),),
        workloads=(deployment("web"), deployment("cart"), holder),
        events=(warning("FailedCreate", message, holder.name),),
    )


@pytest.mark.parametrize(
    ("message", "rule", "subject"),
    [
        pytest.param(
            f"{REFUSED}exceeded quota: q, requested: requests.cpu=1, used: requests.cpu=2, "
            "limited: requests.cpu=2", "quota-cpu", "namespace/shop", id="cpu"),
        pytest.param(
            f"{REFUSED}exceeded quota: q, requested: limits.memory=1Gi, used: limits.memory=3Gi, "
            "limited: limits.memory=3Gi", "quota-memory", "namespace/shop", id="memory"),
        pytest.param(
            f"{REFUSED}exceeded quota: q, requested: pods=1, used: pods=9, limited: pods=9",
            "quota-pods", "namespace/shop", id="pods"),
        pytest.param(
            f"{REFUSED}exceeded quota: q, requested: requests.nvidia.com/gpu=1, "
            "used: requests.nvidia.com/gpu=1, limited: requests.nvidia.com/gpu=1",
            "quota-other", "namespace/shop", id="another resource"),
        pytest.param(
            f"{REFUSED}failed quota: q: must specify requests.cpu for: server",
            "quota-unspecified", "app/cart", id="no request where a quota asks for one"),
        pytest.param(
            f"{REFUSED}maximum memory usage per Container is 1Gi, but limit is 2Gi",
            "limit-range", "app/cart", id="more than the limit range allows"),
        pytest.param(
            'Internal error occurred: failed calling webhook "pods.guard.io": Post '
            '"https://guard.policy.svc:443/check": context deadline exceeded',
            "admission-refused", "app/cart", id="a webhook that does not answer"),
        pytest.param(
            f'{REFUSED}error looking up service account: serviceaccount "buyer" not found',
            "service-account-missing", "app/cart", id="service account"),
        pytest.param(
            f"{REFUSED}violates PodSecurity \"restricted:latest\": privileged",
            "admission-refused", "app/cart", id="another admission control"),
    ],
)  # fmt: skip
def test_a_refused_pod_is_laid_to_what_refused_it(message: str, rule: str, subject: str) -> None:
    assert first(refusing(message)) == (rule, subject)


def test_a_refusal_that_was_overcome_is_no_finding() -> None:
    holder = Workload(kind="ReplicaSet", name="cart-5d9fc79f96", desired=1, current=1)
    event = warning("FailedCreate", f'{REFUSED}serviceaccount "cart" not found', holder.name)
    state = shop(workloads=(deployment("web"), deployment("cart"), holder), events=(event,))

    assert diagnose(state).predictions == ()


def test_a_declared_service_that_a_full_quota_kept_out() -> None:
    state = shop(
        services=(service("web"),),
        listed={"Service": ("web",)},
        declared=("Deployment/cart", "Service/cart"),
        quotas=(Quota(name="q", hard={"services": 1.0}, used={"services": 1.0}),),
    )

    assert first(state) == ("quota-services", "namespace/shop")


def test_a_claim_that_a_storage_quota_kept_out() -> None:
    message = f'{NOBODY}persistentvolumeclaim "cart-data" not found.'
    state = shop(
        pods=(pod("web"), pending("cart")),
        events=(warning("FailedScheduling", message, pending("cart").name),),
        claims=(Claim(name="cart-data", capacity=10e9),),
        quotas=(Quota(name="q", hard={"requests.storage": 1e9}, used={"requests.storage": 0.0}),),
    )

    assert first(state) == ("quota-storage", "namespace/shop")


def test_a_missing_claim_without_a_quota_is_just_missing() -> None:
    message = f'{NOBODY}persistentvolumeclaim "cart-data" not found.'
    state = shop(
        pods=(pod("web"), pending("cart")),
        events=(warning("FailedScheduling", message, pending("cart").name),),
    )

    assert first(state) == ("claim-missing", "app/cart")


def waiting(message: str, *on: Node, **asks: object) -> ClusterState:
    """The shop, with the pod of cart pending for that reason, on these nodes or the usual."""
    return shop(
        pods=(pod("web"), pending("cart")),
        workloads=(deployment("web"), deployment("cart", ready=0, template=spec("cart", **asks))),
        events=(warning("FailedScheduling", f"{NOBODY}{message}", pending("cart").name),),
        nodes=on or nodes(),
    )


def asking(**requests: float) -> tuple[Container, ...]:
    return (Container(name="server", requests=requests),)


UNMATCHED = "1 node(s) were unschedulable, 2 node(s) didn't match Pod's node affinity/selector."


@pytest.mark.parametrize(
    ("message", "asks", "rule"),
    [
        pytest.param(UNMATCHED, {"node_selector": {"disk": "nvme"}}, "node-selector-unmet",
                     id="selector no node carries"),
        pytest.param(UNMATCHED, {"node_affinity": ((Requirement(key="disk", values=("nvme",)),),)},
                     "node-affinity-unmet", id="affinity no node satisfies"),
        pytest.param("1 node(s) were unschedulable, 2 node(s) had untolerated taint {team: x}.",
                     {}, "taint-untolerated", id="taint"),
        pytest.param("1 node(s) were unschedulable, 2 Insufficient cpu.",
                     {"containers": asking(cpu=64.0)}, "cpu-insufficient", id="cpu"),
        pytest.param("1 node(s) were unschedulable, 2 Insufficient memory.",
                     {"containers": asking(memory=1e12)}, "memory-insufficient", id="memory"),
        pytest.param("1 node(s) were unschedulable, 2 Insufficient nvidia.com/gpu.",
                     {}, "resource-insufficient", id="another resource"),
        pytest.param("1 node(s) were unschedulable, 2 node(s) didn't match pod anti-affinity "
                     "rules.", {}, "pod-anti-affinity-unmet", id="anti-affinity"),
        pytest.param("1 node(s) were unschedulable, 2 node(s) didn't match pod affinity rules.",
                     {}, "pod-affinity-unmet", id="affinity to pods"),
    ],
)  # fmt: skip
def test_a_pending_pod_is_laid_to_the_constraint_that_keeps_it(
    message: str, asks: dict[str, object], rule: str
) -> None:
    assert first(waiting(message, **asks)) == (rule, "app/cart")


def test_of_two_short_resources_the_one_no_node_could_give_comes_first() -> None:
    message = "1 node(s) were unschedulable, 2 Insufficient cpu, 2 Insufficient memory."

    assert first(waiting(message, containers=asking(cpu=0.5, memory=1e12))) == (
        "memory-insufficient",
        "app/cart",
    )


def cordoned(*names: str) -> tuple[Node, ...]:
    return tuple(
        node.model_copy(update={"unschedulable": node.unschedulable or node.name in names})
        for node in nodes()
    )


def test_a_cordon_of_the_one_node_the_selector_allows_is_the_cause() -> None:
    message = "1 node(s) didn't match Pod's node affinity/selector, 2 node(s) were unschedulable."
    state = waiting(message, *cordoned("worker-1"), node_selector={"disk": "ssd"})

    assert first(state) == ("node-cordoned", "app/cart")


def test_a_cordon_of_a_node_the_selector_excludes_anyway_is_not() -> None:
    message = "1 node(s) didn't match Pod's node affinity/selector, 2 node(s) were unschedulable."
    state = waiting(message, *cordoned("worker-1"), node_selector={"disk": "nvme"})

    assert first(state) == ("node-selector-unmet", "app/cart")


def test_a_cordon_of_all_workers_needs_no_selector() -> None:
    state = waiting("3 node(s) were unschedulable.", *cordoned("worker-1", "worker-2"))

    assert first(state) == ("node-cordoned", "app/cart")


def test_a_taint_the_pod_tolerates_is_not_the_cause() -> None:
    tainted = tuple(
        node.model_copy(update={"taints": (Taint(key="team", value="x"),)})
        if node.name == "worker-1"
        else node
        for node in nodes()
    )
    message = "1 node(s) had untolerated taint {team: x}, 1 Insufficient cpu."
    state = waiting(
        message,
        *tainted,
        node_selector={"disk": "ssd"},
        tolerations=(Toleration(key="team", value="x"),),
        containers=asking(cpu=9.0),
    )

    assert [found.rule.id for found in diagnose(state).predictions][0] == "cpu-insufficient"
    assert "taint-untolerated" not in [found.rule.id for found in diagnose(state).predictions]


UNBOUND = "pod has unbound immediate PersistentVolumeClaims."
DATA = (VolumeSource(name="data", kind="claim", source="cart-data"),)
FREE = Volume(
    name="v", status="Available", capacity=1e9, access_modes=("RWO",), storage_class="hdd"
)
WANT = Claim(
    name="cart-data",
    status="Pending",
    capacity=1e9,
    access_modes=("ReadWriteOnce",),
    storage_class="hdd",
)


def claiming(claim: Claim, *volumes: Volume, **more: object) -> ClusterState:
    """The shop, with cart waiting for that claim beside these volumes."""
    state = waiting(UNBOUND, volumes=DATA)
    return state.model_copy(update={"claims": (claim,), "volumes": volumes, **more})


@pytest.mark.parametrize(
    ("changed", "volume", "rule"),
    [
        pytest.param({"selector": {"tier": "gold"}}, FREE, "claim-selector-unmet", id="selector"),
        pytest.param({"storage_class": "ssd"}, FREE, "claim-class-unmet", id="storage class"),
        pytest.param({"access_modes": ("ReadWriteMany",)}, FREE, "claim-access-mode-unmet",
                     id="access mode"),
        pytest.param({"capacity": 10e9}, FREE, "claim-capacity-unmet", id="capacity"),
        pytest.param({}, FREE.model_copy(update={"status": "Bound", "claim": "shop/other"}),
                     "volume-occupied", id="bound to another claim"),
    ],
)  # fmt: skip
def test_an_unbound_claim_is_laid_to_what_no_volume_offers(
    changed: dict[str, object], volume: Volume, rule: str
) -> None:
    assert first(claiming(WANT.model_copy(update=changed), volume)) == (rule, "app/cart")


def test_the_volume_with_the_fewest_obstacles_shows_what_is_wrong() -> None:
    far = Volume(name="a", status="Released", claim="old/one", capacity=1.0, access_modes=("ROX",))
    claim = WANT.model_copy(update={"capacity": 2e9})

    assert first(claiming(claim, far, FREE)) == ("claim-capacity-unmet", "app/cart")


def test_a_storage_class_that_does_not_exist_is_named_by_the_claims_event() -> None:
    said = KubeEvent(
        kind="persistentvolumeclaim",
        object="cart-data",
        type="Warning",
        reason="ProvisioningFailed",
        message='storageclass.storage.k8s.io "fast" not found',
    )
    before = claiming(WANT)

    found = diagnose(before.plus(ClusterState(events=(said,)))).predictions[0]
    assert (found.rule.id, found.observed) == ("claim-class-unmet", "fast")


def test_an_unknown_word_of_the_scheduler_still_names_the_pod_and_quotes_it() -> None:
    found = diagnose(waiting("3 node(s) are on the moon.")).predictions[0]

    assert (found.rule.id, found.object) == ("unschedulable", "app/cart")
    assert "on the moon" in found.evidence
