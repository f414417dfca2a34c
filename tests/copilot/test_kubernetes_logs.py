"""What containers wrote: whose logs are read, and what a run that ended said last."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import Any

import pytest
from kubernetes import client

from copilot.sources.kubernetes.clusters import ReadableCluster
from copilot.sources.kubernetes.live import MOST_LOGS, KubernetesNamespace
from copilot.sources.kubernetes.logs import LAST_BYTES, LAST_LINES, last_words
from copilot.testing.kubernetes import ContainerLog, KubernetesServer
from copilot.testing.strict_http import serving
from tests.contracts.clocks import Standing
from tests.copilot.kubernetes_objects import (
    NOW,
    Json,
    Logs,
    backing_off,
    crashing,
    deployment,
    healthy,
    pod,
    pod_name,
    waiting,
)
from tools.cluster_inspector import diagnose, inspect, survey
from tools.cluster_inspector.config import InspectorConfig
from tools.cluster_inspector.last_words import QUOTED, quote
from tools.types import ClusterQuery, ClusterState, Subject, SubjectKind

SHOP = {"kind": "Namespace", "metadata": {"name": "shop"}}


@pytest.fixture
def running() -> Iterator[ExitStack]:
    """Servers that a test starts; they end with it."""
    with ExitStack() as stack:
        yield stack


def opened(running: ExitStack, held: Sequence[Json], logs: Logs) -> KubernetesNamespace:
    server = running.enter_context(serving(KubernetesServer([*held, SHOP], logs)))
    api = client.ApiClient(client.Configuration(host=server.url))
    return ReadableCluster(api, ["shop"], Standing(NOW)).opened().there[0]


def surveyed(source: KubernetesNamespace, *first: Subject) -> ClusterState:
    return survey(source.look, ClusterState(namespace="shop"), InspectorConfig(first=first))


LAST = [
    pytest.param("ReferenceError: apiKey is undefined", id="undefined"),
    pytest.param("JWT_SECRET is not set", id="secret that is not set"),
    pytest.param("config: password: null", id="secret that is null"),
    pytest.param("curl: (6) Could not resolve host: ledger.pay.svc", id="dns"),
    pytest.param("write /var/spool/q/0017: No space left on device", id="disk"),
    pytest.param("licence of acme-gw has expired on 2026-11-01", id="expired"),
    pytest.param("KeyError: 'DB_DSN'", id="python key"),
    pytest.param("Segmentation fault (core dumped)", id="segfault"),
    pytest.param("signal SIGSEGV: segmentation violation code=0x1", id="go signal"),
    pytest.param("exec /app/run: exec format", id="architecture"),
    pytest.param("standard_init_linux.go:228: no shebang in /entry.sh", id="shebang"),
    pytest.param("operation is not permitted for user 1000", id="permitted"),
    pytest.param("Please set SMTP_URL before you start the mailer", id="advice"),
    pytest.param("usage: feeder --topic NAME", id="usage"),
    pytest.param("unknown flag: --enable-foo", id="flag"),
    pytest.param("3 migrations are pending, refusing to start", id="migrations"),
    pytest.param("schema version 41 is newer than 40", id="schema"),
    pytest.param("Killed", id="killed"),
    pytest.param("bye", id="one word"),
    pytest.param("yaml: line 7: did not find expected key", id="yaml"),
    pytest.param("nginx: [emerg] host not in upstream \"cart\" in nginx.conf:12", id="nginx"),
    pytest.param("npm missing script: start", id="npm"),
    pytest.param("lock file /data/.lock is held by pid 1", id="lock"),
    pytest.param("invalid value \"ten\" for PORT", id="value"),
    pytest.param("certificate signed by unknown authority", id="authority"),
    pytest.param("quorum lost: 1 of 3 members", id="quorum"),
    pytest.param("shutting down: lease of leader was taken over", id="lease"),
    pytest.param("java.lang.IllegalStateException: zone is null", id="java"),
    pytest.param("thread 'main' panicked at src/main.rs:9:5", id="rust"),
    pytest.param("{\"level\":\"info\",\"msg\":\"giving up after 5 tries\"}", id="json"),
    pytest.param("磁盘已满,退出", id="chinese"),
]  # fmt: skip


@pytest.mark.parametrize("line", LAST)
def test_a_finding_quotes_the_last_words_whatever_they_are(line: str, running: ExitStack) -> None:
    held, logs = crashing(f"listening on 8080\n{line}\n")
    found = next(
        one
        for one in inspect(surveyed(opened(running, held, logs)))
        if one.rule.id == "container-exits"
    )

    assert found.object == "app/cart"
    assert line in found.evidence


def init_failed() -> tuple[list[Json], Logs]:
    """A pod whose init container ends again and again, before its container ever starts."""
    bad = pod("cart", phase="Pending", containerStatuses=[waiting("PodInitializing")])
    bad["spec"]["initContainers"] = [{"name": "migrate", "image": "r/migrate:1"}]
    bad["status"]["initContainerStatuses"] = [backing_off() | {"name": "migrate"}]
    logs = {ContainerLog(pod_name("cart"), "migrate", True): "table orders is owned by root\n"}
    return [*healthy(), deployment("cart"), bad], logs


def ended_for_good() -> tuple[list[Json], Logs]:
    """A bare pod that is not started again."""
    state = {"terminated": {"reason": "Error", "exitCode": 3}}
    status = waiting("") | {"state": state}
    bad = pod("cart", phase="Failed", containerStatuses=[status])
    bad["metadata"] = {"name": "cart", "namespace": "shop"}
    return [*healthy(), bad], {ContainerLog("cart", "server"): "table orders is owned by root\n"}


def told_by_message() -> tuple[list[Json], Logs]:
    """A container that left a termination message, and an empty log."""
    status = backing_off(message="table orders is owned by root\n")
    return [*healthy(), deployment("cart"), pod("cart", containerStatuses=[status])], {}


@pytest.mark.parametrize("broken", [init_failed, ended_for_good, told_by_message])
def test_last_words_are_found_wherever_they_were_left(broken: Any, running: ExitStack) -> None:
    found = inspect(surveyed(opened(running, *broken())))

    assert any("table orders is owned by root" in one.evidence for one in found)


def test_who_ended_well_is_not_quoted(running: ExitStack) -> None:
    state = {"terminated": {"reason": "Completed", "exitCode": 0}}
    done = pod("cart", phase="Succeeded", containerStatuses=[waiting("") | {"state": state}])
    logs = {ContainerLog(pod_name("cart"), "server"): "all 12 rows failed to differ\n"}
    source = opened(running, [*healthy(), done], logs)

    assert source.look([ClusterQuery(verb="errors", name="cart")]).logs == ()


def test_last_words_are_few_and_without_secrets() -> None:
    text = "".join(f"row {index} of the night's load\n" for index in range(5000))
    lines = last_words("web", text)[0].message.splitlines()

    assert lines[-1] == "row 4999 of the night's load"
    assert len(lines) <= LAST_LINES
    assert len("\n".join(lines).encode()) <= LAST_BYTES
    assert all(line.startswith("row ") for line in lines)
    assert "hunter2" not in last_words("web", f"{'x' * 3000} password=hunter2")[0].message
    assert last_words("web", " \n\n") == ()


JAVA = "\n".join(
    (
        'Exception in thread "main" java.lang.IllegalStateException: no pool',
        *(f"\tat shop.Cart.step{index}(Cart.java:{index})" for index in range(60)),
        "Caused by: java.net.UnknownHostException: ledger",
        "\t... 12 more",
    )
)


@pytest.mark.parametrize(
    ("text", "quoted"),
    [
        pytest.param(
            JAVA,
            'Exception in thread "main" java.lang.IllegalStateException: no pool | '
            "Caused by: java.net.UnknownHostException: ledger",
            id="java",
        ),
        pytest.param(
            'Traceback (most recent call last):\n  File "a.py", line 3, in <module>\n'
            "    run()\nKeyError: 'DSN'",
            "Traceback (most recent call last): | KeyError: 'DSN'",
            id="python",
        ),
        pytest.param(
            "panic: nil map\n\ngoroutine 1 [running]:\nmain.main()\n\t/app/main.go:7 +0x1d",
            "panic: nil map",
            id="go",
        ),
        pytest.param(
            "/app/i.js:3\nTypeError: x is no function\n    at run (/app/i.js:3:9)\n\nNode.js v20",
            "/app/i.js:3 | TypeError: x is no function",
            id="node",
        ),
        pytest.param("    only indented", "only indented", id="indented"),
        pytest.param("a" * 1000, "a" * QUOTED, id="one long line"),
    ],
)
def test_a_quote_leaves_out_the_frames(text: str, quoted: str) -> None:
    assert quote(text) == quoted


def named(name: str, labels: dict[str, str], owner: str = "") -> Json:
    """A pod that crashes, of that name, labels and owner."""
    bad = pod("x", containerStatuses=[backing_off()])
    kind, _, of = owner.partition("/")
    owners = {"ownerReferences": [{"kind": kind, "name": of}]} if owner else {}
    bad["metadata"] = {"name": name, "namespace": "shop", "labels": labels, **owners}
    return bad


@pytest.mark.parametrize(
    ("crashed", "asked"),
    [
        pytest.param(named("cart", {}), "cart", id="bare pod"),
        pytest.param(named("one-off", {"run": "x"}), "one-off", id="bare pod with a dash"),
        pytest.param(named("x-1", {"app.kubernetes.io/name": "cart"}), "cart", id="standard label"),
        pytest.param(named("x-1", {"k8s-app": "cart"}), "cart", id="system label"),
        pytest.param(named("x-1", {"app": "cart"}), "cart", id="old label"),
        pytest.param(
            named("cart-7f-abc", {"pod-template-hash": "7f"}, "ReplicaSet/cart-7f"),
            "cart",
            id="deployment",
        ),
        pytest.param(named("db-0", {}, "StatefulSet/db"), "db", id="stateful set"),
        pytest.param(named("agent-x2x4z", {}, "DaemonSet/agent"), "agent", id="daemon set"),
        pytest.param(named("load-29384710-x2x4z", {}, "Job/load-29384710"), "load", id="cron job"),
    ],
)
def test_the_logs_of_every_pod_are_found(crashed: Json, asked: str, running: ExitStack) -> None:
    logs = {ContainerLog(crashed["metadata"]["name"], "server", True): "error: no licence\n"}
    source = opened(running, [*healthy(), crashed], logs)
    found = source.look([ClusterQuery(verb="errors", name=asked)]).logs

    assert {one.message for one in found} == {"error: no licence"}


def test_pods_of_another_application_that_begins_alike_are_not_its(running: ExitStack) -> None:
    own = named("cart-0", {}, "StatefulSet/cart")
    other = named("cart-db-0", {}, "StatefulSet/cart-db")
    logs = {
        ContainerLog("cart-0", "server", True): "error: own\n",
        ContainerLog("cart-db-0", "server", True): "error: other\n",
    }
    found = opened(running, [own, other], logs).look([ClusterQuery(verb="errors", name="cart")])

    assert {one.message for one in found.logs} == {"error: own"}


def test_logs_have_a_budget_and_what_is_left_out_is_told(running: ExitStack) -> None:
    crashed = [named(f"one{index}", {}) for index in range(MOST_LOGS + 5)]
    source = opened(running, crashed, {})
    looks = [ClusterQuery(verb="errors", name=one["metadata"]["name"]) for one in crashed]
    gaps = source.look(looks).gaps

    assert [(gap.kind, gap.reason) for gap in gaps] == [("logs", "truncated")]


def many_broken() -> list[Json]:
    """Thirty applications that crash; the one that was alerted comes last by any order."""
    names = [*(f"app{index:02}" for index in range(30)), "zebra"]
    return [item for name in names for item in (deployment(name), named(f"{name}-5d9-abc", {}))]


@pytest.mark.parametrize(
    ("kind", "name", "namespace"),
    [
        ("workload", "zebra", "shop"),
        ("service", "zebra", ""),
        ("pod", "zebra-5d9-abc", "shop"),
    ],
)
def test_the_alerted_pod_is_described_among_many_that_are_broken(
    kind: SubjectKind, name: str, namespace: str, running: ExitStack
) -> None:
    logs = {ContainerLog("zebra-5d9-abc", "server", True): "stripes are out of stock\n"}
    alerted = Subject(kind=kind, name=name, namespace=namespace)
    state = surveyed(opened(running, many_broken(), logs), alerted)
    described = [look.name for look in state.looked if look.verb == "describe"]

    assert described[0].startswith("zebra")
    said = [found.evidence for found in inspect(state) if found.object == "app/zebra"]
    assert any("stripes are out of stock" in one for one in said)


@pytest.mark.parametrize(("namespace", "read"), [("shop", True), ("", True), ("zoo", False)])
def test_everybodys_logs_are_read_only_where_an_alert_may_be_about(
    namespace: str, read: bool, running: ExitStack
) -> None:
    alerted = Subject(kind="node", name="n9", namespace=namespace)
    state = surveyed(opened(running, healthy(), {}), alerted)

    assert any(look.verb == "errors" for look in state.looked) is read


def test_an_alert_of_another_namespace_is_not_looked_for_here(running: ExitStack) -> None:
    alerted = Subject(kind="workload", name="zebra", namespace="zoo")
    state = surveyed(opened(running, many_broken(), {}), alerted)

    assert "zebra-5d9-abc" not in [look.name for look in state.looked if look.verb == "describe"]


@pytest.mark.parametrize(
    ("kind", "name", "asked"),
    [
        ("node", "n1", ("describe", "Node", "n1")),
        ("claim", "data-db-0", ("describe", "PersistentVolumeClaim", "data-db-0")),
        ("job", "load", ("describe", "Job", "load")),
        ("container", "server", ("describe", "Pod", pod_name("cart"))),
    ],
)
def test_an_alerted_object_of_any_kind_is_described(
    kind: SubjectKind, name: str, asked: tuple[str, str, str], running: ExitStack
) -> None:
    held, logs = crashing()
    state = surveyed(opened(running, held, logs), Subject(kind=kind, name=name))

    assert asked in [(look.verb, look.kind, look.name) for look in state.looked]


def test_what_is_surely_wrong_elsewhere_is_still_named(running: ExitStack) -> None:
    held, logs = crashing()
    state = surveyed(opened(running, held, logs), Subject(kind="service", name="web"))

    assert diagnose(state).predictions[0].object == "app/cart"
