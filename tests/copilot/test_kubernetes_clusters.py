"""Several namespaces and clusters: what is read, in how many requests, and what was not read."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes import client

from copilot.ports import SourceError
from copilot.settings import SettingsError, load
from copilot.sources import kubernetes as adapters
from copilot.sources.deployment import Sources
from copilot.sources.kubernetes.clusters import KubernetesSource, ReadableCluster, connected
from copilot.sources.kubernetes.kinds import KINDS
from copilot.sources.kubernetes.reader import MOST_OBJECTS, PAGE, ReadingLimits
from copilot.testing.kubernetes import KubernetesServer, RoleBindingRules
from copilot.testing.strict_http import serving
from tests.contracts.clocks import Standing
from tests.copilot.kubernetes_objects import (
    NOW,
    Json,
    crashing,
    healthy,
    moved,
    pending,
    pod,
    without_image,
)
from tools.cluster_inspector import survey
from tools.types import ClusterQuery, ClusterState, Edge, Finding, Subject, Topology, Window

WINDOW = Window(start=NOW - 3600, end=NOW)


def namespace(name: str) -> Json:
    return {"kind": "Namespace", "metadata": {"name": name}}


@pytest.fixture
def running() -> Iterator[ExitStack]:
    """Servers that a test starts; they end with it."""
    with ExitStack() as stack:
        yield stack


def cluster(
    server: KubernetesServer, namespaces: Sequence[str] = ("shop",), name: str = "", **more: Any
) -> ReadableCluster:
    api = client.ApiClient(client.Configuration(host=server.url))
    return ReadableCluster(api, namespaces, Standing(NOW), name, **more)


def inspected(
    *clusters: ReadableCluster, first: Sequence[Subject] = (), graph: Any = None
) -> tuple[tuple[Finding, ...], list[str]]:
    missing: list[str] = []
    sources = Sources(cluster=KubernetesSource(clusters))
    if graph is not None:
        sources = Sources(cluster=KubernetesSource(clusters), graph=graph)
    return sources.inspect(WINDOW, missing, first), missing


def listed(server: KubernetesServer, kind: str) -> ClusterState:
    return cluster(server).opened().there[0].look([ClusterQuery(verb="list", kind=kind)])


def pods(count: int) -> list[Json]:
    return [pod(f"web{index}") for index in range(count)]


# What is asked for


def test_only_get_is_ever_asked_and_never_a_secret(running: ExitStack) -> None:
    held, logs = crashing()
    server = running.enter_context(serving(KubernetesServer([*held, namespace("shop")], logs)))
    inspected(cluster(server))

    assert {asked.method for asked in server.asked} == {"GET"}
    assert [asked.path for asked in server.asked if "secret" in asked.path] == []


def test_a_name_does_not_lead_to_another_object(running: ExitStack) -> None:
    server = running.enter_context(serving(KubernetesServer([*healthy(), namespace("shop")])))
    source = cluster(server).opened().there[0]
    for name in ("../secrets/db?x=1", "a,involvedObject.name!=a", "", "a" * 300):
        source.look([ClusterQuery(verb="describe", kind="Pod", name=name)])

    assert [asked for asked in server.asked if asked.path.endswith("/events")] == []
    assert [asked.path for asked in server.asked if "secrets" in asked.path] == []


def test_no_list_is_read_twice_in_one_inspection(running: ExitStack) -> None:
    held, logs = crashing()
    server = running.enter_context(serving(KubernetesServer([*held, namespace("shop")], logs)))
    survey(cluster(server).opened().there[0].look)

    lists = [asked.path for asked in server.asked if not asked.query.get("fieldSelector")]
    lists = [path for path in lists if not path.endswith(("/log", "/kube-system/pods"))]
    assert len(lists) == len(set(lists))


@pytest.fixture(scope="module")
def roles() -> list[Json]:
    """The shipped roles: of namespaces, of the cluster."""
    path = Path(adapters.__file__).with_name("clusterrole.yaml")
    return list(yaml.safe_load_all(path.read_text(encoding="utf-8")))


def test_the_shipped_roles_read_and_do_nothing_else(roles: list[Json]) -> None:
    rules = [rule for role in roles for rule in role["rules"]]
    assert {role["kind"] for role in roles} == {"ClusterRole"}
    assert {verb for rule in rules for verb in rule["verbs"]} == {"get", "list"}
    assert all("*" not in [*rule["apiGroups"], *rule["resources"]] for rule in rules)
    assert "secrets" not in {resource for rule in rules for resource in rule["resources"]}


def test_the_shipped_roles_grant_what_is_read_and_no_more(roles: list[Json]) -> None:
    granted = {
        (verb, group, resource, role["metadata"]["name"].endswith("-cluster"))
        for role in roles
        for rule in role["rules"]
        for verb in rule["verbs"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    }
    read = {("list", kind.group, kind.plural, not kind.namespaced) for kind in KINDS.values()}

    revisions = ("list", "apps", "controllerrevisions", False)
    assert granted == read | {
        ("get", "", "pods/log", False),
        ("get", "", "namespaces", False),
        revisions,
    }


def test_with_the_shipped_roles_nothing_is_refused(running: ExitStack, roles: list[Json]) -> None:
    held, logs = crashing("nobody says what is wrong\n")
    bindings = [
        RoleBindingRules(roles[0]["rules"], "shop"),
        RoleBindingRules(roles[1]["rules"]),
    ]
    server = KubernetesServer([*held, namespace("shop")], logs, bindings)
    running.enter_context(serving(server))
    found, missing = inspected(cluster(server))

    assert [one.subject for one in found] == ["cart"]
    assert [line for line in missing if line.startswith("cluster")] == []


# What was not read


def without(roles: list[Json], resource: str) -> list[RoleBindingRules]:
    rules = [
        rule | {"resources": [one for one in rule["resources"] if one != resource]}
        for role in roles
        for rule in role["rules"]
    ]
    return [RoleBindingRules(rules)]


def test_a_kind_that_may_not_be_read_is_a_gap_and_not_empty(
    running: ExitStack, roles: list[Json]
) -> None:
    held, logs = without_image()
    server = KubernetesServer([*held, namespace("shop")], logs, without(roles, "deployments"))
    running.enter_context(serving(server))
    state = listed(server, "Deployment")

    assert "Deployment" not in state.listed
    assert [(gap.kind, gap.reason) for gap in state.gaps] == [("Deployment", "forbidden")]
    found, missing = inspected(cluster(server))
    assert [one.subject for one in found][:1] == ["cart"]
    assert missing == [
        "cluster: namespace shop was not read whole: may not be read: Deployment "
        "(GET /apis/apps/v1/namespaces/shop/deployments: 403 Forbidden)"
    ]


@pytest.mark.parametrize("resource", ["pods", "pods/log", "events", "namespaces"])
def test_what_may_not_be_read_never_breaks_the_rest(
    resource: str, running: ExitStack, roles: list[Json]
) -> None:
    held, logs = crashing()
    server = KubernetesServer([*held, namespace("shop")], logs, without(roles, resource))
    running.enter_context(serving(server))
    _, missing = inspected(cluster(server))

    told = {"pods": "was not read: ", "pods/log": "logs", "events": "Event", "namespaces": ""}
    assert told[resource] in " ".join(missing)


def test_a_kind_that_nobody_serves_is_unknown_and_not_told(running: ExitStack) -> None:
    server = running.enter_context(serving(KubernetesServer([*healthy(), namespace("shop")])))
    state = listed(server, "HTTPRoute")

    assert "HTTPRoute" not in state.listed
    assert [(gap.kind, gap.reason) for gap in state.gaps] == [("HTTPRoute", "not-served")]
    assert inspected(cluster(server)) == ((), [])


def test_a_list_is_read_page_by_page(running: ExitStack) -> None:
    held = [*pods(2 * PAGE + 1), namespace("shop")]
    server = running.enter_context(serving(KubernetesServer(held)))

    assert len(listed(server, "Pod").listed["Pod"]) == 2 * PAGE + 1
    assert len([asked for asked in server.asked if asked.path.endswith("/pods")]) == 3


@pytest.mark.parametrize(("expired", "whole"), [(1, True), (2, True), (3, False)])
def test_a_list_whose_continuation_has_expired_is_begun_anew(
    expired: int, whole: bool, running: ExitStack
) -> None:
    server = running.enter_context(serving(KubernetesServer([*pods(PAGE + 1), namespace("shop")])))
    server.expiring = expired
    state = listed(server, "Pod")

    assert ("Pod" in state.listed) is whole
    assert [gap.reason for gap in state.gaps] == ([] if whole else ["truncated"])
    assert len(state.pods) == (PAGE + 1 if whole else PAGE)


def test_a_list_without_end_is_cut_and_told(running: ExitStack) -> None:
    accounts = [
        {"kind": "ServiceAccount", "metadata": {"name": f"a{index}", "namespace": "shop"}}
        for index in range(MOST_OBJECTS + 1)
    ]
    server = running.enter_context(serving(KubernetesServer([*accounts, namespace("shop")])))
    state = listed(server, "ServiceAccount")

    assert "ServiceAccount" not in state.listed
    assert [gap.detail for gap in state.gaps] == [f"only the first {MOST_OBJECTS} were read"]


@dataclass
class Hasty:
    """A clock on which every question takes its time."""

    at: float = NOW

    def now(self) -> float:
        self.at += 1
        return self.at

    def sleep(self, seconds: float) -> None:
        raise AssertionError("nobody waits here")


def test_what_was_not_read_before_the_deadline_is_told(running: ExitStack) -> None:
    server = running.enter_context(serving(KubernetesServer([*healthy(), namespace("shop")])))
    api = client.ApiClient(client.Configuration(host=server.url))
    slow = ReadableCluster(api, ["shop"], Hasty(), limits=ReadingLimits(10, 12))
    found, missing = inspected(slow)

    assert found == ()
    assert len(missing) == 1
    assert "the 12 s of an inspection are over" in missing[0]


@pytest.mark.parametrize(
    ("failure", "recoverable"), [("unavailable", True), ("busy", True), ("hung up", True)]
)
def test_a_cluster_that_does_not_answer_says_whether_asking_again_may_help(
    failure: Any, recoverable: bool, running: ExitStack
) -> None:
    server = running.enter_context(serving(KubernetesServer([*healthy(), namespace("shop")])))
    server.failures.extend([failure] * 4)

    with pytest.raises(SourceError) as caught:
        cluster(server).opened()
    assert caught.value.recoverable is recoverable


def test_an_api_nobody_listens_on_is_told() -> None:
    settings = client.Configuration(host="http://127.0.0.1:1")
    settings.retries = False
    nobody = ReadableCluster(client.ApiClient(settings), ["shop"], Standing(NOW))
    found, missing = inspected(nobody)

    assert found == ()
    assert missing == [
        "cluster: kubernetes: http://127.0.0.1:1 does not answer: [Errno 111] Connection refused"
    ]


# Namespaces and clusters


def two_shops() -> list[Json]:
    """One application of one name in two namespaces, broken in each in its own way."""
    shop, _ = without_image()
    pay, _ = pending()
    return [*shop, *moved(pay, "pay"), namespace("shop"), namespace("pay"), namespace("idle")]


def subjects(findings: Sequence[Finding]) -> set[str]:
    return {one.subject for one in findings}


def test_owners_of_several_namespaces_carry_theirs(running: ExitStack) -> None:
    server = running.enter_context(serving(KubernetesServer(two_shops())))
    found, missing = inspected(cluster(server, ["shop", "pay"]))

    assert subjects(found) == {"shop/cart", "pay/cart"}
    assert all(one.statement.startswith(f"{one.subject}: ") for one in found)
    assert all(one.query.startswith(one.subject.partition("/")[0] + "/") for one in found)
    assert missing == []


@dataclass(frozen=True)
class Graph:
    """A service graph that knows these names."""

    names: tuple[str, ...]

    def topology(self) -> Topology:
        return Topology(nodes=self.names, edges=(Edge(caller="x", callee=self.names[0]),))


@pytest.mark.parametrize(
    ("namespaces", "known", "expected"),
    [
        pytest.param(["shop", "idle"], ("cart",), {"cart"}, id="only one cart is there"),
        pytest.param(["shop", "pay"], ("cart",), {"shop/cart", "pay/cart"}, id="two are there"),
        pytest.param(["shop", "idle"], ("basket",), {"shop/cart"}, id="nobody calls it so"),
        pytest.param(["shop"], ("basket",), {"cart"}, id="one namespace only"),
    ],
)
def test_a_name_that_other_telemetry_uses_is_kept_where_it_is_unique(
    namespaces: list[str], known: tuple[str, ...], expected: set[str], running: ExitStack
) -> None:
    server = running.enter_context(serving(KubernetesServer(two_shops())))
    found, _ = inspected(cluster(server, namespaces), graph=Graph(known))

    assert subjects(found) == expected


@pytest.mark.parametrize(
    ("alerted", "expected"),
    [
        pytest.param([("cart", "pay")], {"shop/cart", "cart"}, id="the alert says which"),
        pytest.param([("cart", "shop"), ("cart", "pay")], {"shop/cart", "pay/cart"}, id="both"),
        pytest.param([("cart", "")], {"shop/cart", "pay/cart"}, id="the alert does not say which"),
        pytest.param([("cart", "zoo")], {"shop/cart", "pay/cart"}, id="one that is not read"),
    ],
)
def test_the_alerted_one_of_two_of_a_name_is_called_as_the_alert_calls_it(
    alerted: list[tuple[str, str]], expected: set[str], running: ExitStack
) -> None:
    server = running.enter_context(serving(KubernetesServer(two_shops())))
    first = [Subject(kind="workload", name=name, namespace=where) for name, where in alerted]
    found, _ = inspected(cluster(server, ["shop", "pay"]), first=first)

    assert subjects(found) == expected


def test_all_namespaces_are_read_with_one_list_of_each_kind(running: ExitStack) -> None:
    server = running.enter_context(serving(KubernetesServer(two_shops())))
    found, _ = inspected(cluster(server, ["*"]))

    assert subjects(found) == {"shop/cart", "pay/cart"}
    lists = [asked.path for asked in server.asked if asked.path == "/api/v1/pods"]
    assert len(lists) == 1


def test_all_namespaces_without_the_right_to_list_them_is_an_error(
    running: ExitStack, roles: list[Json]
) -> None:
    bindings = [RoleBindingRules(roles[0]["rules"], "shop")]
    server = KubernetesServer(two_shops(), bindings=bindings)
    running.enter_context(serving(server))
    _, missing = inspected(cluster(server, ["*"]))

    assert len(missing) == 1
    assert "namespaces cannot be listed" in missing[0]
    assert "or name the namespaces" in missing[0]


def test_a_forbidden_namespace_is_not_read_and_the_other_is(
    running: ExitStack, roles: list[Json]
) -> None:
    bindings = [RoleBindingRules(roles[0]["rules"], "shop"), RoleBindingRules(roles[1]["rules"])]
    server = KubernetesServer(two_shops(), bindings=bindings)
    running.enter_context(serving(server))
    found, missing = inspected(cluster(server, ["shop", "pay"]))

    assert subjects(found) == {"shop/cart"}
    assert len(missing) == 1
    assert missing[0].startswith("cluster: namespace pay was not read: may not be read: ")


def test_a_namespace_that_does_not_exist_is_told(running: ExitStack) -> None:
    server = running.enter_context(serving(KubernetesServer(two_shops())))
    found, missing = inspected(cluster(server, ["shpo"]))

    assert (found, missing) == ((), ["cluster: there is no namespace shpo"])


def test_owners_of_several_clusters_carry_theirs(running: ExitStack) -> None:
    east = running.enter_context(serving(KubernetesServer(two_shops())))
    west = running.enter_context(serving(KubernetesServer([*healthy(), namespace("shop")])))
    found, missing = inspected(
        cluster(east, ["shop", "pay"], "east"), cluster(west, ["shop", "pay"], "west")
    )

    assert subjects(found) == {"east/shop/cart", "east/pay/cart"}
    assert missing == []  # west has no pay, but east has


def test_a_cluster_that_is_down_is_named_and_the_others_are_read(running: ExitStack) -> None:
    east = running.enter_context(serving(KubernetesServer(two_shops())))
    settings = client.Configuration(host="http://127.0.0.1:1")
    settings.retries = False
    down = ReadableCluster(client.ApiClient(settings), ["shop"], Standing(NOW), "west")
    found, missing = inspected(cluster(east, ["shop"], "east"), down)

    assert subjects(found) == {"east/shop/cart"}
    assert [line.startswith("cluster: west: ") for line in missing] == [True]


# Settings and doctor


def kubeconfig(folder: Path, *contexts: str) -> str:
    path = folder / "config"
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": contexts[0],
        "clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:1"}}],
        "users": [{"name": "u", "user": {"token": "t"}}],
        "contexts": [{"name": name, "context": {"cluster": "c", "user": "u"}} for name in contexts],
    }
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    return str(path)


@pytest.mark.parametrize(
    ("namespaces", "contexts", "told"),
    [
        ("shop", "prod", "kubernetes_context 'prod' is not in the kubeconfig; it has: east, west"),
        ("shop", "east,prod", "kubernetes_context 'prod'"),
        ("Shop", "east", "kubernetes_namespace 'Shop' is no name of a namespace"),
        ("shop,pay/../x", "east", "'pay/../x' is no name"),
    ],
)
def test_settings_that_cannot_be_met_are_named(
    namespaces: str, contexts: str, told: str, tmp_path: Path, kubeconfig_at: Any
) -> None:
    kubeconfig_at(kubeconfig(tmp_path, "east", "west"))
    with pytest.raises(SettingsError, match=told.replace("(", r"\(")):
        connected(load(kubernetes_namespace=namespaces, kubernetes_context=contexts), Standing(NOW))


def test_each_context_is_a_cluster(tmp_path: Path, kubeconfig_at: Any) -> None:
    kubeconfig_at(kubeconfig(tmp_path, "east", "west"))
    several = connected(
        load(kubernetes_namespace="shop, pay", kubernetes_context="east, west"), Standing(NOW)
    )
    one = connected(load(kubernetes_namespace="shop", kubernetes_context="west"), Standing(NOW))

    names = [[cluster.name for cluster in source.remotes()] for source in (several, one)]  # type: ignore[attr-defined]
    assert names == [["east", "west"], ["west"]]


@pytest.fixture
def kubeconfig_at(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A function that makes a file the kubeconfig of this test."""

    def put(path: str) -> None:
        monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", path)

    return put


