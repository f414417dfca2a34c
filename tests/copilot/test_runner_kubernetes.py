"""The Kubernetes runner, through the official client, on a small API server of our own."""

import copy
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from kubernetes import client

from copilot.hands.kubernetes import LAST_STEP, RESTARTED_AT, KubernetesRunner
from copilot.hands.kubernetes_client import KubernetesCluster
from copilot.hands.report import TRIES
from tools.types import PlanStep, StepResult, Timestamp

NOW = 1_772_546_400.0
REVISION = "deployment.kubernetes.io/revision"


def template(image: str) -> dict[str, Any]:
    container = {"name": "cart", "image": image}
    return {"metadata": {"labels": {"app": "cart"}}, "spec": {"containers": [container]}}


def replica_set(number: int, image: str, owner: str = "u1") -> dict[str, Any]:
    shape = template(image)
    shape["metadata"]["labels"]["pod-template-hash"] = f"h{number}"
    return {
        "metadata": {
            "name": f"cart-{number}-{owner}",
            "annotations": {REVISION: str(number)},
            "ownerReferences": [
                {
                    "apiVersion": "apps/v1",
                    "kind": "Deployment",
                    "name": "cart",
                    "uid": owner,
                    "controller": True,
                }
            ],
        },
        "spec": {"selector": {"matchLabels": {"app": "cart"}}, "template": shape},
    }


def pod(name: str, phase: str = "Running", owner: str = "ReplicaSet") -> dict[str, Any]:
    reference = {"apiVersion": "apps/v1", "kind": owner, "name": "x", "uid": "u9"}
    return {
        "metadata": {"name": name, "namespace": "shop", "ownerReferences": [reference]},
        "status": {"phase": phase},
    }


class World:
    """The objects of the cluster, and what was asked of it."""

    def __init__(self) -> None:
        self.deployment: dict[str, Any] = {
            "metadata": {
                "name": "cart",
                "uid": "u1",
                "resourceVersion": "1",
                "annotations": {REVISION: "3"},
            },
            "spec": {
                "replicas": 3,
                "selector": {"matchLabels": {"app": "cart"}},
                "template": template("cart:3"),
            },
            "status": {"readyReplicas": 2},
        }
        self.replica_sets = [
            replica_set(1, "cart:1"),
            replica_set(3, "cart:3"),
            replica_set(2, "cart:2"),
            replica_set(9, "web:9", owner="u2"),
        ]
        self.node: dict[str, Any] = {
            "metadata": {"name": "n1", "resourceVersion": "1"},
            "spec": {},
        }
        self.pods = [
            pod("cart-a"),
            pod("cart-b"),
            pod("logger", owner="DaemonSet"),
            pod("job", phase="Succeeded"),
        ]
        self.guarded: set[str] = set()
        self.evicted: list[str] = []
        self.asked: list[str] = []
        self.others: list[Callable[[dict[str, Any]], None]] = []
        """What somebody else does to the object before each patch that comes."""

    def patched(self, target: dict[str, Any], patch: Any, kind: str) -> dict[str, Any]:
        changed = copy.deepcopy(target)
        if kind == "application/json-patch+json":
            for change in patch:
                place, *_, last = [changed, *_pointer(change["path"])]
                for part in _pointer(change["path"])[:-1]:
                    place = place[part]
                place[last] = change["value"]
        else:
            assert kind == "application/strategic-merge-patch+json"
            _merge(changed, patch)
        return changed


def _written(target: dict[str, Any]) -> None:
    version = target["metadata"]
    version["resourceVersion"] = str(int(version["resourceVersion"]) + 1)


def _pointer(path: str) -> list[str]:
    return [part.replace("~1", "/").replace("~0", "~") for part in path.split("/")[1:]]


def _merge(into: dict[str, Any], patch: dict[str, Any]) -> None:
    for key, value in patch.items():
        if isinstance(value, dict):
            _merge(into.setdefault(key, {}), value)
        else:
            into[key] = value


class Api(BaseHTTPRequestHandler):
    world: World

    def log_message(self, *_: object) -> None:
        return

    def answer(self, status: int, document: dict[str, Any]) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def look(self) -> tuple[str, bool]:
        split = urlsplit(self.path)
        self.world.asked.append(f"{self.command} {split.path}")
        return split.path, parse_qs(split.query).get("dryRun") == ["All"]

    def body(self) -> Any:
        return json.loads(self.rfile.read(int(self.headers["Content-Length"])))

    def do_GET(self) -> None:
        found = {
            "/apis/apps/v1/namespaces/shop/deployments/cart": self.world.deployment,
            "/apis/apps/v1/namespaces/shop/replicasets": {"items": self.world.replica_sets},
            "/api/v1/nodes/n1": self.world.node,
            "/api/v1/pods": {"items": self.world.pods},
        }.get(self.look()[0])
        self.answer(200 if found else 404, found or {"message": "not found"})

    def do_PATCH(self) -> None:
        path, dry = self.look()
        name = "node" if "/nodes/" in path else "deployment"
        kind = self.headers["Content-Type"]
        target = getattr(self.world, name)
        if self.world.others:
            self.world.others.pop(0)(target)
            _written(target)
        changed = self.world.patched(target, self.body(), kind)
        if changed["metadata"]["resourceVersion"] != target["metadata"]["resourceVersion"]:
            self.answer(409, {"reason": "Conflict", "message": "the object has been modified"})
            return
        if not dry:
            _written(changed)
            setattr(self.world, name, changed)
        self.answer(200, changed)

    def do_POST(self) -> None:
        path, dry = self.look()
        evicted = path.split("/")[-2]
        self.body()
        if evicted in self.world.guarded:
            self.answer(429, {"message": "disruption budget"})
            return
        if not dry:
            self.world.evicted.append(evicted)
        self.answer(201, {"metadata": {"name": evicted}})


