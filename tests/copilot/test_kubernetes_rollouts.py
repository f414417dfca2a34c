"""Rollouts as a cluster keeps them: when, from which image to which, and what of the pods moved."""

from datetime import UTC, datetime
from typing import Any

from kubernetes import client

from copilot.sources.deployment import UnconfiguredSource
from copilot.sources.kubernetes.clusters import KubernetesSource, ReadableCluster
from copilot.sources.merged import MergedChanges
from copilot.testing.kubernetes import KubernetesServer
from copilot.testing.strict_http import serving
from tests.contracts.clocks import Standing
from tests.copilot.kubernetes_objects import NOW, Json, deployment
from tools.change_inspector import CommitCase, judge
from tools.types import Change, Commit, Edge, Topology, Window

DAY = Window(start=NOW - 86_400.0, end=NOW)
SECRET = "hunter2hunter2"


def moment(ago: float) -> str:
    return datetime.fromtimestamp(NOW - ago, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def template(image: str = "r.example/cart:1.3", pool: str = "40", memory: str = "2Gi") -> Json:
    env: list[Any] = [
        {"name": "POOL_SIZE", "value": pool},
        {"name": "DB_PASSWORD", "value": SECRET},
        {"name": "DB_HOST", "valueFrom": {"configMapKeyRef": {"name": "db", "key": "host"}}},
    ]
    container: Json = {"name": "server", "image": image, "env": env}
    container["resources"] = {"limits": {"memory": memory}}
    return {"metadata": {"labels": {"app": "cart"}}, "spec": {"containers": [container]}}


def replica_set(number: int, ago: float, pods: Json, cause: str = "") -> Json:
    notes = {"deployment.kubernetes.io/revision": str(number)}
    return {
        "kind": "ReplicaSet",
        "metadata": {
            "name": f"cart-{number}",
            "namespace": "shop",
            "creationTimestamp": moment(ago),
            "annotations": notes | ({"kubernetes.io/change-cause": cause} if cause else {}),
            "ownerReferences": [{"kind": "Deployment", "name": "cart"}],
        },
        "spec": {"template": pods},
    }


def controller_revision(number: int, ago: float, pods: Json) -> Json:
    return {
        "kind": "ControllerRevision",
        "metadata": {
            "name": f"ledger-{number}",
            "namespace": "shop",
            "creationTimestamp": moment(ago),
            "ownerReferences": [{"kind": "StatefulSet", "name": "ledger"}],
        },
        "revision": number,
        "data": {"spec": {"template": pods}},
    }


NAMESPACE = {"kind": "Namespace", "metadata": {"name": "shop"}}


def rolled_out(*objects: Json) -> list[Change]:
    with serving(KubernetesServer([NAMESPACE, *objects])) as server:
        api = client.ApiClient(client.Configuration(host=server.url))
        source = KubernetesSource([ReadableCluster(api, ["shop"], Standing(NOW))])
        found = list(source.changes(DAY))
        count = len(server.asked)
        assert list(source.changes(DAY)) == found
        assert len(server.asked) == count, "one run asks several times, the cluster only once"
        return found


def test_a_rollout_tells_its_image_and_the_lines_of_the_pods_that_it_changed() -> None:
    (told,) = rolled_out(
        replica_set(6, 7200.0, template()),
        replica_set(7, 600.0, template("r.example/cart:1.4", pool="4"), cause="a smaller pool"),
    )
    assert (told.service, told.kind, told.from_version, told.to_version) == (
        "cart", "deploy", "1.3", "1.4",
    )  # fmt: skip
    assert told.at == NOW - 600.0
    assert told.summary == "a smaller pool"
    lines = told.commits[0].diff.splitlines()
    assert {"-    POOL_SIZE: '40'", "+    POOL_SIZE: '4'"} <= set(lines)
    assert SECRET not in told.commits[0].diff


def test_what_keeps_the_image_is_configuration() -> None:
    first, second = template(), template(memory="256Mi")
    (told,) = rolled_out(replica_set(1, 7200.0, first), replica_set(2, 60.0, second))
    assert told.kind == "config"


def test_a_rollback_happens_when_the_deployment_moves_not_when_its_replica_set_was_made() -> None:
    running = deployment("cart")
    progressing = {"type": "Progressing", "status": "True", "lastUpdateTime": moment(120.0)}
    running["status"]["conditions"] = [progressing]
    (told,) = rolled_out(
        replica_set(8, 90_000.0, template("r.example/cart:1.3")),
        replica_set(7, 88_000.0, template("r.example/cart:1.4")),
        running,
    )
    assert (told.at, told.to_version) == (NOW - 120.0, "1.3")


def test_stateful_sets_have_revisions_of_their_controller() -> None:
    first, second = template("r/ledger:1"), template("r/ledger@sha256:" + "0" * 8)
    (told,) = rolled_out(
        controller_revision(1, 7200.0, first), controller_revision(2, 60.0, second)
    )
    assert (told.service, told.from_version, told.to_version) == ("ledger", "1", "sha256:00000000")


def test_a_restart_a_first_revision_and_another_owner_are_handled() -> None:
    lone = replica_set(1, 60.0, template())
    lone["metadata"]["ownerReferences"] = []
    assert rolled_out(lone, replica_set(3, 60.0, template())) == []
    same = template()
    same["metadata"]["labels"]["pod-template-hash"] = "6d9fc79f96"
    assert rolled_out(replica_set(3, 60.0, template()), replica_set(4, 50.0, same)) == []


class Told:
    """Changes and commits that were posted."""

    def __init__(self, *changes: Change) -> None:
        self.posted = changes

    def changes(self, window: Window) -> tuple[Change, ...]:
        return self.posted

    def commits(self, window: Window) -> tuple[Commit, ...]:
        return tuple(one for change in self.posted for one in change.commits)


def released(service: str, ago: float) -> Change:
    return Change(at=NOW - ago, service=service, kind="deploy", author="lin", to_version="abc")


def test_a_rollout_of_what_was_told_is_no_second_change() -> None:
    rollout = rolled_out(
        replica_set(6, 7200.0, template()), replica_set(7, 600.0, template(pool="4"))
    )[0]
    told, cluster = Told(released("cart", 650.0)), Told(rollout)
    merged = MergedChanges(told, told, cluster)
    (joined,) = merged.changes(DAY)
    assert (joined.author, joined.commits) == ("lin", rollout.commits)
    apart = Told(released("web", 650.0))
    assert len(MergedChanges(apart, apart, cluster).changes(DAY)) == 2
    assert [one.sha for one in merged.commits(DAY)] == ["deployment/cart revision 7"]


def test_a_cluster_that_does_not_answer_loses_nothing_that_was_told() -> None:
    told = Told(released("cart", 650.0))
    silent = MergedChanges(told, told, UnconfiguredSource("cluster"))
    assert silent.changes(DAY) == told.posted


def test_a_rollout_is_convicted_by_what_it_changed_in_the_pods() -> None:
    rollout = rolled_out(
        replica_set(6, 7200.0, template()), replica_set(7, 600.0, template(pool="4"))
    )[0]
    graph = Topology(nodes=("web", "cart"), edges=(Edge(caller="web", callee="cart"),))
    said = ["timed out waiting for a connection from the pool"]
    case = CommitCase(rollout.commits, [rollout], said, (), ["cart"], graph, NOW - 300.0)
    found = judge(case)
    assert found.commit == rollout.commits[0]
    assert found.file == "deployment/cart"
    assert found.line > 0
    early = CommitCase(rollout.commits, [rollout], said, (), ["cart"], graph, NOW - 620.0)
    assert judge(early).commit is None
    assert "after the onset" in judge(early).innocent[0].why.en