def test_a_cluster_describes_itself(running: ExitStack) -> None:
    server = running.enter_context(serving(KubernetesServer(two_shops())))
    here = cluster(server, ["shop", "pay"], "east")

    assert here.describe() == "east: Kubernetes v1.31.4; pods: shop 2, pay 2"
    assert here.problems() == ()
    elsewhere = cluster(server, ["shop", "far"], "east").describe()
    assert elsewhere == "east: Kubernetes v1.31.4; pods: shop 2, far is not there"
    everywhere = cluster(server, ["*"]).describe()
    assert everywhere == "kubernetes: Kubernetes v1.31.4; pods: all 3 namespaces 4"


@pytest.mark.parametrize(
    ("namespaces", "resource", "told"),
    [
        (["shop", "pay"], "pods", "pods of shop may not be listed"),
        (["shpo"], "x", "there is no namespace shpo"),
        (["*"], "namespaces", "namespaces cannot be listed"),
    ],
)
def test_a_cluster_that_cannot_be_read_as_configured_is_broken(
    namespaces: list[str], resource: str, told: str, running: ExitStack, roles: list[Json]
) -> None:
    server = KubernetesServer(two_shops(), bindings=without(roles, resource))
    running.enter_context(serving(server))

    with pytest.raises(SourceError, match=told):
        cluster(server, namespaces, "east").describe()


def test_kinds_that_may_not_be_read_are_advice(running: ExitStack, roles: list[Json]) -> None:
    server = KubernetesServer(two_shops(), bindings=without(roles, "cronjobs"))
    running.enter_context(serving(server))
    here = cluster(server)
    here.describe()

    assert here.problems() == ("may not be listed: CronJob; bind the role of clusterrole.yaml",)