class StandingClock:
    def now(self) -> Timestamp:
        return NOW

    def sleep(self, seconds: float) -> None:
        raise AssertionError("a runner does not wait by itself")


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def cluster(world: World) -> Iterator[KubernetesCluster]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("ApiOf", (Api,), {"world": world}))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    configuration = client.Configuration(host=f"http://127.0.0.1:{server.server_port}", retries=0)
    with client.ApiClient(configuration) as api:
        yield KubernetesCluster(api, "shop")
    server.shutdown()
    server.server_close()
    thread.join()


def run(
    cluster: KubernetesCluster,
    verb: str,
    key: str = "k1",
    *,
    dry_run: bool = False,
    kind: str = "deployment",
    name: str = "cart",
    **arguments: object,
) -> StepResult:
    step = PlanStep.model_validate(
        {
            "index": 0,
            "title": "a step",
            "action": "kubernetes",
            "arguments": {"verb": verb, "kind": kind, "name": name, **arguments},
        }
    )
    return KubernetesRunner(cluster, StandingClock(), dry_run=dry_run).run(step, key)


def image(world: World) -> str:
    found = world.deployment["spec"]["template"]["spec"]["containers"][0]["image"]
    assert isinstance(found, str)
    return found


def test_scaling_sets_the_replicas(cluster: KubernetesCluster, world: World) -> None:
    result = run(cluster, "scale", replicas=5)
    assert (result.ok, result.output) == (True, "deployment cart scaled from 3 to 5 replicas")
    assert world.deployment["spec"]["replicas"] == 5
    assert "already" in run(cluster, "scale", replicas=5).output
    assert sum(asked.startswith("PATCH") for asked in world.asked) == 1


def test_undoing_brings_the_template_before_back(cluster: KubernetesCluster, world: World) -> None:
    result = run(cluster, "rollout_undo")
    assert result.output == "deployment cart rolled back from revision 3 to 2"
    assert world.deployment["spec"]["template"] == template("cart:2")


def test_an_undo_repeated_after_a_crash_does_not_go_further(
    cluster: KubernetesCluster, world: World
) -> None:
    run(cluster, "rollout_undo", "k1")
    world.deployment["metadata"]["annotations"][REVISION] = "4"
    world.replica_sets[2]["metadata"]["annotations"][REVISION] = "4"
    assert "already" in run(cluster, "rollout_undo", "k1").output
    assert image(world) == "cart:2"
    assert run(cluster, "rollout_undo", "k2").output.endswith("from revision 4 to 3")
    assert image(world) == "cart:3"


def test_without_an_earlier_revision_nothing_is_undone(
    cluster: KubernetesCluster, world: World
) -> None:
    world.replica_sets = world.replica_sets[1:2]
    result = run(cluster, "rollout_undo")
    assert "no revision before 3" in result.error
    assert image(world) == "cart:3"


def test_restarting_marks_the_template_once(cluster: KubernetesCluster, world: World) -> None:
    assert run(cluster, "rollout_restart").ok
    annotations = world.deployment["spec"]["template"]["metadata"]["annotations"]
    assert annotations == {RESTARTED_AT: "2026-03-03T14:00:00+00:00"}
    assert world.deployment["metadata"]["annotations"][LAST_STEP] == "k1"
    assert "already" in run(cluster, "rollout_restart").output


def test_draining_cordons_and_evicts_what_may_go(cluster: KubernetesCluster, world: World) -> None:
    result = run(cluster, "drain", kind="node", name="n1")
    assert result.ok
    assert world.node["spec"]["unschedulable"] is True
    assert world.evicted == ["cart-a", "cart-b"]
    assert run(cluster, "uncordon", kind="node", name="n1").ok
    assert world.node["spec"]["unschedulable"] is False


def test_a_pod_that_may_not_go_fails_the_step(cluster: KubernetesCluster, world: World) -> None:
    world.guarded = {"cart-a"}
    result = run(cluster, "drain", kind="node", name="n1")
    assert not result.ok
    assert "shop/cart-a: 429" in result.error
    assert "evicted 1 pods: shop/cart-b" in result.output


def labelled(target: dict[str, Any]) -> None:
    target["metadata"].setdefault("labels", {})["team"] = "shop"


CHANGES: list[tuple[str, dict[str, Any]]] = [
    ("scale", {"replicas": 9}),
    ("rollout_undo", {}),
    ("rollout_restart", {}),
    ("cordon", {"kind": "node", "name": "n1"}),
]


@pytest.mark.parametrize(("verb", "arguments"), CHANGES)
def test_what_somebody_else_changed_meanwhile_is_looked_at_again_and_kept(
    cluster: KubernetesCluster, world: World, verb: str, arguments: dict[str, Any]
) -> None:
    world.others = [labelled, labelled]
    assert run(cluster, verb, **arguments).ok
    changed = world.node if verb == "cordon" else world.deployment
    assert changed["metadata"]["labels"] == {"team": "shop"}
    assert sum(asked.startswith("PATCH") for asked in world.asked) == 3


@pytest.mark.parametrize(("verb", "arguments"), CHANGES)
def test_an_object_that_never_rests_is_left_alone_after_some_tries(
    cluster: KubernetesCluster, world: World, verb: str, arguments: dict[str, Any]
) -> None:
    world.others = [labelled] * 99
    result = run(cluster, verb, **arguments)
    assert not result.ok
    assert "409" in result.error
    assert sum(asked.startswith("PATCH") for asked in world.asked) == TRIES
    assert world.deployment["spec"]["replicas"] == 3
    assert image(world) == "cart:3"
    assert world.node["spec"] == {}


def test_what_somebody_else_did_already_is_not_done_again(
    cluster: KubernetesCluster, world: World
) -> None:
    world.others = [lambda target: target["spec"].update(replicas=5)]
    assert "has 5 replicas already" in run(cluster, "scale", replicas=5).output
    assert sum(asked.startswith("PATCH") for asked in world.asked) == 1


@pytest.mark.parametrize(
    ("verb", "arguments"),
    [
        ("scale", {"replicas": 9}),
        ("rollout_undo", {}),
        ("rollout_restart", {}),
        ("drain", {"kind": "node", "name": "n1"}),
        ("cordon", {"kind": "node", "name": "n1"}),
    ],
)
def test_a_dry_run_changes_nothing(
    cluster: KubernetesCluster, world: World, verb: str, arguments: dict[str, Any]
) -> None:
    before = copy.deepcopy((world.deployment, world.node, world.pods))
    result = run(cluster, verb, dry_run=True, **arguments)
    assert (result.ok, result.dry_run) == (True, True)
    assert (world.deployment, world.node, world.pods) == before
    assert world.evicted == []
    assert any(not asked.startswith("GET") for asked in world.asked)


def test_reading_only_reads(cluster: KubernetesCluster, world: World) -> None:
    said = run(cluster, "get").output
    assert said == "deployment cart: 2 of 3 replicas ready, revision 3"
    assert "schedulable" in run(cluster, "get", kind="node", name="n1").output
    assert all(asked.startswith("GET") for asked in world.asked)


def test_what_does_not_exist_is_a_failed_step(cluster: KubernetesCluster) -> None:
    assert "404" in run(cluster, "scale", name="cant", replicas=2).error


def test_a_server_that_is_away_is_a_failed_step() -> None:
    configuration = client.Configuration(host="http://127.0.0.1:1", retries=0)
    with client.ApiClient(configuration) as api:
        result = run(KubernetesCluster(api, "shop"), "scale", replicas=2)
    assert not result.ok


@pytest.mark.parametrize(
    ("verb", "arguments"),
    [
        pytest.param("exec", {}, id="a verb nobody knows"),
        pytest.param("delete", {"kind": "namespace", "name": "shop"}, id="deleting"),
        pytest.param("scale", {"replicas": 0}, id="scaling to nothing"),
        pytest.param("scale", {"replicas": 10**6}, id="scaling to the moon"),
        pytest.param("scale", {"replicas": 2, "namespace": "kube-system"}, id="other namespace"),
        pytest.param("scale", {"replicas": 2, "name": "a/../b"}, id="path in a name"),
        pytest.param("drain", {"kind": "node", "name": "n1,n2"}, id="two nodes"),
        pytest.param("drain", {"kind": "node", "name": "n1", "force": True}, id="by force"),
    ],
)
def test_what_is_not_in_the_vocabulary_is_not_asked(
    cluster: KubernetesCluster, world: World, verb: str, arguments: dict[str, Any]
) -> None:
    assert not run(cluster, verb, **arguments).ok
    assert world.asked == []


def test_a_rehearsal_lets_the_server_check_and_changes_nothing(
    cluster: KubernetesCluster, world: World
) -> None:
    before = copy.deepcopy(world.deployment)
    arguments = {"verb": "scale", "kind": "deployment", "name": "cart", "replicas": 9}
    step = PlanStep(index=0, title="t", action="kubernetes", arguments={**arguments})
    seen = KubernetesRunner(cluster, StandingClock()).rehearse(step).seen
    assert "to 9 replicas" in seen
    assert world.deployment == before
